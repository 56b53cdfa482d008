"""What a session bears of its source: how often it asks again, and how long it waits for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit.errors import SourceError
from oidkit.transfer.rate import Rate
from oidkit.transfer.retry import LONGEST_ASKED, jitter

if TYPE_CHECKING:
    from oidkit.transfer.retry import Backoff, Trouble

__all__ = ["Budget"]

_NEVER = float("-inf")
_OUTAGE_SECONDS = 75.0
_LONGEST_PROBE_SECONDS = 5.0
# So many objects whose connections end without an answer, and none that has one: it is the source.
_MOST_CUT = 4
_RETRIES = 500.0
_MOST_LOST = 24
_MOST_SHUT = 3
_LATER = "what was fetched stays; run the same command again later"


@dataclass(slots=True)
class Budget:
    """Retries and patience, for all the loops of one session with one source.

    - A retry costs one of 500, and every good answer gives one back. When none is left, what fails
      is given up at once: a source that fails most of the time is not asked six times as much.
    - A source that has answered, and then lets nobody connect, is waited for, 75 seconds at the
      most: one request at a time asks whether it is back, and no object loses a try. One that has
      never answered is not waited for. Where connections are taken and end unanswered, an object
      that was not asked for yet tells whether that is so for all.
    - A source that asks for more than a minute, three times in a row, or of which 24 objects in a
      row are given up, ends the run.

    With *waits* false none of that holds for the hosts of a transfer that has many: each failure is
    that of its own object, and pauses are the transfer's. Time is given by the caller, in seconds.
    """

    waits: bool = True
    rate: Rate = field(default_factory=Rate)
    _random: random.Random = field(default_factory=random.Random)
    _begun: float | None = None
    _heard: bool = False
    _away: float | None = None
    _probe: float = _NEVER
    _last: float = 0.0
    _cut: set[str] = field(default_factory=set)
    _own: set[str] = field(default_factory=set)
    """Objects that were cut while others were answered: the trouble is theirs, not the source's."""
    _retries: float = _RETRIES
    _lost: int = 0
    _shut: int = 0

    @property
    def opens(self) -> float:
        """The time from which the next request may go out."""
        return max(self._probe, self.rate.opens)

    @property
    def away(self) -> bool:
        """Whether the source, that has answered before, does not for the time being."""
        return self._away is not None

    @property
    def doubts(self) -> bool:
        """Whether another object than those that were cut would tell if it is the source."""
        return self.away and bool(self._cut)

    def most(self, limit: int) -> int:
        """Give the requests that may be in flight, *limit* unless the source is away."""
        return limit if self._away is None else 1

    def since(self, now: float) -> float:
        """Give the seconds since the session asked first."""
        if self._begun is None:
            self._begun = now
        return now - self._begun

    def heard(self) -> None:
        """Note a sign of life: any answer, and any byte of one."""
        self._heard = True
        if self._away is not None or self._cut:
            self._away, self._probe = None, _NEVER
            self._own |= self._cut
            self._cut.clear()

    def succeeded(self, now: float) -> None:
        """Note a good answer, also one that says that an object is gone."""
        self._lost = self._shut = 0
        self._retries = min(_RETRIES, self._retries + 1)
        self.rate.succeeded(now)

    def throttled(self, now: float, *, asked: float | None) -> None:
        """Note a 429 or 503; *asked* are the seconds of its Retry-After.

        Raises:
            SourceError: the source is closed for longer than anybody waits.

        """
        if not self.waits:
            return
        if asked is None or asked <= LONGEST_ASKED:
            self.rate.throttled(now, asked=asked)
            return
        self.rate.throttled(now)
        self._shut += 1
        if self._shut >= _MOST_SHUT:
            text = "the source asks for a pause of more than a minute (Retry-After)"
            raise SourceError(text, remedy=_LATER)

    def pause(self, name: str, trouble: Trouble, backoff: Backoff, now: float) -> float | None:
        """Give the seconds to wait before *name* is tried again, or None when it is not.

        Raises:
            SourceError: the source has been away for too long.

        """
        if self._is_away(name, trouble):
            return self._waited(trouble, now)
        wait = backoff.next(trouble.asked, most=trouble.most, now=now, length=trouble.length)
        if wait is not None and self._retries < 1:
            return None
        self._retries -= wait is not None
        return wait

    def lost(self, error: SourceError) -> None:
        """Note that an object was given up.

        Raises:
            SourceError: so many were in a row that trying the rest would change nothing.

        """
        self._lost += 1
        if self._lost >= _MOST_LOST:
            raise SourceError(f"the source stopped answering: {error.cause}", remedy=_LATER)

    def _is_away(self, name: str, trouble: Trouble) -> bool:
        if not (self.waits and self._heard):
            return False
        if trouble.cut:
            if name in self._own:
                return False
            self._cut.add(name)
        return trouble.away or (trouble.cut and len(self._cut) >= _MOST_CUT)

    def _waited(self, trouble: Trouble, now: float) -> float | None:
        if self._away is None:
            self._away, self._last = now, 0.0
        gone = now - self._away
        if gone > _OUTAGE_SECONDS and trouble.cut:
            # Somebody takes the calls: it may be these objects alone that are never answered.
            return None
        if gone > _OUTAGE_SECONDS:
            raise SourceError(
                f"the source stopped answering {gone:.0f} seconds ago: {trouble.error.cause}",
                remedy=_LATER,
            )
        # Those that were in flight when it went away all fail at once, and are one failure.
        if now >= self._probe:
            self._last = jitter(self._last, self._random, longest=_LONGEST_PROBE_SECONDS)
            self._probe = now + self._last
        return self._probe - now
