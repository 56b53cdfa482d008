"""The objects of a dataset folder as columns: boxes and masks of one thing joined.

The files are those that a download wrote, `csv/<class>_<split>_<label>.csv`. A row of boxes has no
BoxID, so a mask belongs to the box of its image and class whose coordinates are its own.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import polars as pl

from oidkit.objectpath import readable
from oidkit.schema import FLAGS
from oidkit.tables.dropping import Unwanted
from oidkit.tables.written import as_written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from oidkit.objectpath import Location

__all__ = [
    "TOLERANCE",
    "ClassFile",
    "Instance",
    "Instances",
    "Numbering",
    "Part",
    "classes_in",
    "read_instances",
    "rows_by_image",
]

TOLERANCE = 2e-6
"""How far apart the coordinates of a mask's box and of its row of boxes may be, normalised.

Masks have them with 6 decimals, boxes of validation with up to 10: rounding makes 5e-7, cutting
1e-6. Two boxes of one class on one image were never nearer than 2.5e-3 (docs/design/exports.md).
"""

_CORNERS = ("XMin", "YMin", "XMax", "YMax")
_FLAGS = tuple(FLAGS.values())
_BOXES = ("ImageID", "LabelName", "Source", *_CORNERS, *_FLAGS)
_MASKS = ("ImageID", "LabelName", "MaskPath", "BoxID", *(f"Box{side}" for side in _CORNERS))
_LABELS = ("ImageID", "LabelName", "Source", "Confidence")
_COUNTED = ("boxes", "masks", "joined", "lone_masks")
_SHOWN = ("category", "LabelName", *_CORNERS, *_FLAGS, "Source", "MaskPath", "BoxID")
# So many images are joined at a time: pairs of boxes and masks grow with the square of a crowd.
_JOINED_AT_ONCE = 20_000


class Numbering(Protocol):
    """Which category a row belongs to, such as `oidkit.formats.categories.Categories` says."""

    def number(self, asked: str, mid: str) -> int | None:
        """Give the category of a row, by the class that its file was written for and its own.

        *asked* is "" for a file of all classes. None is for a row that is not wanted.
        """
        ...

    def has(self, mid: str) -> bool:
        """Whether a class is a category, or a part of a merged one."""
        ...

    def classes_of(self, number: int) -> int:
        """Count the classes that were merged into a category."""
        ...


@dataclass(frozen=True, slots=True)
class ClassFile:
    """An annotation file of the dataset, and the class that it was written for; "" for all."""

    path: Location
    mid: str


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The annotation files of a published split, and the images of it that are wanted.

    `ids` are sorted; `places` says of each where it stands among all pictures. `masks` are the
    names of the mask files that are there, `unwanted` annotations that are left out.
    """

    boxes: Sequence[ClassFile]
    masks: Sequence[ClassFile]
    labels: Sequence[ClassFile]
    ids: NDArray[np.uint64]
    places: NDArray[np.uint32]
    masks_there: Sequence[str] = ()
    unwanted: Unwanted = field(default_factory=Unwanted)

    @property
    def pictures(self) -> pl.DataFrame:
        """The images by `id`, and `at` where each stands."""
        return pl.DataFrame({"id": self.ids, "at": self.places})


class Instance(NamedTuple):
    """One object, as the files have it: None for what a box or a mask alone does not have."""

    category: int
    mid: str
    xmin: float | None
    ymin: float | None
    xmax: float | None
    ymax: float | None
    occluded: int
    truncated: int
    group_of: int
    depiction: int
    inside: int
    source: str
    mask: str | None
    box_id: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The objects and the verified labels of all pictures, in the order of the pictures.

    `boxes` and `masks` are the rows that were read, `joined` the pairs of them that are one object
    and `lone_masks` the masks that no box belongs to. `masks_absent` counts the rows of masks
    whose file is not there; they are not among the objects. `dropped` are annotations that were
    not wanted, and `unmatched` those of these that are on none of the pictures.
    """

    rows: pl.DataFrame
    present: pl.DataFrame
    absent: pl.DataFrame
    boxes: int = 0
    masks: int = 0
    joined: int = 0
    lone_masks: int = 0
    masks_absent: int = 0
    dropped: int = 0
    unmatched: int = 0

    def columns(self) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
        """Give of each object where its picture stands and its category, in the objects' order."""
        return self.rows["at"].to_numpy(), self.rows["category"].to_numpy()

    def before(self, place: int) -> int:
        """Count the objects of all pictures before this place."""
        return int(np.searchsorted(self.rows["at"].to_numpy(), place))

    def objects(self, first: int, stop: int) -> list[list[Instance]]:
        """Give the objects of the pictures from *first* up to but not including *stop*."""
        return [
            [Instance(*row[1:]) for row in rows] for rows in rows_by_image(self.rows, first, stop)
        ]

    def labels(self, first: int, stop: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Give the categories that are verified as present, and as absent, of some pictures."""
        there = rows_by_image(self.present, first, stop)
        not_there = rows_by_image(self.absent, first, stop)
        return [
            (tuple(row[1] for row in shown), tuple(row[1] for row in denied))
            for shown, denied in zip(there, not_there, strict=True)
        ]


def classes_in(files: Sequence[Location]) -> list[str]:
    """List the classes that the rows of some annotation files have, sorted.

    Raises:
        IntegrityError: a file is not what a download writes.

    """
    found: set[str] = set()
    for path in files:
        with as_written(path):
            rows = pl.read_csv(
                readable(path), columns=["LabelName"], infer_schema=False, glob=False
            )
            found |= set(rows["LabelName"].unique().to_list())
    return sorted(found)


def rows_by_image(frame: pl.DataFrame, first: int, stop: int) -> list[list[tuple[Any, ...]]]:
    """Group the rows of a frame that is sorted by `at`, its first column, by picture."""
    at = frame["at"].to_numpy()
    edges = np.searchsorted(at, np.arange(first, stop + 1))
    rows = frame.slice(int(edges[0]), int(edges[-1] - edges[0])).rows()
    low = int(edges[0])
    return [rows[a - low : b - low] for a, b in itertools.pairwise(edges)]


def read_instances(parts: Sequence[Part], numbering: Numbering) -> Instances:
    """Read and join what the pictures of all parts have.

    Raises:
        IntegrityError: a file is not what a download writes.

    """
    objects, shown, denied = [], [], []
    counts: Counter[str] = Counter()
    for part in parts:
        wanted, came = _objects(part, numbering)
        present, absent = _labels(part, numbering)
        counts.update(came)
        counts["unmatched"] += part.unwanted.unmatched
        objects.append(wanted)
        shown.append(present)
        denied.append(absent)
    return Instances(
        pl.concat(objects).sort("at", maintain_order=True),
        pl.concat(shown).sort("at", "category"),
        pl.concat(denied).sort("at", "category"),
        **counts,
    )


def _objects(part: Part, numbering: Numbering) -> tuple[pl.DataFrame, dict[str, int]]:
    """Give the objects of a part, and what is to be counted, by the names of `Instances`."""
    boxes = _of(part, part.boxes, _BOXES, numbering)
    masks = _of(part, part.masks, _MASKS, numbering)
    boxes = boxes.with_columns(
        *(pl.col(name).cast(pl.Float64) for name in _CORNERS),
        *(pl.col(name).cast(pl.Int8) for name in _FLAGS),
    )
    masks = masks.with_columns(pl.col(f"Box{name}").cast(pl.Float64) for name in _CORNERS)
    there = pl.DataFrame({"MaskPath": part.masks_there}, schema={"MaskPath": pl.String})
    files = masks.join(there, on="MaskPath", how="semi", maintain_order="left")
    kept = part.unwanted.without_masks(files)
    both = _joined(boxes, kept)
    wanted = part.unwanted.without_boxes(both, part.pictures)
    return wanted, {
        **_counted(wanted),
        "masks_absent": masks.height - files.height,
        "dropped": files.height - kept.height + both.height - wanted.height,
    }


def _of(
    part: Part, files: Sequence[ClassFile], columns: Sequence[str], numbering: Numbering
) -> pl.DataFrame:
    """Give the rows of the wanted images of several files, each row that is in two of them once.

    Columns `at` and `category` come first; the rows stand in the order of `at`, then of the files.
    """
    frames = [
        frame.with_columns(pl.lit(file.mid).alias("asked"))
        for file in files
        if (frame := _read(file.path, columns)) is not None
    ]
    schema = dict.fromkeys((*columns, "copy", "asked"), pl.String) | {"copy": pl.Int64}
    rows = pl.concat([pl.DataFrame(schema=schema), *frames])
    pairs = rows.select("asked", "LabelName").unique(maintain_order=True)
    numbers = [numbering.number(asked, mid) for asked, mid in pairs.iter_rows()]
    categories = pairs.with_columns(pl.Series("category", numbers, dtype=pl.Int32))
    return (
        rows.join(categories.drop_nulls(), on=["asked", "LabelName"], maintain_order="left")
        .with_columns(pl.col("ImageID").str.to_integer(base=16, dtype=pl.UInt64).alias("id"))
        .join(part.pictures, on="id", maintain_order="left")
        .unique([*columns, "copy"], keep="first", maintain_order=True)
        .sort("at", maintain_order=True)
        .select("at", "category", *columns[1:])
    )


def _read(path: Location, columns: Sequence[str]) -> pl.DataFrame | None:
    """Read some columns of a file as text; `copy` tells rows of it that are alike."""
    if not path.is_file() or path.is_symlink():
        return None
    with as_written(path):
        rows = pl.read_csv(
            readable(path),
            columns=list(columns),
            infer_schema=False,
            empty_string_is_null=False,
            glob=False,
        ).select(columns)
        well = pl.col("ImageID").str.contains("^[0-9a-f]{16}$")
        numbers = [pl.col(name).cast(pl.Float64) for name in columns if _is_number(name)]
        rows.select(numbers)
        if not rows.select(well.all()).item():
            raise pl.exceptions.ComputeError("an ImageID is none")
    return rows.with_columns(pl.int_range(pl.len()).over(columns).alias("copy"))


def _is_number(column: str) -> bool:
    return column.removeprefix("Box") in {*_CORNERS, *_FLAGS, "Confidence"}


def _joined(boxes: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """Put boxes and masks of one object into one row.

    Each mask goes with one box at the most, and each box with one mask: the nearest first, and
    among those as near the one that stands first in its file.
    """
    left = boxes.with_row_index("box")
    right = masks.with_row_index("mask")
    pairs = pl.concat([_pairs(*some) for some in _slices(left, right)])
    names = pairs.join(right.select("mask", "MaskPath", "BoxID"), on="mask").drop("mask")
    found = left.join(names, on="box", how="left", maintain_order="left").drop("box")
    alone = right.join(pairs, on="mask", how="anti", maintain_order="left").select(
        "at",
        "category",
        "LabelName",
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in _CORNERS),
        *(pl.lit(-1, dtype=pl.Int8).alias(name) for name in _FLAGS),
        pl.lit("").alias("Source"),
        "MaskPath",
        "BoxID",
    )
    return pl.concat([found.select("at", *_SHOWN), alone]).sort("at", maintain_order=True)


def _counted(rows: pl.DataFrame) -> dict[str, int]:
    """Count objects with a box, with a mask, with both, and with a mask alone."""
    box, mask = rows["XMin"].is_not_null(), rows["MaskPath"].is_not_null()
    return dict(
        zip(
            _COUNTED,
            map(int, (box.sum(), mask.sum(), (box & mask).sum(), (mask & ~box).sum())),
            strict=True,
        )
    )


def _slices(
    boxes: pl.DataFrame, masks: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Give boxes and masks of some thousand images at a time; at least once."""
    images = np.unique(masks["at"].to_numpy())
    for first in range(0, max(len(images), 1), _JOINED_AT_ONCE):
        some = images[first : first + _JOINED_AT_ONCE]
        low, high = (int(some[0]), int(some[-1])) if len(some) else (0, 0)
        within = pl.col("at").is_between(low, high)
        yield boxes.filter(within), masks.filter(within)


def _pairs(boxes: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """Give the numbers of the boxes and masks that belong together."""
    apart = pl.max_horizontal((pl.col(name) - pl.col(f"Box{name}")).abs() for name in _CORNERS)
    waiting = (
        boxes.select("at", "LabelName", "box", *_CORNERS)
        .join(masks, on=["at", "LabelName"])
        .with_columns(apart.alias("apart"))
        .filter(pl.col("apart") <= TOLERANCE)
        .sort("apart", "mask", "box")
        .select("box", "mask")
    )
    found = [waiting.clear()]
    # Boxes that are alike, each with a mask, take a round for each of them.
    while waiting.height:
        first = waiting.unique("mask", keep="first", maintain_order=True)
        first = first.unique("box", keep="first", maintain_order=True)
        found.append(first)
        for name in ("box", "mask"):
            waiting = waiting.join(first, on=name, how="anti", maintain_order="left")
    return pl.concat(found)


def _labels(part: Part, numbering: Numbering) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give picture and category of what humans verified to be there, and not to be there.

    A category is absent where all classes that were merged into it are verified to be.
    """
    rows = _of(part, part.labels, _LABELS, numbering).filter(pl.col("Source") != "machine")
    rows = part.unwanted.without_labels(rows, part.pictures)
    rows = rows.with_columns(pl.col("Confidence").cast(pl.Float64))
    present = rows.filter(pl.col("Confidence") == 1).select("at", "category").unique()
    asked = [mid for mid in rows["LabelName"].unique() if numbering.has(mid)]
    denied = (
        rows.filter(pl.col("Confidence") == 0, pl.col("LabelName").is_in(asked))
        .group_by("at", "category")
        .agg(pl.col("LabelName").n_unique().alias("classes"))
    )
    merged = denied["category"].unique().to_list()
    needed = {number: numbering.classes_of(number) for number in merged}
    enough = pl.col("classes") == pl.col("category").replace_strict(
        list(needed), list(needed.values()), return_dtype=pl.UInt32
    )
    absent = denied.filter(enough) if needed else denied
    absent = absent.select("at", "category").join(present, on=["at", "category"], how="anti")
    return present, absent
