"""Which byte ranges to ask for together.

Every range is half-open, in bytes of one object: `start` is in it, `stop` is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Span", "merge"]


@dataclass(frozen=True, slots=True)
class Span:
    """One request: bytes [start, stop), and which of the asked ranges lie whole within it."""

    start: int
    stop: int
    members: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes that the request receives."""
        return self.stop - self.start


def merge(
    starts: Sequence[int], stops: Sequence[int], *, gap: int, waste: int, largest: int
) -> list[Span]:
    """Join half-open ranges that lie close together into as few requests as the bounds allow.

    Args:
        starts: first byte of each range, in any order; ranges may overlap, repeat or be empty.
        stops: the byte after the last of each range; as many as `starts`.
        gap: two neighbours are joined when at most so many unasked bytes lie between them.
        waste: at most so many unasked bytes lie within one span, all its gaps together.
        largest: a span that joins ranges is at most so long; a single range that is longer
            stays whole, and what lies within it comes along.

    Returns:
        Spans by `start`; the index of every range stands in exactly one of them.

    Raises:
        ValueError: a negative range or bound, or `starts` and `stops` of different lengths.
    """
    if len(starts) != len(stops):
        message = f"{len(starts)} starts and {len(stops)} stops"
        raise ValueError(message)
    if min(gap, waste, largest) < 0:
        message = f"a negative bound: gap={gap}, waste={waste}, largest={largest}"
        raise ValueError(message)
    # plain ints: columns of numpy scalars compare ten times slower and wrap around below zero
    # and the longer one first, so that all others of the same start lie within it
    asked = sorted(
        (int(start), -int(stop), at)
        for at, (start, stop) in enumerate(zip(starts, stops, strict=True))
    )
    spans: list[Span] = []
    members: list[int] = []
    first = last = unasked = 0
    for start, minus_stop, at in asked:
        stop = -minus_stop
        if not 0 <= start <= stop:
            message = f"range {at} is not a range: [{start}, {stop})"
            raise ValueError(message)
        between = max(0, start - last)
        fits = between <= gap and unasked + between <= waste and stop - first <= largest
        if members and (fits or stop <= last):
            members.append(at)
            last = max(last, stop)
            unasked += between
            continue
        if members:
            spans.append(Span(first, last, tuple(members)))
        first, last, unasked, members = start, stop, 0, [at]
    if members:
        spans.append(Span(first, last, tuple(members)))
    return spans
