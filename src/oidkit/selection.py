"""What is wanted, as one frozen value: classes, and which of their images and annotations."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from oidkit.catalog import LABELS, SPLITS, Label, Split
from oidkit.choice import Match
from oidkit.errors import UsageError
from oidkit.schema import Keep, Schema
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Annotations",
    "Flag",
    "Layout",
    "Selection",
]

Layout = Literal["class", "flat"]
Flag = Literal["yes", "no", "any"]
Annotations = Literal["requested", "all"]

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

    With `upright` images, masks and annotations are turned by the `Rotation` of the image list; a
    folder is so altogether or not at all.

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
    upright: bool = False

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
        _alike(self, other, "-", but=free + "upright " + " ".join(_FLAGS))
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
    "upright": (bool,),
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
