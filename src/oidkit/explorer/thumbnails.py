"""Small pictures, made when they are first asked for and kept for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit.decoding import UndecodableError, opened
from oidkit.disk import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SIDE", "Thumbnails", "small"]

SIDE = 320
"""Pixels of the longer side, as the small pictures of the image lists about have."""
_QUALITY = 80
_AT_ONCE = 4
_MOST_BYTES = 1 << 30
"""So many bytes are kept from one start to the next; the oldest go first."""


@dataclass(slots=True)
class Thumbnails:
    """A folder of small pictures; what cannot be kept there is made again each time."""

    folder: Path
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    def of(self, name: str, made: Callable[[], bytes | None]) -> bytes | None:
        """Give the small picture of what *name* says, the same as long as it is the same.

        *made* gives the whole picture where there is no small one yet; None where it has none, or
        what it gives cannot be decoded.
        """
        key = hashlib.sha256(name.encode()).hexdigest()
        path = self.folder / key[:2] / f"{key[2:40]}.jpg"
        with contextlib.suppress(OSError):
            return path.read_bytes()
        whole = made()
        if whole is None:
            return None
        with self._turns:
            try:
                found = small(whole)
            except UndecodableError:
                return None
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, found)
        return found

    def tidy(self) -> None:
        """Remove the oldest where there are too many."""
        with contextlib.suppress(OSError):
            files = [(path, path.stat()) for path in self.folder.glob("??/*.jpg")]
            surplus = sum(stat.st_size for _, stat in files) - _MOST_BYTES
            for path, stat in sorted(files, key=lambda each: each[1].st_mtime):
                if surplus <= 0:
                    break
                path.unlink(missing_ok=True)
                surplus -= stat.st_size


def small(whole: bytes) -> bytes:
    """Make a picture small, in its stored pixels: what EXIF says of its orientation is left alone.

    Raises:
        UndecodableError: it is no picture, or a damaged one.

    """
    out = io.BytesIO()
    with opened(whole) as picture:
        # A JPEG can be decoded at an eighth, a quarter or half of its size, much faster.
        picture.draft("RGB", (SIDE, SIDE))
        picture.thumbnail((SIDE, SIDE))
        picture.convert("RGB").save(out, "jpeg", quality=_QUALITY)
    return out.getvalue()
