"""Where the masks of a class lie in the zips of a split: the mask indexes, sorted by class.

An index of the cache is sorted by the names of the masks, which begin with the image: those of a
class lie all over it. Here the masks of all zips of a split are sorted by class, then by name: a
class is one run of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from oidkit.tables.masks import MaskIndex
from oidkit.tables.table import disk_errors, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from oidkit.tables.ranged import RangedParts

__all__ = ["MaskOffsets", "write_offsets"]

_PART_ROWS, _GROUP_ROWS = 131_072, 4_096
_COLUMNS = ("name", "offset", "stop", "csize", "usize", "crc32", "method", "flags")
_KNOWN = ("key", "etag", "total", "ignored", "count")


def write_offsets(indexes: Sequence[MaskIndex], folder: Path) -> dict[str, Any]:
    """Write the masks of some whole indexes as parts into *folder*; give what is to be known of it.

    `zips` has what each index says of its zip, and `runs` for each class, as the names of masks
    have it, its rows: part, first row, number. The same indexes give the same bytes.

    Raises:
        DiskError: they cannot be written.

    """
    frames = [
        each.members.select(_COLUMNS).with_columns(pl.lit(number, pl.UInt16).alias("zip"))
        for number, each in enumerate(indexes)
    ]
    with unreadable(folder):
        rows = pl.concat(frames).with_columns(_class_of("name")).collect()
        rows = rows.sort("class", "name")
    runs: dict[str, list[list[int]]] = {}
    with disk_errors(folder):
        for number, part in enumerate(rows.iter_slices(_PART_ROWS)):
            for name, first, count in _runs(part):
                runs.setdefault(name, []).append([number, first, count])
            path = folder / f"part-{number:04d}.parquet"
            part.drop("class").write_parquet(path, row_group_size=_GROUP_ROWS)
    zips = [{name: getattr(each, name) for name in _KNOWN} for each in indexes]
    return {"zips": zips, "runs": runs}


def _class_of(name: str) -> pl.Expr:
    return pl.col(name).str.split("_").list.get(1).alias("class")


def _runs(part: pl.DataFrame) -> Iterator[tuple[str, int, int]]:
    counts = part.select(pl.col("class").rle()).unnest("class")
    first = 0
    for count, name in counts.select("len", "value").iter_rows():
        yield name, first, count
        first += count


@dataclass(frozen=True, slots=True)
class MaskOffsets:
    """What `write_offsets` made, where it lies elsewhere: `zips` and `runs` are as it gave them."""

    parts: RangedParts
    zips: Sequence[Mapping[str, Any]]
    runs: Mapping[str, Sequence[Sequence[int]]]

    def find(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, MaskIndex]:
        """Give an index of each zip, by its key, in which the masks that are *wanted* of it stand.

        It has the classes of those masks and no others. A zip that is not known is left out.
        """
        numbers = {each["key"]: number for number, each in enumerate(self.zips)}
        asked = {key: names for key, names in wanted.items() if key in numbers}
        # A name has the image, the class and the box.
        classes = {name.split("_")[1] for names in asked.values() for name in names}
        runs = [run for each in sorted(classes) for run in self.runs.get(each, ())]
        self.parts.bring((part, first, count) for part, first, count in runs)
        frame = self._rows(runs)
        found = {}
        for key, names in asked.items():
            known = {name: self.zips[numbers[key]][name] for name in _KNOWN}
            rows = frame.filter(
                pl.col("zip") == numbers[key], pl.col("name").is_in(pl.Series(names).implode())
            )
            # Made anew, as rows that were filtered out leave their names in memory.
            anew = pl.DataFrame(rows.to_dict(as_series=False), schema=rows.schema)
            found[key] = MaskIndex(**known, members=anew.select(_COLUMNS).lazy())
        return found

    def _rows(self, runs: Sequence[Sequence[int]]) -> pl.DataFrame:
        folder = self.parts.folder
        with unreadable(folder):
            frames = [
                pl.scan_parquet(folder / self.parts.parts[part].name, glob=False).slice(
                    first, count
                )
                for part, first, count in runs
            ]
            if frames:
                return pl.concat(pl.collect_all(frames))
        return pl.DataFrame(
            schema={"name": pl.String, **dict.fromkeys(_COLUMNS[1:], pl.UInt64), "zip": pl.UInt16}
        )
