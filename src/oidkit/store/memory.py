"""Objects in memory, as if they were in a bucket: where a part of a dataset is while it is made."""

from __future__ import annotations

import errno
import itertools
import os
import time
from typing import TYPE_CHECKING

from oidkit.objectpath import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MemoryObjects"]


class MemoryObjects:
    """Objects by key; `name` is what messages call the place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._objects: dict[str, tuple[bytes, str, float]] = {}
        self._writes = itertools.count()

    def facts(self, key: str) -> Facts | None:
        found = self._objects.get(key)
        if found is None:
            return None
        data, etag, changed = found
        return Facts(key, len(data), etag, changed)

    def read(self, key: str) -> bytes:
        try:
            return self._objects[key][0]
        except KeyError:
            number = errno.ENOENT
            raise FileNotFoundError(number, os.strerror(number), f"{self.name}/{key}") from None

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self._objects[key][0] for key in keys if key in self._objects}

    def write(self, key: str, data: bytes | Iterable[bytes]) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        # Not its MD5: every list would take those of all that is there.
        self._objects[key] = whole, f"write {next(self._writes)}", time.time()

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        for key, data in files:
            self.write(key, data)

    def copy(self, key: str, to: str) -> None:
        self.write(to, self.read(key))

    def remove(self, key: str) -> None:
        self._objects.pop(key, None)

    def below(self, folder: str) -> Iterator[Facts]:
        for key in sorted(self._objects):
            if (not folder or key.startswith(f"{folder}/")) and (found := self.facts(key)):
                yield found

    def right_in(self, folder: str) -> tuple[list[str], list[Facts]]:
        front = f"{folder}/" if folder else ""
        folders: dict[str, None] = {}
        files = []
        for each in self.below(folder):
            name, _, deeper = each.key.removeprefix(front).partition("/")
            if deeper:
                folders[front + name] = None
            else:
                files.append(each)
        return [*folders], files
