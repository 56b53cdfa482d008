"""What there is in a dataset, counted: plain numbers out of its rows.

Histograms count values in [from, to); the last of the box shares takes in 1 as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from oidkit.catalog import BUCKET_SPLITS, SPLITS
from oidkit.schema import FLAGS
from oidkit.tables.exhibit import PLACES
from oidkit.tables.sieve import BIN_EDGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.tables.gathering import DatasetRows

__all__ = ["tallied"]

_RATIOS = (0.0, 1 / 3, 1 / 2, 2 / 3, 0.9, 1.1, 1.5, 2.0, 3.0)
# COCO's areas of small, medium and large objects, in pixels.
_SMALL, _MEDIUM = 32.0**2, 96.0**2
_PLACE = ["split", "image"]
_CLASS = pl.col("LabelName").cast(pl.String)

Plain = dict[str, Any]


def tallied(found: DatasetRows, *, top: int) -> Plain:
    """Count everything; of pairs of classes and sizes of images the *top* most frequent, 0 for all.

    The keys are those of `oidkit.Statistics`; classes have no names yet.
    """
    images = found.images()
    boxes = _measured(found)
    members = _members(found)
    return {
        "splits": _splits(found, images),
        "classes": _classes(found, members, boxes),
        "box_sizes": _box_sizes(boxes),
        "boxes_per_image": _per_image(images, boxes),
        "pairs": _pairs(members, top),
        "box_ratios": _ratios(boxes["box_width"] / boxes["box_height"], boxes.height),
        "image_ratios": _ratios(found.sizes["width"] / found.sizes["height"], images.height),
        "image_sizes": _image_sizes(found.sizes, images.height, top),
        "licences": _by_value(found.licences, "License"),
        "box_places": _places(found.rows["boxes"]),
        "flags": {word: _flag(boxes[name]) for word, name in FLAGS.items()},
        "image_labels": _image_labels(found.rows["image-labels"]),
        "relationships": _by_value(found.rows["relationships"], "RelationshipLabel"),
        "points": _points(found.rows["points"]),
        "narratives": _narratives(found.rows["narratives"]),
    }


def _members(found: DatasetRows) -> pl.DataFrame:
    """Give the images of each class: those chosen for it, and those with a box or mask of it."""
    frames = [
        found.chosen.filter(~pl.col("negative")),
        found.rows["boxes"],
        found.rows["masks"],
    ]
    chosen = [frame.select(*_PLACE, "LabelName") for frame in frames]
    return pl.concat(chosen).unique()


def _measured(found: DatasetRows) -> pl.DataFrame:
    """Add to each box its share of the image, and its width and height in pixels, or null."""
    wide, high = pl.col("XMax") - pl.col("XMin"), pl.col("YMax") - pl.col("YMin")
    return (
        found.rows["boxes"]
        .join(found.sizes, on=_PLACE, how="left")
        .select(
            *_PLACE,
            "LabelName",
            *FLAGS.values(),
            (wide * high).alias("share"),
            (wide * pl.col("width")).alias("box_width"),
            (high * pl.col("height")).alias("box_height"),
        )
    )


# -- how many ------------------------------------------------------------------------------------


def _splits(found: DatasetRows, images: pl.DataFrame) -> dict[str, dict[str, int]]:
    whole = found.files.filter(pl.col("status") == "ok")
    missing = found.files.filter(pl.col("status") == "missing")
    failed = found.files.filter(pl.col("status").is_in(["failed", "damaged"]))
    negatives = found.chosen.filter("negative").unique(_PLACE)
    counted = {
        "images": images,
        "negatives": negatives,
        "files": whole,
        "missing": missing,
        "failed": failed,
        "mask_files": found.mask_files,
    } | {label.replace("-", "_"): rows for label, rows in found.rows.items()}
    counts = {word: _count(rows, ["split"]) for word, rows in counted.items()}
    sizes = whole.group_by("split").agg(pl.col("bytes").sum())
    counts["bytes"] = {(split,): total for split, total in sizes.iter_rows()}
    there = {key[0] for count in counts.values() for key in count}
    names = [name for name in BUCKET_SPLITS if name in there or name in SPLITS]
    return {
        split: {word: count.get((split,), 0) for word, count in counts.items()} for split in names
    }


def _count(rows: pl.DataFrame, keys: list[str]) -> dict[tuple[str, ...], int]:
    counts = rows.group_by(keys).len()
    found = counts.with_columns(pl.col(keys).cast(pl.String)).iter_rows()
    return {tuple(row[:-1]): row[-1] for row in found}


def _classes(found: DatasetRows, members: pl.DataFrame, boxes: pl.DataFrame) -> list[Plain]:
    keys = ["LabelName", "split"]
    counts = {
        "images": _count(members, keys),
        "boxes": _count(boxes, keys),
        "masks": _count(found.rows["masks"], keys),
        "negatives": _count(found.chosen.filter("negative"), keys),
    }
    medians = boxes.group_by("LabelName").agg(pl.col("share").median())
    median = dict(medians.with_columns(_CLASS).iter_rows())
    classes: dict[str, dict[str, dict[str, int]]] = {}
    for mid, split in sorted({key for count in counts.values() for key in count}):
        numbers = {word: count.get((mid, split), 0) for word, count in counts.items()}
        classes.setdefault(mid, {})[split] = numbers
    plain = []
    for mid, splits in classes.items():
        total = {word: sum(each[word] for each in splits.values()) for word in counts}
        by_split = {split: splits[split] for split in BUCKET_SPLITS if split in splits}
        plain.append({"mid": mid, **total, "median_share": median.get(mid), "splits": by_split})
    return sorted(plain, key=lambda row: (-row["boxes"], -row["images"], row["mid"]))


def _pairs(members: pl.DataFrame, top: int) -> list[Plain]:
    """Count the images that two classes share."""
    # Few classes in many rows: pairs are made of small numbers that have the order of MIDs.
    mids = members["LabelName"].cast(pl.String).unique().sort()
    numbers = pl.DataFrame({"LabelName": mids.cast(pl.Categorical)}).with_row_index("nth")
    # An image of a single class is in no pair.
    numbered = (
        members.lazy()
        .join(numbers.lazy(), on="LabelName")
        .filter(pl.len().over(_PLACE) > 1)
        .select(*_PLACE, "nth")
    )
    counts = (
        numbered.join(numbered, on=_PLACE, suffix="_other")
        .filter(pl.col("nth") < pl.col("nth_other"))
        .group_by("nth", "nth_other")
        .len()
        .sort(["len", "nth", "nth_other"], descending=[True, False, False])
        .collect(engine="streaming")
    )
    rows = counts.head(top) if top else counts
    return [{"mids": [mids[a], mids[b]], "images": count} for a, b, count in rows.iter_rows()]


def _by_value(rows: pl.DataFrame, column: str) -> dict[str, int]:
    """Count the rows by the text of a column, the most frequent first."""
    text = pl.col(column).cast(pl.String).fill_null("")
    counts = rows.select(text).group_by(column).len()
    return dict(counts.sort(["len", column], descending=[True, False]).iter_rows())


def _flag(values: pl.Series) -> dict[str, int]:
    yes, no = int((values == 1).sum()), int((values == 0).sum())
    return {"yes": yes, "no": no, "unknown": len(values) - yes - no}


# -- how large -----------------------------------------------------------------------------------


def _box_sizes(boxes: pl.DataFrame) -> Plain:
    shares = boxes["share"].drop_nulls()
    area = (boxes["box_width"] * boxes["box_height"]).drop_nulls()
    small, large = int((area < _SMALL).sum()), int((area >= _MEDIUM).sum())
    return {
        "median_share": shares.median(),
        "shares": _histogram(shares.to_numpy(), BIN_EDGES["size"], last=1.0),
        "pixels": {
            "small": small,
            "medium": len(area) - small - large,
            "large": large,
            "unknown": boxes.height - len(area),
        },
    }


def _per_image(images: pl.DataFrame, boxes: pl.DataFrame) -> Plain:
    counts = images.join(boxes.group_by(_PLACE).len(), on=_PLACE, how="left", maintain_order="left")
    number = counts["len"].fill_null(0).cast(pl.Int64)
    first = number.arg_max() if boxes.height else None
    split, image = counts.row(first)[:2] if first is not None else ("", 0)
    return {
        "mean": number.mean(),
        "median": number.median(),
        "most": number.max() or 0,
        "most_image": f"{split}/{image:016x}" if split else None,
        "histogram": _histogram(number.to_numpy(), BIN_EDGES["boxes"]),
    }


def _places(boxes: pl.DataFrame) -> list[list[int]]:
    """Count the boxes by where their middle lies, in so many rows of as many columns."""
    sides = (("XMin", "XMax"), ("YMin", "YMax"))
    middles = boxes.select((pl.col(a) + pl.col(b)) / 2 for a, b in sides).drop_nulls()
    at = np.clip(middles.to_numpy() * PLACES, 0, PLACES - 1).astype(np.int64)
    counts = np.bincount(at[:, 1] * PLACES + at[:, 0], minlength=PLACES**2)
    listed: list[list[int]] = counts.reshape(PLACES, PLACES).tolist()
    return listed


def _ratios(ratios: pl.Series, total: int) -> Plain:
    known = ratios.drop_nulls()
    known = known.filter(known.is_finite() & (known > 0))
    return {
        "median": known.median(),
        "histogram": _histogram(known.to_numpy(), _RATIOS),
        "unknown": total - len(known),
    }


def _image_sizes(sizes: pl.DataFrame, total: int, top: int) -> Plain:
    counts = sizes.group_by("width", "height").len()
    counts = counts.sort(["len", "width", "height"], descending=[True, False, False])
    common = counts.rename({"len": "images"}).head(top or counts.height)
    return {
        "known": sizes.height,
        "unknown": total - sizes.height,
        "width": _range(sizes["width"]),
        "height": _range(sizes["height"]),
        "common": common.to_dicts(),
    }


def _range(values: pl.Series) -> Plain:
    return {"least": values.min(), "median": values.median(), "most": values.max()}


def _histogram(
    values: NDArray[Any], starts: Sequence[float], *, last: float | None = None
) -> list[Plain]:
    bins = np.maximum(np.searchsorted(starts, values, side="right") - 1, 0)
    counts = np.bincount(bins, minlength=len(starts)).tolist()
    ends = [*starts[1:], last]
    return [
        {"from": start, "to": end, "count": count}
        for start, end, count in zip(starts, ends, counts, strict=True)
    ]


# -- other label types ---------------------------------------------------------------------------


def _image_labels(rows: pl.DataFrame) -> Plain:
    machine = (pl.col("Source") == "machine").fill_null(value=False)
    absent = ~machine & (pl.col("Confidence") == 0).fill_null(value=False)
    kind = pl.when(machine).then(0).when(absent).then(1).otherwise(2).alias("kind")
    words = ("machine", "negative", "positive")
    counts = rows.group_by(_CLASS, kind).len()
    classes: dict[str, dict[str, int]] = {}
    for mid, nth, count in counts.iter_rows():
        each = classes.setdefault(mid, dict.fromkeys(reversed(words), 0))
        each[words[nth]] = count
    total = {word: sum(each[word] for each in classes.values()) for word in reversed(words)}
    listed = sorted(classes.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return {**total, "classes": [{"mid": mid, **count} for mid, count in listed]}


def _points(rows: pl.DataFrame) -> Plain:
    answers = rows.with_columns(pl.col("EstimatedYesNo").cast(pl.String).str.to_lowercase())
    counts: Mapping[str, int] = _by_value(answers, "EstimatedYesNo")
    yes, no = counts.get("yes", 0), counts.get("no", 0)
    return {
        "yes": yes,
        "no": no,
        "unsure": rows.height - yes - no,
        "classes": rows["Label"].n_unique(),
        "images": rows.select(_PLACE).n_unique(),
    }


def _narratives(rows: pl.DataFrame) -> Plain:
    words = rows["caption"].fill_null("").str.count_matches(r"\S+")
    return {
        "captions": rows.height,
        "images": rows.select(_PLACE).n_unique(),
        "mean_words": words.mean(),
    }
