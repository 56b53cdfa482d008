"""Where the shards of a download stand: what the place says of itself, and which are whole.

::

    train-000000.tar          a shard, as the format names it
    .oid/shards.json          what the shards are of: format, release, selection, images a shard
    .oid/shards/train-0.json  a note of each shard that is whole

A shard is done when its note is there, which is written after it, says that it is of the same
images, and gives the size that it has.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from oidkit.disk import listing, naming, write_atomically
from oidkit.errors import UsageError
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from oidkit.catalog import Split
    from oidkit.objectpath import Location

__all__ = ["Cut", "Done", "ShardPlace"]

_VERSION = 1
_MARKER = ".oid/shards.json"
_NOTES = ".oid/shards"


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The images of one shard: that *at* a place from 0, *of* so many of its split."""

    split: Split
    at: int
    of: int
    images: NDArray[np.uint64]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.at}"

    @property
    def digest(self) -> str:
        """The MD5 of the ids of its images."""
        return hashlib.md5(self.images.tobytes(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Done:
    """The note of a shard that is whole; all are plain values.

    `file` is empty where none of its images could be had. `missing` are those that the source does
    not have, `damaged` those that cannot be decoded, as ``train/<id>``.
    """

    images: str
    file: str = ""
    bytes: int = 0
    samples: int = 0
    masks: int = 0
    masks_missing: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardPlace:
    """The folder or the prefix that shards are written into."""

    root: Location

    def claim(self, of: Mapping[str, Any]) -> None:
        """Write down what the shards are *of*, unless that stands there.

        Raises:
            UsageError: there are shards of something else, a dataset, or any other files.
            DiskError: nothing can be written there.

        """
        wanted = {"version": _VERSION, **json.loads(json.dumps(of))}
        with naming(self.root):
            found = self._marker()
            if found is None:
                self._check_empty()
                self.write(_MARKER, (json.dumps(wanted, indent=2) + "\n").encode())
                return
        if found.get("version", 0) > _VERSION:
            raise UsageError(
                f"{self.root} was written by a newer oidkit",
                remedy="update oidkit, or choose another --out",
            )
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            raise UsageError(
                f"{self.root} holds shards of another {other[0].replace('_', ' ')}",
                remedy="choose another --out",
            )

    def done(self) -> dict[str, Done]:
        """Give the notes of the shards that are whole, by the name of their cut."""
        with naming(self.root):
            notes = {name: note for name, note in self._notes() if note is not None}
            folders = {each.file.rpartition("/")[0] for each in notes.values()}
            sizes = {
                f"{folder}/{name}".lstrip("/"): size
                for folder in folders
                for name, size in listing(self.root / folder if folder else self.root).items()
            }
        return {
            name: each
            for name, each in notes.items()
            if not each.file or sizes.get(each.file) == each.bytes
        }

    def keep(self, cut: Cut, note: Done, shard: Sequence[bytes]) -> None:
        """Put a shard in its place, and then its note."""
        if note.file:
            self.write(note.file, shard)
        self.write(f"{_NOTES}/{cut.name}.json", json.dumps(asdict(note)).encode())

    def write(self, path: str, data: bytes | Sequence[bytes]) -> None:
        """Write a file, which is there as a whole or as it was."""
        place = self.root / path
        with naming(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, data)

    def _marker(self) -> dict[str, Any] | None:
        place = self.root / _MARKER
        try:
            found = json.loads(place.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UsageError(f"{place} cannot be read", remedy="choose another --out")
        return found

    def _check_empty(self) -> None:
        if not self.root.is_dir():
            return
        if (self.root / ".oid" / "dataset.json").is_file():
            raise UsageError(
                f"{self.root} holds a dataset, not shards", remedy="choose another --out"
            )
        other = min((each.name for each in self.root.iterdir()), default=None)
        if other is not None:
            raise UsageError(
                f"{self.root} is not empty and belongs to something else (it holds {other})",
                remedy="choose another --out",
            )

    def _notes(self) -> Iterator[tuple[str, Done | None]]:
        folder = self.root / _NOTES
        names = [name for name in listing(folder) if name.endswith(".json")]
        if isinstance(folder, ObjectPath):
            keys = {(folder / name).key: name for name in names}
            read = {keys[key]: data for key, data in folder.objects.read_all([*keys]).items()}
        else:
            read = {name: (folder / name).read_bytes() for name in names}
        for name, data in read.items():
            yield name.removesuffix(".json"), _note(data)


def _note(data: bytes) -> Done | None:
    """Read a note; one that is none counts as not there."""
    try:
        found = json.loads(data)
        lists = {name: tuple(found[name]) for name in ("missing", "damaged")}
        return Done(**found | lists)
    except (ValueError, TypeError, KeyError):
        return None
