"""Where a picture goes when it is resized: pure arithmetic on its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from oidkit.errors import UsageError
from oidkit.formats.model import Frame, Resize

__all__ = ["Resizing", "frame_of"]

_LARGEST = 65_500
"""The longest side that a JPEG can have (libjpeg's own limit)."""
_QUALITIES = range(1, 101)


@dataclass(frozen=True, slots=True)
class Resizing:
    """How the pictures of an export are resized: to `size` pixels, or not at all with None.

    The `way` says what becomes `size` pixels long: the shortest side, the longest side, or both;
    "letterbox" keeps the shape of the picture and pads it with grey, "stretch" does not keep it.
    Smaller pictures are made larger. `quality` is that of the JPEGs, 1 to 100.

    Raises:
        UsageError: one of the values makes no sense.

    """

    size: int | None = None
    way: Resize = "longest"
    quality: int = 90

    def __post_init__(self) -> None:
        """Check every value."""
        if self.way not in get_args(Resize):
            raise UsageError(
                f"there is no way to resize '{self.way}'",
                remedy=f"choose from {', '.join(get_args(Resize))}",
            )
        if self.size is not None and not 1 <= self.size <= _LARGEST:
            raise UsageError(
                f"an image size of {self.size} pixels makes no sense",
                remedy=f"give 1 to {_LARGEST:,}, such as 640",
            )
        if self.quality not in _QUALITIES:
            raise UsageError(
                f"a JPEG quality of {self.quality} makes no sense", remedy="give 1 to 100"
            )


def frame_of(width: int, height: int, resizing: Resizing) -> Frame:
    """Say where a picture of *width* times *height* pixels goes.

    Sides are whole pixels, each at least 1, rounded to the nearest, so that the two scales differ
    by less than half a pixel on the longer side. The padding of a letterbox is as much before as
    behind; of an odd number of pixels the one more comes behind.
    """
    size = resizing.size
    if size is None:
        return Frame(width, height)
    if resizing.way == "stretch":
        return Frame(size, size, size / width, size / height)
    side = min(width, height) if resizing.way == "shortest" else max(width, height)
    inner = [min(max(1, round(each * size / side)), _LARGEST) for each in (width, height)]
    scales = (inner[0] / width, inner[1] / height)
    if resizing.way != "letterbox":
        return Frame(inner[0], inner[1], *scales)
    left, top = (float((size - each) // 2) for each in inner)
    return Frame(size, size, *scales, left, top)
