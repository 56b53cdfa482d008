"""The directory of a mask zip as a table on disk: once read, it is never asked for again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from oidkit.disk import write_atomically
from oidkit.tables.table import unreadable
from oidkit.zipindex import Member

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oidkit.zipindex import ZipIndex

__all__ = ["MaskIndex"]

_FORMAT = "1"
_COLUMNS = ("name", "offset", "stop", "csize", "usize", "crc32", "method", "flags")


@dataclass(frozen=True, slots=True, eq=False)
class MaskIndex:
    """Where each mask lies in the zip at `key`: columns as in `oidkit.zipindex.ZipIndex`.

    `etag` and `total` (bytes) tell which zip it was: every later read of it asks for that very one.
    `ignored` is the number of members that are no masks by their names. `path` is where it was read
    from.
    """

    key: str
    etag: str | None
    total: int
    ignored: int
    members: pl.LazyFrame
    count: int
    path: Path | None = None

    @classmethod
    def of(cls, index: ZipIndex, *, key: str, etag: str | None) -> MaskIndex:
        """Turn what the directory says into columns, sorted by name."""
        columns = {"name": index.names} | {name: getattr(index, name) for name in _COLUMNS[1:]}
        frame = pl.DataFrame(columns, schema_overrides={"name": pl.String}).sort("name")
        return cls(key, etag, index.total, index.ignored, frame.lazy(), frame.height)

    @classmethod
    def load(cls, path: Path) -> MaskIndex | None:
        """Open an index, or give None where there is none that this version can read."""
        try:
            note = pl.read_parquet_metadata(path)
            if note.get("format") != _FORMAT:
                return None
            return cls(
                key=note["key"],
                etag=note["etag"] or None,
                total=int(note["total"]),
                ignored=int(note["ignored"]),
                members=pl.scan_parquet(path, glob=False),
                count=int(note["count"]),
                path=path,
            )
        except (OSError, KeyError, ValueError, pl.exceptions.PolarsError):
            return None

    def save(self, path: Path) -> None:
        """Write the index to a file, whole or not at all."""
        note = {
            "format": _FORMAT,
            "key": self.key,
            "etag": self.etag or "",
            "total": str(self.total),
            "ignored": str(self.ignored),
            "count": str(self.count),
        }
        data = io.BytesIO()
        self.members.collect().write_parquet(data, metadata=note, row_group_size=16_384)
        write_atomically(path, data.getvalue())

    def find(self, names: Sequence[str]) -> dict[str, Member]:
        """Find masks by their names; those that the zip does not have are left out."""
        wanted = pl.LazyFrame({"name": names}, schema={"name": pl.String})
        with unreadable(self.path or self.key):
            found = self.members.join(wanted, on="name", how="semi").select(_COLUMNS).collect()
        return {row[0]: Member(*row) for row in found.iter_rows()}
