"""Which images are wanted: pure decisions on columns of image ids.

An image id is 16 hex digits, so it is a 64-bit number here; a set of images is a sorted array of
them, 8 bytes each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from oidkit.catalog import LABELS, SPLITS, Label, Split
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Choice", "Layout", "Match", "Selection", "choose", "union"]

Match = Literal["any", "all"]
Layout = Literal["class", "flat"]

_NONE = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted: the classes, and which of their images and annotations.

    `classes` are names or MIDs. No `labels` stand for boxes and masks, as far as the release has
    them. An image is chosen when it has an annotation of any of the `labels`: of one class with
    `match` "any", of every class with "all". `limit` is the largest number of images for each
    class in each split, and `seed` which of them.

    Raises:
        UsageError: one of the values is not among those there are.

    """

    classes: tuple[str, ...]
    splits: tuple[Split, ...] = SPLITS
    labels: tuple[Label, ...] = ()
    match: Match = "any"
    limit: int | None = None
    seed: int = 0
    layout: Layout = "class"
    images: bool = True
    metadata: bool = True

    def __post_init__(self) -> None:
        """Check every value against those there are."""
        _among("split", self.splits, SPLITS)
        _among("label type", self.labels, LABELS)
        _among("match", (self.match,), get_args(Match))
        _among("layout", (self.layout,), get_args(Layout))
        if self.limit is not None and self.limit < 1:
            raise UsageError(
                f"a limit of {self.limit} images makes no sense", remedy="give 1 or more"
            )
        if not self.splits:
            raise UsageError("no split was named", remedy=f"choose from {', '.join(SPLITS)}")

    def as_dict(self) -> dict[str, object]:
        """Give the selection as plain values."""
        return {
            "classes": list(self.classes),
            "splits": [split for split in SPLITS if split in self.splits],
            "labels": [label for label in LABELS if label in self.labels],
            "match": self.match,
            "limit": self.limit,
            "seed": self.seed,
            "layout": self.layout,
            "images": self.images,
            "metadata": self.metadata,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Selection:
        """Read a selection as `as_dict` gives it.

        Raises:
            UsageError: it is not one.

        """
        try:
            values = dict(plain)
            for name in ("classes", "splits", "labels"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise UsageError(f"this is no selection: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The images of one split: those picked for each class (by MID), and all of them together.

    Every array is sorted and has each image once.
    """

    by_class: Mapping[str, NDArray[np.uint64]]
    images: NDArray[np.uint64]


def choose(
    candidates: Mapping[str, NDArray[np.uint64]],
    *,
    match: Match = "any",
    limit: int | None = None,
    seed: int = 0,
) -> Choice:
    """Choose among the images that have each class.

    With *match* "all" only images that have every class stay. *limit* keeps at most so many images
    for each class: the first ones in an order that depends on the seed and the image alone. So a
    larger limit keeps all that a smaller one chose, whatever the order of the classes, on any
    machine; and classes that share images tend to pick the same ones.
    """
    if match == "all" and candidates:
        ids = iter(candidates.values())
        common = next(ids)
        for other in ids:
            common = np.intersect1d(common, other, assume_unique=True)
        candidates = dict.fromkeys(candidates, common)
    picked = {mid: _first(ids, limit, seed) for mid, ids in candidates.items()}
    return Choice(picked, union(picked))


def union(sets: Mapping[str, NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Give the images that are in any of the sets."""
    return np.unique(np.concatenate([_NONE, *sets.values()]))


def _among(what: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise UsageError(
                f"there is no {what} '{value}'", remedy=f"choose from {', '.join(known)}"
            )


def _first(ids: NDArray[np.uint64], limit: int | None, seed: int) -> NDArray[np.uint64]:
    if limit is None or len(ids) <= limit:
        return ids
    return np.sort(ids[np.argsort(_rank(ids, seed), kind="stable")[:limit]])


def _rank(ids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Mix id and seed into a number that looks random (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        start = _mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
        return _mixed(ids ^ start)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
