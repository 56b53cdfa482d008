"""How many requests a second a source is asked that has answered 429 or 503, and from when on."""

from __future__ import annotations

__all__ = ["Rate"]

_NEVER = float("-inf")
_WINDOW_SECONDS = 1.0
# What a source let through in the last second is what it allows; a little less leaves it room.
_SHARE = 0.8
_LEAST = 1.0
_STEPS = 16
# So many windows without an objection, and the steps begin to double.
_CLEAN = 5
_MOST_DOUBLED = 64
_BEHIND_SECONDS = 0.02


class Rate:
    """A limit of requests a second, that comes with the first objection and goes when not needed.

    A limit of requests in flight alone does not hold back from a source that refuses in a
    millisecond what comes too fast. An objection sets the limit to 0.8 of the good answers of the
    last second, at most once a second. Every clean second adds a sixteenth of that; after five of
    them the steps double. A limit of which not half is used any more is dropped. A source that asks
    for a pause gets it from every request. Above *most* requests a second it never goes, whatever
    the source says. Time is given by the caller, in seconds.
    """

    def __init__(self, most: float | None = None) -> None:
        self._most = most
        self._limit: float | None = most
        self._opens = self._slot = self._lowered = _NEVER
        self._window: float | None = None
        self._good, self._before = 0, 0.0
        self._step, self._clean, self._dirty = 0.0, 0, False

    @property
    def limit(self) -> float | None:
        """Requests a second at the most; None where neither the source nor the user objects."""
        return self._limit

    @property
    def opens(self) -> float:
        """The time from which the next request may go out."""
        return max(self._opens, self._slot)

    def sent(self, now: float) -> None:
        """Note a request."""
        if self._limit is not None:
            self._slot = max(self._slot, now - _BEHIND_SECONDS) + 1.0 / self._limit

    def succeeded(self, now: float) -> None:
        """Note a good answer; after a clean window of them, think about the limit."""
        if self._rolled(now):
            self._clean = 0 if self._dirty else self._clean + 1
            self._dirty = False
            if self._limit is not None and self._clean:
                self._grow(self._limit)
        self._good += 1

    def throttled(self, now: float, *, asked: float | None = None) -> None:
        """Note a 429 or 503; *asked* are the seconds of its Retry-After."""
        if self._rolled(now):
            self._dirty = False
        self._dirty = True
        if now - self._lowered >= _WINDOW_SECONDS:
            self._lowered = now
            left = _WINDOW_SECONDS - max(0.0, now - (self._window or now))
            self._limit = self._below(max(_LEAST, _SHARE * (self._good + self._before * left)))
            self._step = max(_LEAST, self._limit / _STEPS)
            self._slot = now + 1.0 / self._limit
        if asked is not None:
            self._opens = max(self._opens, now + asked)
            self._window = max(self._window or now, self._opens)

    def _rolled(self, now: float) -> bool:
        """Begin a new window where the last one is over, and tell whether it was."""
        if self._window is None:
            self._window = now
        passed = now - self._window
        if passed < _WINDOW_SECONDS:
            return False
        self._before, self._good, self._window = self._good / passed, 0, now
        return True

    def _grow(self, limit: float) -> None:
        if self._clean > _CLEAN and 2 * self._before < limit:
            self._limit, self._slot = self._most, _NEVER
        else:
            steps = 2.0 ** min(_MOST_DOUBLED, max(0, self._clean - _CLEAN))
            self._limit = self._below(limit + self._step * steps)

    def _below(self, limit: float) -> float:
        return limit if self._most is None else min(limit, self._most)
