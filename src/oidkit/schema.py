"""What the columns of each annotation file mean, as data.

A row that breaks a rule of its file is set aside with its line number and the reason; see
`oidkit.tables`. Columns that have no rule are kept as published, whatever they hold.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from oidkit import catalog
from oidkit.errors import MalformedError
from oidkit.taxonomy import IMAGE_ID_PATTERN, MID_PATTERN, mid_stem
from oidkit.zipindex import MASK_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oidkit.catalog import File, Label, Release, Split

__all__ = [
    "ATTRIBUTION",
    "BOXES",
    "BY_NAME",
    "CAPTIONS",
    "FLAGS",
    "HUMAN_LABELS",
    "IMAGES",
    "LINE",
    "MACHINE_LABELS",
    "MASKS",
    "NARRATIVES",
    "POINTS",
    "RELATIONSHIPS",
    "SCHEMAS",
    "Keep",
    "Kind",
    "Schema",
    "check_row",
    "files_of",
    "header_of",
]

Kind = Literal["image id", "mid", "unit", "flag", "mask path"]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

ATTRIBUTION = (
    "ImageID",
    "Title",
    "Author",
    "AuthorProfileURL",
    "License",
    "OriginalLandingURL",
    "Rotation",
)
"""The columns of `attribution.csv`, each as the image list publishes it."""
FLAGS: Mapping[str, str] = {
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
}
"""What the flags of boxes are called, and the column that has each."""
LINE = "Line"
"""The column that holds a whole line of a file of JSON lines, as published."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The rules of one kind of file.

    `key` names the columns that its table is sorted by. `rules` says what a column holds: an
    `image id` (16 hex digits), a `mid`, a `unit` (a number from 0 to 1, normalised to the image's
    width or height), a `flag` (1, 0, or -1 for unknown), or a `mask path`. `ordered` are pairs of
    columns of which the first is never the larger. `quoted` tells whether fields may hold commas
    inside quotes; box and mask files never quote.

    Tables call the image ImageID and its class LabelName, whatever the file does: `published`
    maps a column of the file to its name in the table. `classes` are the columns that name a
    class, any of which makes the row one of that class. A file of JSON `lines` has no columns: its
    table has the id of the image, and the line. `group` is the number of rows that are read
    together at the least.
    """

    name: str
    key: tuple[str, ...]
    rules: Mapping[str, Kind]
    ordered: tuple[tuple[str, str], ...] = ()
    quoted: bool = False
    published: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ("LabelName",)
    lines: bool = False
    group: int = 32_768

    def header(self, columns: Sequence[str]) -> list[str]:
        """Name columns of the table as the file does."""
        names = {ours: theirs for theirs, ours in self.published.items()}
        return [names.get(column, column) for column in columns]


@dataclass(frozen=True, slots=True)
class Keep:
    """Which rows of a file count; without any condition all of them.

    `values` maps a column to its published text, `least` and `most` to the smallest and the
    largest number it may have. `least_area` is a share of the image, 0 to 1, of the box whose
    `sides` are pairs of columns, low before high.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    sides: tuple[tuple[str, str], ...] = ()
    least_area: float = 0.0
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)


BOXES = Schema(
    name="boxes",
    key=("LabelName", "ImageID"),
    rules={
        "ImageID": "image id",
        "LabelName": "mid",
        "XMin": "unit",
        "XMax": "unit",
        "YMin": "unit",
        "YMax": "unit",
        "IsOccluded": "flag",
        "IsTruncated": "flag",
        "IsGroupOf": "flag",
        "IsDepiction": "flag",
        "IsInside": "flag",
    },
    ordered=(("XMin", "XMax"), ("YMin", "YMax")),
)
MASKS = Schema(
    name="masks",
    key=("LabelName", "ImageID"),
    rules={
        "MaskPath": "mask path",
        "ImageID": "image id",
        "LabelName": "mid",
        "BoxXMin": "unit",
        "BoxXMax": "unit",
        "BoxYMin": "unit",
        "BoxYMax": "unit",
    },
    ordered=(("BoxXMin", "BoxXMax"), ("BoxYMin", "BoxYMax")),
)
HUMAN_LABELS = Schema(
    name="human image labels",
    key=("LabelName", "ImageID"),
    rules={"ImageID": "image id", "LabelName": "mid", "Confidence": "unit"},
)
MACHINE_LABELS = Schema(
    name="machine image labels",
    key=HUMAN_LABELS.key,
    rules=HUMAN_LABELS.rules,
)
RELATIONSHIPS = Schema(
    name="relationships",
    key=("LabelName", "ImageID"),
    rules={
        "ImageID": "image id",
        "LabelName1": "mid",
        "LabelName2": "mid",
        "XMin1": "unit",
        "XMax1": "unit",
        "YMin1": "unit",
        "YMax1": "unit",
        "XMin2": "unit",
        "XMax2": "unit",
        "YMin2": "unit",
        "YMax2": "unit",
    },
    ordered=(("XMin1", "XMax1"), ("YMin1", "YMax1"), ("XMin2", "XMax2"), ("YMin2", "YMax2")),
    classes=("LabelName1", "LabelName2"),
)
POINTS = Schema(
    name="points",
    key=("LabelName", "ImageID"),
    rules={"ImageID": "image id", "LabelName": "mid", "X": "unit", "Y": "unit"},
    quoted=True,
    published={"ImageId": "ImageID", "Label": "LabelName"},
)
NARRATIVES = Schema(
    name="narratives",
    key=("ImageID",),
    rules={"ImageID": "image id"},
    published={"image_id": "ImageID"},
    classes=(),
    lines=True,
    # A line takes some 33 kB (measured: 16.7 GB for 507,444).
    group=64,
)
CAPTIONS = Schema(
    name="captions",
    key=NARRATIVES.key,
    rules=NARRATIVES.rules,
    published=NARRATIVES.published,
    classes=(),
    lines=True,
)
IMAGES = Schema(
    name="images",
    key=("ImageID",),
    rules={"ImageID": "image id"},
    quoted=True,
    classes=(),
)
SCHEMAS: Mapping[Label, tuple[Schema, ...]] = {
    "boxes": (BOXES,),
    "masks": (MASKS,),
    "image-labels": (HUMAN_LABELS, MACHINE_LABELS),
    "relationships": (RELATIONSHIPS,),
    "points": (POINTS,),
    "narratives": (NARRATIVES,),
}
"""The kinds of files that a label type has, in the order of `oidkit.catalog.tables`."""
BY_NAME: Mapping[str, Schema] = {
    schema.name: schema for schemas in SCHEMAS.values() for schema in schemas
}
"""The rules of annotation files by their names."""


def files_of(
    release: Release, label: Label, split: Split, *, captions: bool = False
) -> list[tuple[File, Schema]]:
    """Name the files of a label type and split, each with its rules.

    With *captions* the narratives are those of their text alone.

    Raises:
        UsageError: as `oidkit.catalog.tables`.

    """
    if label == "narratives" and captions:
        return [(catalog.captions_file(release, split), CAPTIONS)]
    files = catalog.tables(release, label, split)
    return list(zip(files, itertools.cycle(SCHEMAS[label]), strict=False))


def header_of(schema: Schema, columns: Sequence[str], *, file: str) -> tuple[str, ...]:
    """Check a header against the schema and give the columns of its table.

    Raises:
        MalformedError: a column that the rules need is not there, or stands there twice.

    """
    begins = ",".join(columns)[:60]
    columns = [schema.published.get(name, name) for name in columns]
    if missing := schema.header([name for name in schema.rules if name not in columns]):
        raise MalformedError(
            f"{file} is not a file of {schema.name}: "
            f"it has no column {', '.join(missing)} (it begins '{begins}')",
            remedy="check that --source is a whole mirror of this release",
        )
    if len(set(columns)) != len(columns):
        raise MalformedError(f"{file} names a column twice", remedy="check the copy at --source")
    return tuple(columns)


def check_row(schema: Schema, row: Mapping[str, str]) -> str | None:
    """Say what is wrong with a row, or None where nothing is."""
    for column, kind in schema.rules.items():
        if (wrong := _wrong(kind, row[column])) is not None:
            return f"{column} {wrong}"
    for low, high in schema.ordered:
        if float(row[low]) > float(row[high]):
            return f"{low} is larger than {high}"
    if "MaskPath" in schema.rules:
        front = f"{row['ImageID']}_{mid_stem(row['LabelName'])}_"
        if row["MaskPath"][: -len("01234567.png")] != front:
            return "MaskPath names another image or class than its row"
    return None


def _wrong(kind: Kind, value: str) -> str | None:
    if kind == "image id":
        return None if IMAGE_ID_PATTERN.fullmatch(value) else "is not 16 hex digits"
    if kind == "mid":
        return None if MID_PATTERN.fullmatch(value) else "is not a MID"
    if kind == "flag":
        return None if value in ("-1", "0", "1") else "is not -1, 0 or 1"
    if kind == "mask path":
        return None if MASK_NAME.fullmatch(value) else "is not the name of a mask"
    if not _NUMBER.fullmatch(value) or not 0.0 <= float(value) <= 1.0:
        return "is not a number from 0 to 1"
    return None
