"""Images that are certain to be chosen are fetched while the tables that name them still arrive.

Nothing that is decided here is final: what comes early waits aside until the whole tables have
chosen the images. A table that turns out bad, or another than the one before, so leaves nothing in
the dataset that was not asked for.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.disk import listing, naming
from oidkit.errors import IntegrityError, UsageError
from oidkit.events import Failed, Fetched, Missing
from oidkit.imageids import distinct
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from oidkit.api.aside import Aside
    from oidkit.catalog import File, Split
    from oidkit.disk import Record
    from oidkit.events import Event, Listener
    from oidkit.schema import Keep
    from oidkit.selection import Selection
    from oidkit.tables import ArrivingRows, TableBuilder
    from oidkit.transfer import Beside, ImageJob, TableJob

__all__ = ["LEAST_BYTES", "TABLES_AT_ONCE", "Early", "TwoAtOnce", "is_certain"]

TABLES_AT_ONCE = 2
LEAST_BYTES = 128 << 20
"""A smaller file is there, and sorted, before the images that it names would gain by it."""


def is_certain(wanted: Selection) -> bool:
    """Tell whether an image is chosen by any row that shows a class, whatever the others say.

    A limit picks from all images, and a class that is excluded may be in any later row. An image
    that is turned, or may come from elsewhere, needs the image list.
    """
    picks = wanted.limit is not None or wanted.total is not None or bool(wanted.exclude)
    every = wanted.match == "all" and len(wanted.classes) > 1
    waits = wanted.upright or wanted.original or wanted.labels == ("narratives",)
    return wanted.images and bool(wanted.classes) and not (picks or every or waits)


@dataclass(slots=True)
class Early:
    """Fetches images into the place *aside* while tables arrive.

    `mids` are the classes that choose an image, with all that they stand for. Images that stand in
    the dataset, wherever, are left to those who know where they belong.
    """

    aside: Aside
    mids: Collection[str]
    _listeners: dict[str, Callable[[ArrivingRows], None]] = field(default_factory=dict)
    _known: dict[str, NDArray[np.uint64]] = field(default_factory=dict)
    _found: deque[tuple[Split, NDArray[np.uint64]]] = field(default_factory=deque)
    _fetched: dict[str, tuple[array[int], array[int]]] = field(default_factory=dict)
    lost: dict[str, Record] = field(default_factory=dict)
    """What could not be had, by key; it is not asked for again."""
    _in_trouble: bool = False

    def expect(self, file: File, split: Split, keep: Keep) -> None:
        """Look out for the images that a file shows in the rows to *keep*."""
        for key in filter(None, (file.key, file.substitute)):
            self._listeners[key] = _telling(self._found, split, (self.mids, keep))

    def listener(self, key: str, builder: TableBuilder) -> Callable[[ArrivingRows], None] | None:
        """Give what has to be told of each block of a table, which counts if its file is large."""
        tell = self._listeners.get(key)
        if tell is None:
            return None

        def tell_of_large(rows: ArrivingRows) -> None:
            if (builder.size or 0) >= LEAST_BYTES:
                tell(rows)

        return tell_of_large

    def beside(self, tables: Sequence[TableJob]) -> Beside:
        """Give the jobs of the images that tables name, until all of these are over."""
        from oidkit.transfer import Beside

        return Beside(self._image_jobs(tables), self._stop)

    def judge(self, table: TableJob) -> None:
        """Let nothing wait that was chosen by a table which is not what it should be."""
        if table.name in self._listeners and isinstance(table.error, IntegrityError | UsageError):
            self.aside.doubted = True

    def _stop(self) -> None:
        """Leave the rest to those who ask in its turn: the source of the images is in trouble."""
        self._in_trouble = True
        # What failed on the way there did so for the trouble: it is asked for again.
        failed = [key for key, record in self.lost.items() if record.status == "failed"]
        for key in failed:
            del self.lost[key]

    def quiet(self, on_event: Listener) -> Listener:
        """Leave out what is said of images: it is said when they are in their places."""

        def tell(event: Event) -> None:
            one = event.name if isinstance(event, Fetched | Missing | Failed) else ""
            if not one.startswith(tuple(f"{split}/" for split in catalog.SPLITS)):
                on_event(event)

        return tell

    def record(self, record: Record) -> None:
        """Write down what came, and remember what did not."""
        if record.status != "ok":
            self.lost[record.key] = record
            return
        self.aside.own.manifest.add(record)
        split, _, name = record.path.partition("/")
        ids, sizes = self._fetched.setdefault(split, (array("Q"), array("Q")))
        ids.append(int(name.removesuffix(".jpg"), 16))
        sizes.append(record.bytes)

    def fetched(self, split: str, images: NDArray[np.uint64]) -> tuple[int, int]:
        """Say how many of some images came early in this run, and their bytes."""
        if split not in self._fetched:
            return 0, 0
        ids, sizes = (np.array(each, dtype=np.uint64) for each in self._fetched[split])
        ours = np.isin(ids, images)
        return int(ours.sum()), int(sizes[ours].sum())

    def _image_jobs(self, tables: Sequence[TableJob]) -> Iterator[ImageJob | None]:
        """Give a job for each image that is found, or None while none is waiting.

        What is left when the tables are there is asked for in its place.
        """
        from oidkit.transfer import ImageJob

        while not (self._in_trouble or all(table.over for table in tables)):
            if not self._found:
                yield None
                continue
            split, images = self._found.popleft()
            for number in self._fresh(split, images).tolist():
                if all(table.over for table in tables):
                    return
                name = f"{number:016x}"
                key = catalog.image_key(split, name)
                yield ImageJob(self.aside.own.root, key, (f"{split}/{name}.jpg",))

    def _fresh(self, split: Split, images: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Leave out the images that are there, or were asked for before."""
        if split not in self._known:
            self.aside.own.make(split)
            folder = self.aside.root / "images" / split
            with naming(folder):
                standing = _standing(folder)
            self._known[split] = distinct([self.aside.images(split), standing])
        fresh = np.setdiff1d(images, self._known[split], assume_unique=True)
        self._known[split] = distinct([self._known[split], fresh])
        return fresh


class TwoAtOnce:
    """Tables, each given when fewer than two of those before it are still on the way.

    The loop that asks for jobs asks again at each of its turns, also when there was none before.
    """

    def __init__(self, tables: Sequence[TableJob]) -> None:
        self._tables = tables
        self._begun = 0

    def __iter__(self) -> Iterator[TableJob]:
        return self

    def __next__(self) -> TableJob:
        coming = sum(not job.arrived for job in self._tables[: self._begun])
        if self._begun == len(self._tables) or coming >= TABLES_AT_ONCE:
            raise StopIteration
        self._begun += 1
        return self._tables[self._begun - 1]


def _telling(
    found: deque[tuple[Split, NDArray[np.uint64]]],
    split: Split,
    rule: tuple[Collection[str], Keep],
) -> Callable[[ArrivingRows], None]:
    def tell(rows: ArrivingRows) -> None:
        images = rows.images_of(*rule)
        if len(images):
            # A deque is made for threads: this one is the builder's.
            found.append((split, images))

    return tell


def _standing(folder: Path) -> NDArray[np.uint64]:
    """Give the images that have a file in a folder or right below it, whole or not."""
    below = sorted(path for path in folder.glob("*") if path.is_dir())
    names = (name.removesuffix(".jpg") for each in [folder, *below] for name in listing(each))
    ids = {int(name, 16) for name in names if IMAGE_ID_PATTERN.fullmatch(name)}
    return np.array(sorted(ids), dtype=np.uint64)
