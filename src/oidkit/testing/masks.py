"""Mask pictures: the shape of an object as a 1-bit PNG, and its deflated form for a zip."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from oidkit.testing.shapes import PixelBox, Shape, draw_shape

__all__ = ["Deflated", "deflated", "filled", "mask_png", "mask_size", "on_mask"]

_CHUNK = 12  # bytes of a chunk without content, as IEND is
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Masks were drawn on other copies of the images: 1 in 16 has the size of its image, the rest are
# larger (a long edge of 1,600), smaller, or a pixel off (measured on real masks).
_LARGER, _SMALLER, _A_LITTLE_SMALLER = 1.5625, 0.703125, 0.78125


@dataclass(frozen=True, slots=True)
class Deflated:
    """A zip member's content: the raw deflate stream, and what is known of the bytes in it."""

    stream: bytes
    crc: int
    size: int


def mask_size(width: int, height: int, scale: int) -> tuple[int, int]:
    """Give the size of an image's masks; *scale* is 0 to 15."""
    if scale == 0:
        return width, height
    if scale <= 7:
        return round(width * _LARGER), round(height * _LARGER)
    if scale <= 10:
        return width, height - 1 if height % 2 else height + 1
    factor = _SMALLER if scale <= 13 else _A_LITTLE_SMALLER
    return round(width * factor), round(height * factor)


def on_mask(box: PixelBox, image: tuple[int, int], mask: tuple[int, int]) -> PixelBox:
    """Give the box, in pixels of an image of the size *image*, on a mask of the size *mask*."""
    x0, y0, x1, y1 = box
    left, right = (round(x * mask[0] / image[0]) for x in (x0, x1))
    top, bottom = (round(y * mask[1] / image[1]) for y in (y0, y1))
    left, top = min(left, mask[0] - 1), min(top, mask[1] - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def mask_png(size: tuple[int, int], shape: Shape, box: PixelBox) -> bytes:
    """Draw a mask: 1-bit greyscale, not interlaced, IHDR, IDAT and IEND and nothing else."""
    width, height = size
    picture = Image.new("1", size, 0)
    draw_shape(ImageDraw.Draw(picture), shape, box, fill=1, hole=0)
    packed = np.frombuffer(picture.tobytes(), dtype=np.uint8).reshape(height, -1)
    # each line begins with its filter, 0 for none
    lines = np.zeros((height, packed.shape[1] + 1), dtype=np.uint8)
    lines[:, 1:] = packed
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    content = zlib.compress(lines.tobytes(), 6)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def filled(png: bytes, size: int | None) -> bytes:
    """Fill a PNG up to *size* bytes with a chunk of its own that nobody can pack any smaller."""
    lacking = (size or 0) - len(png) - _CHUNK
    if lacking < 0:
        return png
    filler = np.random.default_rng(len(png)).bytes(lacking)
    return png[:-_CHUNK] + _chunk(b"oiFl", filler) + png[-_CHUNK:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deflated(content: bytes) -> Deflated:
    """Compress bytes as a zip member of method 8 holds them."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = packer.compress(content) + packer.flush()
    return Deflated(stream, zlib.crc32(content), len(content))
