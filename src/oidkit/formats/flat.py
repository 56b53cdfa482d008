"""One flat table of boxes in pixels: a row for each object, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from oidkit.formats.masks import mask_of, notes_of
from oidkit.formats.model import Category, Entry, Frame, OutFile, Picture
from oidkit.formats.objects import mask_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["COLUMNS", "FlatCsv"]

COLUMNS = (
    "split",
    "image_id",
    "image",
    "width",
    "height",
    "class_number",
    "class",
    "mid",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "occluded",
    "truncated",
    "group_of",
    "depiction",
    "inside",
    "source",
    "mask",
    "box_id",
)
"""The columns of `boxes.csv`; pixels of the picture that is written, with two decimals."""


@dataclass(frozen=True, slots=True)
class FlatCsv:
    """`boxes.csv`, `images.csv` with every picture, `images/<split>/` and `masks/<split>/`.

    A mask without a box has no coordinates. Masks are in the pixels of the picture that is written.
    """

    @property
    def name(self) -> str:
        return "csv"

    def image_path(self, picture: Picture) -> str:
        return f"images/{picture.split}/{picture.image_id}.jpg"

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        path = self.image_path(picture)
        head = [picture.split, picture.image_id, path, str(frame.width), str(frame.height)]
        masks, rows = [], []
        told: Counter[str] = Counter()
        for thing in picture.things:
            shape = mask_of(thing, picture, frame, told)
            if shape is None and thing.box is None:
                continue
            place = f"masks/{picture.split}/{thing.mask.name}" if thing.mask and shape else ""
            if shape is not None:
                masks.append(mask_file(place, shape, thing=thing, picture=picture, frame=frame))
            box = frame.box(picture, thing.box) if thing.box else ()
            flags = thing.flags
            rows.append(
                [
                    *head,
                    str(thing.category),
                    thing.category,
                    thing.mid,
                    *(f"{side:.2f}" for side in box or ()),
                    *([""] * 4 if not box else []),
                    *(flags.occluded, flags.truncated, flags.group_of),
                    *(flags.depiction, flags.inside),
                    thing.source,
                    place,
                    thing.box_id,
                ]
            )
        files = (image,) if image is not None else ()
        return Entry((*files, *masks), (head, rows, told))

    def writer(self, out: Path, categories: tuple[Category, ...]) -> _Writer:
        return _Writer(out, categories)


class _Writer:
    """Writes the two tables as the rows come."""

    def __init__(self, out: Path, categories: tuple[Category, ...]) -> None:
        self._names = [each.name for each in categories]
        self._told: Counter[str] = Counter()
        self._boxes = (out / "boxes.csv").open("w", encoding="utf-8", newline="")
        self._images = (out / "images.csv").open("w", encoding="utf-8", newline="")
        self._put(self._boxes, [COLUMNS])
        self._put(self._images, [COLUMNS[:5]])

    def add(self, picture: Picture, entry: Entry) -> None:  # noqa: ARG002 - the protocol's
        head, rows, told = cast("tuple[list[object], list[list[Any]], Counter[str]]", entry.rows)
        self._told.update(told)
        for row in rows:
            row[6] = self._names[row[6]]
        self._put(self._boxes, rows)
        self._put(self._images, [head])

    def finish(self) -> Iterable[str]:
        self.close()
        return notes_of(self._told)

    def close(self) -> None:
        """Let go of the files; harmless when they are closed."""
        self._boxes.close()
        self._images.close()

    def _put(self, file: TextIO, rows: Iterable[Iterable[object]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        file.write(text.getvalue())
