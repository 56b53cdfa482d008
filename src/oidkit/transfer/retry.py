"""Which failures are worth another try, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["GONE", "THROTTLED", "TRANSIENT", "Backoff"]

GONE = frozenset({404, 410})
THROTTLED = frozenset({429, 503})
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

_TRIES = 6
_SHORTEST, _LONGEST = 0.1, 10.0
_LONGEST_ASKED = 60.0


@dataclass(slots=True)
class Backoff:
    """The tries of one object: decorrelated jitter between them, and an end to them.

    A server's Retry-After is waited for, up to a minute; one that asks for more is not asked again
    in this run.
    """

    tries: int = 0
    _last: float = _SHORTEST
    _random: random.Random = field(default_factory=random.Random)

    def next(self, asked: float | None = None, *, most: int | None = None) -> float | None:
        """Give the seconds to wait before the next try, or None when there is none.

        *asked* are the seconds that the source asks for, *most* the number of tries in all.
        """
        self.tries += 1
        if self.tries >= (most or _TRIES) or (asked is not None and asked > _LONGEST_ASKED):
            return None
        self._last = min(_LONGEST, self._random.uniform(_SHORTEST, self._last * 3))
        return self._last if asked is None else asked + self._random.uniform(0, _SHORTEST)
