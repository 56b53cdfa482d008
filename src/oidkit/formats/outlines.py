"""The outlines of a mask, as polygons that training tools fill to the same mask again.

Coordinates are pixels: a pixel covers the square from (x, y) to (x + 1, y + 1), its centre is half
a pixel further. An outline runs through the middles of the pixels' sides, so that every set pixel's
centre lies within and every other one's without, and a slope is a line instead of a staircase.

Every part of a mask is a polygon. A hole is cut open: a seam without width leads from the outline
to the hole, and back when the hole has been gone around. Whoever fills that leaves the hole free,
by either rule of filling (even-odd, or by the winding number) and without knowing of holes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    Corner = tuple[int, int]
    Point = tuple[float, float]
    Numbers = npt.NDArray[np.int64]

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


@dataclass(slots=True)
class _Loop:
    """A closed outline: its corners in order, the set pixels to the right of the way.

    An outline of a part goes around clockwise as one sees it, that of a hole the other way. The
    first edge of it is level, and from there every other one. `seams` are the points where holes
    are tied to it, by the number of the corner before.
    """

    corners: list[Corner]
    hole: bool
    seams: dict[int, list[Point]] = field(default_factory=dict)


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
    ties = _ties(loops)
    rings = [_simplified(loop, tolerance) for loop in loops]
    # From the right to the left: whatever is tied to a hole is so to the right of its own seam.
    for tie in sorted(ties, key=lambda tie: tie.start, reverse=True):
        ring, around = rings[tie.parent], rings[tie.hole]
        at, begin = ring.index(tie.end), around.index(tie.start)
        ring[at:at] = [tie.end, *around[begin:], *around[:begin], tie.start]
    return [
        [number for point in ring for number in point]
        for ring, loop in zip(rings, loops, strict=True)
        if not loop.hole
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


def _loops(mask: npt.NDArray[np.bool_]) -> list[_Loop]:
    """Trace all outlines.

    The corners of an outline in one line of the grid are joined two by two, the first to the second
    and so on, and likewise those in one column: level and upright edges in turn make the loops.
    """
    import numpy as np

    lines, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(lines):
        return []
    top, left = int(lines[0]), int(columns[0])
    inner = np.pad(mask[top : lines[-1] + 1, left : columns[-1] + 1], 1).astype(np.uint8)
    around = inner[:-1, :-1] | inner[:-1, 1:] << 1 | inner[1:, :-1] << 2 | inner[1:, 1:] << 3
    turns = np.frombuffer(_TURNS, np.uint8)[around].ravel()
    places = np.flatnonzero(turns)
    places = np.repeat(places, turns[places])
    kinds = around.ravel()[places]
    y, x = np.divmod(places, around.shape[1])
    above = _above(places, kinds, x, y).tolist()
    corners = list(zip((x + left).tolist(), (y + top).tolist(), strict=True))
    seen = bytearray(len(corners))
    loops = []
    for first, kind in enumerate(kinds.tolist()):
        if seen[first]:
            continue
        loop, at = [], first
        while not seen[at]:
            beside = at ^ 1
            seen[at] = seen[beside] = True
            loop += [corners[at], corners[beside]]
            at = above[beside]
        # The first corner is the uppermost of its loop, and of those the one on the left.
        hole = not kind & _RIGHT_BELOW
        if hole:
            loop = [loop[1], loop[0], *reversed(loop[2:])]
        loops.append(_Loop(loop, hole))
    return loops


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


def _ties(loops: list[_Loop]) -> list[_Tie]:
    """Choose for each hole a seam to the outline left of it, and mark its end on both loops."""
    import numpy as np

    if not any(loop.hole for loop in loops):
        return []
    # Every upright edge: where it is, from where to where, of which loop, behind which corner.
    edges = np.array(
        [
            (x, *sorted((y, end)), number, behind)
            for number, loop in enumerate(loops)
            for behind, ((x, y), (_, end)) in _upright(loop)
        ]
    )
    ties = []
    for number, loop in enumerate(loops):
        if not loop.hole:
            continue
        behind, ((x, y), (_, end)) = min(_upright(loop), key=lambda edge: edge[1])
        row = min(y, end)
        left = edges[(edges[:, 0] < x) & (edges[:, 1] <= row) & (edges[:, 2] > row)]
        nearest, _, _, parent, before = left[left[:, 0].argmax()].tolist()
        tie = _Tie(number, (x, row + 0.5), parent, (nearest, row + 0.5))
        loop.seams.setdefault(behind, []).append(tie.start)
        loops[parent].seams.setdefault(before, []).append(tie.end)
        ties.append(tie)
    return ties


def _upright(loop: _Loop) -> Iterator[tuple[int, tuple[Corner, Corner]]]:
    """Give the upright edges of a loop with the number of the corner that they begin at."""
    corners = loop.corners
    for at in range(1, len(corners), 2):
        yield at, (corners[at], corners[(at + 1) % len(corners)])


def _simplified(loop: _Loop, tolerance: float) -> list[Point]:
    """Give the outline through the middles of the sides, without points that it can spare."""
    import numpy as np

    ring: list[Point] = []
    kept = []
    corners = loop.corners
    for at, (x0, y0) in enumerate(corners):
        x1, y1 = corners[(at + 1) % len(corners)]
        long = abs(x1 - x0) + abs(y1 - y0)
        dx, dy = (x1 - x0) / long / 2, (y1 - y0) / long / 2
        points = {(x0 + dx, y0 + dy): False, (x1 - dx, y1 - dy): False}
        points.update(dict.fromkeys(loop.seams.get(at, ()), True))
        for point, seam in sorted(points.items(), reverse=(x1, y1) < (x0, y0)):
            if seam:
                kept.append(len(ring))
            ring.append(point)
    places = np.array(ring)
    first = kept[0] if kept else 0
    far = int(((places - places[first]) ** 2).sum(axis=1).argmax())
    kept = sorted({first, far, *kept})
    keep = np.zeros(len(ring), np.bool_)
    closed = np.concatenate((places, places[: first + 1]))
    for start, end in pairwise((*kept, kept[0] + len(ring))):
        _mark(closed, keep, (start, end), tolerance)
    if keep.sum() < _LEAST:
        return ring
    return [ring[at] for at in np.flatnonzero(keep).tolist()]


def _mark(
    points: npt.NDArray[np.float64],
    keep: npt.NDArray[np.bool_],
    piece: tuple[int, int],
    tolerance: float,
) -> None:
    """Mark which points of an open line to keep, both ends among them (Douglas and Peucker)."""
    import numpy as np

    pieces = [piece]
    keep[[place % len(keep) for place in piece]] = True
    while pieces:
        start, end = pieces.pop()
        if end - start < 2:  # noqa: PLR2004 - nothing lies between
            continue
        origin, between = points[start], points[start + 1 : end] - points[start]
        along: Any = points[end] - origin
        length = float(np.hypot(*along))
        off = between[:, 0] * along[1] - between[:, 1] * along[0]
        off = np.abs(off) / length if length else np.hypot(between[:, 0], between[:, 1])
        far = int(off.argmax())
        if off[far] > tolerance:
            middle = start + 1 + far
            keep[middle % len(keep)] = True
            pieces += [(start, middle), (middle, end)]
