"""Small files of a source as it gave them, each with the ETag that it had.

They lie in ``<cache>/<source>/files/<key>``: a line of JSON with ETag and digest, then it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.disk import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CachedFile", "FileCache"]


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A small file as the source gave it, and the ETag it had."""

    content: bytes
    etag: str | None


@dataclass(frozen=True, slots=True)
class FileCache:
    """The small files that are kept of one source, below `root`."""

    root: Path

    def get(self, key: str) -> CachedFile | None:
        """Give a file, if it is there as a whole."""
        try:
            head, _, content = self._path(key).read_bytes().partition(b"\n")
            note = json.loads(head)
        except (OSError, ValueError):
            return None
        if not isinstance(note, dict) or hashlib.sha256(content).hexdigest() != note.get("sha256"):
            return None
        return CachedFile(content, note.get("etag"))

    def keep(self, key: str, content: bytes, etag: str | None) -> None:
        """Keep a file.

        Raises:
            OSError: it cannot be written.

        """
        note = {"etag": etag, "sha256": hashlib.sha256(content).hexdigest()}
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(note).encode() + b"\n" + content)

    def _path(self, key: str) -> Path:
        return self.root / "files" / key.replace("/", "~")
