"""What the columns of each annotation file mean, as data.

A row that breaks a rule of its file is set aside with its line number and the reason; see
`oidkit.tables`. Columns that have no rule are kept as published, whatever they hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oidkit.errors import MalformedError
from oidkit.taxonomy import IMAGE_ID_PATTERN, MID_PATTERN, mid_stem
from oidkit.zipindex import MASK_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ATTRIBUTION",
    "BOXES",
    "IMAGES",
    "MASKS",
    "Keep",
    "Kind",
    "Schema",
    "check_row",
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


@dataclass(frozen=True, slots=True)
class Schema:
    """The rules of one kind of file.

    `key` names the columns that its table is sorted by. `rules` says what a column holds: an
    `image id` (16 hex digits), a `mid`, a `unit` (a number from 0 to 1, normalised to the image's
    width or height), a `flag` (1, 0, or -1 for unknown), or a `mask path`. `ordered` are pairs of
    columns of which the first is never the larger. `quoted` tells whether fields may hold commas
    inside quotes; box and mask files never quote.
    """

    name: str
    key: tuple[str, ...]
    rules: Mapping[str, Kind]
    ordered: tuple[tuple[str, str], ...] = ()
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Which rows of a file count: those with these values, and with a box that is large enough.

    `values` maps a column to its published text. `least_area` is a share of the image, 0 to 1, of
    the box whose `sides` are pairs of columns, low before high.
    """

    values: Mapping[str, str]
    sides: tuple[tuple[str, str], ...] = ()
    least_area: float = 0.0


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
IMAGES = Schema(
    name="images",
    key=("ImageID",),
    rules={"ImageID": "image id"},
    quoted=True,
)


def header_of(schema: Schema, columns: Sequence[str], *, file: str) -> tuple[str, ...]:
    """Check a header against the schema and give its columns.

    Raises:
        MalformedError: a column that the rules need is not there, or stands there twice.

    """
    if missing := [name for name in schema.rules if name not in columns]:
        begins = ",".join(columns)[:60]
        raise MalformedError(
            f"{file} is not a file of {schema.name}: "
            f"it has no column {', '.join(missing)} (it begins '{begins}')",
            remedy="check that --source is a whole mirror of this release",
        )
    if len(set(columns)) != len(columns):
        raise MalformedError(f"{file} names a column twice", remedy="check the source")
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
