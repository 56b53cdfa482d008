"""What became of a file that was asked for: a row of the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Record", "Status"]

Status = Literal["ok", "missing", "failed", "damaged"]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the manifest: what became of one file that was asked for.

    `path` is relative to the dataset folder, with forward slashes. `key` is the object that the
    file comes from. `check` is how the content was checked, such as ``md5:…`` or ``crc32:…``.
    A `failed` file may come with another run; a `damaged` one came, but never as it should be.
    `width` and `height` are the pixels of an image or a mask as they are stored, 0 where that is
    not known.
    """

    path: str
    kind: Literal["image", "mask", "annotations"]
    key: str
    status: Status
    bytes: int = 0
    check: str = ""
    reason: str = ""
    width: int = 0
    height: int = 0
