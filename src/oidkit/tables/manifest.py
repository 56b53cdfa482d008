"""The manifest: one row for each file that was ever asked for, and what became of it.

While a run is under way its rows go to the end of a journal. When it is over, or when the next run
finds the journal of one that was killed, they are merged into `manifest.csv`, sorted by path, so
that the same dataset has the same manifest however it came about.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import numpy as np
import polars as pl

from oidkit.disk import Record, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Manifest", "PixelSizes"]

_COLUMNS = ("path", "kind", "key", "status", "bytes", "width", "height", "check", "reason")
_SIZE = ("width", "height")
# The columns of the first manifests, which are still read: no size is known then.
_EARLIER = tuple(name for name in _COLUMNS if name not in _SIZE)
_SCHEMA = dict.fromkeys(_COLUMNS, pl.String)
_SPLIT_OF_KEY = pl.col("key").str.extract("^open-images-dataset/([^/]+)/")
_IMAGE_ID = pl.col("path").str.extract(r"(?:^|/)([0-9a-f]{16})\.jpg$")


@dataclass(frozen=True, slots=True)
class PixelSizes:
    """The sizes of images in pixels, as columns of the same length.

    `ids` are sorted, each once; `width` and `height` are those of the pixels as they are stored,
    each more than 0.
    """

    ids: NDArray[np.uint64]
    width: NDArray[np.int32]
    height: NDArray[np.int32]

    def of(self, ids: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Give the width and height of each of some images, 0 and 0 where they are not known."""
        if not len(self.ids):
            return np.zeros(len(ids), np.int32), np.zeros(len(ids), np.int32)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        known = self.ids[at] == ids
        return self.width[at] * known, self.height[at] * known

    def with_others(self, rows: Iterable[tuple[int, int, int]]) -> PixelSizes:
        """Add images, id, width and height of each, that are not among these."""
        more = np.fromiter(rows, dtype="u8,i4,i4")
        ids, first = np.unique(np.concatenate([self.ids, more["f0"]]), return_index=True)
        width = np.concatenate([self.width, more["f1"]])[first]
        return PixelSizes(ids, width, np.concatenate([self.height, more["f2"]])[first])


class Manifest:
    """The manifest of the dataset whose records lie in *folder* (``.oid``).

    `damaged` tells that the file was not one of ours, or was not there at all: it counts as empty,
    and what stands on the disk is looked at instead. One that is not *writable* changes nothing.
    """

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        self._writable = writable
        self._path = folder / "manifest.csv"
        self._journal = folder / "journal.csv"
        self._file: TextIO | None = None
        self.damaged = False
        self._rows = self._load()

    def sizes(self, folder: str) -> dict[str, int]:
        """Give the bytes of the whole files right in a folder of the dataset, by file name.

        The empty name stands for the dataset's own folder.
        """
        front = f"{folder}/" if folder else ""
        path = pl.col("path")
        name = path.str.strip_prefix(front)
        right_in = path.str.starts_with(front) & ~name.str.contains("/", literal=True)
        rows = self._rows.filter(right_in, pl.col("status") == "ok")
        return dict(rows.select(name, pl.col("bytes").cast(pl.Int64)).iter_rows())

    def of_paths(self, paths: Sequence[str]) -> dict[str, Record]:
        """Give the records of some files, by path."""
        wanted = pl.DataFrame({"path": paths}, schema={"path": pl.String})
        return {record.path: record for record in _records(self._rows.join(wanted, on="path"))}

    def folders_of(self, names: Sequence[str], *, below: str) -> list[str]:
        """Name the folders right or further *below* one of the dataset that have some files."""
        parts = pl.col("path").str.extract_groups("^(.*)/([^/]*)$").struct
        wanted = pl.LazyFrame({"name": names}, schema={"name": pl.String})
        found = (
            self._rows.lazy()
            .filter(pl.col("path").str.starts_with(f"{below}/"), pl.col("status") == "ok")
            .select(parts.field("1").alias("folder"), parts.field("2").alias("name"))
            .join(wanted, on="name", how="semi")
            .select(pl.col("folder").unique().sort())
        )
        return found.collect()["folder"].to_list()

    def image_sizes(self, split: str) -> PixelSizes:
        """Give the pixel sizes of the whole images of a split, of those that have one here."""
        size = [pl.col(name).cast(pl.Int32) for name in _SIZE]
        rows = (
            self._images(split)
            .select(_IMAGE_ID.str.to_integer(base=16, dtype=pl.UInt64).alias("id"), *size)
            .filter(pl.col("width") > 0)
            .unique("id")
            .sort("id")
            .collect()
        )
        return PixelSizes(*(rows[name].to_numpy() for name in rows.columns))

    def asked_images(self, split: str) -> NDArray[np.uint64]:
        """Give the images of a split that were ever asked for, sorted, whatever became of them."""
        ids = self._images(split, whole=False).select(
            _IMAGE_ID.str.to_integer(base=16, dtype=pl.UInt64)
        )
        return np.unique(ids.collect().to_series().to_numpy())

    def from_elsewhere(self) -> NDArray[np.uint64]:
        """Give the images that came from an address of their own, not from the image bucket."""
        whole = (pl.col("kind") == "image") & (pl.col("status") == "ok")
        rows = self._rows.lazy().filter(whole, pl.col("key").str.contains("://", literal=True))
        image = _IMAGE_ID.str.to_integer(base=16, dtype=pl.UInt64)
        return rows.select(image.drop_nulls().unique().sort()).collect().to_series().to_numpy()

    def pictures(self) -> pl.DataFrame:
        """Give the columns split, kind, image, status and bytes of every image and mask.

        An image is the number of its id; a mask has the one of its image.
        """
        of_path = pl.col("path").str.extract("^(?:images|masks)/([^/]+)/")
        picture = pl.col("path").str.extract(r"(?:^|/)([0-9a-f]{16})[^/]*$")
        found = (
            self._rows.lazy()
            .filter(pl.col("kind").is_in(["image", "mask"]))
            .select(
                pl.coalesce(of_path, _SPLIT_OF_KEY).alias("split"),
                "kind",
                picture.str.to_integer(base=16, dtype=pl.UInt64).alias("image"),
                "status",
                pl.col("bytes").cast(pl.Int64),
            )
        )
        return found.collect()

    def unsized(self, split: str | None = None) -> Iterator[Record]:
        """Give the images of a split, or all images and masks, that have no pixel size here."""
        pictures = pl.col("kind").is_in(["image", "mask"]) & (pl.col("status") == "ok")
        rows = self._rows.lazy().filter(pictures) if split is None else self._images(split)
        return _records(rows.filter(pl.col("width") == "0").collect())

    def _images(self, split: str, *, whole: bool = True) -> pl.LazyFrame:
        """Give the images of a split; a flat list has them by their key alone."""
        of_path = pl.col("path").str.extract("^images/([^/]+)/")
        wanted = (pl.col("kind") == "image") & ((pl.col("status") == "ok") | (not whole))
        ours = pl.coalesce(of_path, _SPLIT_OF_KEY) == split
        return self._rows.lazy().filter(wanted, ours, _IMAGE_ID.is_not_null())

    def records(self) -> Iterator[Record]:
        """Give every record, by path."""
        return _records(self._rows)

    def add(self, record: Record) -> None:
        """Write a row to the journal."""
        if not self._writable:
            return
        if self._file is None:
            self._file = self._journal.open("a", encoding="utf-8", newline="")
        # Not only what csv thinks necessary: Python 3.11 does not for a lone CR, which ends a line.
        csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(
            str(getattr(record, name)) for name in _COLUMNS
        )
        # At once: what a killed run did not write down would be fetched again.
        self._file.flush()

    def merge(self) -> None:
        """Merge the journal into the manifest, so that it can be asked about it."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._merge()

    def close(self) -> None:
        """End the work on the manifest."""
        self.merge()

    def _load(self) -> pl.DataFrame:
        self._rows = pl.DataFrame(schema=_SCHEMA)
        self.damaged = not self._journal.exists()
        if self._path.exists():
            rows = _parsed(self._path.read_bytes())
            self.damaged = rows is None
            self._rows = self._rows if rows is None else rows
        self._merge()
        return self._rows

    def _merge(self) -> None:
        if not self._journal.exists():
            if self._writable and not self._path.exists():
                write_atomically(self._path, _printed(self._rows))
            return
        whole, _, _cut = self._journal.read_bytes().rpartition(b"\n")
        head = ",".join(_columns_of(whole)).encode() + b"\n"
        fresh = _parsed(head + whole + b"\n" if whole else head)
        if fresh is not None and fresh.height:
            both = pl.concat([self._rows, fresh])
            self._rows = both.unique("path", keep="last").sort("path")
        if not self._writable:
            return
        write_atomically(self._path, _printed(self._rows))
        self._journal.unlink()


def _columns_of(rows: bytes) -> tuple[str, ...]:
    """Tell from the first row of a journal which columns it has."""
    text = io.TextIOWrapper(io.BytesIO(rows), "utf-8", errors="replace", newline="")
    try:
        first = next(csv.reader(text), [])
    except csv.Error:
        return _COLUMNS
    return _EARLIER if len(first) == len(_EARLIER) else _COLUMNS


def _parsed(data: bytes) -> pl.DataFrame | None:
    """Read rows, or give None where the bytes are no manifest."""
    head = data.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    columns = next((each for each in (_COLUMNS, _EARLIER) if head == ",".join(each)), None)
    if columns is None:
        return None
    if not data.endswith(b"\n"):
        # A row that was cut in its last fields still has a value for each that counts.
        return None
    try:
        rows = pl.read_csv(
            data,
            schema=dict.fromkeys(columns, pl.String),
            empty_string_is_null=False,
            extra_columns="raise",
            missing_columns="raise",
        )
    except pl.exceptions.PolarsError:
        return None
    if columns == _EARLIER:
        rows = rows.with_columns(pl.lit("0").alias(name) for name in _SIZE).select(_COLUMNS)
    well = pl.col("status").is_in(["ok", "missing", "failed", "damaged"])
    well &= pl.col("bytes").str.contains("^[0-9]+$")
    well &= pl.all_horizontal(pl.col(_SIZE).str.contains("^[0-9]{1,9}$"))
    well &= ~pl.col("path").str.contains(r"(^|/)\.\.(/|$)|^/|\\|:|\x00")
    return rows if rows.select(well.all()).item() else None


def _printed(rows: pl.DataFrame) -> bytes:
    data = io.BytesIO()
    rows.with_columns(pl.all().replace("", None)).write_csv(data)
    return data.getvalue()


def _records(rows: pl.DataFrame) -> Iterator[Record]:
    for path, kind, key, status, size, width, height, check, reason in rows.iter_rows():
        yield Record(path, kind, key, status, int(size), check, reason, int(width), int(height))
