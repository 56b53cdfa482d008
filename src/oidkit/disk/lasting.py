"""What outlasts a loss of power: files, and the names of files in a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["make_lasting", "sync_folder"]


def make_lasting(folder: Path, files: Iterable[Path] = ()) -> None:
    """Return when all that was written below *folder* will outlast a loss of power.

    *files* are what was written there; where the system can, it is asked for all at once, which
    is the cheaper way for many small files.

    Raises:
        OSError: the disk could not take what had been written.

    """
    if _sync_whole(folder):
        return
    folders = {folder}
    for path in files:
        folders.add(path.parent)
        # Where one is gone by now there is nothing to keep; Windows syncs what may be written.
        gone_or_locked = contextlib.suppress(FileNotFoundError, PermissionError)
        with gone_or_locked, path.open("r+b") as file:
            os.fsync(file.fileno())
    for each in folders:
        sync_folder(each)


def _sync_whole(folder: Path) -> bool:
    """Sync the file system that holds a folder; False where the system has no such call."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if call(number) == 0:
            return True
        failed = ctypes.get_errno()
    finally:
        os.close(number)
    if failed in {errno.ENOSYS, errno.EINVAL, errno.EPERM}:
        return False
    raise OSError(failed, os.strerror(failed), str(folder))


def sync_folder(folder: Path) -> None:
    """Let the names in a folder last; on Windows, and some network disks, they do by themselves."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(number)
