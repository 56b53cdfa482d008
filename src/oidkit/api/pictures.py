"""A dataset folder as the pictures of an export: columns for all, objects for some hundreds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from oidkit.catalog import SPLITS
from oidkit.choice import allotted
from oidkit.dataset import pixel_size
from oidkit.disk import listing
from oidkit.errors import UsageError
from oidkit.formats.model import Flags, Picture, Thing
from oidkit.imageids import distinct
from oidkit.tables import ClassFile, Credits, Part, read_instances
from oidkit.tables.dropping import Unwanted
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.dataset import Dataset, Description
    from oidkit.formats.categories import Categories
    from oidkit.objectpath import Location
    from oidkit.tables import Instance, Instances

__all__ = [
    "Asked",
    "Pictures",
    "again",
    "check_any",
    "check_splits",
    "read_pictures",
]

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a dataset is asked for: published splits, the classes' files, and new splits.

    `stems` are the beginnings of the names of annotation files with the MID that each is for; ""
    stands for all classes. `shares` are new splits with their shares; none keep the published.
    `only` are images beside which no other is read.
    """

    splits: tuple[str, ...]
    stems: Mapping[str, str]
    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    bad: Sequence[tuple[str, str]] = ()
    """Images (``split/ImageID``) and annotations of them (keys) to leave out; "" is all of it."""
    only: NDArray[np.uint64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Files:
    """The images of a published split that are there: sorted ids, and where each lies."""

    ids: NDArray[np.uint64]
    folder: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The pictures of an export in the order of split and ImageID, each there and of known size.

    `splits` are those of the export, and `split`, `published`, `folder` numbers into the names.
    `missing` and `damaged` are images of the dataset that cannot be exported, as ``train/<id>``;
    `dropped` counts those that were found bad, and `strangers` what was found bad and is none.
    """

    root: Location
    ids: NDArray[np.uint64]
    split: NDArray[np.int32]
    splits: tuple[str, ...]
    published: NDArray[np.int32]
    folder: NDArray[np.int32]
    folders: tuple[str, ...]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    instances: Instances
    credits: Credits
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    dropped: int = 0
    strangers: int = 0

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.ids)

    def of_split(self, name: str) -> int:
        """Count the pictures of a split of the export."""
        return int(np.count_nonzero(self.split == self.splits.index(name)))

    def batches(self, size: int = _AT_ONCE) -> Iterator[list[Picture]]:
        """Give all pictures, some hundreds at a time; no more of them are ever in memory."""
        for first in range(0, len(self), size):
            yield self.some(first, min(first + size, len(self)))

    def some(self, first: int, stop: int) -> list[Picture]:
        """Give the pictures from *first* up to but not including *stop*."""
        firsts = {
            number: self.instances.before(int(np.searchsorted(self.split, number)))
            for number in np.unique(self.split[first:stop]).tolist()
        }
        done = self.instances.before(first)
        rows = zip(
            range(first, stop),
            self.instances.objects(first, stop),
            self.instances.labels(first, stop),
            self.credits.of(first, stop),
            strict=True,
        )
        found = []
        for at, things, labels, known in rows:
            number = done - firsts[int(self.split[at])]
            done += len(things)
            found.append(self._picture(at, things, first=number, labels=labels, known=known))
        return found

    def _picture(
        self,
        at: int,
        things: Sequence[Instance],
        *,
        first: int,
        labels: tuple[tuple[int, ...], tuple[int, ...]],
        known: Mapping[str, str],
    ) -> Picture:
        published = SPLITS[self.published[at]]
        masks = self.root / "masks" / published
        image_id = f"{int(self.ids[at]):016x}"
        return Picture(
            split=self.splits[self.split[at]],
            image_id=image_id,
            path=self.root / self.folders[self.folder[at]] / f"{image_id}.jpg",
            width=int(self.width[at]),
            height=int(self.height[at]),
            things=tuple(_thing(each, first + i, masks) for i, each in enumerate(things)),
            present=labels[0],
            absent=labels[1],
            metadata=known,
            published_split=published,
            number=at,
        )


def _thing(row: Instance, number: int, masks: Location) -> Thing:
    box = None
    if row.xmin is not None and row.ymin is not None:
        box = (row.xmin, row.ymin, row.xmax or 0.0, row.ymax or 0.0)
    return Thing(
        category=row.category,
        mid=row.mid,
        box=box,
        mask=masks / row.mask if row.mask else None,
        flags=Flags(row.occluded, row.truncated, row.group_of, row.depiction, row.inside),
        number=number,
        box_id=row.box_id or "",
        source=row.source,
    )


def read_pictures(dataset: Dataset, asked: Asked, categories: Categories) -> Pictures:
    """Read what a dataset folder has of what is asked for.

    Raises:
        IntegrityError: an annotation file is not what a download writes.

    """
    found, missing, damaged, dropped, strangers = {}, [], [], 0, 0
    for split in asked.splits:
        every, bad = _wanted(dataset, asked, split), _bad_images(asked, split)
        wanted = np.setdiff1d(every, bad)
        dropped += len(every) - len(wanted)
        strangers += len(bad) - (len(every) - len(wanted))
        files, broken = _present(dataset, split, wanted)
        lost = np.setdiff1d(np.setdiff1d(wanted, files.ids), broken)
        missing += [f"{split}/{each:016x}" for each in lost.tolist()]
        damaged += [f"{split}/{each:016x}" for each in broken.tolist()]
        found[split] = files
    splits, columns, folders = _placed(found, asked)
    ids, split_of, published = columns["ids"], columns["split"], columns["published"]
    parts = [
        _part(dataset, asked, split, _where(ids, published == SPLITS.index(split)))
        for split in asked.splits
    ]
    instances = read_instances(parts, categories)
    return Pictures(
        dataset.root,
        ids,
        split_of,
        splits,
        published,
        columns["folder"],
        folders,
        columns["width"],
        columns["height"],
        instances,
        Credits.read(dataset.root / "attribution.csv", ids),
        tuple(missing),
        tuple(damaged),
        dropped,
        strangers,
    )


def _wanted(dataset: Dataset, asked: Asked, split: str) -> NDArray[np.uint64]:
    """Give the images of a split that a download chose: by its lists, or its manifest."""
    listed = [dataset.manifest.asked_images(split)]
    for stem in asked.stems:
        for kind in ("", "_negatives"):
            data = dataset.read(f"downloader_IDs_for_{stem}_{split}{kind}.txt") or b""
            names = (line.rpartition("/")[2] for line in data.decode("ascii", "replace").split())
            ids = [int(each, 16) for each in names if IMAGE_ID_PATTERN.fullmatch(each)]
            listed.append(np.array(ids, dtype=np.uint64))
    wanted = distinct(listed)
    return wanted if asked.only is None else np.intersect1d(wanted, asked.only)


def _present(
    dataset: Dataset, split: str, wanted: NDArray[np.uint64]
) -> tuple[_Files, NDArray[np.uint64]]:
    """Give the images that have a file, and those whose file tells no size.

    The manifest knows the size in pixels of a file that has the bytes that it says; of any other
    the header is read.
    """
    top = dataset.root / "images" / split
    below = sorted(each.name for each in top.iterdir() if each.is_dir()) if top.is_dir() else []
    folders = (f"images/{split}", *(f"images/{split}/{name}" for name in below))
    places: dict[int, tuple[int, bool]] = {}
    for number, folder in enumerate(folders):
        known = dataset.manifest.sizes(folder)
        for name, size in listing(dataset.root / folder, sweep=False).items():
            image_id = name.removesuffix(".jpg")
            if name.endswith(".jpg") and IMAGE_ID_PATTERN.fullmatch(image_id):
                places.setdefault(int(image_id, 16), (number, known.get(name) == size))
    there = np.array(sorted(places), dtype=np.uint64)
    ids = np.intersect1d(there, wanted, assume_unique=True)
    folder_of = np.array([places[each][0] for each in ids.tolist()], dtype=np.int32)
    trusted = np.array([places[each][1] for each in ids.tolist()], dtype=np.bool_)
    width, height = (side * trusted for side in dataset.image_sizes(split).of(ids))
    for at in np.flatnonzero(width == 0).tolist():
        path = dataset.root / folders[folder_of[at]] / f"{int(ids[at]):016x}.jpg"
        width[at], height[at] = pixel_size(path)
    sized = width > 0
    files = _Files(ids[sized], folder_of[sized], width[sized], height[sized], folders)
    return files, ids[~sized]


def _placed(
    found: Mapping[str, _Files], asked: Asked
) -> tuple[tuple[str, ...], dict[str, NDArray[Any]], tuple[str, ...]]:
    """Put the images of all published splits into the order of the export's splits and ids."""
    folders: list[str] = []
    columns: dict[str, list[NDArray[Any]]] = {}
    splits = tuple(asked.shares or asked.splits)
    for split, files in found.items():
        numbers = np.full(len(files.ids), SPLITS.index(split), dtype=np.int32)
        if asked.shares:
            groups = allotted(files.ids, [*asked.shares.values()], seed=asked.seed)
        else:
            groups = np.full(len(files.ids), splits.index(split), dtype=np.int32)
        for name, column in (
            ("ids", files.ids),
            ("split", groups),
            ("published", numbers),
            ("folder", files.folder + len(folders)),
            ("width", files.width),
            ("height", files.height),
        ):
            columns.setdefault(name, []).append(column)
        folders += files.folders
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.lexsort((whole["ids"], whole["split"]))
    return splits, {name: column[order] for name, column in whole.items()}, tuple(folders)


def _where(
    ids: NDArray[np.uint64], ours: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Give the ids of some pictures, sorted, and where each stands among all."""
    places = np.flatnonzero(ours)
    order = np.argsort(ids[places], kind="stable")
    return ids[places][order], places[order].astype(np.uint32)


def _part(
    dataset: Dataset,
    asked: Asked,
    split: str,
    images: tuple[NDArray[np.uint64], NDArray[np.uint32]],
) -> Part:
    def files(label: str) -> list[ClassFile]:
        folder = dataset.root / "csv"
        return [
            ClassFile(folder / f"{stem}_{split}_{label}.csv", mid)
            for stem, mid in asked.stems.items()
        ]

    there = listing(dataset.root / "masks" / split, sweep=False)
    return Part(
        files("boxes"),
        files("masks"),
        files("image-labels"),
        *images,
        masks_there=tuple(sorted(there)),
        unwanted=Unwanted.of((image, key) for image, key in _bad(asked, split) if key),
    )


def _bad(asked: Asked, split: str) -> Iterator[tuple[int, str]]:
    for image, key in asked.bad:
        of_split, _, image_id = image.partition("/")
        if of_split == split:
            yield int(image_id, 16), key


def _bad_images(asked: Asked, split: str) -> NDArray[np.uint64]:
    return np.array([image for image, key in _bad(asked, split) if not key], dtype=np.uint64)


def check_splits(splits: Sequence[str]) -> tuple[str, ...]:
    """Give the published splits that are asked for, all for none, in their own order.

    Raises:
        UsageError: there is no such split.

    """
    for split in splits:
        if split not in SPLITS:
            raise UsageError(
                f"there is no split '{split}'", remedy=f"choose from {', '.join(SPLITS)}"
            )
    return tuple(split for split in SPLITS if split in (splits or SPLITS))


def check_any(pictures: Pictures, description: Description) -> None:
    """Refuse a dataset whose images have not come.

    Raises:
        UsageError: images were chosen and none is there, or nothing says yet which.

    """
    if len(pictures) or pictures.damaged:
        return
    if pictures.missing:
        raise UsageError(
            f"none of the {len(pictures.missing):,} images of the dataset is in its folder",
            remedy=again(description, "images"),
        )
    # The lists are written before any file comes, also those of classes without an image.
    if not any(pictures.root.glob("downloader_IDs_for_*")):
        raise UsageError(
            f"{pictures.root} has no list of images yet", remedy=again(description, "images")
        )


def again(description: Description, part: Literal["images", "metadata"]) -> str:
    """Say how a part of a dataset comes that is not in its folder at all."""
    if any(each.get(part, True) for each in description.selections):
        return "run its download again: it fetches what has not come yet"
    return f"run its download again, without --no-{part}"
