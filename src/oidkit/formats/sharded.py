"""Pictures into shards, one after the other: the writer of every format whose files hold some."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

from oidkit.disk import write_atomically
from oidkit.formats.masks import notes_of
from oidkit.formats.model import ShardNote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oidkit.formats.model import Category, Entry, Picture, Shard, Sharded

__all__ = ["ShardWriter"]


class ShardWriter:
    """Writes the shards of a format; the last step gives them their names.

    How many shards a split has may be a part of each one's name, and is known at the end alone.
    """

    def __init__(self, out: Path, categories: tuple[Category, ...], *, sharded: Sharded) -> None:
        self._out, self._categories, self._sharded = out, categories, sharded
        self._done: dict[str, list[ShardNote]] = {}
        self._told: Counter[str] = Counter()
        self._split = ""
        self._shard: Shard | None = None
        self._file: BinaryIO | None = None

    def add(self, picture: Picture, entry: Entry) -> None:
        # Pictures come split by split, so that one shard is open at a time.
        if self._shard is not None and (
            picture.split != self._split or not self._shard.has_room(entry)
        ):
            self.close()
        shard = self._shard or self._begin(picture.split)
        shard.add(picture, entry)

    def finish(self) -> Iterable[str]:
        self.close()
        notes = []
        for split, shards in self._done.items():
            for at, each in enumerate(shards):
                file = self._sharded.shard_path(split, at, len(shards))
                (self._out / file).parent.mkdir(exist_ok=True)
                (self._out / each.file).rename(self._out / file)
                notes.append(ShardNote(split, file, each.samples, each.facts))
        for path, content in self._sharded.listing(self._categories, notes).items():
            write_atomically(self._out / path, content)
        return notes_of(self._told)

    def close(self) -> None:
        """Write the end of the shard that is open, and let go of it."""
        shard, self._shard = self._shard, None
        if shard is not None:
            facts = shard.close()
            done = self._done[self._split]
            done.append(ShardNote(self._split, self._unfinished(), shard.samples, facts))
            self._told.update(shard.told)
        if self._file is not None:
            self._file.close()

    def _begin(self, split: str) -> Shard:
        self._split = split
        self._done.setdefault(split, [])
        self._file = (self._out / self._unfinished()).open("xb")
        self._shard = self._sharded.shard(self._file, self._categories)
        return self._shard

    def _unfinished(self) -> str:
        return f"{self._split}-{len(self._done[self._split])}.unfinished"
