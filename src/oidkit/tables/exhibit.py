"""A dataset folder as something to look through: every image with all of its annotations.

Images are numbered from 0 in the order of split and ImageID, and every other column says with `at`
to which of them it belongs. What a filter looks at is numbers in numpy; what is only shown stays in
the frames, sorted by `at`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from oidkit.catalog import BUCKET_SPLITS
from oidkit.schema import FLAGS
from oidkit.tables.credits import Credits
from oidkit.tables.gathering import SHOWN, gather
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from oidkit.tables.gathering import DatasetRows
    from oidkit.tables.manifest import Manifest, PixelSizes

__all__ = ["PLACES", "Exhibit", "Members", "Numbers"]

PLACES = 8
"""The image is cut into so many columns and rows to say where the middle of a box lies."""
_PLACE = ["split", "image"]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Which classes an image has, by any label type: pairs in the order of image and class.

    A label that is verified to be absent, confidence 0, is no membership; a point counts where its
    answer is yes.
    """

    at: NDArray[np.uint32]
    mid: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What filters look at: of boxes in the order of image and class, of image labels likewise.

    `share` is the share of the image that a box takes, `place` is ``row * PLACES + column`` of its
    middle, and `flags` has 1, 0 or -1 for each of the five.
    """

    at: NDArray[np.uint32]
    mid: NDArray[np.int32]
    share: NDArray[np.float64]
    place: NDArray[np.int16]
    flags: Mapping[str, NDArray[np.int8]]
    label_at: NDArray[np.uint32]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """Every image of a dataset folder, and its annotations by label type.

    `images` has split, image, width, height (0 where unknown), path (null where the file is not
    there) and a lower-case `text` of title and narratives; `rows` a frame for each label type.
    `mids` are the classes, the one with most images first; `labels` says of each label type which
    images have it. `masks_there` are the names of mask files, by split.
    """

    images: pl.DataFrame
    rows: Mapping[str, pl.DataFrame]
    credits: Credits
    mids: tuple[str, ...]
    members: Members
    numbers: Numbers
    labels: Mapping[str, NDArray[np.bool_]]
    masks_there: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, root: Path, manifest: Manifest, sizes: Callable[[str], PixelSizes]) -> Self:
        """Read a dataset folder; *sizes* gives the pixels of the images of a split.

        Raises:
            IntegrityError: a file of it is not what it should be.

        """
        found = gather(root, manifest, sizes, columns=SHOWN)
        images = _images(found, manifest)
        credit = Credits.read(root / "attribution.csv", images["image"].to_numpy())
        keyed = images.select(*_PLACE, pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"))
        waiting = dict(found.rows)
        # Each frame goes as soon as it is numbered: two of all would be in memory.
        rows = {label: _numbered(waiting.pop(label), keyed) for label in found.rows}
        pairs = _memberships(rows)
        counts = (
            pairs.group_by("LabelName").len().sort("len", "LabelName", descending=[True, False])
        )
        mids = tuple(counts["LabelName"].to_list())
        order = pl.DataFrame({"LabelName": mids}, schema={"LabelName": pl.String})
        order = order.with_row_index("mid").with_columns(pl.col("mid").cast(pl.Int32))
        pairs = pairs.join(order, on="LabelName").sort("at", "mid")
        return cls(
            images=_with_texts(images, credit, rows["narratives"]),
            rows=rows,
            credits=credit,
            mids=mids,
            members=Members(pairs["at"].to_numpy(), pairs["mid"].to_numpy()),
            numbers=_numbers(rows, order),
            labels={label: _has(frame, images.height) for label, frame in rows.items()},
            masks_there={
                split: frozenset(manifest.sizes(f"masks/{split}")) for split in BUCKET_SPLITS
            },
        )

    def __len__(self) -> int:
        """Count the images."""
        return self.images.height

    def name(self, at: int) -> str:
        """Give an image as ``split/ImageID``."""
        split, image = self.images.select(_PLACE).row(at)
        return f"{split}/{image:016x}"

    def find(self, split: str, image_id: str) -> int | None:
        """Give the number of an image, or None where there is none."""
        if split not in BUCKET_SPLITS or not IMAGE_ID_PATTERN.fullmatch(image_id):
            return None
        splits = self.images["split"].to_physical().to_numpy()
        nth = BUCKET_SPLITS.index(split)
        low, high = np.searchsorted(splits, [nth, nth + 1])
        ids = self.images["image"].to_numpy()[low:high]
        at = int(np.searchsorted(ids, np.uint64(int(image_id, 16))))
        return int(low) + at if at < len(ids) and f"{ids[at]:016x}" == image_id else None

    def of(self, label: str, at: int) -> list[dict[str, Any]]:
        """Give the annotations that an image has of a label type, as published."""
        frame = self.rows[label]
        low, high = np.searchsorted(frame["at"].to_numpy(), [at, at + 1]).tolist()
        return frame.slice(low, high - low).to_dicts()

    def metadata_of(self, at: int) -> dict[str, str]:
        """Give what the image list says of an image, as far as it is known."""
        return self.credits.of(at, at + 1)[0]


def _images(found: DatasetRows, manifest: Manifest) -> pl.DataFrame:
    """Give every image with its size, and its path where it is there."""
    split = found.files.schema["split"]
    paths = manifest.image_paths().with_columns(pl.col("split").cast(split, strict=False))
    return (
        found.images()
        .join(found.sizes, on=_PLACE, how="left", maintain_order="left")
        .join(paths, on=_PLACE, how="left", maintain_order="left")
        .with_columns(pl.col("width", "height").fill_null(0))
    )


def _numbered(frame: pl.DataFrame, keyed: pl.DataFrame) -> pl.DataFrame:
    """Say of each row which image it belongs to, in their order; the first columns order the rest.

    Columns that name classes become text.
    """
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.Categorical]
    rows = frame.join(keyed, on=_PLACE).with_columns(pl.col(texts).cast(pl.String))
    rest = [name for name in frame.columns if name not in _PLACE]
    return rows.select("at", *rest).sort("at", *rest)


def _memberships(rows: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Give the pairs of image and class, each once."""
    labels, points = rows["image-labels"], rows["points"]
    frames = [
        rows["boxes"].select("at", "LabelName"),
        rows["masks"].select("at", "LabelName"),
        labels.filter(pl.col("Confidence") > 0).select("at", "LabelName"),
        points.filter(pl.col("EstimatedYesNo") == "yes").select(
            "at", pl.col("Label").alias("LabelName")
        ),
    ]
    pairs = rows["relationships"]
    frames.append(pairs.select("at", pl.col("LabelName1").alias("LabelName")))
    # The second of "is" is an attribute, such as Wooden.
    of_two = pairs.filter(pl.col("RelationshipLabel") != "is")
    frames.append(of_two.select("at", pl.col("LabelName2").alias("LabelName")))
    return pl.concat(frames).drop_nulls().unique()


def _numbers(rows: Mapping[str, pl.DataFrame], order: pl.DataFrame) -> Numbers:
    boxes = rows["boxes"].join(order, on="LabelName", how="left", maintain_order="left")
    boxes = boxes.sort("at", "mid", maintain_order=True)
    wide, high = pl.col("XMax") - pl.col("XMin"), pl.col("YMax") - pl.col("YMin")
    column, row = (
        ((pl.col(f"{axis}Min") + pl.col(f"{axis}Max")) / 2 * PLACES)
        .floor()
        .clip(0, PLACES - 1)
        .fill_null(0)
        .cast(pl.Int16)
        for axis in "XY"
    )
    values = boxes.select(
        "at",
        pl.col("mid").fill_null(-1),
        (wide * high).fill_null(0).alias("share"),
        (row * PLACES + column).alias("place"),
        *(pl.col(name).fill_null(-1).alias(word) for word, name in FLAGS.items()),
    )
    labels = rows["image-labels"]
    return Numbers(
        at=values["at"].to_numpy(),
        mid=values["mid"].to_numpy(),
        share=values["share"].to_numpy(),
        place=values["place"].to_numpy(),
        flags={word: values[word].to_numpy() for word in FLAGS},
        label_at=labels["at"].to_numpy(),
        confidence=labels["Confidence"].fill_null(0).to_numpy(),
    )


def _has(frame: pl.DataFrame, images: int) -> NDArray[np.bool_]:
    found = np.zeros(images, dtype=np.bool_)
    found[frame["at"].to_numpy()] = True
    return found


def _with_texts(images: pl.DataFrame, credit: Credits, narratives: pl.DataFrame) -> pl.DataFrame:
    """Add the words that a search looks through: title and narratives in lower case."""
    told = pl.concat(
        [
            credit.rows.select("at", pl.col("Title").alias("text")),
            narratives.select("at", pl.col("caption").alias("text")),
        ]
    )
    words = told.drop_nulls().group_by("at").agg(pl.col("text").str.join("\n").str.to_lowercase())
    return (
        images.with_row_index("at")
        .join(words, on="at", how="left", maintain_order="left")
        .with_columns(pl.col("text").fill_null(""))
        .drop("at")
    )
