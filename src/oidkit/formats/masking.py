"""A published mask in the pixels of the picture that is written."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.formats.model import Frame, Picture

__all__ = ["mask_png"]


def mask_png(mask: Path, picture: Picture, frame: Frame) -> bytes:
    """Give the mask as a 1-bit PNG of the frame's size: nearest pixel, nothing in the padding."""
    from PIL import Image

    inner = round(picture.width * frame.scale_x), round(picture.height * frame.scale_y)
    with Image.open(mask) as published:
        bits = published.convert("1").resize(inner, Image.Resampling.NEAREST)
    ground = Image.new("1", (frame.width, frame.height))
    ground.paste(bits, (round(frame.offset_x), round(frame.offset_y)))
    out = io.BytesIO()
    ground.save(out, "PNG")
    return out.getvalue()
