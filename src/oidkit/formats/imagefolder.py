"""Folders for classification: a folder for each class, or one with a list of classes a picture.

Single-label: ``<split>/<class>/<id>.jpg`` with ``<split>/metadata.csv``, as `datasets`, torchvision
and Keras read it. Multi-label: ``<split>/<id>.jpg`` with ``<split>/metadata.jsonl``, whose
``labels`` are a list.

The labels of a picture are the classes that image labels verify as present; without any, those of
its objects.
"""

from __future__ import annotations

import csv
import io
import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TextIO, get_args

from oidkit.errors import UsageError
from oidkit.formats.filenames import told_apart, without_awkward
from oidkit.formats.model import Entry, OutFile
from oidkit.schema import ATTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from oidkit.formats.model import Category, Frame, Picture

__all__ = ["FolderWriter", "ImageFolder", "Several", "folder_names", "negatives_of"]

Several = Literal["largest", "each", "skip"]

NEGATIVES = "none"
"""The label and folder of pictures without a class, unless a class is called so."""
_FILES = {"csv": "metadata.csv", "jsonl": "metadata.jsonl"}


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The format ``imagefolder``.

    With `multi_label` all labels of a picture are listed. Without it each has one, and `several`
    says what becomes of a picture of several classes: "largest" takes the class whose objects
    cover the most of it, "each" puts it into the folder of each, "skip" leaves it out. The
    `categories` are filled in by the run.

    Raises:
        UsageError: there is no such rule, or it is given where every label is listed.

    """

    multi_label: bool = False
    several: Several | None = None
    categories: tuple[Category, ...] = ()

    def __post_init__(self) -> None:
        """Check the rule."""
        if self.several is not None and self.several not in get_args(Several):
            raise UsageError(
                f"there is no rule '{self.several}' for pictures of several classes",
                remedy=f"choose from {', '.join(get_args(Several))}",
            )
        if self.several is not None and self.multi_label:
            raise UsageError(
                "with every label listed, no rule for pictures of several classes is needed",
                remedy="leave out --several or --multi-label",
            )

    @property
    def name(self) -> str:
        return "imagefolder"

    def image_path(self, picture: Picture) -> str:
        if self.multi_label:
            return f"{picture.split}/{picture.image_id}.jpg"
        return self._path(picture, next(iter(self._chosen(picture)), None))

    def prepare(
        self,
        picture: Picture,
        frame: Frame,  # noqa: ARG002 - a label has no place
        image: OutFile | None,
    ) -> Entry:
        chosen = self._chosen(picture)
        if image is None:
            return Entry(rows=())
        if self.multi_label:
            return Entry((image,), chosen)
        if self.several == "skip" and len(chosen) > 1:
            return Entry(rows=None)
        paths = [self._path(picture, number) for number in chosen or (None,)]
        return Entry(tuple(OutFile(path, image.source, image.content) for path in paths), chosen)

    def writer(self, out: Path, categories: tuple[Category, ...]) -> FolderWriter:
        return FolderWriter(out, categories, kind="jsonl" if self.multi_label else "csv")

    def _chosen(self, picture: Picture) -> tuple[int, ...]:
        """Give the labels that a picture is filed under, in ascending order."""
        labels = picture.present or tuple(sorted({each.category for each in picture.things}))
        if self.multi_label or self.several in ("each", "skip") or len(labels) < 2:  # noqa: PLR2004
            return labels
        covered = dict.fromkeys(labels, 0.0)
        for thing in picture.things:
            if thing.category in covered and thing.box is not None:
                x0, y0, x1, y1 = thing.box
                covered[thing.category] += (x1 - x0) * (y1 - y0)
        return (max(labels, key=lambda number: (covered[number], -number)),)

    def _path(self, picture: Picture, number: int | None) -> str:
        if number is None:
            folder = negatives_of(self.categories)
        else:
            folder = folder_names(self.categories)[number]
        return f"{picture.split}/{folder}/{picture.image_id}.jpg"


@lru_cache(maxsize=4)
def negatives_of(categories: tuple[Category, ...]) -> str:
    """Give the label of pictures without a class: `none`, or else a word that no class has."""
    taken = {each.name.casefold() for each in categories}
    words = (NEGATIVES, "negative", *(f"negative {n}" for n in range(2, len(taken) + 3)))
    return next(word for word in words if word not in taken)


@lru_cache(maxsize=4)
def folder_names(categories: tuple[Category, ...]) -> list[str]:
    """Give each category a folder: its name, without what file systems do not take.

    Names that come out alike, also in case alone, get the number of the category behind them.
    """
    # Nor may the name of a folder end in a dot or a space.
    names = [without_awkward(each.name).strip(". ") or "_" for each in categories]
    return told_apart(names, taken=[negatives_of(categories)], by=" ")


class FolderWriter:
    """Writes the metadata of each split as its pictures come."""

    def __init__(
        self, out: Path, categories: tuple[Category, ...], *, kind: Literal["csv", "jsonl"]
    ) -> None:
        self._out, self._kind = out, kind
        self._names = [each.name for each in categories]
        self._folders = folder_names(categories)
        self._negatives = negatives_of(categories)
        self._open = ExitStack()
        self._tables: dict[str, TextIO] = {}
        self._credits: TextIO | None = None
        self._skipped = 0

    def add(self, picture: Picture, entry: Entry) -> None:
        chosen = entry.rows
        if not isinstance(chosen, tuple):
            self._skipped += 1
            return
        table = self._table(picture.split)
        file = f"{picture.image_id}.jpg"
        if self._kind == "jsonl":
            row = {
                "file_name": file,
                "image_id": picture.image_id,
                "labels": [self._names[number] for number in chosen],
            }
            table.write(json.dumps(row, ensure_ascii=False) + "\n")
        elif not chosen:
            table.write(_line((f"{self._negatives}/{file}", self._negatives)))
        else:
            for number in chosen:
                table.write(_line((f"{self._folders[number]}/{file}", self._names[number])))
        self._credit(picture)

    def finish(self) -> Iterable[str]:
        self.close()
        if not self._skipped:
            return ()
        return (f"{self._skipped:,} pictures of several classes were left out (--several skip)",)

    def close(self) -> None:
        """Let go of the files that are open."""
        self._open.close()

    def _table(self, split: str) -> TextIO:
        if split not in self._tables:
            self._tables[split] = self._begin(f"{split}/{_FILES[self._kind]}")
            if self._kind == "csv":
                # No more columns: pandas would take an id of digits alone for a number, and a
                # column that is empty in one split for another type than in the next.
                self._tables[split].write(_line(("file_name", "label")))
        return self._tables[split]

    def _credit(self, picture: Picture) -> None:
        if self._credits is None:
            self._credits = self._begin("attribution.csv")
            self._credits.write(_line(ATTRIBUTION))
        known = (picture.metadata.get(name, "") for name in ATTRIBUTION[1:])
        self._credits.write(_line((picture.image_id, *known)))

    def _begin(self, path: str) -> TextIO:
        place = self._out / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return self._open.enter_context(place.open("x", encoding="utf-8", newline=""))


def _line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
