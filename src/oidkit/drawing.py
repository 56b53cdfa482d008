"""Draws annotations onto a picture: boxes, names, masks, clicks, points and relationships.

Pure: a Pillow image and values in, another Pillow image out. Coordinates are shares of the
picture's width and height, from 0 to 1, and y goes downwards, as they are published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oidkit.colours import rgb_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as PlainFont

    Place = tuple[float, float]
    Box = tuple[float, float, float, float]
    Colour = tuple[int, int, int]

__all__ = ["Dot", "Mark", "Tie", "annotated"]

_DARK: Colour = (0, 0, 0)
_LIGHT: Colour = (255, 255, 255)
_LONGEST_NAME = 60
_AS_FAR_FROM_BOTH = 0.18


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """An object on a picture, in the colour of its class.

    `box` is (xmin, ymin, xmax, ymax). `mask` has a truth value for each pixel of the picture, of
    shape (height, width). `clicks` are the extreme points that an annotator clicked at.
    """

    mid: str
    name: str = ""
    box: Box | None = None
    mask: NDArray[np.bool_] | None = None
    clicks: Sequence[Place] = ()


@dataclass(frozen=True, slots=True)
class Dot:
    """A point that was asked about: whether it lies on the class."""

    mid: str
    name: str
    at: Place
    answer: Literal["yes", "no", "unsure"] = "yes"


@dataclass(frozen=True, slots=True)
class Tie:
    """A relationship: a line from the middle of one box to that of another, with its name."""

    mid: str
    name: str
    start: Box
    end: Box


def annotated(
    picture: Image,
    marks: Sequence[Mark],
    *,
    dots: Iterable[Dot] = (),
    ties: Iterable[Tie] = (),
    names: bool = True,
) -> Image:
    """Draw what there is on a copy of a picture, in RGB and of the same size.

    Masks are half transparent and lie below everything else. Lines and letters grow with the
    picture. What has no finite coordinates is left out.
    """
    from PIL import ImageDraw

    shown = _masked(picture, marks)
    pen = _Pen(ImageDraw.Draw(shown), shown.size, names=names)
    framed = [(mark, pen.box(mark.box)) for mark in marks if mark.box and _finite(mark.box)]
    # Large boxes first: a small one within it is not drawn over.
    for mark, box in sorted(framed, key=lambda pair: -_area(pair[1])):
        pen.frame(box, rgb_of(mark.mid))
    for tie in ties:
        if _finite((*tie.start, *tie.end)):
            pen.tie(tie)
    for mark in marks:
        for click in mark.clicks:
            pen.diamond(click, rgb_of(mark.mid))
    for mark, box in framed:
        pen.label(mark.name, (box[0], box[1]), rgb_of(mark.mid))
    for mark in marks:
        if mark.mask is not None and not mark.box and mark.mask.any():
            pen.label(mark.name, _corner(mark.mask), rgb_of(mark.mid))
    for dot in dots:
        pen.dot(dot)
    return shown


def _masked(picture: Image, marks: Sequence[Mark]) -> Image:
    """Lay the masks over a picture: each pixel becomes the mean of its own and the colour."""
    import numpy as np
    from PIL import Image

    plain = picture.convert("RGB")
    masks = [(mark.mask, rgb_of(mark.mid)) for mark in marks if mark.mask is not None]
    if not masks:
        return plain.copy() if plain is picture else plain
    pixels = np.array(plain)
    for mask, colour in masks:
        own = pixels[mask].astype(np.uint16)
        pixels[mask] = ((own + np.array(colour, np.uint16)) // 2).astype(np.uint8)
    return Image.fromarray(pixels)


class _Pen:
    """Draws with strokes and letters that suit the picture; *names* asks for letters."""

    def __init__(self, draw: ImageDraw, size: tuple[int, int], *, names: bool) -> None:
        from PIL import ImageFont

        self._draw, self._size, self._names = draw, size, names
        self._width = max(2, round(max(size) / 350))
        self._font: FreeTypeFont | PlainFont = ImageFont.load_default(max(11, max(size) / 52))

    def place(self, at: Place) -> Place:
        """Give the pixel of a place; one outside lies on the edge."""
        return (
            round(min(max(at[0], 0.0), 1.0) * (self._size[0] - 1)),
            round(min(max(at[1], 0.0), 1.0) * (self._size[1] - 1)),
        )

    def box(self, box: Box) -> Box:
        """Give the pixels of a box, whatever the order of its corners."""
        (x0, y0), (x1, y1) = self.place(box[:2]), self.place(box[2:])
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def frame(self, box: Box, colour: Colour) -> None:
        x0, y0, x1, y1 = box
        # A thin dark line around the colour tells it from a picture of the same colour.
        self._draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_DARK)
        self._draw.rectangle(box, outline=colour, width=self._width)

    def label(self, name: str, corner: Place, colour: Colour) -> None:
        """Write a name on its colour above a corner, or below where there is no room above."""
        text = self._fitting(name) if self._names else ""
        if not text:
            return
        left, top, right, bottom = self._draw.textbbox((0, 0), text, font=self._font)
        pad = self._width
        wide, high = right - left + 2 * pad, bottom - top + 2 * pad
        x = max(0.0, min(corner[0], self._size[0] - wide))
        y = corner[1] - high if corner[1] >= high else min(corner[1], self._size[1] - high)
        self._draw.rectangle((x, y, x + wide, y + high), fill=colour)
        self._draw.text(
            (x + pad - left, y + pad - top), text, font=self._font, fill=_readable_on(colour)
        )

    def dot(self, dot: Dot) -> None:
        """Draw a full dot for yes, a ring for what is not sure, and a cross for no."""
        if not _finite(dot.at):
            return
        x, y = self.place(dot.at)
        size, colour = 2.5 * self._width, rgb_of(dot.mid)
        around = (x - size, y - size, x + size, y + size)
        if dot.answer == "no":
            for slope in (1, -1):
                line = (x - size, y - slope * size, x + size, y + slope * size)
                self._draw.line(line, fill=_DARK, width=2 * self._width)
                self._draw.line(line, fill=colour, width=self._width)
        else:
            fill = colour if dot.answer == "yes" else None
            self._draw.ellipse(around, fill=fill, outline=_LIGHT if fill else colour, width=2)
        self.label(dot.name, (x + 2 * size, y), colour)

    def diamond(self, at: Place, colour: Colour) -> None:
        if not _finite(at):
            return
        (x, y), size = self.place(at), 2 * self._width
        corners = [(x, y - size), (x + size, y), (x, y + size), (x - size, y)]
        self._draw.polygon(corners, fill=colour, outline=_LIGHT)

    def tie(self, tie: Tie) -> None:
        ends = [self.place(_middle(box)) for box in (tie.start, tie.end)]
        colour = rgb_of(tie.mid)
        self._draw.line(ends, fill=_DARK, width=self._width + 2)
        self._draw.line(ends, fill=colour, width=self._width)
        for x, y in ends:
            size = 1.5 * self._width
            self._draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
        (x0, y0), (x1, y1) = ends
        self.label(tie.name, ((x0 + x1) / 2, (y0 + y1) / 2), colour)

    def _fitting(self, name: str) -> str:
        """Cut a name to what fits onto the picture."""
        text = " ".join(name.split())[:_LONGEST_NAME]
        room = self._size[0] - 2 * self._width
        while text and self._draw.textlength(text, font=self._font) > room:
            text = text[:-1]
        return text


def _finite(numbers: Iterable[float]) -> bool:
    return all(map(math.isfinite, numbers))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _middle(box: Box) -> Place:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _corner(mask: NDArray[np.bool_]) -> Place:
    """Give the upper left pixel of the rectangle around a mask."""
    return float(mask.any(axis=0).argmax()), float(mask.any(axis=1).argmax())


def _readable_on(colour: Colour) -> Colour:
    """Choose dark or light letters, whichever have the larger contrast (WCAG 2.2, 1.4.3)."""
    red, green, blue = ((part / 255) ** 2.2 for part in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _DARK if luminance > _AS_FAR_FROM_BOTH else _LIGHT
