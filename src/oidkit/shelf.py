"""Where a dataset or a shared index lies: a folder, a web server, or a bucket of an object store.

An index is read like a source, through a `Transfer`. To write there takes a `Shelf`, with the
user's own credentials; those never reach a source, which is read anonymously.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from oidkit.disk import TEMPORARY, naming, write_atomically
from oidkit.errors import UsageError
from oidkit.objectpath import ObjectPath
from oidkit.store import parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oidkit.objectpath import Location
    from oidkit.store import Transfer

__all__ = ["Place", "Shelf", "folder_of", "location_of", "parse_place"]

_BUCKETS = ("s3", "gs", "az")
_KINDS = "a folder, file://, http://, https://, s3://, gs:// or az://"


class Shelf(Protocol):
    """A place that may be written. Objects have names with slashes; they are whole or not there."""

    def names(self) -> Iterator[tuple[str, int]]:
        """Give the name and size of every object."""

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address, as `name` shows it: without a password."""

    name: str
    address: str
    folder: Path | None = None

    def reading(self) -> Transfer:
        """Open it for reading.

        Raises:
            UsageError: it needs a library that is not installed.

        """
        if self.folder is not None:
            from oidkit.store.folder import FolderTransfer

            return FolderTransfer(self.folder)
        scheme, bucket, prefix = _parts(self.address)
        if scheme in _BUCKETS:
            from oidkit.store.objects import ObjectTransfer

            return ObjectTransfer(scheme, bucket, prefix)
        return parse_source(self.address, official={}).open()

    def writing(self) -> Shelf:
        """Open it for writing.

        Raises:
            UsageError: nothing can be written there, or a library for it is not installed.

        """
        if self.folder is not None:
            return _FolderShelf(self.folder)
        scheme, bucket, prefix = _parts(self.address)
        if scheme in _BUCKETS:
            from oidkit.store.objects import ObjectShelf

            return ObjectShelf(scheme, bucket, prefix)
        raise UsageError(
            f"{self.name} can be read and not written",
            remedy="push to a folder, s3://, gs:// or az://, and let a web server serve that",
        )


def parse_place(text: str) -> Place:
    """Read the address of a shared index.

    Raises:
        UsageError: it is of no kind that is known, or names no host or bucket.

    """
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme == "file":
        from urllib.request import url2pathname

        path = Path(url2pathname(unquote(urlsplit(text).path)))
        return Place(str(path.absolute()), text, path.absolute())
    if not scheme:
        path = Path(text).expanduser().absolute()
        return Place(str(path), text, path)
    if scheme in ("http", "https"):
        return Place(parse_source(text, official={}).name, text.rstrip("/"))
    if scheme not in _BUCKETS:
        raise UsageError(f"'{text}' is no address that is known", remedy=f"give {_KINDS}")
    if not _parts(text)[1]:
        raise UsageError(f"'{text}' names no bucket", remedy=f"write {scheme}://bucket/prefix")
    return Place(text.rstrip("/"), text.rstrip("/"))


def location_of(text: Location | str) -> Location:
    """Read where a dataset lies: the path of a folder, ``file://``, or the address of a bucket.

    Raises:
        UsageError: it is of no kind that a dataset can lie in, or names no bucket.

    """
    if not isinstance(text, str):
        return text
    if "://" not in text:
        return Path(text)
    place = parse_place(text)
    if place.folder is not None:
        return place.folder
    scheme, bucket, prefix = _parts(place.address)
    if scheme not in _BUCKETS:
        raise UsageError(
            f"no dataset can lie at {place.name}", remedy="give a folder, s3://, gs:// or az://"
        )
    from oidkit.store.bucket import Bucket

    return ObjectPath(Bucket(scheme, bucket, prefix))


def folder_of(text: Path | str, *, what: str) -> Path:
    """Read the path of a folder for *what* works with nothing else, as in "a report".

    Raises:
        UsageError: it is the address of a bucket or a server.

    """
    if not isinstance(text, str) or "://" not in text:
        return Path(text)
    place = parse_place(text)
    if place.folder is None:
        raise UsageError(
            f"{what} needs a folder, and {place.name} is none",
            remedy="give a folder of this machine",
        )
    return place.folder


def _parts(address: str) -> tuple[str, str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc, parts.path.strip("/")


@dataclass(frozen=True, slots=True)
class _FolderShelf:
    root: Path

    def names(self) -> Iterator[tuple[str, int]]:
        """Give the name and size of every file, but for those that are being written."""
        with naming(self.root):
            for folder, _, names in os.walk(self.root):
                for name in names:
                    path = Path(folder, name)
                    if not name.startswith(TEMPORARY):
                        yield path.relative_to(self.root).as_posix(), path.lstat().st_size

    def put(self, name: str, data: bytes) -> None:
        """Write a file.

        Raises:
            DiskError: it cannot be written.

        """
        path = self.root / name
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data, lasting=True)
