"""Images that the bucket lacks: the lists that know them, and their way into a dataset.

An image that the bucket's list has comes from the bucket. One that the list lacks, or that the
bucket does not give out, comes from its OriginalURL, if that is asked for.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.errors import MalformedError, NotAMirrorError
from oidkit.events import PhaseEnded, PhaseStarted
from oidkit.originals import USUAL_BYTES, Original, original_of
from oidkit.schema import IMAGES
from oidkit.tables import image_ids, joined, of_split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.api.recording import Recording
    from oidkit.api.session import Session
    from oidkit.catalog import File, Split
    from oidkit.dataset import Dataset
    from oidkit.planning import ImagePlan, ImageTask
    from oidkit.tables import Rows, Table
    from oidkit.transfer import BucketFirstJob, Turn

__all__ = ["ImageLists", "Origins"]

_COLUMNS = ("ImageID", "OriginalURL", "OriginalSize", "OriginalMD5")
_MOST_AT_ONCE = 32


@dataclass(slots=True)
class ImageLists:
    """The lists of images of a release: that of the bucket, and the whole one where it differs.

    `tables` are those that are open already, by key. The whole list, of up to 3.3 GB, is read only
    when some image that is asked for is not in the other.
    """

    session: Session
    tables: dict[str, Table] = field(default_factory=dict)
    _absent: set[str] = field(default_factory=set)

    def rows(self, split: Split, images: NDArray[np.uint64]) -> Rows:
        """Give the rows that the lists have of some images, in the columns of the bucket's list."""
        rows = self._bucket(split).rows_by_image(images)
        lacking = np.setdiff1d(images, image_ids(rows), assume_unique=True)
        whole = self._whole(split) if len(lacking) else None
        if whole is None:
            return rows
        more = of_split(whole.rows_by_image(lacking), split, columns=rows.columns)
        return joined([rows, more])

    def outside(self, split: Split, images: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Give those of some images that the bucket's list lacks.

        Raises:
            MalformedError: the lists do not say where those were published.

        """
        rows = self._bucket(split).rows_by_image(images, columns=["ImageID"])
        lacking = np.setdiff1d(images, image_ids(rows), assume_unique=True)
        if len(lacking):
            for table in filter(None, (self._bucket(split), self._whole(split))):
                _check_columns(table)
        return lacking

    def originals(self, split: Split, images: NDArray[np.uint64]) -> Iterator[dict[int, Original]]:
        """Give what the lists say of the originals of some images, by image, in batches."""
        left = images
        for table in (self._bucket, self._whole):
            known = table(split) if len(left) else None
            if known is None:
                continue
            found = [np.empty(0, dtype=np.uint64)]
            for batch in _parts(known, split, left):
                found.append(np.array(list(batch), dtype=np.uint64))
                yield batch
            left = np.setdiff1d(left, np.concatenate(found), assume_unique=True)

    def _bucket(self, split: Split) -> Table:
        return self._table(catalog.image_list(self.session.settings.release_name, split))

    def _whole(self, split: Split) -> Table | None:
        file = catalog.whole_image_list(self.session.settings.release_name, split)
        if file is None or file.key in self._absent:
            return None
        try:
            return self._table(file)
        except NotAMirrorError:
            # Mirrors often hold what is about the bucket alone.
            self._absent.add(file.key)
            return None

    def _table(self, file: File) -> Table:
        if file.key not in self.tables:
            self.tables |= self.session.tables([(file, IMAGES)])
        return self.tables[file.key]


def _check_columns(table: Table) -> None:
    if lacking := [name for name in _COLUMNS if name not in table.columns]:
        raise MalformedError(
            f"{table.name} has no column {lacking[0]}", remedy="leave out --original"
        )


def _parts(table: Table, split: str, images: NDArray[np.uint64]) -> Iterator[dict[int, Original]]:
    _check_columns(table)
    subset = ["Subset"] if "Subset" in table.columns else []
    for rows in table.parts_by_image(images, columns=[*_COLUMNS, *subset]):
        listed = of_split(rows, split, columns=_COLUMNS).iter_rows(named=True)
        yield {int(row["ImageID"], 16): original_of(row) for row in listed}


@dataclass(slots=True)
class Origins:
    """Which images of some plans come from elsewhere than the bucket, and how they are brought.

    `known` are images, by split, of which that is known; of those splits no list is asked.
    """

    lists: ImageLists
    known: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)
    _direct: dict[str, NDArray[np.uint64]] = field(default_factory=dict)
    _refused: dict[str, array[int]] = field(default_factory=dict)

    @property
    def elsewhere(self) -> int:
        """The number of settled images that the bucket is not asked for."""
        return sum(map(len, self._direct.values()))

    def settle(self, plans: Sequence[ImagePlan]) -> None:
        """Decide which images of the plans the bucket is not asked for."""
        for plan in plans:
            split, images = _split(plan), plan.to_ask
            if split in self.known:
                self._direct[split] = np.intersect1d(images, self.known[split])
            else:
                self._direct[split] = self.lists.outside(split, images)

    def expected_bytes(self) -> int:
        """Sum up the published sizes of the settled images; unknown ones count as the mean."""
        return sum(
            original.size or USUAL_BYTES
            for split, images in self._direct.items()
            for batch in self.lists.originals(_named(split), images)
            for original in batch.values()
        )

    def bucket_jobs(
        self, dataset: Dataset, plans: Sequence[ImagePlan], *, turn: Turn | None
    ) -> Iterator[BucketFirstJob]:
        """Ask the bucket for all others; what it refuses is noted for `bring`."""
        from oidkit.transfer import BucketFirstJob

        for plan in plans:
            inside = np.setdiff1d(plan.to_ask, self._direct[plan.split], assume_unique=True)
            refused = self._refused.setdefault(plan.split, array("Q"))
            for task in plan.only(inside).tasks():
                key = catalog.image_key(plan.split, task.image_id)
                noting = _noting(refused, task.image_id)
                yield BucketFirstJob(dataset.root, key, task.absent, lacking=noting, turn=turn)

    def bring(
        self,
        dataset: Dataset,
        plans: Sequence[ImagePlan],
        *,
        recording: Recording,
        turn: Turn | None,
    ) -> None:
        """Fetch what the bucket lacks from where it was published."""
        from oidkit.store.anywhere import AnywhereTransfer, lies_privately
        from oidkit.transfer import Budget, OriginalJob, Run, SteadyPace

        wanted = {split: self._left(split) for split in self._direct}
        count = sum(map(len, wanted.values()))
        if not count:
            return
        session = self.lists.session
        local = lies_privately(session.source)
        pace = SteadyPace(min(session.settings.workers or _MOST_AT_ONCE, _MOST_AT_ONCE))
        session.on_event(PhaseStarted("originals", count))
        with AnywhereTransfer(local) as transfer:
            run = Run(
                transfer,
                traffic=session.traffic,
                on_event=recording.hear,
                record=recording.record,
                pace=pace,
                budget=Budget(waits=False),
            )
            run.carry_out(
                OriginalJob(dataset.root, original, task.absent, key=key, local=local, turn=turn)
                for key, original, task in self._tasks(plans, wanted)
            )
        session.on_event(PhaseEnded("originals"))

    def _left(self, split: str) -> NDArray[np.uint64]:
        refused = np.array(self._refused.get(split, ()), dtype=np.uint64)
        return np.union1d(self._direct[split], refused)

    def _tasks(
        self, plans: Sequence[ImagePlan], wanted: Mapping[str, NDArray[np.uint64]]
    ) -> Iterator[tuple[str, Original, ImageTask]]:
        """Give the images that are wanted with their keys in the bucket and their originals."""
        for plan in plans:
            for batch in self._batches(plan, wanted[plan.split]):
                for task in plan.only(np.array(list(batch), dtype=np.uint64)).tasks():
                    key = catalog.image_key(plan.split, task.image_id)
                    yield key, batch[int(task.image_id, 16)], task

    def _batches(
        self, plan: ImagePlan, images: NDArray[np.uint64]
    ) -> Iterator[dict[int, Original]]:
        """Give the originals of some images in batches, in the last those that no list has."""
        left = images
        for batch in self.lists.originals(_split(plan), images):
            yield batch
            left = np.setdiff1d(left, np.array(list(batch), dtype=np.uint64), assume_unique=True)
        yield dict.fromkeys(left.tolist(), Original(""))


def _noting(refused: array[int], image_id: str) -> Callable[[], None]:
    return lambda: refused.append(int(image_id, 16))


def _split(plan: ImagePlan) -> Split:
    return _named(plan.split)


def _named(split: str) -> Split:
    """Take a name for that of a split: a dataset has no image of another."""
    return next(each for each in catalog.SPLITS if each == split)
