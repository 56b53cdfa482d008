"""Images that came before it was known where they belong: they wait in a folder of their own.

It is `.oid/early-<token>` and a small flat dataset in itself, so that what is promised of every
other file holds of these: whole or not there, written down as they come, and kept by a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog, ownership
from oidkit.dataset import Dataset, read_dataset
from oidkit.disk import is_left, naming, remove
from oidkit.objectpath import ObjectPath
from oidkit.tables import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from oidkit.disk import Record
    from oidkit.objectpath import Location

__all__ = ["Aside", "left_aside", "set_aside"]

_FRONT = "early-"


@dataclass(slots=True)
class Aside:
    """The images that wait: `place` is their folder, relative to the dataset at `root`.

    They are `doubted` when a table that chose them turned out not to be right.
    """

    root: Path
    place: str
    doubted: bool = False
    _own: Dataset | None = None

    @property
    def own(self) -> Dataset:
        """The folder as a dataset; it is made when something first waits."""
        if self._own is None:
            folder = self.root / self.place
            with naming(folder):
                (folder / ".oid").mkdir(parents=True, exist_ok=True)
                self._own = Dataset(folder, Manifest(folder / ".oid"))
        return self._own

    def folder(self, split: str) -> str:
        """Name the folder of the images of a split, relative to the dataset."""
        return f"{self.place}/{split}"

    def images(self, split: str) -> NDArray[np.uint64]:
        """Give the images of a split that wait, sorted."""
        if not (self.root / self.place).is_dir():
            return np.empty(0, dtype=np.uint64)
        with naming(self.root / self.place):
            self.own.manifest.merge()
            return self.own.images_there(split, key=lambda name: catalog.image_key(split, name))

    def holds(self, path: str) -> bool:
        """Tell whether a file of the dataset is one that waits."""
        return path.startswith(f"{self.place}/")

    def records(self, paths: Sequence[str]) -> dict[str, Record]:
        """Give the records of some files that wait, by their path in the dataset."""
        waiting = [path.removeprefix(f"{self.place}/") for path in paths if self.holds(path)]
        if not waiting:
            return {}
        found = self.own.manifest.of_paths(waiting).values()
        moved = (dataclasses.replace(each, path=f"{self.place}/{each.path}") for each in found)
        return {each.path: each for each in moved}

    def close(self) -> None:
        """End the work on the folder, which stays."""
        if self._own is not None:
            own, self._own = self._own, None
            own.manifest.close()


def left_aside(root: Location) -> Aside | None:
    """Look at what a dead run has left for the next one, without writing; None where it is none."""
    if isinstance(root, ObjectPath):
        return None
    first = next(iter(_left(root / ".oid")), None)
    kept = read_dataset(first) if first is not None else None
    return Aside(root, f".oid/{kept.root.name}", _own=kept) if kept is not None else None


def _left(records: Path) -> list[Path]:
    """List the places of runs that are no more; the first is the one that the next run takes."""
    found = sorted(records.glob(f"{_FRONT}*"))
    return [path for path in found if not path.is_symlink() and path.is_dir() and is_left(path)]


@contextlib.contextmanager
def set_aside(dataset: Dataset) -> Iterator[Aside | None]:
    """Give the place for what comes early into a dataset, with what a dead run has left there.

    At the end nothing waits any more, as what belongs into the dataset has been put there. Where
    the run ends early, the next one finds what waits, unless the tables that chose it were wrong.
    In a bucket nothing waits: an object cannot be moved, only copied, and None is given.
    """
    if isinstance(dataset.root, ObjectPath):
        yield None
        return
    records = dataset.root / ".oid"
    token = ownership.claim()
    mine = records / f"{_FRONT}{token}"
    try:
        for path in _left(records):
            with contextlib.suppress(OSError):
                # Of several runs that try it one succeeds.
                remove(path) if mine.exists() else path.rename(mine)
        aside = Aside(dataset.root, f".oid/{mine.name}")
        try:
            yield aside
        except BaseException:
            # What went wrong is told, and not that on a full disk no manifest can be written then.
            with contextlib.suppress(OSError):
                aside.close()
            if aside.doubted:
                with contextlib.suppress(OSError):
                    remove(mine)
            raise
        with naming(mine):
            # Not left out before the removal: it tells of images that did not reach the disk.
            aside.close()
            remove(mine)
    finally:
        free = ownership.release(token)
        with contextlib.suppress(OSError):
            mine.rename(records / f"{_FRONT}{free}")
