"""The rows of a dataset folder as columns, each object once though several files may have it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from oidkit.catalog import BUCKET_SPLITS
from oidkit.objectpath import ObjectPath, matching, readable
from oidkit.schema import FLAGS
from oidkit.tables.written import as_written, spoilt
from oidkit.taxonomy import mid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from oidkit.objectpath import Location
    from oidkit.tables.manifest import Manifest, PixelSizes

__all__ = ["COUNTED", "SHOWN", "DatasetRows", "gather"]

_IMAGE = pl.UInt64()
_CLASS = pl.Categorical()
_TEXT = pl.String()
_NUMBER = pl.Float64()
_SPLITS = pl.Enum(BUCKET_SPLITS)

# Of each label type the columns that are counted, or that tell one object from another.
_BOX = {"LabelName": _CLASS, "XMin": _NUMBER, "XMax": _NUMBER, "YMin": _NUMBER, "YMax": _NUMBER}
_PAIR = {"LabelName1": _CLASS, "LabelName2": _CLASS, "RelationshipLabel": _CLASS}
COUNTED: Mapping[str, Mapping[str, Any]] = {
    "boxes": _BOX | dict.fromkeys(FLAGS.values(), pl.Int8()),
    "masks": {"LabelName": _CLASS, "MaskPath": _TEXT},
    "image-labels": {"LabelName": _CLASS, "Source": _CLASS, "Confidence": _NUMBER},
    "relationships": _PAIR
    | {f"{axis}{end}{nth}": _TEXT for nth in "12" for axis in "XY" for end in ("Min", "Max")},
    "points": {"Label": _CLASS, "EstimatedYesNo": _CLASS, "X": _TEXT, "Y": _TEXT},
    "narratives": {"caption": _TEXT},
}
"""What `gather` reads for numbers."""
_CLICKS = {f"XClick{nth}{axis}": pl.Float32() for nth in range(1, 5) for axis in "XY"}
SHOWN: Mapping[str, Mapping[str, Any]] = {
    **COUNTED,
    "boxes": {**COUNTED["boxes"], "Source": _CLASS, "Confidence": _NUMBER, **_CLICKS},
    "masks": {
        **COUNTED["masks"],
        **{f"Box{name}": _NUMBER for name in ("XMin", "XMax", "YMin", "YMax")},
    },
    "narratives": {"caption": _TEXT, "annotator_id": pl.Int64()},
}
"""What `gather` reads to show every annotation: the counted columns come first."""
_MAY_LACK = frozenset(_CLICKS)
_IN_ROWS = "|".join(label for label in COUNTED if label != "narratives")
_ROWS = re.compile(rf".+_(train|validation|test)_({_IN_ROWS})\.csv")
_LINES = re.compile(r".+_(train|validation|test)_(?:narratives|captions)\.jsonl")
_IDS = re.compile(
    r"downloader_IDs_for_((?:m|g|oi)[0-9a-z_]+?)_(train|validation|test)(_negatives)?\.txt"
)


@dataclass(frozen=True, slots=True)
class DatasetRows:
    """What a dataset folder holds, as columns; every frame has `split` and `image`, a number.

    `rows` has a frame for each label type: its published columns as far as they are counted.
    `chosen` are the lines of the ID lists, with `LabelName` and whether they are `negative`s.
    `listed` are the images that the image lists have. `licences` has `image` and `License`.
    `files` has for each image of the manifest its `status` and `bytes`, `mask_files` the masks
    that are there, and `sizes` the pixels of images: `width` and `height`.
    """

    rows: Mapping[str, pl.DataFrame]
    chosen: pl.DataFrame
    listed: pl.DataFrame
    licences: pl.DataFrame
    files: pl.DataFrame
    mask_files: pl.DataFrame
    sizes: pl.DataFrame

    def images(self) -> pl.DataFrame:
        """Give every image that anything in the folder speaks of: split and image, in order."""
        frames = [*self.rows.values(), self.chosen, self.listed, self.files]
        places = [frame.select("split", "image") for frame in frames]
        return pl.concat(places).unique().sort("split", "image")


def gather(
    root: Location,
    manifest: Manifest,
    sizes: Callable[[str], PixelSizes],
    *,
    columns: Mapping[str, Mapping[str, Any]] = COUNTED,
) -> DatasetRows:
    """Read the rows of the dataset folder at *root*; *sizes* gives the images' pixels of a split.

    *columns* are those to read of each label type, `COUNTED` or `SHOWN`.

    Raises:
        IntegrityError: a file of rows is not what it should be.

    """
    listed = _listed(root)
    files, mask_files = _files(manifest)
    return DatasetRows(
        rows=_annotations(root, columns),
        chosen=_chosen(root),
        listed=listed.drop("License"),
        licences=_licences(root / "attribution.csv", listed),
        files=files,
        mask_files=mask_files,
        sizes=_stacked(
            [_of(split, _columns(sizes(split))) for split in BUCKET_SPLITS],
            {"width": pl.Int32(), "height": pl.Int32()},
        ),
    )


def _annotations(
    root: Location, columns: Mapping[str, Mapping[str, Any]]
) -> dict[str, pl.DataFrame]:
    """Read the rows of each label type; what stands in several files counts once."""
    found: dict[str, dict[str, list[pl.DataFrame]]] = {label: {} for label in columns}
    for path in matching(root / "csv", "*.*"):
        if name := _ROWS.fullmatch(path.name):
            split, label, read = name[1], name[2], _read
        elif name := _LINES.fullmatch(path.name):
            split, label, read = name[1], "narratives", _read_lines
        else:
            continue
        found[label].setdefault(split, []).append(read(path, columns[label]))
    return {
        label: _stacked(
            (_of(split, _once(frames)) for split, frames in by_split.items()), columns[label]
        )
        for label, by_split in found.items()
    }


def _listed(root: Location) -> pl.DataFrame:
    """Read the images that the image lists have, and their licences."""
    columns = {"License": _TEXT}
    lists = {split: root / "csv" / f"images_{split}.csv" for split in BUCKET_SPLITS}
    found = [_of(split, _read(path, columns)) for split, path in lists.items() if path.is_file()]
    return _stacked(found, columns)


def _columns(sizes: PixelSizes) -> pl.DataFrame:
    return pl.DataFrame({"image": sizes.ids, "width": sizes.width, "height": sizes.height})


def _stacked(frames: Iterable[pl.DataFrame], columns: Mapping[str, Any]) -> pl.DataFrame:
    """Put frames below each other, of which there may be none."""
    none = pl.DataFrame(schema={"split": _SPLITS, "image": _IMAGE} | dict(columns))
    return pl.concat([none, *frames])


def _of(split: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.lit(split, dtype=_SPLITS).alias("split"), pl.all())


def _read(path: Location, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Read some columns of a CSV and its images; what is no number of a column becomes null."""
    with path.open("rb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
        header = next(csv.reader(text), [])
    # The points write ImageId where all others have ImageID.
    known = {name.casefold(): name for name in header}
    wanted = {name: known.get(name.casefold()) for name in ("ImageID", *columns)}
    if not header:
        return pl.DataFrame(schema={"image": _IMAGE} | dict(columns))
    if lost := [name for name, real in wanted.items() if real is None and name not in _MAY_LACK]:
        raise spoilt(path, f"has no column {lost[0]}")
    picked = [
        pl.lit(None, dtype=dtype).alias(name)
        if wanted[name] is None
        else _cast(str(wanted[name]), dtype).alias(name)
        for name, dtype in columns.items()
    ]
    image = pl.col(str(wanted["ImageID"])).str.to_integer(base=16, dtype=_IMAGE, strict=False)
    lazy = pl.scan_csv(
        readable(path),
        infer_schema=False,
        encoding="utf8-lossy",
        glob=False,
    ).select(image.alias("image"), *picked)
    # A row that names no image, or no class, is of nothing.
    needed = [name for name in ("image", "LabelName", "Label") if name in ("image", *columns)]
    whole = pl.all_horizontal(pl.col(needed).is_not_null())
    with as_written(path):
        return lazy.filter(whole).collect(engine="streaming")


def _cast(column: str, dtype: pl.DataType) -> pl.Expr:
    values = pl.col(column).cast(dtype, strict=False)
    # What is written as nan or inf is no coordinate either.
    return pl.when(values.is_finite()).then(values) if dtype.is_float() else values


def _read_lines(path: Location, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Read the captions of narratives, whose lines hold a great deal more."""
    if not path.stat().st_size:
        return pl.DataFrame(schema={"image": _IMAGE} | dict(columns))
    image = pl.col("image_id").str.to_integer(base=16, dtype=_IMAGE, strict=False)
    source = readable(path) if isinstance(path, ObjectPath) else escape(str(path))
    lazy = pl.scan_ndjson(source, schema={"image_id": _TEXT} | dict(columns))
    with as_written(path):
        return lazy.select(image.alias("image"), *columns).collect(engine="streaming")


def _once(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Count an object of several files once.

    Rows that are alike within one file are several objects, as published: of each, as many stay
    as the file has that has most of them.
    """
    if len(frames) == 1:
        return frames[0]
    copy = "oidkit: copy"
    numbered = [
        rows.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over(rows.columns).alias(copy))
        for rows in frames
    ]
    return pl.concat(numbered).unique().drop(copy)


def _chosen(root: Location) -> pl.DataFrame:
    """Read the lists of the images that were chosen for a class."""
    frames = []
    for path in matching(root, "downloader_IDs_for_*.txt"):
        if (name := _IDS.fullmatch(path.name)) is None:
            continue
        lines = path.read_bytes().decode(errors="replace").splitlines()
        image = pl.col("line").str.extract("^[a-z0-9]+/([0-9a-f]{16})$")
        rows = pl.DataFrame({"line": lines}, schema={"line": pl.String}).select(
            image.str.to_integer(base=16, dtype=_IMAGE).alias("image"),
            pl.lit(mid_of(name[1]), dtype=_CLASS).alias("LabelName"),
            pl.lit(name[3] is not None).alias("negative"),
        )
        frames.append(_of(name[2], rows.drop_nulls().unique()))
    return _stacked(frames, {"LabelName": _CLASS, "negative": pl.Boolean()})


def _licences(path: Location, listed: pl.DataFrame) -> pl.DataFrame:
    frames = [listed.select("image", "License")]
    if path.is_file():
        frames.append(_read(path, {"License": _TEXT}))
    return pl.concat(frames).unique("image", keep="first", maintain_order=True)


def _files(manifest: Manifest) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read what the manifest says of images and masks; one of several places counts once."""
    files = manifest.pictures().with_columns(pl.col("split").cast(_SPLITS, strict=False))
    files = files.filter(pl.col("split").is_not_null())
    # "ok" before "missing" before the others: the best of its places is what became of an image.
    order = {"ok": 0, "missing": 1, "failed": 2, "damaged": 2}
    images = files.filter(pl.col("kind") == "image", pl.col("image").is_not_null())
    images = images.sort(pl.col("status").replace_strict(order, return_dtype=pl.Int8))
    images = images.unique(["split", "image"], keep="first", maintain_order=True)
    masks = files.filter((pl.col("kind") == "mask") & (pl.col("status") == "ok"))
    return images.drop("kind"), masks.select("split", "image")
