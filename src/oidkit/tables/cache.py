"""The tables and mask indexes of a source in the cache, found by their key.

::

    <cache>/<source>/tables/<key>/<id>/     a table; <id> is made of the object's ETag
    <cache>/<source>/masks/<key>.parquet    the directory of a mask zip
    <cache>/<source>/work/<key>/            a table that is being built

A source has a folder of its own, so two mirrors never share anything.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.disk import write_atomically
from oidkit.tables.build import TableBuilder
from oidkit.tables.masks import MaskIndex
from oidkit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.schema import Schema

__all__ = ["Cache"]


@dataclass(frozen=True, slots=True)
class Cache:
    """What is kept of one source, below `root`."""

    root: Path

    def make(self, source: str) -> None:
        """Make the folders, and note whose they are.

        Raises:
            OSError: they cannot be made.

        """
        for name in ("tables", "masks", "work"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        note = self.root / "source.txt"
        if not note.exists():
            write_atomically(note, f"{source}\n".encode())

    # -- tables ---------------------------------------------------------------------------------

    def table(self, key: str) -> Table | None:
        """Give the newest table of a CSV, if one is there."""
        found = sorted(self._tables(key), key=lambda pair: pair[0], reverse=True)
        return found[0][1] if found else None

    def builder(self, key: str, schema: Schema) -> TableBuilder:
        """Begin, or go on with, the table of a CSV."""
        return TableBuilder(
            self.root / "tables" / _slug(key), self.root / "work" / _slug(key), schema, name=key
        )

    def lock_file(self, key: str) -> Path:
        """Say which file is locked while the table of a CSV is checked or built."""
        return self.root / "work" / f"{_slug(key)}.lock"

    def drop_older(self, key: str, newest: Table) -> None:
        """Remove the tables of a CSV that its source has replaced."""
        for _, table in self._tables(key):
            if table.folder != newest.folder:
                shutil.rmtree(table.folder, ignore_errors=True)

    def tables(self) -> Iterator[Table]:
        """Give every table that is there, by key."""
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted((self.root / "tables").iterdir()):
                for _, table in self._tables(folder.name):
                    yield table

    def _tables(self, key: str) -> Iterator[tuple[int, Table]]:
        folder = self.root / "tables" / _slug(key)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in folder.iterdir():
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    table = Table.load(path)
                    yield (path / "table.json").stat().st_mtime_ns, table

    # -- mask indexes ---------------------------------------------------------------------------

    def masks(self, key: str) -> MaskIndex | None:
        """Give the index of a mask zip, if it is there."""
        return MaskIndex.load(self.masks_file(key))

    def keep_masks(self, index: MaskIndex) -> MaskIndex:
        """Keep the index of a mask zip; the one that is given back is read from the disk."""
        path = self.masks_file(index.key)
        index.save(path)
        return MaskIndex.load(path) or index

    def drop_masks(self, key: str) -> None:
        """Forget the index of a mask zip that its source has replaced."""
        self.masks_file(key).unlink(missing_ok=True)

    def mask_indexes(self) -> Iterator[MaskIndex]:
        """Give every mask index that is there, by key."""
        for path in sorted((self.root / "masks").glob("*.parquet")):
            if (index := MaskIndex.load(path)) is not None:
                yield index

    def masks_file(self, key: str) -> Path:
        """Say where the index of a mask zip lies."""
        return self.root / "masks" / f"{_slug(key)}.parquet"


def _slug(key: str) -> str:
    return key.replace("/", "~")
