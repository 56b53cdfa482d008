"""Where pictures and masks are decoded: only what is one, and what fits into memory.

Pillow knows sixty formats, some of which call other programs; an image is a JPEG, at most a PNG.
What its own limits let through takes up to a gigabyte, so `oidkit.imagefile.bomb_fault` looks at
the header first.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from oidkit.imagefile import LARGEST_PICTURE, bomb_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

__all__ = ["LARGEST_MASK", "PICTURES", "UndecodableError", "opened"]

LARGEST_MASK: Final = 1 << 24
"""Pixels of the largest mask that is decoded: some ten times those of the largest image."""
PICTURES: Final = ("JPEG", "PNG")
"""What may stand in place of an image."""


class UndecodableError(ValueError):
    """The bytes are no such picture, are damaged, or would take too much memory or time."""


@contextmanager
def opened(
    data: bytes, *, formats: tuple[str, ...] = PICTURES, most: int = LARGEST_PICTURE
) -> Iterator[Image]:
    """Open a picture of at most *most* pixels; whatever is wrong with it, then or in the block.

    Raises:
        UndecodableError: it cannot be decoded.

    """
    from PIL import Image

    if (fault := bomb_fault(data, most=most)) is not None:
        raise UndecodableError(fault)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            if picture.width * picture.height > most:
                raise UndecodableError(f"it has {picture.width} by {picture.height} pixels")
            yield picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, UndecodableError):
            raise
        raise UndecodableError(str(error)) from error
