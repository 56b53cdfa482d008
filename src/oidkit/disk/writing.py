"""Files that stand in their places as a whole, or not at all; what is in two places is one file.

An object of a bucket stands there as a whole by itself, and in two places it is two.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from oidkit.disk.lasting import sync_folder
from oidkit.disk.unfinished import claimed, temporary
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from oidkit.objectpath import Location

__all__ = ["link", "move", "write_all", "write_atomically", "write_everywhere", "written_at_once"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_atomically(
    path: Location, data: bytes | Iterable[bytes], *, lasting: bool = False
) -> None:
    """Write a file that stands at *path* as a whole, or not at all.

    One that is *lasting* is so after a loss of power, too, and is there when this returns.
    """
    if isinstance(path, ObjectPath):
        path.write(data)
        return
    with claimed(path) as fresh:
        try:
            _fill(fresh, data, lasting=lasting)
            try:
                fresh.replace(path)
            except FileNotFoundError:
                if not isinstance(data, bytes):
                    raise
                # Another machine took it for the work of a dead one.
                _fill(fresh, data, lasting=lasting)
                fresh.replace(path)
        except BaseException:
            # Nothing is left under this name where all went well: no call is spent on it.
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        if lasting:
            sync_folder(path.parent)


def _fill(fresh: Path, data: bytes | Iterable[bytes], *, lasting: bool) -> None:
    if isinstance(data, bytes) and not lasting:
        _fill_at_once(str(fresh), data)
        return
    # O_EXCL: a link that somebody planted under this name is never written through.
    with fresh.open("xb") as file:
        if isinstance(data, bytes):
            file.write(data)
        else:
            file.writelines(data)
        if lasting:
            file.flush()
            os.fsync(file.fileno())


def _fill_at_once(fresh: str, data: bytes) -> None:
    """Write a new file by three system calls, where a file object takes six: there are millions."""
    number = os.open(fresh, _NEW, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(number, left) :]
    finally:
        os.close(number)


def written_at_once(root: Location) -> int:
    """How many files are best written at a time: a store answers each only after a while."""
    return 32 if isinstance(root, ObjectPath) else 2


def write_all(root: Location, files: Sequence[tuple[str, bytes]]) -> None:
    """Write some files, each as a whole or not at all."""
    if isinstance(root, ObjectPath) and len(files) > 1:
        root.objects.write_all(((root / path).key, data) for path, data in files)
        return
    for path, data in files:
        write_atomically(root / path, data)


def write_everywhere(root: Location, paths: Sequence[str], data: bytes) -> None:
    """Write a file once and link it to the other places where it belongs."""
    if isinstance(root, ObjectPath):
        write_all(root, [(path, data) for path in paths])
        return
    first = root / paths[0]
    write_atomically(first, data)
    for other in paths[1:]:
        link(first, root / other)


def link(present: Location, wanted: Location) -> None:
    """Make *wanted* the same file as *present*: a hard link, or a copy where links do not work."""
    if isinstance(present, ObjectPath) or isinstance(wanted, ObjectPath):
        _copy(present, wanted)
        return
    with temporary(wanted) as fresh:
        try:
            os.link(present, fresh)
        except (OSError, NotImplementedError):
            shutil.copyfile(present, fresh)
        # POSIX: replacing a link by another link to the same file leaves both names.
        fresh.replace(wanted)


def move(present: Location, wanted: Location) -> None:
    """Let a file stand in another place of the same dataset, and not where it stood."""
    if isinstance(present, ObjectPath):
        # Not copied by the store: some answer before that is done.
        write_atomically(wanted, present.read_bytes())
        present.unlink()
    else:
        present.replace(str(wanted))


def _copy(present: Location, wanted: Location) -> None:
    if isinstance(present, ObjectPath) and isinstance(wanted, ObjectPath):
        present.copy_to(wanted)
    else:
        write_atomically(wanted, present.read_bytes())
