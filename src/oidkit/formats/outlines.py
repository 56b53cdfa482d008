"""The outlines of a mask, as polygons that training tools fill to the same mask again.

Coordinates are pixels: a pixel covers the square from (x, y) to (x + 1, y + 1), its centre is half
a pixel further. An outline runs through the middles of the pixels' sides, so that every set pixel's
centre lies within and every other one's without, and a slope is a line instead of a staircase.

Every part of a mask is a polygon. A hole is cut open: a seam without width leads from the outline
to the hole, and back when the hole has been gone around. Whoever fills that leaves the hole free,
by either rule of filling (even-odd, or by the winding number) and without knowing of holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from oidkit.formats.lines import simplified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Point = tuple[float, float]
    Numbers = npt.NDArray[np.int64]
    Places = npt.NDArray[np.float64]

__all__ = ["TOLERANCE", "joined", "polygons"]

TOLERANCE = 0.36
"""How far an outline may leave the middles of the pixels' sides, in pixels.

A little more than a quarter of a pixel's diagonal (0.354), which is how far they lie beside a
straight slope of any angle; docs/design/mask-geometry.md has the numbers.
"""
# The four pixels around a corner of the grid, as bits: above left 1, above right 2, below left 4,
# below right 8. One or three that are set make a corner of an outline, a diagonal pair makes two.
_TURNS = bytes([0, 1, 1, 0, 1, 0, 2, 1, 1, 2, 0, 1, 0, 1, 1, 0])
_RISING, _RIGHT_BELOW = 0b0110, 0b1000
_LEAST = 3
"""A polygon has so many points at the least."""


@dataclass(frozen=True, slots=True)
class _Loops:
    """Closed outlines: their corners (x, y) in order, one loop after the other.

    A loop has the set pixels to the right of its way: that of a part goes around clockwise as one
    sees it, that of a hole the other way. Its first edge is level, and from there every other one.
    """

    corners: Numbers
    begins: Sequence[int]
    """Where each loop begins among the corners, and where the last one ends."""
    holes: Sequence[bool]

    def following(self) -> Numbers:
        """Give for each corner the next one of its loop."""
        import numpy as np

        at = np.arange(1, len(self.corners) + 1)
        at[np.array(self.begins[1:]) - 1] = self.begins[:-1]
        return at


class _Tie(NamedTuple):
    """A seam: from a point of a hole to a point left of it, on the outline of another loop."""

    hole: int
    start: Point
    parent: int
    end: Point


def polygons(mask: npt.NDArray[np.bool_], *, tolerance: float = TOLERANCE) -> list[list[float]]:
    """Give the outlines of a mask of shape (height, width): [x, y, x, y, ...] for each part.

    Pixels that touch at a corner alone belong to different parts. The parts come from the top
    down. Numbers are multiples of one half. With a *tolerance* of 0 the very same mask comes back
    where pixels are told by their centres.
    """
    loops = _loops(mask)
    if loops is None:
        return []
    ties, seams = _ties(loops)
    points, begins, kept = _middles(loops, seams)
    shortest = simplified(points, begins, kept, tolerance, least=_LEAST)
    if not ties:
        return [ring.ravel().tolist() for ring in shortest]
    rings: list[list[Point]] = [[(x, y) for x, y in ring.tolist()] for ring in shortest]
    # From the right to the left: whatever is tied to a hole is so to the right of its own seam.
    for tie in sorted(ties, key=lambda tie: tie.start, reverse=True):
        ring, around = rings[tie.parent], rings[tie.hole]
        at, begin = ring.index(tie.end), around.index(tie.start)
        ring[at:at] = [tie.end, *around[begin:], *around[:begin], tie.start]
    return [
        [number for point in ring for number in point]
        for ring, hole in zip(rings, loops.holes, strict=True)
        if not hole
    ]


def joined(outlines: list[list[float]]) -> list[float]:
    """Make one outline of several, by seams without width where two are nearest to each other.

    A part is tied to those before it. Gives an empty one where there is none.
    """
    import numpy as np

    if len(outlines) < 2:  # noqa: PLR2004 - nothing to join
        return outlines[0] if outlines else []
    ring = np.array(outlines[0], np.float64).reshape(-1, 2)
    for outline in outlines[1:]:
        part = np.array(outline, np.float64).reshape(-1, 2)
        apart = ((ring[:, None] - part[None]) ** 2).sum(axis=2)
        at, begin = divmod(int(apart.argmin()), len(part))
        around = np.concatenate((part[begin:], part[: begin + 1]))
        ring = np.concatenate((ring[: at + 1], around, ring[at:]))
    made: list[float] = ring.ravel().tolist()
    return made


def _loops(mask: npt.NDArray[np.bool_]) -> _Loops | None:
    """Trace all outlines, if there are any.

    The corners of an outline in one line of the grid are joined two by two, the first to the second
    and so on, and likewise those in one column: level and upright edges in turn make the loops.
    """
    import numpy as np

    lines, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(lines):
        return None
    top, left = int(lines[0]), int(columns[0])
    inner = np.pad(mask[top : lines[-1] + 1, left : columns[-1] + 1], 1).astype(np.uint8)
    around = inner[:-1, :-1] | inner[:-1, 1:] << 1 | inner[1:, :-1] << 2 | inner[1:, 1:] << 3
    turns = np.frombuffer(_TURNS, np.uint8)[around].ravel()
    places = np.flatnonzero(turns)
    places = np.repeat(places, turns[places])
    kinds = around.ravel()[places]
    y, x = np.divmod(places, around.shape[1])
    above = _above(places, kinds, x, y).tolist()
    seen = bytearray(len(places))
    order: list[int] = []
    begins, holes = [0], []
    for first, kind in enumerate(kinds.tolist()):
        if seen[first]:
            continue
        loop: list[int] = []
        at = first
        while not seen[at]:
            beside = at ^ 1
            seen[at] = seen[beside] = True
            loop += (at, beside)
            at = above[beside]
        # The first corner is the uppermost of its loop, and of those the one on the left.
        hole = not kind & _RIGHT_BELOW
        order += (loop[1], loop[0], *reversed(loop[2:])) if hole else loop
        begins.append(len(order))
        holes.append(hole)
    corners = np.stack((x[order] + left, y[order] + top), axis=1)
    return _Loops(corners, begins, holes)


def _above(places: Numbers, kinds: npt.NDArray[Any], x: Numbers, y: Numbers) -> Numbers:
    """Give for each corner the one that it is joined to upright, above or below it.

    Two pixels that touch at a corner make two corners at one place. The first of them ends a level
    edge from the left, and the second begins one to the right. Of the upright edges each gets the
    one on the same pixel, so that the two pixels are parted.
    """
    import numpy as np

    second = np.zeros(len(places), np.bool_)
    second[1:] = places[1:] == places[:-1]
    order = np.lexsort((second ^ (kinds == _RISING), y, x))
    joined = np.empty(len(places), np.int64)
    joined[order[::2]], joined[order[1::2]] = order[1::2], order[::2]
    return joined


def _ties(loops: _Loops) -> tuple[list[_Tie], list[tuple[int, Point]]]:
    """Choose for each hole a seam to the outline left of it.

    Gives the seams, and the points at their ends with the corner before each, on either loop.
    """
    import numpy as np

    if not any(loops.holes):
        return [], []
    # Every upright edge: where it is, from where to where, behind which corner.
    behind = np.arange(1, len(loops.corners), 2)
    x, y = loops.corners[behind].T
    end = loops.corners[loops.following()[behind]][:, 1]
    top, bottom = np.minimum(y, end), np.maximum(y, end)
    ties: list[_Tie] = []
    seams: list[tuple[int, Point]] = []
    for number, hole in enumerate(loops.holes):
        if not hole:
            continue
        of_loop = slice(loops.begins[number] // 2, loops.begins[number + 1] // 2)
        at = of_loop.start + int(np.lexsort((y[of_loop], x[of_loop]))[0])
        row = int(top[at])
        left = np.flatnonzero((x < x[at]) & (top <= row) & (bottom > row))
        nearest = int(left[x[left].argmax()])
        parent = int(np.searchsorted(loops.begins, behind[nearest], side="right")) - 1
        tie = _Tie(number, (float(x[at]), row + 0.5), parent, (float(x[nearest]), row + 0.5))
        seams += [(int(behind[at]), tie.start), (int(behind[nearest]), tie.end)]
        ties.append(tie)
    return ties, seams


def _middles(
    loops: _Loops, seams: Sequence[tuple[int, Point]]
) -> tuple[Places, Numbers, list[int]]:
    """Give the outlines through the middles of the pixels' sides: points, and where each begins.

    Of a side that is longer than a pixel there are the middles of its first and its last pixel. The
    ends of *seams* are points too; those are the numbers that come third, in their order.
    """
    import numpy as np

    corners = loops.corners
    following = corners[loops.following()]
    along = following - corners
    long = np.abs(along).sum(axis=1)
    half = along / (2 * long)[:, None]
    twice = long > 1
    places = np.concatenate(([0], np.cumsum(1 + twice)))
    points = np.empty((places[-1], 2))
    points[places[:-1]] = corners + half
    points[places[:-1][twice] + 1] = (following - half)[twice]
    begins = places[np.array(loops.begins)]
    if not seams:
        return points, begins, []
    return _with_seams(points, begins, list(_stations(seams, corners, long, places)))


def _stations(
    seams: Sequence[tuple[int, Point]], corners: Numbers, long: Numbers, places: Numbers
) -> Iterator[tuple[int, Point | None]]:
    """Say for each end of a seam which point it is, or before which one it has to be put."""
    ends = {}
    for corner, (x, y) in seams:
        from_corner = abs(x - int(corners[corner, 0])) + abs(y - int(corners[corner, 1]))
        ends[corner, from_corner] = (x, y)
    for (corner, from_corner), point in sorted(ends.items()):
        at = int(places[corner])
        if from_corner == 0.5:  # noqa: PLR2004 - the middle of a side
            yield at, None
        elif from_corner == int(long[corner]) - 0.5:
            yield at + 1, None
        else:
            yield at + 1, point


def _with_seams(
    points: Places, begins: Numbers, stations: Sequence[tuple[int, Point | None]]
) -> tuple[Places, Numbers, list[int]]:
    import numpy as np

    fresh = [(at, point) for at, point in stations if point is not None]
    before = np.array([at for at, _ in fresh], dtype=np.int64)
    kept: list[int] = []
    added = 0
    for at, point in stations:
        if point is None:
            kept.append(at + int(np.searchsorted(before, at, side="right")))
        else:
            kept.append(at + added)
            added += 1
    if fresh:
        points = np.insert(points, before, np.array([point for _, point in fresh]), axis=0)
        begins = begins + np.searchsorted(before, begins, side="right")
    return points, begins, sorted(kept)
