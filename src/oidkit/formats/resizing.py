"""Pictures in the size that training asks for; the only place that decodes a picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from oidkit.decoding import UndecodableError, opened

if TYPE_CHECKING:
    from oidkit.formats.model import Frame
    from oidkit.objectpath import Location

__all__ = ["DamagedImageError", "resized"]

_PADDING = (114, 114, 114)
"""The grey that detectors are used to around a letterbox (Ultralytics' own)."""
_GREY, _COLOUR = "L", "RGB"


class DamagedImageError(ValueError):
    """The picture cannot be decoded."""


def resized(path: Location, frame: Frame, *, quality: int) -> bytes:
    """Give the picture as a JPEG of the frame's size; a grey one stays grey unless it is padded.

    The decoder halves the picture as often as it stays as large as asked for (the coefficients
    are cut before they become pixels). The rest is done over all pixels, by a Hamming window to
    make it smaller and by the bicubic filter to make it larger (docs/design/exports.md has the
    rates). EXIF is not carried along: a rotation in it would turn the boxes.

    Raises:
        DamagedImageError: the file cannot be decoded.
        OSError: it cannot be read.

    """
    from PIL import Image

    data = path.read_bytes()
    try:
        with opened(data) as picture:
            width, height = picture.size
            inner = round(width * frame.scale_x), round(height * frame.scale_y)
            mode = _GREY if picture.mode == _GREY else _COLOUR
            smaller = inner[0] <= width and inner[1] <= height
            picture.draft(mode, inner)
            pixels = picture.convert(mode) if picture.mode != mode else picture
            way = Image.Resampling.HAMMING if smaller else Image.Resampling.BICUBIC
            made = pixels.resize(inner, way)
    except UndecodableError as error:
        raise DamagedImageError(str(error)) from error
    if inner != (frame.width, frame.height):
        ground = Image.new(_COLOUR, (frame.width, frame.height), _PADDING)
        ground.paste(made, (round(frame.offset_x), round(frame.offset_y)))
        made = ground
    out = io.BytesIO()
    made.save(out, "JPEG", quality=quality)
    return out.getvalue()
