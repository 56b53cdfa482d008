"""Compares the files of a dataset with what its manifest says of them, on a disk or in a bucket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from oidkit.disk import TEMPORARY, digest, matches
from oidkit.errors import DiskError
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from oidkit.disk import Record
    from oidkit.objectpath import Facts, Location

__all__ = ["State", "inspector"]

State: TypeAlias = Literal["ok", "damaged", "absent"]
_OURS = ("images", "masks", "csv")
_THREADS = 2


class Inspector(Protocol):
    """Looks at files; records come by path, each once."""

    def states(self, records: Sequence[Record]) -> list[State]:
        """Compare some files with their records."""
        ...

    def foreign(self) -> list[str]:
        """Give the files that stand where ours stand and had no record."""
        ...


def inspector(root: Location) -> Inspector:
    """Give what looks at the files of a dataset."""
    return _OfBucket(root) if isinstance(root, ObjectPath) else _OfDisk(root)


class _OfDisk:
    """Reads every file through."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: set[str] = set()

    def states(self, records: Sequence[Record]) -> list[State]:
        self._known.update(record.path for record in records)
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._state, records))

    def foreign(self) -> list[str]:
        return sorted(path for path in self._files() if path not in self._known)

    def _state(self, record: Record) -> State:
        path = self._root / record.path
        if record.status == "missing":
            return "ok"
        if not path.is_file() or path.is_symlink():
            return "absent"
        try:
            if record.status != "ok" or path.stat().st_size != record.bytes:
                return "damaged"
            if record.check.startswith("crc32:"):
                return _compared(record, path.read_bytes())
            same = digest(path) == record.check
        except OSError as error:
            because = (error.strerror or "it cannot be read").lower()
            raise DiskError(path, because=because) from error
        return "ok" if same else "damaged"

    def _files(self) -> Iterator[str]:
        for place in (self._root / name for name in _OURS):
            for path in place.rglob("*"):
                inside = path.relative_to(self._root)
                # A list that was fetched into one of the folders has records of its own.
                ours = ".oid" in inside.parts or path.name.startswith(TEMPORARY)
                if path.is_file() and not ours:
                    yield inside.as_posix()


class _OfBucket:
    """Goes along the list of all objects, which is sorted as the records are.

    An object whose ETag is the MD5 of the record is whole: the store keeps it by that. All others
    are read.
    """

    def __init__(self, root: ObjectPath) -> None:
        self._root = root
        self._front = f"{root.key}/" if root.key else ""
        self._listed = root.objects.below(root.key)
        self._next: Facts | None = next(self._listed, None)
        self._strangers: list[str] = []

    def states(self, records: Sequence[Record]) -> list[State]:
        found: dict[str, State] = {}
        unsure: list[Record] = []
        for record in records:
            facts = self._facts(record.path)
            if record.status == "missing":
                found[record.path] = "ok"
            elif facts is None:
                found[record.path] = "absent"
            elif record.status != "ok" or facts.size != record.bytes:
                found[record.path] = "damaged"
            elif f"md5:{facts.etag}" == record.check:
                found[record.path] = "ok"
            else:
                unsure.append(record)
        bodies = self._root.objects.read_all([self._front + each.path for each in unsure])
        for record in unsure:
            body = bodies.get(self._front + record.path)
            found[record.path] = "absent" if body is None else _compared(record, body)
        return [found[record.path] for record in records]

    def foreign(self) -> list[str]:
        while self._next is not None:
            self._pass(self._next.key.removeprefix(self._front))
        return self._strangers

    def _facts(self, path: str) -> Facts | None:
        """Go on in the list to a path; what is passed by is foreign."""
        while self._next is not None:
            name = self._next.key.removeprefix(self._front)
            # As bytes: that is how stores sort, and the manifest.
            if name.encode() > path.encode():
                return None
            if name == path:
                found, self._next = self._next, next(self._listed, None)
                return found
            self._pass(name)
        return None

    def _pass(self, name: str) -> None:
        first, *rest = name.split("/")
        if rest and first in _OURS and ".oid" not in rest:
            self._strangers.append(name)
        self._next = next(self._listed, None)


def _compared(record: Record, body: bytes) -> State:
    return "ok" if matches(body, record.check) else "damaged"
