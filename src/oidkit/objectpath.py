"""The path of an object below a prefix of a bucket, with the methods of a `pathlib.Path`.

A dataset lies in a folder or in a bucket, and what reads and writes it does so by paths: `Location`
is either. An object stands there as a whole or not at all, so that no temporary name is needed; a
folder is what the keys of objects begin with, and is there as long as one of them is. There are no
links; whoever wants an object in two places copies it.
"""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Facts", "Location", "ObjectPath", "Objects", "matching", "readable"]


class Facts(NamedTuple):
    """What a store says of an object: `changed` in seconds since 1970, `etag` without quotes."""

    key: str
    size: int
    etag: str
    changed: float


class Objects(Protocol):
    """The objects below one prefix; keys are relative to it."""

    @property
    def name(self) -> str:
        """The address of the prefix, as in ``s3://bucket/prefix``."""
        ...

    def facts(self, key: str) -> Facts | None:
        """Say what is known of an object; None where there is none.

        The empty key stands for the object whose whole key is the prefix.
        """
        ...

    def read(self, key: str) -> bytes:
        """Give an object; a `FileNotFoundError` where there is none."""
        ...

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Give some objects by key, read several at a time; without those that are not there."""
        ...

    def write(self, key: str, data: bytes | Iterable[bytes]) -> None:
        """Write an object: it is there as a whole, or as it was before."""
        ...

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write some small objects, several at a time."""
        ...

    def copy(self, key: str, to: str) -> None:
        """Copy an object within the store."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def below(self, folder: str) -> Iterator[Facts]:
        """List the objects whose keys begin with a folder, however deep, by key."""
        ...

    def right_in(self, folder: str) -> tuple[list[str], list[Facts]]:
        """List the folders and the objects right in a folder, by name; keys are whole."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class ObjectPath:
    """The object `key` of some objects, or the folder of that name."""

    objects: Objects
    key: str = ""

    def __truediv__(self, more: str) -> ObjectPath:
        """Go down to an object or a folder."""
        return ObjectPath(self.objects, f"{self.key}/{more}".strip("/"))

    def __str__(self) -> str:
        """Give the whole address."""
        return f"{self.objects.name}/{self.key}".rstrip("/")

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2] or self.objects.name.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.objects, self.key.rpartition("/")[0])

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        return PurePosixPath(self.key).relative_to(other.key)

    # -- what is there --------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        return bool(self.key) and self.objects.facts(self.key) is not None

    def is_dir(self) -> bool:
        return next(self.objects.below(self.key), None) is not None

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        """Give the size, and when it changed; the rest is 0."""
        found = self.facts()
        return os.stat_result((0, 0, 0, 0, 0, 0, found.size, 0, int(found.changed), 0))

    def facts(self) -> Facts:
        """Say what the store does; a `FileNotFoundError` where there is no object."""
        found = self.objects.facts(self.key)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return found

    def iterdir(self) -> Iterator[ObjectPath]:
        folders, files = self.objects.right_in(self.key)
        for key in sorted([*folders, *(each.key for each in files)]):
            yield ObjectPath(self.objects, key)

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Give what is right in the folder and has a name of a pattern without slashes."""
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    # -- content --------------------------------------------------------------------------------

    def read_bytes(self) -> bytes:
        return self.objects.read(self.key)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Give the content as a file to read; it is in memory as a whole."""
        if mode != "rb":
            raise ValueError(mode)
        return io.BytesIO(self.read_bytes())

    def write(self, data: bytes | Iterable[bytes]) -> None:
        """Write the object, as a whole or not at all."""
        self.objects.write(self.key, data)

    def copy_to(self, other: ObjectPath) -> None:
        """Copy the object within the store."""
        self.objects.copy(self.key, other.key)

    def unlink(self, *, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.facts()
        self.objects.remove(self.key)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there with its first object."""


Location: TypeAlias = Path | ObjectPath
"""Where a file or a folder of a dataset lies: on a disk, or in a bucket."""


def readable(path: Location) -> Path | io.BytesIO:
    """Give what a library reads that takes paths of the disk, or files: an object is one."""
    return path.open("rb") if isinstance(path, ObjectPath) else path


def matching(folder: Location, pattern: str) -> list[Location]:
    """Give what is right in a folder and has a name of a pattern, by name."""
    if isinstance(folder, ObjectPath):
        return [*folder.glob(pattern)]
    return [*sorted(folder.glob(pattern))]
