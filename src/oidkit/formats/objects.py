"""Objects of a picture as plain values, for formats that keep all that is known of them."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from PIL import Image

from oidkit.formats.masks import box_of, mask_of
from oidkit.formats.model import OutFile, given_file
from oidkit.imagefile import png_size

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from oidkit.formats.masks import Runs
    from oidkit.formats.model import Frame, Picture, Thing

__all__ = ["Shape", "mask_file", "mask_png", "plain_flags", "shape_of"]

_HEADER = 64
"""So many bytes of a PNG tell its size."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Where an object lies on the written picture.

    `box` is (xmin, ymin, xmax, ymax) in its pixels; an object that is a mask alone has the box of
    the mask's pixels, half-open. `mask` is a PNG of one bit with the size of the written picture,
    or None. `area` is in pixels: of the mask, else of the box.
    """

    box: tuple[float, float, float, float]
    area: float
    mask: bytes | None


def shape_of(picture: Picture, thing: Thing, frame: Frame, told: Counter[str]) -> Shape | None:
    """Work out where an object lies, or give None for one of which nothing is left.

    A mask that is empty or damaged is left out and counted in *told*, as `mask_of` does.
    """
    mask = mask_of(thing, picture, frame, told)
    box = box_of(thing, picture, frame, mask)
    if box is None:
        return None
    if mask is None:
        return Shape(box, (box[2] - box[0]) * (box[3] - box[1]), None)
    return Shape(box, float(mask.area), mask_png(mask.pixels))


def plain_flags(thing: Thing) -> Mapping[str, int]:
    """Give the flags of an object by name: 1, 0, or -1 for unknown."""
    return asdict(thing.flags)


def mask_file(path: str, shape: Runs, *, thing: Thing, picture: Picture, frame: Frame) -> OutFile:
    """Give the mask of an object, its *shape*, as a file in the pixels of the written picture.

    It is the published one where that has this size, else a PNG of one bit.
    """
    inner = (round(picture.width * frame.scale_x), round(picture.height * frame.scale_y))
    # The padding of a letterbox may be a single pixel behind the picture.
    if thing.mask is not None and inner == (frame.width, frame.height):
        with thing.mask.open("rb") as file:
            if png_size(file.read(_HEADER)) == inner:
                return given_file(path, thing.mask)
    return OutFile(path, content=mask_png(shape.pixels))


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """Give a mask as a PNG of one bit."""
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "png", compress_level=6)
    return out.getvalue()
