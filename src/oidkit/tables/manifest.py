"""The manifest: one row for each file that was ever asked for, and what became of it.

While a run is under way its rows go to the end of a journal of its own. When it is over, or when
the next run finds the journal of one that was killed, they are merged into `manifest.csv`, sorted
by path, so that the same dataset has the same manifest however it came about. Of several runs at
once the last one merges the journals of all: what is merged is never added to any more, so it does
not matter who does it, or whether two do.

Nothing that is read here is believed for its own sake. `manifest.md5` has the MD5 of the manifest,
and each row of a journal its CRC-32; what does not fit counts as not there. Files that the journal
of a killed run has, and of which it does not say that they had reached the disk, are read through,
as a loss of power may have killed it.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from oidkit.disk import Record, holds, move, stamp, write_atomically
from oidkit.errors import DiskError, UsageError
from oidkit.objectpath import ObjectPath
from oidkit.tables.journal import COLUMNS, Found, free_name, journals
from oidkit.tables.manifestrows import (
    EARLIER,
    SIZE,
    no_rows,
    of_journal,
    parsed,
    printed,
    records,
    with_journals,
)
from oidkit.tables.objectjournal import ObjectJournal, open_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from oidkit.disk import Stamp
    from oidkit.objectpath import Location
    from oidkit.tables.journal import Journal

__all__ = ["Manifest", "PixelSizes"]

_LOST = "its bytes did not reach the disk"
_SPLIT_OF_KEY = pl.col("key").str.extract("^open-images-dataset/([^/]+)/")
_MOST_TRIES = 20
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

    def __init__(self, folder: Location, *, writable: bool = True) -> None:
        self._writable = writable
        self._folder, self._root = folder, folder.parent
        self._path = folder / "manifest.csv"
        self._sums = folder / "manifest.md5"
        self._journal: Journal | ObjectJournal | None = None
        self._parts: list[Found] = []
        self._seen: Stamp | None = None
        self._rows = no_rows()
        self.damaged = False
        self._settle()

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

    def lost_checks(self, folder: str) -> dict[str, str]:
        """Give the checks of the files right in a folder whose bytes a killed run has lost."""
        front = f"{folder}/" if folder else ""
        lost = (pl.col("status") == "failed") & (pl.col("check") != "")
        path = pl.col("path")
        rows = self._rows.filter(lost, path.str.starts_with(front))
        return dict(rows.select(path.str.strip_prefix(front), "check").iter_rows())

    def of_paths(self, paths: Sequence[str]) -> dict[str, Record]:
        """Give the records of some files, by path."""
        wanted = pl.DataFrame({"path": paths}, schema={"path": pl.String})
        return {record.path: record for record in records(self._rows.join(wanted, on="path"))}

    def folders_of(self, images: NDArray[np.uint64], *, below: str) -> list[str]:
        """Name the folders right or further *below* one of the dataset that have some images."""
        found = (
            self._rows.lazy()
            .filter(pl.col("path").str.starts_with(f"{below}/"), pl.col("status") == "ok")
            .select(
                pl.col("path").str.extract("^(.*)/[^/]*$").alias("folder"),
                _IMAGE_ID.str.to_integer(base=16, dtype=pl.UInt64).alias("image"),
            )
            .join(pl.LazyFrame({"image": images}), on="image", how="semi")
            .select(pl.col("folder").unique().sort())
        )
        return found.collect()["folder"].to_list()

    def image_sizes(self, split: str) -> PixelSizes:
        """Give the pixel sizes of the whole images of a split, of those that have one here."""
        size = [pl.col(name).cast(pl.Int32) for name in SIZE]
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

    def image_paths(self) -> pl.DataFrame:
        """Give the columns split, image and path of every image that is there, each once."""
        splits = self._rows.lazy().filter(pl.col("kind") == "image", pl.col("status") == "ok")
        of_path = pl.col("path").str.extract("^images/([^/]+)/")
        rows = splits.select(
            pl.coalesce(of_path, _SPLIT_OF_KEY).alias("split"),
            _IMAGE_ID.str.to_integer(base=16, dtype=pl.UInt64).alias("image"),
            "path",
        )
        return rows.drop_nulls().sort("path").unique(["split", "image"], keep="first").collect()

    def unsized(self, split: str | None = None) -> Iterator[Record]:
        """Give the images of a split, or all images and masks, that have no pixel size here."""
        pictures = pl.col("kind").is_in(["image", "mask"]) & (pl.col("status") == "ok")
        rows = self._rows.lazy().filter(pictures) if split is None else self._images(split)
        return records(rows.filter(pl.col("width") == "0").collect())

    def _images(self, split: str, *, whole: bool = True) -> pl.LazyFrame:
        """Give the images of a split; a flat list has them by their key alone."""
        of_path = pl.col("path").str.extract("^images/([^/]+)/")
        wanted = (pl.col("kind") == "image") & ((pl.col("status") == "ok") | (not whole))
        ours = pl.coalesce(of_path, _SPLIT_OF_KEY) == split
        return self._rows.lazy().filter(wanted, ours, _IMAGE_ID.is_not_null())

    def records(self) -> Iterator[Record]:
        """Give every record, by path."""
        return records(self._rows)

    def add(self, record: Record) -> None:
        """Write a row to the journal."""
        if not self._writable:
            return
        if self._journal is None:
            self._journal = open_journal(self._folder)
        self._journal.add(record)

    def expect(self, part: str) -> None:
        """Take in the rows of a `ManifestPart` that is done, by its name, when it is merged.

        One without a name is found by itself.
        """
        if part:
            self._parts.append(Found(self._folder / part))

    def inherit(self, part: str) -> None:
        """Let anybody merge the part of a worker that is dead, on whatever machine it was."""
        with contextlib.suppress(FileNotFoundError):
            move(self._folder / part, self._folder / free_name())

    def merge(self) -> None:
        """Take in the rows of the journal, so that the manifest can be asked about it."""
        books: list[Found | Journal] = [*self._parts]
        if isinstance(self._journal, ObjectJournal):
            self._journal.flush()
        elif self._journal is not None:
            books.append(self._journal)
        if isinstance(self._folder, ObjectPath):
            # In a bucket each is whole by itself, whoever of the run has put it there.
            books += journals(self._folder)
        frames = [of_journal(each.rows())[0] for each in books]
        self._parts.clear()
        self._rows = with_journals(self._rows, frames)

    def close(self) -> None:
        """End the work on the manifest."""
        if self._journal is not None:
            self._journal.hand_over()
            self._journal = None
            # All of it is read again, and two copies would be in memory.
            self._rows = no_rows()
        self._settle()

    def _settle(self) -> None:
        """Read what is there; write it as one manifest, unless other runs still add to it.

        Journals come first and the manifest after them: one that is gone by then is in there.
        """
        for _ in range(_MOST_TRIES):
            found = journals(self._folder)
            frames = [self._standing(each) for each in found]
            before, stored = stamp(self._path), self._stored()
            self.damaged = stored is None and (before is not None or not found)
            rows = with_journals(no_rows() if stored is None else stored, frames)
            self._rows = rows
            frames.clear()
            if not self._writable or not all(each.is_left() for each in found):
                return
            stale = stored is None or found or not self._sums.exists()
            if stale and not self._write(rows, instead=before):
                continue
            for each in found:
                # In a bucket that may be forbidden. What stays is merged again, to the same rows.
                with contextlib.suppress(DiskError):
                    each.path.unlink(missing_ok=True)
            return

    def _standing(self, journal: Found) -> pl.DataFrame:
        """Give the rows of a journal; files that a dead run was not sure of are looked at."""
        rows, sure = of_journal(journal.rows())
        # Also of a run that seems to be alive: of another machine, or a container, nobody can tell.
        doubted = rows.slice(sure).unique("path", keep="last").filter(pl.col("status") == "ok")
        gone = [
            record.path
            for record in records(doubted)
            if not holds(self._root / record.path, size=record.bytes, check=record.check)
        ]
        lost = pl.col("path").is_in(gone)
        failed = (
            pl.when(lost).then(pl.lit(value)).otherwise(name).alias(name)
            for name, value in (("status", "failed"), ("reason", _LOST))
        )
        return rows.with_columns(failed)

    def _write(self, rows: pl.DataFrame, *, instead: Stamp | None) -> bool:
        """Write the manifest *instead* of the one of that stamp; False where it is another by now.

        Its old checksum and the new one hold until it stands there.
        """
        check = hashlib.md5(usedforsecurity=False)
        for piece in printed(rows):
            check.update(piece)
        fresh = check.hexdigest().encode()
        sums = b"".join({each + b"\n" for each in [*self._known(), fresh]})
        write_atomically(self._sums, sums, lasting=True)
        if stamp(self._path) != instead:
            return False
        write_atomically(self._path, printed(rows), lasting=True)
        write_atomically(self._sums, fresh + b"\n", lasting=True)
        return True

    def _known(self) -> list[bytes]:
        with contextlib.suppress(FileNotFoundError):
            return self._sums.read_bytes().split()
        return []

    def _stored(self) -> pl.DataFrame | None:
        """Give the rows of the manifest, or None where there is none that is whole."""
        for _ in range(_MOST_TRIES):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return None
            known = self._known()
            head = data.split(b"\n", 1)[0]
            if set(COLUMNS) < set(head.decode("utf-8", errors="replace").split(",")):
                raise UsageError(
                    f"{self._path} was written by a newer oidkit",
                    remedy="update oidkit, or choose another folder",
                )
            first = head == ",".join(EARLIER).encode()
            if first or not known or _digest(data) in known:
                return parsed(data)
            if stamp(self._path) == self._seen:
                return None
            # Another run may have been writing it just then.
            self._seen = stamp(self._path)
        return None


def _digest(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
