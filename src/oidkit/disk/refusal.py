"""Whether a place can be written, and what is said where it cannot."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from oidkit.disk.unfinished import temporary
from oidkit.errors import DiskError, UsageError
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oidkit.objectpath import Location

__all__ = ["check_no_link", "check_place", "check_writable", "naming"]


@contextlib.contextmanager
def naming(path: Location) -> Iterator[None]:
    """Say of what the disk does not do in the block what it means, naming *path*."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskError):
            raise
        raise DiskError.from_os(error, path=path) from error


def check_writable(folder: Location) -> None:
    """Make the folder if it is not there, and try that a file can be written into it.

    Into a bucket that is the empty object ``lock``: to remove one may not be allowed.

    Raises:
        DiskError: the folder cannot be made, or nothing can be written there.

    """
    if isinstance(folder, ObjectPath):
        (folder / "lock").write(b"")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary(folder / "probe") as probe:
            probe.write_bytes(b"")
    except OSError as error:
        # Named is the folder, not the file that was to try it.
        plain = OSError(error.errno, error.strerror)
        raise DiskError.from_os(plain, path=folder) from error


def check_place(folder: Location) -> None:
    """Try, without making anything that stays, that *folder* could be written or made.

    In a bucket nothing is tried, as that would leave an object.

    Raises:
        DiskError: it could not.
        UsageError: an object stands there, and nothing below it.

    """
    if isinstance(folder, ObjectPath):
        # Azure has empty objects as folders, where somebody has made one.
        if not folder.is_dir() and (found := folder.objects.facts(folder.key)) and found.size:
            raise UsageError(f"{folder} is an object, not a folder", remedy="choose another --out")
        return
    place = folder.absolute()
    if place.is_dir():
        check_writable(place)
        return
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise DiskError(folder, because=f"{place} is a file", remedy="choose another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        # Tells a file system that is read-only from a folder without permission.
        check_writable(place)


def check_no_link(path: Location, *, whole: str) -> None:
    """Refuse a link to elsewhere within a folder of ours; *whole* names what may be one.

    Raises:
        DiskError: it is one.

    """
    if path.is_symlink():
        remedy = f"remove the link, or link the whole {whole}"
        raise DiskError(path, because="it is a link", remedy=remedy)
