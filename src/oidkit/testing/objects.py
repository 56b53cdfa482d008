"""The files of a mirror folder as the objects of the public buckets, with their checksums."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import google_crc32c

__all__ = ["Objects", "StoredObject", "key_of"]

_PIECE = 1 << 20
# The bucket of images is on S3, which has an ETag and nothing else; the others are on GCS.
_WITH_GOOG_HASH = ("openimages/", "localized-narratives/")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file that can be asked for: where it is and what the server says of it.

    `etag` has its quotes and is the hex MD5, or holds a `-` where the file is too large to be read
    for it. `goog_hash` is the value of `x-goog-hash`, empty where the bucket has none. `modified`
    is in whole seconds since 1970.
    """

    path: str
    size: int
    modified: int
    etag: str
    goog_hash: str


def key_of(target: str) -> str | None:
    """Give the key that a request target names, or None if it could leave the folder.

    >>> key_of("/openimages/v5/a%20b.csv?x=1")
    'openimages/v5/a b.csv'
    >>> key_of("/openimages/%2e%2e/secret") is None
    True
    """
    key = unquote(target.split("?", 1)[0].split("#", 1)[0]).removeprefix("/")
    if any(part in {"", ".", ".."} for part in key.split("/")):
        return None
    if any(sign in key for sign in ("\\", ":", "\0")):
        return None
    return key


class Objects:
    """Looks keys up in a folder; an object's checksums are worked out once and kept.

    Files above `hash_limit` bytes are not read for a checksum: they get an ETag of size and time.
    """

    def __init__(self, root: os.PathLike[str] | str, *, hash_limit: int) -> None:
        self.root = os.path.realpath(root)
        self._hash_limit = hash_limit
        self._known: dict[str, tuple[int, StoredObject]] = {}

    def find(self, key: str) -> StoredObject | None:
        """Give the object named *key*, or None; links that lead out of the folder are no objects.

        Reads the whole file when it is new or has changed since the last call.
        """
        path = os.path.realpath(f"{self.root}/{key}")
        if not path.startswith(self.root + os.sep):
            return None
        try:
            seen = Path(path).stat()
        except OSError:
            return None
        if not stat.S_ISREG(seen.st_mode):
            return None
        known = self._known.get(key)
        if known and known[0] == seen.st_mtime_ns and known[1].size == seen.st_size:
            return known[1]
        found = self._describe(key, path, seen)
        self._known[key] = (seen.st_mtime_ns, found)
        return found

    def costly(self, key: str) -> bool:
        """Whether `find` would have to read so much that others should not wait for it."""
        if key in self._known:
            return False
        try:
            size = Path(self.root, *key.split("/")).stat().st_size
        except OSError:
            return False
        return 4 * _PIECE < size <= self._hash_limit

    def _describe(self, key: str, path: str, seen: os.stat_result) -> StoredObject:
        modified = int(seen.st_mtime)
        if seen.st_size > self._hash_limit:
            etag = f'"{seen.st_size:x}-{seen.st_mtime_ns:x}"'
            return StoredObject(path, seen.st_size, modified, etag, "")
        md5 = hashlib.md5(usedforsecurity=False)
        crc = google_crc32c.Checksum()
        with Path(path).open("rb") as file:
            while piece := file.read(_PIECE):
                md5.update(piece)
                crc.update(piece)
        goog_hash = ""
        if key.startswith(_WITH_GOOG_HASH):
            goog_hash = f"crc32c={_base64(crc.digest())},md5={_base64(md5.digest())}"
        return StoredObject(path, seen.st_size, modified, f'"{md5.hexdigest()}"', goog_hash)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
