"""The directory of a mask zip as a table on disk: once read, it is never asked for again."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from oidkit.disk import write_atomically
from oidkit.tables.table import unreadable
from oidkit.zipindex import Ends, Member
from oidkit.zipsearch import Entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oidkit.zipindex import ZipIndex
    from oidkit.zipsearch import NameSearch

__all__ = ["MaskIndex"]

_WHOLE, _PART = "1", "2"
"""Formats: of a whole directory, and of a part of one, which earlier versions pass over."""
_COLUMNS = ("name", "offset", "stop", "csize", "usize", "crc32", "method", "flags")
_PLACES = ("at", "after")
_KINDS = {
    "name": pl.String,
    **dict.fromkeys((*_PLACES, "offset", "stop", "csize", "usize"), pl.UInt64),
    "crc32": pl.UInt32,
    "method": pl.UInt16,
    "flags": pl.UInt16,
}


@dataclass(frozen=True, slots=True, eq=False)
class MaskIndex:
    """Where each mask lies in the zip at `key`: columns as in `oidkit.zipindex.ZipIndex`.

    `etag` and `total` (bytes) tell which zip it was: every later read of it asks for that very one.
    `ignored` is the number of members that are no masks by their names. `path` is where it was read
    from. `part` says where the directory lies of which only a part is known: `count` members, of
    which those at the edges of what was read are not to be found.

    The members of a whole directory are read from `path` each time, and another run may remove that
    meanwhile; see `Cache.find_masks`. A part holds what it knows, as every class makes another one.
    """

    key: str
    etag: str | None
    total: int
    ignored: int
    members: pl.LazyFrame
    count: int
    path: Path | None = None
    part: Ends | None = None

    @classmethod
    def of(cls, index: ZipIndex, *, key: str, etag: str | None) -> MaskIndex:
        """Turn what the directory says into columns, sorted by name."""
        columns = {"name": index.names} | {name: getattr(index, name) for name in _COLUMNS[1:]}
        frame = _frame(columns)
        return cls(key, etag, index.total, index.ignored, frame.lazy(), frame.height)

    @classmethod
    def of_part(cls, search: NameSearch, *, key: str, etag: str | None, total: int) -> MaskIndex:
        """Turn what a search has seen of a directory into columns, sorted by name."""
        entries = search.entries()
        frame = _frame({name: getattr(entries, name) for name in (*_COLUMNS, *_PLACES)})
        return cls(key, etag, total, 0, frame.lazy(), frame.height, part=search.ends)

    def entries(self) -> Entries:
        """Give what is known of the directory, of which a part is, in its order."""
        with unreadable(self.path or self.key):
            frame = self.members.sort("at").collect()
        columns = {name: frame[name].to_numpy() for name in (*_COLUMNS[1:], *_PLACES)}
        return Entries(name=frame["name"].to_list(), **columns)

    @classmethod
    def load(cls, path: Path) -> MaskIndex | None:
        """Open an index, or give None where there is none that this version can read."""
        data = _read(path)
        if data is None:
            return None
        try:
            note = pl.read_parquet_metadata(io.BytesIO(data))
            if note.get("format") not in (_WHOLE, _PART):
                return None
            part = json.loads(note["part"]) if note["format"] == _PART else None
            return cls(
                key=note["key"],
                etag=note["etag"] or None,
                total=int(note["total"]),
                ignored=int(note["ignored"]),
                members=pl.scan_parquet(io.BytesIO(data) if part else path, glob=False),
                count=int(note["count"]),
                path=path,
                part=Ends(**part) if part else None,
            )
        except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
            return None

    def save(self, folder: Path, stem: str) -> Path:
        """Write the index to a file, whole or not at all, and say which.

        Its CRC-32 is in its name, as *stem*.<8 hex digits>.parquet: the two cannot come apart.
        """
        note = {
            "format": _PART if self.part else _WHOLE,
            "key": self.key,
            "etag": self.etag or "",
            "total": str(self.total),
            "ignored": str(self.ignored),
            "count": str(self.count),
            "part": json.dumps(asdict(self.part)) if self.part else "",
        }
        data = io.BytesIO()
        self.members.collect().write_parquet(data, metadata=note, row_group_size=16_384)
        path = folder / f"{stem}.{zlib.crc32(data.getvalue()):08x}.parquet"
        write_atomically(path, data.getvalue(), lasting=True)
        return path

    @staticmethod
    def is_whole(path: Path) -> bool:
        """Check every byte of an index."""
        return _read(path) is not None

    def only(self, names: Sequence[str]) -> MaskIndex:
        """Hold of a part what is known of some masks; of many classes it is nearly the whole."""
        if self.part is None:
            return self
        with unreadable(self.path or self.key):
            rows = self._rows(names).collect()
        # Made anew, as rows that were filtered out leave their names in memory.
        anew = pl.DataFrame(rows.to_dict(as_series=False), schema=rows.schema)
        return replace(self, members=anew.lazy())

    def find(self, names: Sequence[str]) -> dict[str, Member]:
        """Find masks by their names; those that the zip does not have are left out."""
        with unreadable(self.path or self.key):
            found = self._rows(names).filter(pl.col("stop") > 0).select(_COLUMNS).collect()
        return {row[0]: Member(*row) for row in found.iter_rows()}

    def _rows(self, names: Sequence[str]) -> pl.LazyFrame:
        wanted = pl.LazyFrame({"name": names}, schema={"name": pl.String})
        return self.members.join(wanted, on="name", how="semi")


def _read(path: Path) -> bytes | None:
    """Read an index, or give None where its bytes are not those that it was written with."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if path.stem.endswith(f".{zlib.crc32(data):08x}") else None


def _frame(columns: dict[str, object]) -> pl.DataFrame:
    kinds = {name: kind for name, kind in _KINDS.items() if name in columns}
    return pl.DataFrame(columns).cast(kinds).sort("name")  # type: ignore[arg-type]
