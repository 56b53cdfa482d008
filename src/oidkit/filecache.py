"""Small files of a source as it gave them, each with the ETag that it had.

They lie in ``<cache>/<source>/files/<key>``: a line of JSON with ETag and digest, then the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.disk import TEMPORARY, check_no_link, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
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
            return _read(self._path(key).read_bytes())
        except OSError:
            return None

    def damaged(self) -> Iterator[tuple[str, Path]]:
        """Give the key and path of every file that is not as it was kept."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted((self.root / "files").iterdir()):
                if not path.name.startswith(TEMPORARY) and _read(path.read_bytes()) is None:
                    yield path.name.replace("~", "/"), path

    def keep(self, key: str, content: bytes, etag: str | None) -> None:
        """Keep a file.

        Raises:
            OSError: it cannot be written.

        """
        path = self._path(key)
        for folder in (self.root, path.parent):
            check_no_link(folder, whole="--cache")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _head(content, etag) + content)

    def names(self) -> list[str]:
        """List the files that are there."""
        with contextlib.suppress(FileNotFoundError):
            names = sorted(path.name for path in (self.root / "files").iterdir())
            return [name.replace("~", "/") for name in names if not name.startswith(TEMPORARY)]
        return []

    def whole(self, key: str) -> bytes | None:
        """Give a file as it is kept here, with what stands before it; None where none is whole."""
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        return data if _read(data) is not None else None

    def adopt(self, key: str, data: bytes) -> bool:
        """Keep what `whole` gave elsewhere; tell whether it is that.

        Raises:
            OSError: it cannot be written.

        """
        found = _read(data)
        if found is not None:
            self.keep(key, found.content, found.etag)
        return found is not None

    def _path(self, key: str) -> Path:
        return self.root / "files" / key.replace("/", "~")


def _head(content: bytes, etag: str | None) -> bytes:
    whole = hashlib.sha256(json.dumps(etag).encode() + b"\n" + content).hexdigest()
    return json.dumps({"etag": etag, "sha256": whole}).encode() + b"\n"


def _read(data: bytes) -> CachedFile | None:
    """Take a file apart; None where a byte of it is not as it was."""
    head, _, content = data.partition(b"\n")
    try:
        etag = json.loads(head)["etag"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    known = etag is None or isinstance(etag, str)
    whole = known and head + b"\n" in (_head(content, etag), _earlier_head(content, etag))
    return CachedFile(content, etag) if whole else None


def _earlier_head(content: bytes, etag: str | None) -> bytes:
    """Give the head as an earlier oidkit wrote it, whose digest was of the content alone."""
    return (
        json.dumps({"etag": etag, "sha256": hashlib.sha256(content).hexdigest()}).encode() + b"\n"
    )
