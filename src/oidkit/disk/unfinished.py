"""Names for files that are not whole yet, and what killed runs have left under them.

A file is written under a temporary name beside its place, and gets its own name when it is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit import ownership
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oidkit.objectpath import Location

__all__ = ["TEMPORARY", "below", "claimed", "is_left", "listing", "remove", "sweep", "temporary"]

TEMPORARY = ".oid-tmp-"
"""How the names of unfinished files begin; a later run sweeps those that a killed one left."""


@contextlib.contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Give a name beside *path* for a file or folder until it is whole; what is left there goes.

    The name says whose it is. An `OSError` that comes out of the block names *path*.
    """
    with claimed(path) as fresh:
        try:
            yield fresh
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[Path]:
    """Give a name as `temporary` does; who asks removes what is left there."""
    token = ownership.claim()
    fresh = path.with_name(f"{TEMPORARY}{token}")
    try:
        yield fresh
    except OSError as error:
        # A failed write names no file, a failed open the temporary one, and a copy both.
        if error.filename is None or str(fresh) in {error.filename, error.filename2}:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        ownership.drop(token)


def listing(folder: Location, *, sweep: bool = True) -> dict[str, int]:
    """Give the name and size of each file in a folder, and sweep what killed runs left there."""
    if isinstance(folder, ObjectPath):
        _, files = folder.objects.right_in(folder.key)
        return {each.key.rpartition("/")[2]: each.size for each in files}
    found: dict[str, int] = {}
    nothing = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with nothing, os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                # A folder is an export's, which sweeps them itself.
                if sweep and not entry.is_dir(follow_symlinks=False) and is_left(Path(entry.path)):
                    Path(entry.path).unlink(missing_ok=True)
            elif entry.is_file(follow_symlinks=False):
                found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def below(folder: Location) -> Iterator[tuple[str, int]]:
    """Give the path below a folder, and the size, of every file that is whole, however deep."""
    if isinstance(folder, ObjectPath):
        for each in folder.objects.below(folder.key):
            yield each.key.removeprefix(f"{folder.key}/"), each.size
        return
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not name.startswith(TEMPORARY):
                yield path.relative_to(folder).as_posix(), path.lstat().st_size


def sweep(folder: Location) -> None:
    """Remove what dead runs have left unfinished in a folder, as far as that may be done."""
    if isinstance(folder, ObjectPath):
        return
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(TEMPORARY) and is_left(path):
                _remove(path)


def remove(path: Path) -> None:
    """Remove a folder so that nobody ever finds a part of it; one that is not there is no error."""
    with contextlib.suppress(FileNotFoundError), temporary(path) as aside:
        path.rename(aside)
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_left(path: Location) -> bool:
    """Tell whether an unfinished file or folder was left by a run that is no more."""
    if isinstance(path, ObjectPath):
        return True
    return ownership.is_free(path.name, untouched=lambda: _untouched(path))


def _untouched(path: Path) -> float:
    """Tell for how many seconds nothing in a file or folder changed, by the clock of its disk."""
    try:
        with temporary(path) as probe:
            probe.write_bytes(b"")
            now = probe.stat().st_mtime
        times = [path.lstat().st_mtime]
        for folder, _, names in os.walk(path):
            times += (Path(folder, name).lstat().st_mtime for name in [".", *names])
    except OSError:
        return 0.0
    return now - max(times)
