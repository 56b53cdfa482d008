"""What is to be done, as data: which files are wanted, which are there, and which bytes to ask for.

Nothing here touches a network or a disk. A plan is columns, not objects, so that it fits into
memory for every image of Open Images.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.markup import fields_table
from oidkit.quantities import byte_count
from oidkit.ranges import Span, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.catalog import Split
    from oidkit.zipindex import Member

__all__ = [
    "ImagePlan",
    "ImageTask",
    "MaskPlan",
    "Plan",
    "ZipMasks",
    "image_bytes",
    "masks_by_zip",
    "plan_images",
    "plan_masks",
    "spans",
]

# A member that is not asked for is let through when that saves a request. The sum of such bytes in
# one request stays below 64 KiB; see docs/design/range-merging.md for where the numbers come from.
_GAP = 16 << 10
_WASTE = 64 << 10
_LARGEST = 8 << 20
_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image that lacks some of its files: where it is, if anywhere, and where it is not."""

    image_id: str
    present: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ImagePlan:
    """The image files of one split: a row for each, sorted by image.

    `ids` are image ids as numbers, `folder` indexes `folders` (relative to the dataset), `there`
    tells which files need nothing. An image of several classes has a row for each of its folders.
    """

    split: str
    folders: tuple[str, ...]
    ids: NDArray[np.uint64]
    folder: NDArray[np.int32]
    there: NDArray[np.bool_]

    @property
    def asked(self) -> int:
        """The number of images."""
        return _different(self.ids)

    @property
    def to_fetch(self) -> int:
        """The number of images of which no file is there: one request each."""
        return self.asked - _different(self.ids[self.there])

    @property
    def present(self) -> int:
        """The number of images that need no request."""
        return self.asked - self.to_fetch

    @property
    def lacking(self) -> int:
        """The number of images that lack some of their files."""
        return _different(self.ids[~self.there])

    @property
    def to_ask(self) -> NDArray[np.uint64]:
        """The images of which no file is there, sorted."""
        return np.setdiff1d(self.ids, self.ids[self.there])

    def only(self, ids: NDArray[np.uint64]) -> ImagePlan:
        """Leave out the files of all other images."""
        rows = np.isin(self.ids, ids)
        return ImagePlan(
            self.split, self.folders, self.ids[rows], self.folder[rows], self.there[rows]
        )

    def tasks(self) -> Iterator[ImageTask]:
        """Give every image that lacks a file, in the order of ids."""
        for image, rows in itertools.groupby(self._rows(), key=operator.itemgetter(0)):
            name = f"{image:016x}.jpg"
            present, absent = list[str](), list[str]()
            for _, folder, there in rows:
                front = self.folders[folder]
                (present if there else absent).append(f"{front}/{name}" if front else name)
            if absent:
                yield ImageTask(name[:16], tuple(present), tuple(absent))

    def _rows(self) -> Iterator[tuple[int, int, bool]]:
        """Give the rows as plain values, thousands at a time: numpy is slow with single ones."""
        for at in range(0, len(self.ids), _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            columns = (self.ids[part], self.folder[part], self.there[part])
            yield from zip(*(column.tolist() for column in columns), strict=True)


def _different(ids: NDArray[np.uint64]) -> int:
    """Count the images among sorted ids; numpy's own way hashes each of millions."""
    return int(np.count_nonzero(ids[1:] != ids[:-1])) + bool(len(ids))


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """The masks of one split that are wanted (`MaskPath`, sorted), and those that are not there."""

    split: Split
    asked: int
    absent: Mapping[str, tuple[str, ...]]
    """The key of a zip -> the masks to take out of it."""

    @property
    def to_fetch(self) -> int:
        """The number of masks that are not there."""
        return sum(len(names) for names in self.absent.values())


@dataclass(frozen=True, slots=True)
class ZipMasks:
    """Masks of one split that one zip holds, by their `MaskPath`."""

    split: Split
    names: Sequence[str]

    @property
    def folder(self) -> str:
        """Where they belong, relative to the dataset."""
        return f"masks/{self.split}"

    @property
    def paths(self) -> list[str]:
        """Where each belongs, relative to the dataset."""
        return [f"{self.folder}/{name}" for name in self.names]

    def without(self, names: Container[str]) -> ZipMasks:
        """Leave some out."""
        return ZipMasks(self.split, [name for name in self.names if name not in names])


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a download will do: `rows` are the chosen annotations by label.

    `bytes_to_receive` and `disk_needed` are estimates in bytes where sizes are not known before
    the answer: images count with their mean size, masks with theirs until their zip's directory is
    known.
    """

    images: tuple[ImagePlan, ...]
    masks: tuple[MaskPlan, ...]
    rows: Mapping[str, int]
    bytes_to_receive: int
    disk_needed: int
    from_originals: int = 0
    """Images to fetch that the bucket's list lacks; they come from where they were published."""

    def as_dict(self) -> dict[str, object]:
        """Give the plan as plain values, as ``--dry-run --json`` prints it."""
        return {
            "images": {
                "asked": sum(plan.asked for plan in self.images),
                "present": sum(plan.present for plan in self.images),
                "to_fetch": sum(plan.to_fetch for plan in self.images),
                **({"from_originals": self.from_originals} if self.from_originals else {}),
            },
            "masks": {
                "asked": sum(plan.asked for plan in self.masks),
                "present": sum(plan.asked - plan.to_fetch for plan in self.masks),
                "to_fetch": sum(plan.to_fetch for plan in self.masks),
            },
            "annotations": dict(self.rows),
            "bytes_to_receive": self.bytes_to_receive,
            "disk_needed": self.disk_needed,
        }

    def as_rows(self) -> list[tuple[str, str]]:
        """Word the plan for people, as names and values."""
        images = sum(each.to_fetch for each in self.images), sum(each.asked for each in self.images)
        masks = sum(each.to_fetch for each in self.masks), sum(each.asked for each in self.masks)
        counts = [("images", images), *([("masks", masks)] if "masks" in self.rows else [])]
        rows = [(word, f"{to_fetch:,} to fetch of {asked:,}") for word, (to_fetch, asked) in counts]
        if self.from_originals:
            rows.append(("originals", f"{self.from_originals:,} of them from outside the bucket"))
        # Masks are counted as files already.
        rows += [(label, f"{count:,}") for label, count in self.rows.items() if label != "masks"]
        return [
            *rows,
            ("to receive", f"about {byte_count(self.bytes_to_receive)}"),
            ("disk needed", f"about {byte_count(self.disk_needed)}"),
        ]

    def _repr_html_(self) -> str:
        return fields_table("What a download would do", self.as_rows())


def plan_images(
    split: str,
    places: Mapping[str, NDArray[np.uint64]],
    *,
    there: Callable[[str], NDArray[np.uint64]],
) -> ImagePlan:
    """Lay the images that belong into each folder beside those that are *there*."""
    folders = tuple(places)
    counts = [len(ids) for ids in places.values()]
    ids = np.concatenate([np.empty(0, dtype=np.uint64), *places.values()])
    folder = np.repeat(np.arange(len(folders), dtype=np.int32), counts)
    found = [np.isin(wanted, there(name)) for name, wanted in places.items()]
    here = np.concatenate([np.empty(0, dtype=np.bool_), *found])
    if len(folders) <= 1 and (ids[1:] >= ids[:-1]).all():
        # As they mostly are: an order of nine million would be as large again.
        return ImagePlan(split, folders, ids, folder, here)
    order = np.lexsort((folder, ids))
    return ImagePlan(split, folders, ids[order], folder[order], here[order])


def plan_masks(split: Split, names: Sequence[str], *, there: Callable[[str], bool]) -> MaskPlan:
    """Sort the masks that are not *there* by the zip that holds them; a name counts once."""
    by_shard: dict[str, list[str]] = {}
    wanted = sorted(set(names))
    for name in wanted:
        if not there(name):
            by_shard.setdefault(catalog.shard_of(name), []).append(name)
    absent = {catalog.mask_zip(split, shard).key: tuple(some) for shard, some in by_shard.items()}
    return MaskPlan(split, len(wanted), absent)


def masks_by_zip(plans: Sequence[MaskPlan]) -> dict[str, ZipMasks]:
    """Give the masks that are not there, by the key of their zip."""
    return {
        key: ZipMasks(plan.split, names) for plan in plans for key, names in plan.absent.items()
    }


def spans(members: Sequence[Member]) -> list[Span]:
    """Merge the byte ranges of members of one zip into requests."""
    starts = [member.offset for member in members]
    stops = [member.stop for member in members]
    return merge(starts, stops, gap=_GAP, waste=_WASTE, largest=_LARGEST)


def image_bytes(count: int) -> int:
    """Estimate the bytes of some images by the mean of all."""
    return count * catalog.IMAGE_BYTES
