"""The dataset folder: where things lie in it, and how files come to stand there.

A file is written under a temporary name beside its place, and gets its own name when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from oidkit.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "TEMPORARY",
    "Record",
    "Status",
    "check_place",
    "check_writable",
    "digest",
    "exchange",
    "fingerprint",
    "link",
    "listing",
    "locked",
    "write_atomically",
    "write_everywhere",
]

TEMPORARY = ".oid-tmp-"
"""How the names of unfinished files begin; a later run sweeps those that a killed one left."""

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


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file that stands at *path* as a whole, or not at all."""
    fresh = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        # O_EXCL: a link that somebody planted under this name is never written through.
        with fresh.open("xb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                file.writelines(data)
        fresh.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):
            # A failed write names no file, and a failed open the temporary one.
            error.filename, error.filename2 = str(path), None
        raise


def write_everywhere(root: Path, paths: Sequence[str], data: bytes) -> None:
    """Write a file once and link it to the other places where it belongs."""
    first = root / paths[0]
    write_atomically(first, data)
    for other in paths[1:]:
        link(first, root / other)


def link(present: Path, wanted: Path) -> None:
    """Make *wanted* the same file as *present*: a hard link, or a copy where links do not work."""
    fresh = wanted.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        try:
            os.link(present, fresh)
        except (OSError, NotImplementedError):
            shutil.copyfile(present, fresh)
        fresh.replace(wanted)
        # POSIX: replacing a link by another link to the same file leaves both names.
        fresh.unlink(missing_ok=True)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename != str(present):
            error.filename, error.filename2 = str(wanted), None
        raise


def exchange(fresh: Path, place: Path) -> None:
    """Let a folder take the place of another one, which is then at *fresh* or gone.

    Where the system can, the two change names in one step. Else the old one stands as
    ``<fresh>.old`` for a moment; whoever finds it there and nothing at *place* puts it back.
    """
    if not place.exists():
        fresh.rename(place)
        return
    if _swapped(fresh, place):
        return
    aside = fresh.with_name(f"{fresh.name}.old")
    place.rename(aside)
    try:
        fresh.rename(place)
    except OSError:
        aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _swapped(one: Path, other: Path) -> bool:
    """Change the names of two folders in one step; False where the system has no such call."""
    import ctypes
    import sys

    # renameat2(2) with RENAME_EXCHANGE, and Darwin's renamex_np(2) with RENAME_SWAP.
    here, flag = -100, 2
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, flag) == 0)
        return bool(library.renameat2(here, names[0], here, names[1], flag) == 0)
    except (OSError, AttributeError, TypeError):
        return False


def listing(folder: Path, *, sweep: bool = True) -> dict[str, int]:
    """Give the name and size of each file in a folder, and sweep what killed runs left there.

    Who lets it *sweep* holds the lock of the dataset, so that no temporary file is anybody's.
    """
    found: dict[str, int] = {}
    nothing = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with nothing, os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                if sweep:
                    Path(entry.path).unlink(missing_ok=True)
            elif entry.is_file(follow_symlinks=False):
                found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def fingerprint(data: bytes) -> str:
    """Give the MD5 of some content as the manifest writes it."""
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()


def digest(path: Path) -> str:
    """Give the MD5 of a file as the manifest writes it."""
    with path.open("rb") as file:
        return (
            "md5:"
            + hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        )


def check_writable(folder: Path) -> None:
    """Make the folder if it is not there, and try that a file can be written into it.

    Raises:
        DiskError: the folder cannot be made, or nothing can be written there.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        probe.write_bytes(b"")
        # Another run, which holds the lock by now, may have swept it.
        probe.unlink(missing_ok=True)
    except OSError as error:
        # Named is the folder, not the file that was to try it.
        plain = OSError(error.errno, error.strerror)
        raise DiskError.from_os(plain, path=folder) from error


def check_place(folder: Path) -> None:
    """Try, without making anything that stays, that *folder* could be written or made.

    Raises:
        DiskError: it could not.

    """
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


@contextlib.contextmanager
def locked(path: Path, *, waiting: object = None) -> Iterator[None]:
    """Hold the lock at *path*: one run at a time; the lock of a killed run is free again.

    *waiting*, a callable without arguments, is called once if somebody else holds the lock.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if callable(waiting):
                waiting()
            lock.acquire()
    except NotImplementedError:
        # A file system without locks: the lock was only to spare work, names stay atomic.
        yield
        return
    except OSError as error:
        raise DiskError.from_os(error, path=path) from error
    try:
        yield
    finally:
        lock.release()
