"""What the objects of made images look like: one outline and one colour for each class.

Outlines are polygons in the unit square of their box, x to the right and y down, and touch all four
of its sides, so that the smallest box around a drawn shape is its box.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageDraw

    from oidkit.testing.classes import MadeClass

__all__ = ["PixelBox", "Shape", "colour_of", "draw_shape", "shape_of"]

PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1: half-open, in pixels."""
Polygon = tuple[tuple[float, float], ...]
Colour = int | tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """Polygons that are filled, and holes that are left out of them again."""

    parts: tuple[Polygon, ...]
    holes: tuple[Polygon, ...] = ()


def _ellipse(x: float, y: float, across: float, down: float) -> Polygon:
    # a multiple of four corners, so that four of them lie on the sides of the box
    turns = [2 * math.pi * step / 40 for step in range(40)]
    return tuple((x + across / 2 * math.cos(a), y + down / 2 * math.sin(a)) for a in turns)


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


_ROUND = Shape((_ellipse(0.5, 0.5, 1, 1),))
_RING = Shape((_ellipse(0.5, 0.5, 1, 1),), (_ellipse(0.5, 0.5, 0.45, 0.45),))
_DIAMOND = Shape((((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),))
_HEXAGON = Shape((((0.25, 0), (0.75, 0), (1, 0.5), (0.75, 1), (0.25, 1), (0, 0.5)),))
_FRAME = Shape((_rectangle(0, 0, 1, 1),), (_rectangle(0.2, 0.2, 0.8, 0.8),))
_CROSS = Shape((_rectangle(0, 0.33, 1, 0.67), _rectangle(0.33, 0, 0.67, 1)))
_WEDGE = Shape((((0, 0), (1, 0), (0.5, 1)),))
_GUN = Shape(
    (
        ((0, 0.1), (0.06, 0), (0.97, 0), (1, 0.06), (1, 0.36), (0, 0.36)),
        ((0.62, 0.3), (0.94, 0.3), (1, 1), (0.72, 1)),
        ((0.36, 0.3), (0.68, 0.3), (0.68, 0.66), (0.42, 0.66)),
    ),
    (((0.45, 0.4), (0.6, 0.4), (0.6, 0.57), (0.48, 0.57)),),
)
_FIGURE = Shape(
    (
        _ellipse(0.5, 0.12, 0.34, 0.24),
        (
            (0.14, 0.26),
            (0.86, 0.26),
            (1, 0.62),
            (0.86, 0.65),
            (0.72, 0.44),
            (0.74, 1),
            (0.55, 1),
            (0.5, 0.68),
            (0.45, 1),
            (0.26, 1),
            (0.28, 0.44),
            (0.14, 0.65),
            (0, 0.62),
        ),
    )
)
_TREE = Shape((_ellipse(0.5, 0.36, 1, 0.72), _rectangle(0.41, 0.6, 0.59, 1)))
_CAR = Shape(
    (
        ((0, 0.45), (0.18, 0.4), (0.3, 0), (0.72, 0), (0.86, 0.4), (1, 0.48), (1, 0.8), (0, 0.8)),
        _ellipse(0.24, 0.8, 0.24, 0.4),
        _ellipse(0.77, 0.8, 0.24, 0.4),
    ),
    (((0.36, 0.1), (0.5, 0.1), (0.5, 0.36), (0.29, 0.36)),),
)
_PLANE = Shape(
    (
        ((0, 0.45), (0.85, 0.42), (1, 0.5), (0.85, 0.58), (0, 0.55)),
        ((0.62, 0.5), (0.38, 0), (0.3, 0), (0.4, 0.5), (0.3, 1), (0.38, 1)),
        ((0, 0.25), (0.12, 0.45), (0.12, 0.55), (0, 0.75)),
    )
)
_FRUIT = Shape((_ellipse(0.5, 0.56, 1, 0.88), ((0.47, 0), (0.62, 0.03), (0.54, 0.2), (0.48, 0.2))))
_HOUSE = Shape(
    (((0.5, 0), (1, 0.4), (0, 0.4)), _rectangle(0.08, 0.35, 0.92, 1)),
    (_rectangle(0.4, 0.6, 0.6, 0.9),),
)

_KNOWN = {
    "Handgun": _GUN,
    "Rifle": _GUN,
    "Shotgun": _GUN,
    "Person": _FIGURE,
    "Man": _FIGURE,
    "Woman": _FIGURE,
    "Boy": _FIGURE,
    "Girl": _FIGURE,
    "Tree": _TREE,
    "Flower": _TREE,
    "Plant": _TREE,
    "Car": _CAR,
    "Taxi": _CAR,
    "Land vehicle": _CAR,
    "Fixed-wing aircraft": _PLANE,
    "Apple": _FRUIT,
    "Orange (fruit)": _FRUIT,
    "Lemon (plant)": _FRUIT,
    "Pizza": _WEDGE,
    "Wheel": _RING,
    "Building": _HOUSE,
    "House": _HOUSE,
    "Window": _FRAME,
    "Human face": _ROUND,
}
_COLOURS = {
    "Handgun": (58, 62, 72),
    "Rifle": (84, 66, 48),
    "Shotgun": (104, 82, 60),
    "Tree": (52, 120, 60),
    "Plant": (84, 150, 70),
    "Flower": (214, 84, 130),
    "Orange (fruit)": (240, 140, 30),
    "Apple": (200, 40, 46),
    "Lemon (plant)": (236, 212, 60),
    "Pizza": (226, 170, 80),
    "Taxi": (246, 196, 20),
    "Car": (190, 44, 50),
    "Fixed-wing aircraft": (225, 228, 235),
    "Wheel": (40, 40, 44),
    "Human face": (232, 190, 160),
    "Human hand": (226, 182, 150),
    "Building": (170, 120, 96),
    "Window": (120, 170, 210),
}
_OTHERS = (_ROUND, _HEXAGON, _RING, _DIAMOND, _FRAME, _CROSS)


def shape_of(made: MadeClass, number: int) -> Shape:
    """Give the outline of a class; *number* is its position among the classes."""
    return _KNOWN.get(made.v7, _OTHERS[number % len(_OTHERS)])


def colour_of(made: MadeClass, number: int) -> tuple[int, int, int]:
    """Give the colour of a class; *number* is its position among the classes."""
    if made.v7 in _COLOURS:
        return _COLOURS[made.v7]
    hue = number * 0.618034 % 1.0  # the golden ratio keeps neighbours apart
    strength, light = 0.55 + 0.1 * (number % 4), 0.62 + 0.08 * (number % 5)
    red, green, blue = colorsys.hsv_to_rgb(hue, strength, light)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_shape(
    draw: ImageDraw.ImageDraw, shape: Shape, box: PixelBox, *, fill: Colour, hole: Colour
) -> None:
    """Fill the shape in the box; its outermost pixels are those of the box."""
    for polygon in shape.parts:
        draw.polygon(_scaled(polygon, box), fill=fill)
    for polygon in shape.holes:
        draw.polygon(_scaled(polygon, box), fill=hole)


def _scaled(polygon: Polygon, box: PixelBox) -> list[tuple[int, int]]:
    x0, y0, x1, y1 = box
    across, down = x1 - 1 - x0, y1 - 1 - y0
    return [(x0 + round(x * across), y0 + round(y * down)) for x, y in polygon]
