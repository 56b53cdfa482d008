"""The training formats by name, and the flags that each has; a format is imported when asked for.

To add one: a module with a frozen class that fulfils `oidkit.formats.model.Format`, a row of
`FORMATS`, and a row of `FLAGS` for each of its fields. A class that needs the categories while it
prepares a picture has a field `categories`, which the run fills in. A writer that keeps files open
has a `close` that may be called at any time. CONTRIBUTING.md has the other files, and the tests.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from oidkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oidkit.formats.model import Category, Format

__all__ = ["FLAGS", "FORMATS", "SHARDED", "Flag", "Home", "format_named", "with_categories"]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a format is: the class in a module of `oidkit.formats`, and what it needs.

    `needs` are libraries by their import name, which the `extra` of the distribution installs. A
    `sharded` one fulfils `oidkit.formats.model.Sharded` as well.
    """

    module: str
    name: str
    summary: str
    needs: tuple[str, ...] = ()
    extra: str = ""
    sharded: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that only some formats take; its name with ``_`` is a field of their classes.

    `kind` reads the text; bool stands for a flag without a value. `choices`, where there are any,
    are all the values.
    """

    formats: tuple[str, ...]
    kind: type
    meaning: str
    metavar: str = ""
    choices: tuple[str, ...] = ()


FORMATS = {
    "coco": Home("coco", "Coco", "COCO JSON: boxes, and masks as run lengths or polygons"),
    "yolo": Home("yolo", "Yolo", "Ultralytics YOLO: text files and data.yaml"),
    "voc": Home("voc", "Voc", "Pascal VOC: XML files, lists of images and palette PNGs"),
    "csv": Home("flat", "FlatCsv", "one flat table of boxes in pixels"),
    "openimages": Home(
        "openimages",
        "OpenImages",
        "Open Images' own files, for datumaro, CVAT and FiftyOne",
    ),
    "oidv4": Home("oidv4", "Oidv4", "folders and Label/<id>.txt as the OIDv4 toolkit writes them"),
    "webdataset": Home(
        "webdataset", "WebDataset", "tar shards of images, JSON and masks", sharded=True
    ),
    "parquet": Home(
        "parquet",
        "Parquet",
        "Parquet files and a card, for Hugging Face's datasets",
        needs=("pyarrow",),
        extra="parquet",
        sharded=True,
    ),
    "imagefolder": Home("imagefolder", "ImageFolder", "folders for classification"),
}

SHARDED = tuple(name for name, home in FORMATS.items() if home.sharded)

FLAGS: dict[str, Flag] = {
    "polygons": Flag(("coco",), bool, "masks as polygons (default: run lengths)"),
    "task": Flag(
        ("yolo",),
        str,
        "boxes, or outlines of masks (default: detect)",
        choices=("detect", "segment"),
    ),
    "shard_size": Flag(("webdataset",), int, "images in each shard (default: 1000)", "N"),
    "shard_megabytes": Flag(("parquet",), int, "size of each file, about (default: 500)", "N"),
    "multi_label": Flag(
        ("imagefolder",), bool, "one folder a split, and all labels of each image in a list"
    ),
    "several": Flag(
        ("imagefolder",),
        str,
        "an image of several classes goes to the one that covers the most of it, to each, or to "
        "none (default: largest)",
        choices=("largest", "each", "skip"),
    ),
}


def format_named(name: str, options: Mapping[str, object]) -> Format:
    """Give a format with its own flags, by field; those that are None are left to the format.

    Raises:
        UsageError: there is no such format, it has no such flag, or a library that it needs is
            not installed.

    """
    home = FORMATS.get(name)
    if home is None:
        raise UsageError(
            f"there is no format '{name}'", remedy=f"choose from {', '.join(sorted(FORMATS))}"
        )
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        _check_flag(name, key, value)
    lacking = [each for each in home.needs if importlib.util.find_spec(each) is None]
    if lacking:
        raise UsageError(
            f"format {name} needs {' and '.join(lacking)}, which is not installed",
            remedy=f'install it: pip install "oidkit[{home.extra}]"',
        )
    made = getattr(import_module(f"oidkit.formats.{home.module}"), home.name)
    return cast("Format", made(**given))


def with_categories(made: Format, categories: tuple[Category, ...]) -> Format:
    """Hand the categories to a format that has a field for them."""
    if "categories" not in getattr(made, "__dataclass_fields__", {}):
        return made
    return cast("Format", replace(cast("Any", made), categories=categories))


def _check_flag(name: str, key: str, value: object) -> None:
    shown = f"--{key.replace('_', '-')}"
    flag = FLAGS.get(key)
    if flag is None:
        raise UsageError(f"there is no flag {shown} of any format")
    if name not in flag.formats:
        raise UsageError(
            f"{shown} is a flag of format {' and '.join(flag.formats)}, not of {name}",
            remedy="leave it out",
        )
    if flag.choices and value not in flag.choices:
        raise UsageError(
            f"{shown} cannot be '{value}'", remedy=f"choose from {', '.join(flag.choices)}"
        )
