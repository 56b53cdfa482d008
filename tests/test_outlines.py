"""Outlines of masks: filled again by pycocotools, which tells pixels by their centres."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from oidkit.formats.lines import simplified
from oidkit.formats.masks import runs
from oidkit.formats.outlines import joined, polygons
from real_masks import real_masks, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

# pycocotools 2.0.11 hands numpy 2 an array the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

any_mask = arrays(
    np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()
)


def _filled(outlines: list[list[float]], mask: Mask) -> Mask:
    """Fill polygons as readers of COCO do, each part by itself."""
    if not outlines:
        return np.zeros_like(mask)
    parts = coco.frPyObjects(outlines, *mask.shape)
    return np.asarray(coco.decode(coco.merge(parts))) > 0


def _iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def _made(draw: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], Mask]) -> Mask:
    y, x = np.mgrid[0:300, 0:400] + 0.5
    return draw(x, y)


MADE = {
    "disc": _made(lambda x, y: (x - 200) ** 2 + (y - 150) ** 2 < 120**2),
    "ring": _made(lambda x, y: abs(np.hypot(x - 200, y - 150) - 100) < 25),
    "rings": _made(lambda x, y: np.hypot(x - 200, y - 150) % 40 < 20),
    "parts": _made(lambda x, y: (x % 50 < 30) & (y % 60 < 40)),
    "grid": _made(lambda x, y: (x % 20 < 4) | (y % 20 < 4)),
    "line": _made(lambda x, y: abs(x - y) < 1.5),
    "all": _made(lambda x, y: x > 0),
    "small": _made(lambda x, y: np.hypot(x - 40, y - 40) < 4),
}


@given(any_mask)
def test_an_exact_outline_gives_any_mask_back(mask: Mask) -> None:
    """Parts, holes, holes in parts in holes, and pixels that touch at corners: all come back."""
    outlines = polygons(mask, tolerance=0)
    assert all(len(each) >= 6 and len(each) % 2 == 0 for each in outlines)
    assert np.array_equal(_filled(outlines, mask), mask)


def _plainly(points: list[tuple[float, float]], tolerance: float) -> list[tuple[float, float]]:
    """Simplify an open line by the rule of Douglas and Peucker, as it is told in words."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    dx, dy, length = x1 - x0, y1 - y0, float(np.hypot(x1 - x0, y1 - y0))
    off = [
        abs((x - x0) * dy - (y - y0) * dx) / length if length else float(np.hypot(x - x0, y - y0))
        for x, y in points[1:-1]
    ]
    if not off or max(off) <= tolerance:
        return [points[0], points[-1]]
    far = 1 + off.index(max(off))
    return _plainly(points[: far + 1], tolerance)[:-1] + _plainly(points[far:], tolerance)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=25),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0.0, 0.5, 2.0]),
)
def test_lines_are_simplified_as_the_rule_says(
    lines: list[list[tuple[int, int]]], tolerance: float
) -> None:
    """All lines at once come to what each comes to by itself, from its first point on."""
    points = np.array([point for line in lines for point in line], np.float64)
    begins = np.cumsum([0, *(len(line) for line in lines)])
    found = simplified(points, begins, [], tolerance, least=0)
    for line, left in zip(lines, found, strict=True):
        here = [(float(x), float(y)) for x, y in line]
        apart = [(x - here[0][0]) ** 2 + (y - here[0][1]) ** 2 for x, y in here]
        far = apart.index(max(apart))
        there = _plainly(here[: far + 1], tolerance) if far else [here[0]]
        back = _plainly([*here[far:], here[0]], tolerance)
        assert [tuple(point) for point in left.tolist()] == [*there[:-1], *back[:-1]]


@pytest.mark.parametrize("name", MADE)
def test_made_masks_survive_the_round_trip(name: str) -> None:
    """Round, thin, many and hollow shapes keep an IoU of 0.98 with far fewer points."""
    mask = MADE[name]
    assert _iou(_filled(polygons(mask), mask), mask) >= 0.98


def test_real_masks_survive_the_round_trip(sample: Path) -> None:
    """In the median the outlines of published masks give 0.98 of the mask back, and each 0.95."""
    masks = [runs(png, picture, whole(picture)).pixels for png, picture in real_masks(sample)]
    found = [_iou(_filled(polygons(mask), mask), mask) for mask in masks]
    assert statistics.median(found) >= 0.98
    assert min(found) >= 0.95


def test_a_hole_is_cut_open_and_not_filled() -> None:
    """A ring is one polygon, and its middle stays free."""
    (outline,) = polygons(MADE["ring"])
    assert not _filled([outline], MADE["ring"])[150, 200]


def test_no_part_is_lost_however_small() -> None:
    """Single pixels are polygons of their own, of at least three points."""
    mask = np.zeros((20, 30), np.bool_)
    mask[::4, ::5] = True
    outlines = polygons(mask)
    assert len(outlines) == 30
    assert np.array_equal(_filled(outlines, mask), mask)


def test_an_empty_mask_has_no_outline() -> None:
    """Where nothing is set there is no polygon."""
    assert polygons(np.zeros((3, 4), np.bool_)) == []


@given(any_mask)
def test_joined_parts_are_the_same_mask_as_one_outline(mask: Mask) -> None:
    """Seams between the parts have no width: the one outline fills to what the parts do."""
    outlines = polygons(mask, tolerance=0)
    one = joined(outlines)
    assert np.array_equal(_filled([one] if one else [], mask), mask)


def test_a_straight_slope_is_a_line_and_no_staircase() -> None:
    """A triangle of 300 pixels a side needs but a few points."""
    mask = np.tril(np.ones((300, 300), np.bool_))
    (outline,) = polygons(mask)
    assert len(outline) // 2 <= 8
