"""How many requests may be in flight: found by trying, halved when the source objects."""

from __future__ import annotations

__all__ = ["Pace", "SteadyPace"]

_FIRST, _MOST = 16, 256
_GAIN = 1.1
# So many windows in a row without a gain end the climb. The first after a step has the answers of
# requests that went out before it; and one is spoilt when the machine does something else.
_FLAT = 3


class Pace:
    """A limit that doubles while more in flight brings more per second, and then stays.

    Three windows of answers in a row that bring not a tenth more than the best one end the climb.

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
        self._done = self._flat = 0
        self._halved = float("-inf")

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return self._limit

    @property
    def open_at_once(self) -> int:
        """The number of jobs that may be begun: those in flight, and those that wait for a retry.

        A limit that is low for the moment would otherwise be used up by those that wait.
        """
        return max(self._limit, min(self._most, _MOST // 8))

    def sent(self, now: float) -> None:
        """Note a request: a window begins with one, or the first would look twice as fast."""
        if self._begun is None:
            self._begun = now

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
            grown = self._climbed(rate)
        else:
            grown = self._limit + max(1, self._limit // 8)
            grown = grown if self._halved > float("-inf") else self._limit
        self._limit = min(self._most, grown)

    def _climbed(self, rate: float) -> int:
        """Give the limit after a window of *rate* answers a second; the climb may be over."""
        gained = rate > self._best * _GAIN
        self._best = max(rate, self._best)
        self._flat = 0 if gained else self._flat + 1
        self._climbing = self._flat < _FLAT
        return self._limit * 2 if gained else self._limit

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
