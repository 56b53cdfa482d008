"""A published mask in the pixels of the picture that is written."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from oidkit.formats.masks import pixels

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.formats.model import Frame, Picture

__all__ = ["mask_png"]


def mask_png(mask: Path, picture: Picture, frame: Frame) -> bytes:
    """Give the mask as a 1-bit PNG of the frame's size: nearest pixel, nothing in the padding.

    Raises:
        MalformedError: it is not a PNG, or is damaged.
        OSError: it cannot be read.

    """
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels(mask, picture, frame)).save(out, "PNG")
    return out.getvalue()
