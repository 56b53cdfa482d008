"""Where a dataset or a shared index lies: a folder, a web server, or a bucket of an object store.

An index is read like a source, through a `Transfer`, and written like a dataset, at a `Location`.
The user's own credentials never reach a source, which is read anonymously.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from oidkit.errors import UsageError
from oidkit.objectpath import ObjectPath
from oidkit.store import parse_source
from oidkit.store.address import SCHEMES, Address

if TYPE_CHECKING:
    from oidkit.objectpath import Location
    from oidkit.store import Transfer

__all__ = ["Place", "folder_of", "location_of", "parse_place"]

# Others can be no part of a request; the client panics at some. Azure has names with `$`.
_BUCKET_NAME = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*")
_KINDS = "a folder, file://, http://, https://, s3://, gs:// or az://"


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
        address = Address.of(self.address)
        if address.scheme in SCHEMES:
            from oidkit.store.objects import ObjectTransfer

            return ObjectTransfer(address)
        return parse_source(self.address, official={}).open()

    def writing(self) -> Location:
        """Open it for writing, with the user's own credentials.

        Raises:
            UsageError: nothing can be written there, or a library for it is not installed.

        """
        if self.folder is not None:
            return self.folder
        address = Address.of(self.address)
        if address.scheme in SCHEMES:
            from oidkit.store.bucket import Bucket

            return ObjectPath(Bucket(address))
        raise UsageError(
            f"{self.name} can be read and not written",
            remedy="push to a folder, s3://, gs:// or az://, and let a web server serve that",
        )


def parse_place(text: str) -> Place:
    """Read the address of a shared index.

    Raises:
        UsageError: it is of no kind that is known, or names no host or bucket.

    """
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme == "file":
        from urllib.request import url2pathname

        path = Path(url2pathname(unquote(urlsplit(text).path)))
        return Place(str(path.absolute()), text, path.absolute())
    if not scheme:
        path = Path(text).expanduser().absolute()
        return Place(str(path), text, path)
    if scheme in ("http", "https"):
        return Place(parse_source(text, official={}).name, text.rstrip("/"))
    if scheme not in SCHEMES:
        raise UsageError(f"'{text}' is no address that is known", remedy=f"give {_KINDS}")
    _check_bucket(text)
    return Place(text.rstrip("/"), text.rstrip("/"))


def _check_bucket(text: str) -> None:
    """Refuse the address of a bucket that names none, or what no store would take as it is."""
    scheme, bucket, prefix = Address.of(text)
    if not bucket:
        raise UsageError(f"'{text}' names no bucket", remedy=f"write {scheme}://bucket/prefix")
    if "@" in bucket:
        raise UsageError(
            f"credentials do not belong in an address of {scheme}://",
            remedy="give them by the variables or files that are usual for it",
        )
    if not _BUCKET_NAME.fullmatch(bucket):
        raise UsageError(
            f"'{bucket}' in '{text}' is no name of a bucket",
            remedy="those have letters, digits, '.', '-' and '_'",
        )
    odd = [part for part in prefix.split("/") if part in {".", ".."} or not part.isprintable()]
    if odd or "//" in prefix:
        raise UsageError(
            f"'{text}' has an empty part, '.', '..' or a control character in its prefix",
            remedy=f"write {scheme}://bucket/prefix",
        )


def location_of(text: Location | str) -> Location:
    """Read where a dataset lies: the path of a folder, ``file://``, or the address of a bucket.

    A bucket is asked whether it is there and may be listed, so that anything else is told at once.

    Raises:
        UsageError: it is of no kind that a dataset can lie in, or names no bucket that there is.
        DiskError: there is no permission to list the bucket.
        BucketError: its store could not be reached.

    """
    scheme, sign, rest = str(text).partition(":/")
    if isinstance(text, (str, Path)) and sign and scheme in SCHEMES and rest[:1] != "/":
        # A `Path` of an address has lost one of its slashes.
        raise UsageError(
            f"'{text}' is no address of a bucket",
            remedy=f"write {scheme}://bucket/prefix, in Python as a text",
        )
    if not isinstance(text, str):
        return text
    if "://" not in text:
        return Path(text)
    place = parse_place(text)
    if place.folder is not None:
        return place.folder
    address = Address.of(place.address)
    if address.scheme not in SCHEMES:
        raise UsageError(
            f"no dataset can lie at {place.name}", remedy="give a folder, s3://, gs:// or az://"
        )
    from oidkit.store.bucket import Bucket

    found = Bucket(address)
    found.reach()
    return ObjectPath(found)


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
