"""A finished table: Parquet parts sorted by class, and where each class lies in them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from oidkit.errors import DiskError, IntegrityError
from oidkit.schema import LINE, Keep
from oidkit.tables.rowfilter import kept
from oidkit.tables.several import NTH, in_order, of_first_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FORMAT", "Rows", "Table", "disk_errors", "image_ids", "image_names", "unreadable"]

FORMAT = 2
Rows = pl.DataFrame
"""Rows of an annotation file: a column for each of its columns, of published text."""
_EVERY = Keep()
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one annotation file, every column as published text.

    `labels` tells for each MID the runs of rows that hold it: part, first row, number of rows,
    number of images. `rejects` is the number of rows that were set aside. Where `classes` are
    several columns, a row stands in the parts once for each class that it names. `group` rows
    are read together at the least.
    """

    folder: Path
    name: str
    etag: str | None
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    rows: int
    rejects: int
    bytes: int
    parts: int
    group: int
    labels: Mapping[str, Sequence[Sequence[int]]]

    @classmethod
    def load(cls, folder: Path) -> Table:
        """Open a table.

        Raises:
            OSError: there is none in the folder.
            ValueError: there is something else in the folder, a table of another format, or one
                of which a part is not as long as it was.

        """
        found: Any = json.loads((folder / "table.json").read_bytes())
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{folder} has another format")
        sizes = [(folder / _part(number)).stat().st_size for number in range(found["parts"])]
        if sizes != found["sizes"]:
            raise ValueError(f"{folder} is damaged")
        return cls(
            folder=folder,
            name=found["name"],
            etag=found["etag"],
            columns=tuple(found["columns"]),
            classes=tuple(found["classes"]),
            rows=found["rows"],
            rejects=found["rejects"],
            bytes=found["bytes"],
            parts=found["parts"],
            group=found["group"],
            labels=found["labels"],
        )

    @property
    def rejects_file(self) -> Path:
        """Where the rows lie that were set aside, with their line numbers and reasons."""
        return self.folder / "rejects.csv"

    def count(self, mid: str) -> tuple[int, int]:
        """Give the number of rows and of images of a class, without reading any row."""
        runs = self.labels.get(mid, ())
        return sum(run[2] for run in runs), sum(run[3] for run in runs)

    def rows_of(
        self,
        mids: Iterable[str],
        *,
        columns: Sequence[str] | None = None,
        keep: Keep = _EVERY,
    ) -> pl.DataFrame:
        """Give the rows of some classes in ImageID order, those of an image as published.

        The rows that an image has of several classes come class by class, in the order of *mids*,
        but for a file whose rows name several classes: those stand there once, as published.
        Only the row groups that hold the classes are read, and only the *columns* asked for, of
        which ImageID has to be one, with those that *keep* looks at.
        """
        rows = self._found(mids, self._with_number(columns), keep)
        return self._sorted(rows).select(columns or self.columns)

    def images_of(self, *mids: str, keep: Keep = _EVERY) -> NDArray[np.uint64]:
        """Give the images that have any of the classes in a row to *keep*, as sorted numbers."""
        return image_ids(self._found(mids, ["ImageID"], keep))

    def _found(self, mids: Iterable[str], columns: Sequence[str], keep: Keep) -> pl.DataFrame:
        frames = [
            kept(self._scan(part).slice(first, count), keep).select(columns)
            for mid in dict.fromkeys(mids)
            for part, first, count, _ in self.labels.get(mid, ())
        ]
        if not frames:
            types = {each: pl.UInt32 if each == NTH else pl.String for each in columns}
            return pl.DataFrame(schema=types)
        with unreadable(self.folder):
            return pl.concat(pl.collect_all(frames))

    def rows_by_image(
        self,
        ids: NDArray[np.uint64],
        *,
        columns: Sequence[str] | None = None,
        keep: Keep = _EVERY,
    ) -> pl.DataFrame:
        """Give the rows to *keep* of some images, one part at a time so that memory stays bounded.

        They come in ImageID order, those of an image by LabelName, and then as published. Only the
        *columns* asked for are read, of which ImageID has to be one.
        """
        found = list(self.parts_by_image(ids, columns=columns, keep=keep))
        if not found:
            return pl.DataFrame(schema=dict.fromkeys(columns or self.columns, pl.String))
        return self._sorted(pl.concat(found))

    def parts_by_image(
        self,
        ids: NDArray[np.uint64],
        *,
        columns: Sequence[str] | None = None,
        keep: Keep = _EVERY,
    ) -> Iterator[pl.DataFrame]:
        """Give the rows of some images as `rows_by_image` does, but part by part."""
        names = pl.DataFrame({"ImageID": image_names(ids)}, schema={"ImageID": pl.String})
        chosen = self._with_number(columns)
        for part in range(self.parts) if len(ids) else ():
            rows = kept(self._scan(part), keep)
            if len(self.classes) > 1:
                rows = of_first_class(rows, self.classes)
            with unreadable(self.folder):
                for piece in self._pieces(rows, names, chosen):
                    yield piece.collect()

    def _pieces(
        self, rows: pl.LazyFrame, names: pl.DataFrame, columns: Sequence[str]
    ) -> Iterator[pl.LazyFrame]:
        """Give what has to be read for some images; of long lines the groups that hold one."""
        if LINE not in columns:
            yield rows.select(columns).join(
                names.lazy(), on="ImageID", how="semi", maintain_order="left"
            )
            return
        wanted = pl.col("ImageID").is_in(names["ImageID"].implode())
        there = rows.select(wanted).collect().to_series().arg_true().to_numpy()
        groups = np.unique(there // self.group)
        for run in np.split(groups, np.flatnonzero(np.diff(groups) > 1) + 1):
            if len(run):
                whole = rows.slice(int(run[0]) * self.group, len(run) * self.group)
                yield whole.filter(wanted).select(columns)

    def _with_number(self, columns: Sequence[str] | None) -> list[str]:
        return [*(columns or self.columns), *([NTH] if len(self.classes) > 1 else [])]

    def _sorted(self, rows: pl.DataFrame) -> pl.DataFrame:
        if len(self.classes) > 1:
            return in_order(rows)
        return rows.sort("ImageID", maintain_order=True)

    def _scan(self, part: int) -> pl.LazyFrame:
        # A folder's name may hold what would otherwise be a pattern.
        return pl.scan_parquet(self.folder / _part(part), glob=False)


def _part(number: int) -> str:
    return f"part-{number:04d}.parquet"


@contextlib.contextmanager
def unreadable(path: Path | str) -> Iterator[None]:
    """Raise `IntegrityError`, which names *path*, where something in the cache cannot be read."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise IntegrityError(
            f"{path} in the cache is damaged", remedy="remove it and run the same command again"
        ) from error


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise `DiskError`, which names *path*, for what the engine says of a disk that is full.

    It has no error number in an `OSError`, and wraps some in errors of its own.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskError):
            raise
        raise DiskError.from_os(error, path=path) from error
    except pl.exceptions.PolarsError as error:
        if "(os error " not in str(error):
            raise
        raise DiskError.from_os(OSError(str(error)), path=path) from error


def image_ids(rows: pl.DataFrame) -> NDArray[np.uint64]:
    """Give the images of some rows as sorted 64-bit numbers, each once."""
    ids: NDArray[np.uint64] = rows["ImageID"].str.to_integer(base=16, dtype=pl.UInt64).to_numpy()
    if len(ids) < _FEWEST or (ids[1:] < ids[:-1]).any():
        return np.unique(ids)
    # As the rows of one class come out of a table: no need to sort a million of them again.
    first = np.ones(len(ids), dtype=np.bool_)
    first[1:] = ids[1:] != ids[:-1]
    return ids[first]


def image_names(ids: NDArray[np.uint64]) -> list[str]:
    """Give the names of images: 16 hex digits each."""
    return [f"{number:016x}" for number in ids.tolist()]
