"""Whether a file has the content that it should have, and whether it changed."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, TypeAlias

from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from oidkit.objectpath import Location

__all__ = ["Stamp", "digest", "fingerprint", "holds", "matches", "stamp"]

Stamp: TypeAlias = tuple[int | str, int, int]


def fingerprint(data: bytes) -> str:
    """Give the MD5 of some content as the manifest writes it."""
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()


def digest(path: Location) -> str:
    """Give the MD5 of a file as the manifest writes it."""
    with path.open("rb") as file:
        return (
            "md5:"
            + hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        )


def matches(data: bytes, check: str) -> bool:
    """Tell whether some content is the one that a record's check was made of."""
    kind, _, value = check.partition(":")
    return zlib.crc32(data) == int(value, 16) if kind == "crc32" else fingerprint(data) == check


def holds(path: Location, *, size: int, check: str) -> bool:
    """Tell whether a file has the size and the content that a record says it has."""
    try:
        if path.is_symlink() or path.stat().st_size != size:
            return False
        if not check:
            return True
        if check.startswith("crc32:"):
            return matches(path.read_bytes(), check)
        return digest(path) == check
    except (OSError, ValueError):
        return False


def stamp(path: Location) -> Stamp | None:
    """Tell one state of a file from another; None where there is none."""
    if isinstance(path, ObjectPath):
        facts = path.objects.facts(path.key)
        return (facts.etag, facts.size, int(facts.changed)) if facts else None
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
