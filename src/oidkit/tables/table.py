"""A finished table: Parquet parts sorted by class, and where each class lies in them."""

from __future__ import annotations

import contextlib
import errno
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import google_crc32c
import numpy as np
import polars as pl

from oidkit.disk import naming, write_atomically
from oidkit.errors import DiskError, IntegrityError, OidError
from oidkit.imageids import distinct
from oidkit.schema import LINE, Keep
from oidkit.tables.among import among, image_numbers
from oidkit.tables.holding import ODD, Holding
from oidkit.tables.rejects import REJECTS
from oidkit.tables.rowfilter import kept
from oidkit.tables.several import NTH, in_order, of_first_class
from oidkit.tables.texts import image_texts, published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "FORMAT",
    "Need",
    "Rows",
    "Supply",
    "Table",
    "checksum",
    "disk_errors",
    "image_ids",
    "image_names",
    "is_earlier",
    "unreadable",
    "write_note",
]

FORMAT = 4
_NOTE = "table.json"
Need = tuple[int, int, int | None]
"""A part by its number, the first of some rows in it, and how many they are, or None for all."""
Rows = pl.DataFrame
"""Rows of an annotation file: a column for each of its columns, of published text."""
_EVERY = Keep()
_EARLIER = (1, 2, 3)
_PIECE = 1 << 20


class Supply(Protocol):
    """What brings rows of a table here, such as `oidkit.tables.ranged.RangedParts`."""

    def bring(self, needs: Iterable[Need]) -> None: ...


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one annotation file; every column is given as published text.

    They are held as numbers where `holding` says how, with the *words* of the file, and the lines
    of `odd` rows; see `oidkit.tables.holding`.

    `labels` tells for each MID the runs of rows that hold it: part, first row, number of rows,
    number of images. `rejects` is the number of rows that were set aside. Where `classes` are
    several columns, a row stands in the parts once for each class that it names. `group` rows
    are read together at the least. `checks` has the checksum of each file of the table; a part is
    checked when it is first read. A table that lies elsewhere has a `supply`, which brings rows
    here before they are read, and checks them.
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
    holding: Holding | None
    words: Sequence[str]
    odd: int
    labels: Mapping[str, Sequence[Sequence[int]]]
    checks: Mapping[str, str]
    supply: Supply | None = field(default=None, compare=False)
    _whole: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def load(cls, folder: Path) -> Table:
        """Open a table.

        Raises:
            OSError: there is none in the folder.
            ValueError: there is something else in the folder, a table of another format, or one
                of which a part is not as long as it was.

        """
        found = _read_note(folder / _NOTE)
        if found.get("format") != FORMAT:
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
            holding=Holding(found["held"], found["beside"]) if found["held"] else None,
            words=found["words"],
            odd=found["odd"],
            labels=found["labels"],
            checks=found["checks"],
        )

    def is_whole(self) -> bool:
        """Check every byte of the table."""
        names = {path.name for path in self.folder.iterdir()} - {_NOTE}
        try:
            return names == self.checks.keys() and all(
                checksum(self.folder / name) == check for name, check in self.checks.items()
            )
        except OSError:
            return False

    @property
    def rejects_file(self) -> Path:
        """Where the rows lie that were set aside, with their line numbers and reasons."""
        return self.folder / REJECTS

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
        rows = self._found(mids, self._read_columns(columns), keep)
        return self._published(self._sorted(rows), columns or self.columns)

    def images_of(self, *mids: str, keep: Keep = _EVERY) -> NDArray[np.uint64]:
        """Give the images that have any of the classes in a row to *keep*, as sorted numbers."""
        return image_ids(self._found(mids, ["ImageID"], keep))

    def _found(self, mids: Iterable[str], columns: Sequence[str], keep: Keep) -> pl.DataFrame:
        runs = [run[:3] for mid in dict.fromkeys(mids) for run in self.labels.get(mid, ())]
        if self.supply is not None:
            self.supply.bring((part, first, count) for part, first, count in runs)
        frames = [
            kept(self._scan(part).slice(first, count), keep, self.holding).select(columns)
            for part, first, count in runs
        ]
        if not frames:
            return self._none(columns)
        with unreadable(self.folder):
            return pl.concat(pl.collect_all(frames))

    def _none(self, columns: Sequence[str]) -> pl.DataFrame:
        types = {NTH: pl.UInt32, **(self.holding.types if self.holding else {})}
        return pl.DataFrame(schema={each: types.get(each, pl.String) for each in columns})

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
        wanted = [*(columns or self.columns)]
        by = ["ImageID"]
        if self.holding and "LabelName" in self.columns:
            # Numbers of words are not in the order of the words.
            by.append("LabelName")
        found = list(self.parts_by_image(ids, columns=list(dict.fromkeys(wanted + by)), keep=keep))
        if not found:
            return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
        rows = pl.concat(found)
        if len(self.classes) > 1:
            return in_order(rows).select(wanted)
        return rows.sort(by, maintain_order=True).select(wanted)

    def parts_by_image(
        self,
        ids: NDArray[np.uint64],
        *,
        columns: Sequence[str] | None = None,
        keep: Keep = _EVERY,
    ) -> Iterator[pl.DataFrame]:
        """Give the rows of some images as `rows_by_image` does, but part by part."""
        chosen = self._read_columns(columns)
        number = [NTH] if len(self.classes) > 1 else []
        if self.supply is not None and len(ids):
            self.supply.bring((part, 0, None) for part in range(self.parts))
        for part in range(self.parts) if len(ids) else ():
            rows = kept(self._scan(part), keep, self.holding)
            if len(self.classes) > 1:
                rows = of_first_class(rows, self.classes)
            with unreadable(self.folder):
                for piece in self._pieces(rows, among(ids), chosen):
                    yield self._published(piece.collect(), [*(columns or self.columns), *number])

    def _pieces(
        self, rows: pl.LazyFrame, wanted: pl.Expr, columns: Sequence[str]
    ) -> Iterator[pl.LazyFrame]:
        """Give what has to be read for some images; of long lines the groups that hold one."""
        if LINE not in columns:
            yield rows.filter(wanted).select(columns)
            return
        there = rows.select(wanted).collect().to_series().arg_true().to_numpy()
        groups = np.unique(there // self.group)
        for run in np.split(groups, np.flatnonzero(np.diff(groups) > 1) + 1):
            if len(run):
                whole = rows.slice(int(run[0]) * self.group, len(run) * self.group)
                yield whole.filter(wanted).select(columns)

    def _read_columns(self, columns: Sequence[str] | None) -> list[str]:
        """Name what has to be read to give some columns."""
        wanted = [*(columns or self.columns), *([NTH] if len(self.classes) > 1 else [])]
        beside = self.holding.beside if self.holding else {}
        others = [beside[name] for name in wanted if name in beside]
        return list(dict.fromkeys([*wanted, *others, *([ODD] if self.odd else [])]))

    def _published(self, rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        if self.holding is None:
            return rows.select(columns)
        return published(rows, self.holding, self.words, columns)

    def _sorted(self, rows: pl.DataFrame) -> pl.DataFrame:
        if len(self.classes) > 1:
            return in_order(rows)
        return rows.sort("ImageID", maintain_order=True)

    def _scan(self, part: int) -> pl.LazyFrame:
        path = self.folder / _part(part)
        if self.supply is None and path.name not in self._whole:
            # Parquet tells nothing of a byte that has changed in a text.
            with unreadable(path):
                if checksum(path) != self.checks[path.name]:
                    raise OSError
            self._whole.add(path.name)
        # A folder's name may hold what would otherwise be a pattern. Statistics cut long texts.
        return pl.scan_parquet(path, glob=False, use_statistics=False)


def write_note(folder: Path, note: Mapping[str, object]) -> None:
    """Write what is to be known of a table, with the checksums of its files and of the note."""
    checks = {path.name: checksum(path) for path in sorted(folder.iterdir())}
    plain = {**note, "format": FORMAT, "checks": checks}
    write_atomically(folder / _NOTE, _noted(plain))


def is_earlier(folder: Path) -> bool:
    """Tell whether a folder holds a table of an earlier oidkit; the first had no checksums."""
    try:
        found = json.loads((folder / _NOTE).read_bytes())
        if not isinstance(found, dict) or found.get("format") not in _EARLIER:
            return False
        return "checks" not in found or bool(_read_note(folder / _NOTE))
    except (OSError, ValueError, RecursionError):
        return False


def _noted(plain: Mapping[str, object]) -> bytes:
    text = json.dumps(plain)
    return json.dumps(
        {**plain, "check": f"crc32c:{google_crc32c.value(text.encode()):08x}"}
    ).encode()


def _read_note(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    try:
        found: Any = json.loads(data)
    except RecursionError as error:
        raise ValueError(f"{path} is damaged") from error
    if not isinstance(found, dict) or "check" not in found:
        return {}
    plain = {name: value for name, value in found.items() if name != "check"}
    if _noted(plain) != data:
        raise ValueError(f"{path} is damaged")
    return plain


def checksum(path: Path) -> str:
    """Give the CRC-32C of a file in the cache: some gigabytes a second."""
    value = 0
    with path.open("rb") as file:
        while data := file.read(_PIECE):
            value = google_crc32c.extend(value, data)
    return f"crc32c:{value:08x}"


def _part(number: int) -> str:
    return f"part-{number:04d}.parquet"


@contextlib.contextmanager
def unreadable(path: Path | str) -> Iterator[None]:
    """Raise `IntegrityError`, which names *path*, where something in the cache cannot be read."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        if _are_too_many_open(error):
            raise OidError(
                "the process may not open more files",
                remedy="raise the limit of open files, as with: ulimit -n 256",
            ) from error
        raise IntegrityError(
            f"{path} in the cache is damaged",
            remedy="build it again, with the same --source and --cache: oid index build --check",
        ) from error


def _are_too_many_open(error: BaseException) -> bool:
    """Tell what is not the file's fault; the engine's errors have the number in their text only."""
    numbers = (errno.EMFILE, errno.ENFILE)
    number = error.errno if isinstance(error, OSError) else None
    return number in numbers or any(f"(os error {each})" in str(error) for each in numbers)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise `DiskError`, which names *path*, for what the engine says of a disk that is full.

    It has no error number in an `OSError`, and wraps some in errors of its own.
    """
    with naming(path):
        try:
            yield
        except pl.exceptions.PolarsError as error:
            if "(os error " not in str(error):
                raise
            raise DiskError.from_os(OSError(str(error)), path=path) from error


def image_ids(rows: pl.DataFrame) -> NDArray[np.uint64]:
    """Give the images of some rows as sorted 64-bit numbers, each once."""
    return distinct([image_numbers(rows["ImageID"])])


def image_names(ids: NDArray[np.uint64]) -> list[str]:
    """Give the names of images: 16 hex digits each."""
    return image_texts(ids).to_list()
