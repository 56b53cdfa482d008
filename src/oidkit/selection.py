"""Which images are wanted: pure decisions on columns of image ids.

An image id is 16 hex digits, so it is a 64-bit number here; a set of images is a sorted array of
them, 8 bytes each.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from oidkit.catalog import LABELS, SPLITS, Label, Split
from oidkit.errors import UsageError
from oidkit.schema import Keep, Schema
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = [
    "LISTED",
    "Annotations",
    "Choice",
    "Flag",
    "Layout",
    "Match",
    "Selection",
    "choose",
    "union",
]

Match = Literal["any", "all"]
Layout = Literal["class", "flat"]
Flag = Literal["yes", "no", "any"]
Annotations = Literal["requested", "all"]

LISTED = ""
"""Stands for a MID where images are listed by their ids."""
_NONE = np.empty(0, dtype=np.uint64)
_FLAGS = {
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
}
_PUBLISHED = {"yes": "1", "no": "0"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted: the classes, and which of their images and annotations.

    `classes` are names or MIDs. No `labels` stand for boxes and masks, as far as the release has
    them. An image is chosen when it has an annotation of any of the `labels`: of one class with
    `match` "any", of every class with "all". `limit` is the largest number of images for each
    class in each split, and `seed` which of them.

    `occluded`, `truncated`, `group_of`, `depiction` and `inside` keep the boxes whose flag is so;
    a flag that is unknown is kept by "any" alone, and a mask has none. `min_area` keeps boxes, and
    masks by their box, of at least this share of the image, 0 to 1. What is not kept counts for
    nothing: it chooses no image, and is not in the annotations.

    `total` is the largest number of images in each split, taken from the classes in turn.

    With `annotations` "all", files of every annotation of the chosen images come on top, whatever
    its class and whatever is kept, and all their masks.

    `image_ids` are images to take in besides those of the classes, or in place of any class, as
    ``train/<id>`` or ``<id>``; of other splits than `splits` they are left out. No limit counts
    them, but `total` does, as those of one more class. Without any class, `annotations` are "all".

    Selections of the same images are combined by ``|`` (either), ``&`` (both) and ``-`` (the first
    and not the second), as far as one selection can say it. That is about images: the annotations
    are then those of all classes of the result, on all of them.

    `exclude` drops the images that have one of these classes in any of the `labels`, whatever is
    kept of them. With `subclasses` each class, of these too, stands for itself and all kinds of it.

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
    occluded: Flag = "any"
    truncated: Flag = "any"
    group_of: Flag = "any"
    depiction: Flag = "any"
    inside: Flag = "any"
    min_area: float = 0.0
    exclude: tuple[str, ...] = ()
    subclasses: bool = False
    total: int | None = None
    annotations: Annotations = "requested"
    image_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value against those there are."""
        _among("split", self.splits, SPLITS)
        _among("label type", self.labels, LABELS)
        _among("match", (self.match,), get_args(Match))
        _among("layout", (self.layout,), get_args(Layout))
        _among("kind of annotations", (self.annotations,), get_args(Annotations))
        for name in _FLAGS:
            _among(f"value of {name}", (getattr(self, name),), get_args(Flag))
        if not 0 <= self.min_area <= 1:
            raise UsageError(
                f"a smallest area of {self.min_area} makes no sense",
                remedy="give a share of the image from 0 to 1, such as 0.01",
            )
        for each in self.image_ids:
            split, _, image_id = each.rpartition("/")
            if not IMAGE_ID_PATTERN.fullmatch(image_id) or split not in ("", *SPLITS):
                raise UsageError(
                    f"'{each[:60]}' is not the id of an image",
                    remedy="write 16 hex digits, or a split before them, as in train/<id>",
                )
        for what, most in (("limit", self.limit), ("total", self.total)):
            if most is not None and most < 1:
                raise UsageError(
                    f"a {what} of {most} images makes no sense", remedy="give 1 or more"
                )
        if not self.splits:
            raise UsageError("no split was named", remedy=f"choose from {', '.join(SPLITS)}")

    def as_dict(self) -> dict[str, object]:
        """Give the selection as plain values; of the rarer fields those that say something."""
        plain: dict[str, object] = {
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
        for each in fields(self):
            if each.name not in plain and (value := getattr(self, each.name)) != each.default:
                plain[each.name] = list(value) if isinstance(value, tuple) else value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Selection:
        """Read a selection as `as_dict` gives it; what it does not name is as always.

        Raises:
            UsageError: it is not one.

        """
        values: dict[str, Any] = {name: _typed(name, value) for name, value in plain.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise UsageError(f"this is no selection: {error}") from error

    def __or__(self, other: object) -> Selection:
        """Select the images that either selects.

        Raises:
            UsageError: no single selection does that.

        """
        if not isinstance(other, Selection):
            return NotImplemented
        if set(self.classes) == set(other.classes):
            _alike(self, other, "|", but="splits classes")
            both = {*self.splits, *other.splits}
            return replace(self, splits=tuple(split for split in SPLITS if split in both))
        _alike(self, other, "|", but="classes match")
        if not (self._takes_any and other._takes_any):
            raise _unsound("|", "match 'all' of several classes is in one of them")
        if self.total is not None:
            raise _unsound("|", "the totals of two selections are not the total of both")
        return replace(self, classes=_together(self.classes, other.classes), match="any")

    def __and__(self, other: object) -> Selection:
        """Select the images that both select.

        Raises:
            UsageError: no single selection does that.

        """
        if not isinstance(other, Selection):
            return NotImplemented
        _alike(self, other, "&", but="splits classes match exclude")
        splits = tuple(split for split in SPLITS if split in self.splits and split in other.splits)
        if not splits:
            raise UsageError("the two selections have no split in common", remedy="name one")
        if replace(other, splits=self.splits) == self:
            return replace(self, splits=splits)
        if self._has_limit:
            raise _unsound("&", "what a limit picks depends on all that it may pick from")
        exclude = _together(self.exclude, other.exclude)
        if set(self.classes) == set(other.classes) and self.match == other.match:
            return replace(self, splits=splits, exclude=exclude)
        if not (self._needs_all and other._needs_all):
            raise _unsound("&", "one of them takes any of several classes")
        classes = _together(self.classes, other.classes)
        return replace(self, splits=splits, classes=classes, match="all", exclude=exclude)

    def __sub__(self, other: object) -> Selection:
        """Select the images that this one selects and the other does not.

        Raises:
            UsageError: no single selection does that.

        """
        if not isinstance(other, Selection):
            return NotImplemented
        free = "splits classes match exclude image_ids annotations layout images metadata min_area "
        _alike(self, other, "-", but=free + " ".join(_FLAGS))
        if not {*self.splits} <= {*other.splits}:
            raise _unsound("-", "the second lacks a split of the first")
        if self._has_limit:
            raise _unsound("-", "what a limit picks depends on all that it may pick from")
        if other.narrows or other.exclude or other.image_ids or not other._takes_any:
            raise _unsound("-", "only images with any of some classes can be taken away")
        return replace(self, exclude=_together(self.exclude, other.classes))

    @property
    def _takes_any(self) -> bool:
        return self.match == "any" or len(self.classes) == 1

    @property
    def _needs_all(self) -> bool:
        return self.match == "all" or len(self.classes) == 1

    @property
    def _has_limit(self) -> bool:
        return self.limit is not None or self.total is not None

    def keep(self, schema: Schema) -> Keep | None:
        """Say which rows of an annotation file are kept; None for all of them."""
        values = {
            column: _PUBLISHED[getattr(self, name)]
            for name, column in _FLAGS.items()
            if column in schema.rules and getattr(self, name) != "any"
        }
        if not values and not self.min_area:
            return None
        return Keep(values, schema.ordered, self.min_area)

    @property
    def narrows(self) -> bool:
        """Whether it may take some rows that a class has on an image, and not the others."""
        return self.min_area > 0 or any(getattr(self, name) != "any" for name in _FLAGS)


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
    total: int | None = None,
    seed: int = 0,
    without: NDArray[np.uint64] = _NONE,
) -> Choice:
    """Choose among the images that have each class, but for those *without* which it has to be.

    Under `LISTED` are images that are wanted without any class: no match or limit is for them.

    With *match* "all" only images that have every class stay. *limit* keeps at most so many images
    for each class: the first ones in an order that depends on the seed and the image alone. So a
    larger limit keeps all that a smaller one chose, whatever the order of the classes, on any
    machine; and classes that share images tend to pick the same ones.

    *total* then keeps at most so many images altogether: the first of each class, then the second
    of each, and so on, in the same order within a class; an image counts where it comes first. A
    larger total, too, keeps all that a smaller one chose, and so does a larger limit with it.
    """
    having = {mid: ids for mid, ids in candidates.items() if mid != LISTED}
    if match == "all" and having:
        ids = iter(having.values())
        common = next(ids)
        for other in ids:
            common = np.intersect1d(common, other, assume_unique=True)
        having = dict.fromkeys(having, common)
    if LISTED in candidates:
        having[LISTED] = candidates[LISTED]
    if len(without):
        having = {
            mid: np.setdiff1d(ids, without, assume_unique=True) for mid, ids in having.items()
        }
    picked = {
        mid: ids if mid == LISTED else _first(ids, limit, seed) for mid, ids in having.items()
    }
    if total is not None:
        picked = _first_of_all(picked, total, seed)
    return Choice(picked, union(picked))


def union(sets: Mapping[str, NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Give the images that are in any of the sets."""
    return np.unique(np.concatenate([_NONE, *sets.values()]))


def _alike(one: Selection, other: Selection, sign: str, *, but: str) -> None:
    """Refuse to combine selections that differ in another field than those."""
    for each in fields(one):
        if each.name not in but.split() and getattr(one, each.name) != getattr(other, each.name):
            raise _unsound(sign, f"they differ in {each.name}")


def _unsound(sign: str, because: str) -> UsageError:
    return UsageError(
        f"no single selection is what '{sign}' asks for: {because}",
        remedy="download one after the other, or change one of them",
    )


def _together(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one + other))


def _among(what: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise UsageError(
                f"there is no {what} '{value}'", remedy=f"choose from {', '.join(known)}"
            )


_LISTS = ("classes", "splits", "labels", "exclude", "image_ids")
_TYPES: dict[str, tuple[type, ...]] = {
    "limit": (int, type(None)),
    "total": (int, type(None)),
    "seed": (int,),
    "images": (bool,),
    "metadata": (bool,),
    "subclasses": (bool,),
    "min_area": (int, float),
}


def _typed(name: str, value: Any) -> object:
    """Check the type of a plain value, and turn a list into a tuple."""
    if name in _LISTS:
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise UsageError(f"this is no selection: {name} is not a list of texts")
    types = _TYPES.get(name, (str,))
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"this is no selection: {name} cannot be {value!r}")
    return value


def _first(ids: NDArray[np.uint64], limit: int | None, seed: int) -> NDArray[np.uint64]:
    if limit is None or len(ids) <= limit:
        return ids
    return np.sort(ids[np.argsort(_rank(ids, seed), kind="stable")[:limit]])


def _first_of_all(
    picked: Mapping[str, NDArray[np.uint64]], total: int, seed: int
) -> dict[str, NDArray[np.uint64]]:
    """Take images from the classes in turn; which of a turn come first is left to the rank."""
    images = union(picked)
    if len(images) > total:
        turn = np.full(len(images), len(images))
        for ids in picked.values():
            ranked = ids[np.argsort(_rank(ids, seed), kind="stable")]
            at = np.searchsorted(images, ranked)
            turn[at] = np.minimum(turn[at], np.arange(len(ranked)))
        images = np.sort(images[np.lexsort((_rank(images, seed), turn))[:total]])
    return {mid: np.intersect1d(ids, images, assume_unique=True) for mid, ids in picked.items()}


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
