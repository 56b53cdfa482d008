"""Closed lines without the points that they can spare, by the rule of Douglas and Peucker.

A point is kept where the line without it would be further from it than the tolerance. The rule cuts
a piece in two at its furthest point, and those again. Here one step cuts all pieces of all lines,
so that a mask takes some ten steps over arrays, and not one for each piece.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Points = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.int64]

__all__ = ["simplified"]


def simplified(
    points: Points, begins: Numbers, kept: Sequence[int], tolerance: float, *, least: int
) -> list[Points]:
    """Leave out of closed lines what is nearer to them than a tolerance.

    *points* are (x, y), one line after the other, and *begins* tell where each begins, and where
    the last one ends. Those numbered in *kept* stay whatever they are. A line of which fewer than
    *least* points would be left stays whole.
    """
    import numpy as np

    size = np.diff(begins)
    line = np.repeat(np.arange(len(size)), size)
    # Two points of each line are kept at first: one, and the furthest from it.
    first = begins[:-1].copy()
    for at in reversed(kept):
        first[line[at]] = at
    apart = ((points - points[first[line]]) ** 2).sum(axis=1)
    keep = np.zeros(len(points), np.bool_)
    keep[[*kept]] = True
    keep[first] = keep[_first_of_the_most(apart, begins[:-1])[0]] = True
    # Each line is gone around from its first point that is kept, up to that point again.
    start = np.flatnonzero(keep)
    start = start[np.searchsorted(start, begins[:-1])] - begins[:-1]
    closed = np.repeat(np.arange(len(size)), size + 1)
    ahead = np.arange(len(closed)) - (begins[:-1] + np.arange(len(size)))[closed]
    around = begins[closed] + (start[closed] + ahead) % size[closed]
    marked = keep[around]
    _mark(points[around], marked, tolerance)
    keep[around[marked]] = True
    left = np.add.reduceat(keep, begins[:-1], dtype=np.int64)
    keep |= (left < least)[line]
    return [points[one:end][keep[one:end]] for one, end in pairwise(begins.tolist())]


def _mark(points: Points, marked: npt.NDArray[np.bool_], tolerance: float) -> None:
    """Mark which points of open lines to keep; the ends of the pieces are marked."""
    import numpy as np

    waiting = np.flatnonzero(~marked)
    while len(waiting):
        ends = np.flatnonzero(marked)
        piece = np.searchsorted(ends, waiting)
        start, end = ends[piece - 1], ends[piece]
        origin = points[start]
        along, between = points[end] - origin, points[waiting] - origin
        length = np.hypot(along[:, 0], along[:, 1])
        off = np.abs(between[:, 0] * along[:, 1] - between[:, 1] * along[:, 0])
        closes = length == 0
        length[closes] = 1
        off /= length
        off[closes] = np.hypot(between[closes, 0], between[closes, 1])
        begins = np.flatnonzero(np.diff(piece, prepend=-1))
        far, most = _first_of_the_most(off, begins)
        cut = most > tolerance
        marked[waiting[far[cut]]] = True
        goes_on = np.repeat(cut, np.diff(begins, append=len(waiting)))
        goes_on[far] = False
        waiting = waiting[goes_on]


def _first_of_the_most(
    values: npt.NDArray[np.float64], begins: Numbers
) -> tuple[Numbers, npt.NDArray[np.float64]]:
    """Give where the largest value of each stretch is, the first of equal ones, and that value."""
    import numpy as np

    most = np.maximum.reduceat(values, begins)
    sizes = np.diff(begins, append=len(values))
    at = np.flatnonzero(values == np.repeat(most, sizes))
    return at[np.searchsorted(at, begins)], most
