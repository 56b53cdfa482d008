"""What the manifest says of an image or a mask that has come whole."""

from __future__ import annotations

from oidkit.disk import Record
from oidkit.imagefile import jpeg_size, png_size

__all__ = ["image_record", "mask_record"]


def image_record(path: str, key: str, jpeg: bytes, *, check: str) -> Record:
    """Give the record of an image."""
    width, height = jpeg_size(jpeg)
    return Record(path, "image", key, "ok", len(jpeg), check, width=width, height=height)


def mask_record(path: str, key: str, png: bytes, *, check: str) -> Record:
    """Give the record of a mask out of the zip at *key*."""
    width, height = png_size(png)
    return Record(path, "mask", key, "ok", len(png), check, width=width, height=height)
