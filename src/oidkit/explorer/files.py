"""The pixels of a dataset folder, for its explorer: only what its manifest names, within it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.colours import rgb_of
from oidkit.decoding import LARGEST_MASK, UndecodableError, opened
from oidkit.taxonomy import mid_of

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.explorer.thumbnails import Thumbnails
    from oidkit.tables.exhibit import Exhibit

__all__ = ["Files", "tinted"]

_OPACITY = 128


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the dataset at *root*; fulfils `oidkit.explorer.viewer.Pictures`."""

    root: Path
    exhibit: Exhibit
    thumbnails: Thumbnails

    def image(self, split: str, image_id: str) -> bytes | None:
        path = self._image_path(split, image_id)
        return None if path is None else _read(path)

    def thumbnail(self, split: str, image_id: str) -> bytes | None:
        path = self._image_path(split, image_id)
        if path is None:
            return None
        try:
            stat = path.stat()
        except OSError:
            return None
        name = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        return self.thumbnails.of(name, lambda: _read(path))

    def mask(self, split: str, name: str) -> bytes | None:
        if name not in self.exhibit.masks_there.get(split, ()):
            return None
        path = self._within(f"masks/{split}/{name}")
        data = _read(path) if path is not None else None
        try:
            return tinted(data, name) if data is not None else None
        except UndecodableError:
            return None

    def stop(self) -> None:
        """Do nothing: a file is read in a moment."""

    def _image_path(self, split: str, image_id: str) -> Path | None:
        at = self.exhibit.find(split, image_id)
        path = self.exhibit.images["path"][at] if at is not None else None
        return None if path is None else self._within(path)

    def _within(self, path: str) -> Path | None:
        """Give a file of the folder, or None for one that a link puts elsewhere."""
        place = self.root / path
        try:
            inside = place.resolve().is_relative_to(self.root.resolve())
        except OSError:
            return None
        return place if inside and place.is_file() else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def tinted(mask: bytes, name: str) -> bytes:
    """Give a mask as a PNG in the colour of its class, half opaque where it is set.

    It has the size of the mask, which seldom is that of its image: it is to be stretched over it.
    The class is the one in the *name*, ``{ImageID}_{MID without slashes}_{BoxID}.png``.

    Raises:
        UndecodableError: it is no mask, or a damaged one.

    """
    import numpy as np
    from PIL import Image

    stem = name.split("_", 1)[1].rpartition("_")[0]
    out = io.BytesIO()
    with opened(mask, formats=("PNG",), most=LARGEST_MASK) as picture:
        pixels = np.asarray(picture.convert("L")) >= _OPACITY
    shown = Image.fromarray(pixels.astype(np.uint8), "P")
    shown.putpalette([0, 0, 0, *rgb_of(mid_of(stem))])
    shown.save(out, "png", bits=1, transparency=bytes([0, _OPACITY]))
    return out.getvalue()
