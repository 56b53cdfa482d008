"""How many requests may be in flight: found by trying, halved when the source objects."""

from __future__ import annotations

__all__ = ["Pace", "SteadyPace"]

_FIRST, _MOST = 16, 256
_GAIN = 1.1


class Pace:
    """A limit that doubles while more in flight brings more per second, and then stays.

    A source that answers 429 or 503, or does not answer in time, halves it, at most once a
    second; clean windows let it grow again. A `fixed` limit only ever shrinks for a while.
    Time is given by the caller, in seconds, so that the rule can be tried without a clock.
    """

    def __init__(self, *, fixed: int | None = None) -> None:
        self._most = fixed or _MOST
        self._limit = fixed or _FIRST
        self._climbing = fixed is None
        self._best = 0.0
        self._begun: float | None = None
        self._done = 0
        self._halved = float("-inf")

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return self._limit

    def succeeded(self, now: float) -> None:
        """Note an answer; after a window of them, think about the limit."""
        if self._begun is None:
            self._begun = now
        self._done += 1
        if self._done < 2 * self._limit:
            return
        rate = self._done / max(now - self._begun, 1e-6)
        self._begun, self._done = now, 0
        if self._climbing:
            self._climbing = rate > self._best * _GAIN
            grown = self._limit * 2 if self._climbing else self._limit
            self._best = max(rate, self._best)
        else:
            grown = self._limit + max(1, self._limit // 8)
            grown = grown if self._halved > float("-inf") else self._limit
        self._limit = min(self._most, grown)

    def throttled(self, now: float) -> None:
        """Note that the source asked for less, or did not keep up."""
        self._begun, self._done, self._climbing = None, 0, False
        if now - self._halved >= 1.0:
            self._halved = now
            self._limit = max(1, self._limit // 2)


class SteadyPace(Pace):
    """A limit that stays: for a transfer that goes by the pace of each host itself."""

    def __init__(self, limit: int) -> None:
        super().__init__(fixed=limit)

    def throttled(self, now: float) -> None:
        """Change nothing: one host that asks for less is no reason to ask others less."""
