"""Which failures are worth another try of the object, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.errors import ChangedError, IntegrityError, MalformedError, SourceError

if TYPE_CHECKING:
    from oidkit.errors import OidError
    from oidkit.store import Ended

__all__ = ["GONE", "LONGEST_ASKED", "THROTTLED", "TRANSIENT", "Backoff", "Trouble", "jitter"]

GONE = frozenset({404, 410})
THROTTLED = frozenset({429, 503})
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

LONGEST_ASKED = 60.0
"""Seconds of a Retry-After that are still waited for."""

_TRIES = 6
_TRIES_DAMAGED = 3
# A silent source takes 20 s a try.
_TRIES_SLOW = 3
_SHORTEST, _LONGEST = 0.1, 10.0
# From the first failure on; a large object gets the time that its deadline gives it besides.
_SECONDS = 180.0
_LEAST_BYTES_A_SECOND = 4096


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a try failed: the error, and what bears on another try.

    `asked` are the seconds of a Retry-After. `away` says that no connection could be made, `cut`
    that one ended without any answer, `slow` that the source did not keep up. `length` are the
    announced bytes of the body.
    """

    error: OidError
    asked: float | None = None
    away: bool = False
    cut: bool = False
    slow: bool = False
    length: int = 0

    @classmethod
    def of(cls, error: OidError, ended: Ended) -> Trouble:
        """Take over what is known of a request that has broken."""
        length = (ended.reply.length if ended.reply else None) or 0
        return cls(error, away=ended.away, cut=ended.cut, slow=ended.slow, length=length)

    @property
    def lasting(self) -> bool:
        """Whether no other try would bring more."""
        if isinstance(self.error, (ChangedError, MalformedError)):
            return True
        return not isinstance(self.error, (SourceError, IntegrityError))

    @property
    def most(self) -> int:
        """The number of tries in all."""
        if isinstance(self.error, IntegrityError):
            return _TRIES_DAMAGED
        return _TRIES_SLOW if self.slow else _TRIES


def jitter(last: float, dice: random.Random, *, longest: float | None = None) -> float:
    """Give the pause after one of *last* seconds: decorrelated jitter, up to *longest*."""
    return min(longest or _LONGEST, dice.uniform(_SHORTEST, max(_SHORTEST, last * 3)))


@dataclass(slots=True)
class Backoff:
    """The tries of one object: decorrelated jitter between them, an end by number and by time.

    A server's Retry-After is waited for, up to a minute; one that asks for more is not asked again
    in this run.
    """

    tries: int = 0
    _last: float = _SHORTEST
    _first: float | None = None
    _random: random.Random | None = None
    """Made when it is needed: each takes 2,500 random bytes of the system, and most never do."""

    def next(
        self,
        asked: float | None = None,
        *,
        most: int = _TRIES,
        now: float = 0.0,
        length: int = 0,
    ) -> float | None:
        """Give the seconds to wait before the next try, or None when there is none.

        *asked* are the seconds that the source asks for, *most* the number of tries in all, *now*
        is the time in seconds, and *length* the announced bytes of the object.
        """
        self.tries += 1
        if self._first is None:
            self._first = now
        seconds = _SECONDS + length / _LEAST_BYTES_A_SECOND
        if self.tries >= most or (asked is not None and asked > LONGEST_ASKED):
            return None
        dice = self._random = self._random or random.Random()  # noqa: S311 - spreads tries
        self._last = jitter(self._last, dice)
        pause = self._last if asked is None else asked + dice.uniform(0, _SHORTEST)
        return pause if now + pause - self._first <= seconds else None
