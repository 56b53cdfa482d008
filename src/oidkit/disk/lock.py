"""One run at a time, where the disk has locks."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from oidkit.errors import DiskError
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filelock import BaseFileLock

    from oidkit.objectpath import Location

__all__ = ["locked"]

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextlib.contextmanager
def locked(path: Location, *, waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock at *path*: one run at a time; the lock of a killed run is free again.

    It spares work that is done twice. Nothing rests on it: on a disk whose locks do nothing, or
    hold on one machine only, and in a bucket, runs go on beside each other. *waiting* is called
    once if somebody else holds the lock.
    """
    lock = None if isinstance(path, ObjectPath) else _acquired(path, waiting)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquired(path: Path, waiting: Callable[[], object] | None) -> BaseFileLock | None:
    """Get the lock, or None where the disk has none."""
    import filelock

    # No soft lock, which is a file that stays when its owner is killed.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if waiting is not None:
                waiting()
            lock.acquire()
    except NotImplementedError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise DiskError(path, because="it is a link", remedy="remove it") from error
        if error.errno not in _NO_LOCKS:
            raise DiskError.from_os(error, path=path) from error
        return None
    return lock
