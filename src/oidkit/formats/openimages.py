"""Open Images' own layout, as datumaro and CVAT import it, and FiftyOne's beside it.

::

    annotations/class-descriptions.csv                       LabelName,DisplayName without a header
    annotations/<split>-images-with-rotation.csv             the published columns
    annotations/<split>-annotations-bbox.csv                 normalised, 13 columns
    annotations/<split>-annotations-object-segmentation.csv
    annotations/<split>-annotations-human-imagelabels.csv
    annotations/images.meta                                  <ImageID> <height> <width>
    images/<split>/<ImageID>.jpg   masks/<split>/<MaskPath>
    fiftyone/<split>/...                                     links (oidkit.formats.fiftyone)

The names of the files are those of V5, for which datumaro reads a class file without a header.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from oidkit.formats import fiftyone
from oidkit.formats.masks import box_of, mask_of, notes_of
from oidkit.formats.model import Category, Entry, Frame, OutFile, Picture
from oidkit.formats.objects import mask_file
from oidkit.taxonomy import mid_stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


__all__ = ["OpenImages"]

_IMAGES = (
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
    "Rotation",
)
_BOXES = (
    "ImageID",
    "Source",
    "LabelName",
    "Confidence",
    "XMin",
    "XMax",
    "YMin",
    "YMax",
    "IsOccluded",
    "IsTruncated",
    "IsGroupOf",
    "IsDepiction",
    "IsInside",
)
_MASKS = (
    "MaskPath",
    "ImageID",
    "LabelName",
    "BoxID",
    "BoxXMin",
    "BoxXMax",
    "BoxYMin",
    "BoxYMax",
    "PredictedIoU",
    "Clicks",
)
_LABELS = ("ImageID", "Source", "LabelName", "Confidence")
_FILES = {
    "{}-images-with-rotation.csv": _IMAGES,
    "{}-annotations-bbox.csv": _BOXES,
    "{}-annotations-object-segmentation.csv": _MASKS,
    "{}-annotations-human-imagelabels.csv": _LABELS,
}
_FIFTYONE = (
    "metadata/image_ids.csv",
    "labels/detections.csv",
    "labels/segmentations.csv",
    "labels/classifications.csv",
)
"""The places of the same files in FiftyOne's folder."""


@dataclass(frozen=True, slots=True)
class OpenImages:
    """The published layout for the pictures and classes of an export.

    LabelName is the MID of a class; one that was merged or renamed is named by its first MID.
    Boxes are normalised to the picture that is written, and masks are in its pixels.
    """

    @property
    def name(self) -> str:
        return "openimages"

    def image_path(self, picture: Picture) -> str:
        return f"images/{picture.split}/{picture.image_id}.jpg"

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        files = [image, fiftyone.image_file(picture, image)] if image is not None else []
        boxes, masks = [], []
        told: Counter[str] = Counter()
        for thing in picture.things:
            shape = mask_of(thing, picture, frame, told)
            box = box_of(thing, picture, frame, shape)
            if box is None:
                continue
            sides, flags = _shares(frame, box), thing.flags
            if thing.box is not None:
                boxes.append(
                    (
                        *(picture.image_id, thing.source or "xclick", thing.category, "1", *sides),
                        *(flags.occluded, flags.truncated, flags.group_of),
                        *(flags.depiction, flags.inside),
                    )
                )
            if shape is not None:
                name = f"{picture.image_id}_{mid_stem(thing.mid)}_{thing.box_id}.png"
                path = f"masks/{picture.split}/{name}"
                mask = mask_file(path, shape, thing=thing, picture=picture, frame=frame)
                files += (mask, fiftyone.mask_file(picture, name, mask))
                # Also of a mask without a box: FiftyOne reads none that has no corners.
                masks.append((name, picture.image_id, thing.category, thing.box_id, *sides, "", ""))
        rows = (_image_row(picture), boxes, masks, (frame.height, frame.width), told)
        return Entry(tuple(files), rows)

    def writer(self, out: Path, categories: tuple[Category, ...]) -> _Writer:
        return _Writer(out, categories)


def _shares(frame: Frame, box: tuple[float, float, float, float]) -> tuple[str, ...]:
    """Give XMin, XMax, YMin, YMax as shares of the written picture."""
    x0, y0, x1, y1 = box
    shares = (x0 / frame.width, x1 / frame.width, y0 / frame.height, y1 / frame.height)
    # Ten decimals are what the published boxes have at the most.
    return tuple(f"{share:.10g}" for share in shares)


def _image_row(picture: Picture) -> tuple[str, ...]:
    known = dict(picture.metadata) | {"ImageID": picture.image_id, "Subset": picture.split}
    return tuple(known.get(column, "") for column in _IMAGES)


class _Writer:
    """Writes the files of a split as long as its pictures come, one split after the other."""

    def __init__(self, out: Path, categories: tuple[Category, ...]) -> None:
        self._out = out
        self._folder = folder = out / "annotations"
        folder.mkdir(exist_ok=True)
        self._categories = categories
        # A name of an earlier order that no class has any more has no MID: its name has to do.
        self._mids = [each.mids[0] if each.mids else each.name for each in categories]
        rows = [(mid, each.name) for mid, each in zip(self._mids, categories, strict=True)]
        (folder / "class-descriptions.csv").write_text(_text(rows), encoding="utf-8", newline="")
        self._meta = (folder / "images.meta").open("w", encoding="utf-8", newline="")
        self._files: list[TextIO] = []
        self._told: Counter[str] = Counter()
        self._split = ""
        self._masked: set[str] = set()

    def add(self, picture: Picture, entry: Entry) -> None:
        if picture.split != self._split:
            self._begin(picture.split)
        image, boxes, masks, (height, width), told = cast("tuple[Any, ...]", entry.rows)
        self._told.update(told)
        labels = [
            (picture.image_id, "verification", self._mids[number], confidence)
            for confidence, numbers in ((1, picture.present), (0, picture.absent))
            for number in numbers
        ]
        for at, rows in ((2, boxes), (2, masks)):
            named = [(*row[:at], self._mids[row[at]], *row[at + 1 :]) for row in rows]
            self._files[1 if rows is boxes else 2].write(_text(named))
        self._masked |= {self._mids[row[2]] for row in masks}
        self._files[0].write(_text([image]))
        self._files[3].write(_text(labels))
        self._meta.write(f"{picture.image_id} {height} {width}\n")

    def finish(self) -> Iterable[str]:
        self._end()
        self.close()
        return notes_of(self._told)

    def close(self) -> None:
        """Let go of the files; harmless when they are closed."""
        for file in (*self._files, self._meta):
            file.close()

    def _end(self) -> None:
        """Close the files of a split, and write what FiftyOne wants of them."""
        for file in self._files:
            file.close()
        if self._split:
            paths = [self._folder / name.format(self._split) for name in _FILES]
            fiftyone.write_split(
                self._out,
                self._split,
                tables=dict(zip(_FIFTYONE, paths, strict=True)),
                classes=list(zip(self._mids, self._categories, strict=True)),
                masked=self._masked,
            )

    def _begin(self, split: str) -> None:
        self._end()
        self._split = split
        self._masked = set()
        self._files = []
        for name, header in _FILES.items():
            path = self._folder / name.format(split)
            self._files.append(path.open("w", encoding="utf-8", newline=""))
            self._files[-1].write(_text([header]))


def _text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
