"""Disks that fill, break and may not be written: tmpfs, ext4 in a file, rights taken away."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "WITHOUT_RIGHTS",
    "Ext4",
    "ext4",
    "fill",
    "needs_mounts",
    "needs_rights",
    "resize",
    "tmpfs",
]

# EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: the file system is gone at once, as when the
# power fails. What had not reached the disk is lost; the journal is replayed by the next mount.
_SHUTDOWN, _NO_FLUSH = 0x8004587D, struct.pack("I", 2)

WITHOUT_RIGHTS = (
    ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    if hasattr(os, "geteuid") and os.geteuid() == 0
    else ()
)
"""Runs a command as a user whom the permissions of files bind; root loses its privileges."""


@cache
def _may_mount() -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() or not shutil.which("unshare"):
        return False
    trial = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="mounting takes the rights of root")
needs_rights = pytest.mark.skipif(
    bool(WITHOUT_RIGHTS) and shutil.which("setpriv") is None,
    reason="root has no setpriv to give up its rights",
)


def _call(*command: object) -> None:
    subprocess.run([str(each) for each in command], check=True, capture_output=True)


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory, such as with `size=700k` or `nr_inodes=60`."""
    place.mkdir(parents=True, exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", options, "tmpfs", place)
    try:
        yield place
    finally:
        _call("umount", "--lazy", place)


def resize(place: Path) -> None:
    """Give a full tmpfs more room of every kind."""
    _call("mount", "-o", "remount,size=64m,nr_inodes=10k", place)


def fill(place: Path) -> Path:
    """Take all the room that is left, as another program may."""
    filler = place / ".filler"
    with filler.open("wb") as file:
        while True:
            free = os.statvfs(place)
            try:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            except OSError as error:
                # The run has taken some of it meanwhile.
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return filler


@dataclass(frozen=True)
class Ext4:
    """A file system of its own in a file, mounted at `place`."""

    image: Path
    place: Path
    options: str = ""

    def mount(self) -> None:
        """Mount it; what was not undone by an orderly end is replayed from its journal."""
        more = f",{self.options}" if self.options else ""
        _call("mount", "-t", "ext4", "-o", f"loop{more}", self.image, self.place)

    def unmount(self) -> None:
        """Unmount it, if it is mounted."""
        if os.path.ismount(self.place):
            _call("umount", self.place)

    def lose_power(self) -> None:
        """End it as a loss of power does: what had not reached the disk is gone."""
        number = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(number, _SHUTDOWN, _NO_FLUSH)
        finally:
            os.close(number)

    def turn_read_only(self) -> None:
        """Make it read-only under the feet of whoever writes, as the kernel does after an error."""
        _call("mount", "-o", "remount,abort", self.place)


@contextmanager
def ext4(root: Path, options: str = "") -> Iterator[Ext4]:
    """Make an ext4 file system in a file below *root*, and mount it."""
    image, place = root / "disk.img", root / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(96 << 20)
    _call("mkfs.ext4", "-q", "-F", image)
    disk = Ext4(image, place, options)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()
