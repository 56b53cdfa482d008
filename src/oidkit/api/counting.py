"""What there is in a dataset folder, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oidkit.api.opening import class_names, whole_dataset
from oidkit.catalog import LABEL_WORDS
from oidkit.dataset import describe
from oidkit.errors import UsageError
from oidkit.markup import columns_table
from oidkit.quantities import byte_count
from oidkit.shelf import location_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oidkit.dataset import Dataset

__all__ = ["Statistics", "counted", "stats"]

_COUNTED = ("images", "files", "boxes", "masks")
_RARE = ("missing", "failed", "negatives", *(word for word in LABEL_WORDS if word not in _COUNTED))
_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Statistics:
    """What there is in a dataset folder; plain values with the keys that ``--json`` prints.

    `splits` has for each split the number of `images` that anything in the folder speaks of, of
    the hard `negatives` among them, of image `files` that are there with their `bytes`, of those
    `missing` at the source or `failed`, and of the rows of each label type.

    `classes` has for each class its `mid` and `name`, the `images` that were chosen for it or have
    a box or mask of it, `boxes`, `masks`, `negatives`, the `median_share` of the image that a box
    takes, and the same counts by `splits`; the class with most boxes comes first.

    `box_sizes` has the `median_share`, a histogram `shares`, and the boxes by COCO's `pixels`:
    `small` below 32² pixels, `medium` below 96², `large`, or `unknown` where the image's size is.
    `boxes_per_image` has `mean`, `median`, `most`, the first image that has as many, and a
    `histogram` over all images.

    `box_places` counts the boxes by where their middle lies: 8 rows from the top, of 8 columns.

    `pairs` are the classes that share most images. `box_ratios` and `image_ratios` are width by
    height in pixels. `image_sizes` has the range of `width` and `height` and the most `common`.
    `licences` counts images. `flags` has `yes`, `no` and `unknown` for each flag of boxes.

    `image_labels` has the verified (`positive`, `negative`) and the `machine` ones, in all and by
    class; `relationships` counts rows by kind, where ``is`` stands for an attribute; `points` has
    the estimated answers; `narratives` the `captions` and their `mean_words`.

    A histogram is a list of `from`, `to` and `count`: values from `from` on and below `to`; the
    last `to` is None, or 1 for shares, which is included. A mean or median of nothing is None.
    """

    folder: str
    release: str
    splits: Mapping[str, Mapping[str, int]]
    classes: Sequence[Mapping[str, Any]]
    box_sizes: Mapping[str, Any]
    boxes_per_image: Mapping[str, Any]
    pairs: Sequence[Mapping[str, Any]]
    box_ratios: Mapping[str, Any]
    image_ratios: Mapping[str, Any]
    image_sizes: Mapping[str, Any]
    licences: Mapping[str, int]
    flags: Mapping[str, Mapping[str, int]]
    image_labels: Mapping[str, Any]
    relationships: Mapping[str, int]
    points: Mapping[str, int]
    narratives: Mapping[str, Any]
    box_places: Sequence[Sequence[int]] = ()

    def as_dict(self) -> dict[str, object]:
        """Give the numbers as plain values."""
        return asdict(self)

    def _repr_html_(self) -> str:
        release = f", Open Images {self.release.upper()}" if self.release else ""
        words = [*_COUNTED, *(word for word in _RARE if self._total(word))]
        totals = [
            (word.replace("_", " "), *self._of_splits(word), f"{self._total(word):,}")
            for word in words
        ]
        size = [byte_count(each["bytes"]) for each in self.splits.values()]
        totals.append(("image bytes", *size, byte_count(self._total("bytes"))))
        header = ["", *self.splits, "all"]
        name = f"{Path(self.folder).resolve().name}{release}"
        shown = columns_table(name, header, totals)
        if not self.classes:
            return shown
        more = len(self.classes) - _MOST_SHOWN
        title = "Classes" + (f", the first {_MOST_SHOWN} of {len(self.classes):,}" * (more > 0))
        counted = ("images", "boxes", "masks")
        rows = [
            (each["name"], each["mid"], *(f"{each[word]:,}" for word in counted))
            for each in self.classes[:_MOST_SHOWN]
        ]
        return shown + columns_table(title, ("class", "MID", *counted), rows, texts=2)

    def _of_splits(self, word: str) -> list[str]:
        return [f"{each[word]:,}" for each in self.splits.values()]

    def _total(self, word: str) -> int:
        return sum(each[word] for each in self.splits.values())


def stats(root: Path | str, *, top: int = 10) -> Statistics:
    """Count what a dataset folder holds: images, boxes, masks and the other annotations.

    Only the folder is read. Of the pairs of classes and of the sizes of images the *top* most
    frequent are listed, all of them with 0. An object that stands in several files counts once.

    Raises:
        UsageError: there is no dataset in the folder, or *top* is below 0.
        IntegrityError: a file in it cannot be read.

    """
    if top < 0:
        raise UsageError(f"--top {top} is below 0", remedy="give 0 for all")
    folder = location_of(root)
    description = describe(folder)
    return counted(whole_dataset(folder), description.release if description else "", top=top)


def counted(dataset: Dataset, release: str, *, top: int) -> Statistics:
    """Count what a dataset that was looked at holds, as `stats` does.

    Raises:
        IntegrityError: a file in it cannot be read.

    """
    from oidkit.tables.gathering import gather
    from oidkit.tables.tallies import tallied

    folder = dataset.root
    numbers = tallied(gather(folder, dataset.manifest, dataset.image_sizes), top=top)
    names = class_names(folder)
    labels = numbers["image_labels"]
    numbers["classes"] = [_named(row, names) for row in numbers["classes"]]
    numbers["image_labels"] = labels | {
        "classes": [_named(row, names) for row in labels["classes"]]
    }
    for pair in numbers["pairs"]:
        pair["names"] = [names.get(mid, mid) for mid in pair["mids"]]
    return Statistics(folder=str(folder), release=release, **numbers)


def _named(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {"mid": row["mid"], "name": names.get(row["mid"], row["mid"]), **row}
