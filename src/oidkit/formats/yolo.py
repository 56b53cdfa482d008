"""YOLO: a text file of boxes or outlines for each image, and `data.yaml`, as Ultralytics reads it.

A line is ``class x-centre y-centre width height`` or ``class x y x y ...``, in shares of the width
and height of the written picture.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from oidkit.formats.masks import LEFT_OUT, box_of, mask_of, notes_of
from oidkit.formats.model import Category, Entry, Frame, OutFile, Picture, Thing
from oidkit.formats.outlines import joined, polygons

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


__all__ = ["Task", "Yolo"]

Task = Literal["detect", "segment"]

_KEYS = {"validation": "val"}
"""Split -> what `data.yaml` calls it; others keep their name."""
_NEEDED = ("train", "val")
"""Splits without which Ultralytics does not take a dataset."""
_DIGITS = 6
_TOLD = {
    "group_of": "boxes around groups (IsGroupOf), each written as one object: {n:,}",
    "box": "objects without a mask, outlined by their boxes: {n:,}",
    "joined": "objects of several parts, each written as one outline with seams: {n:,}",
    **LEFT_OUT,
}


@dataclass(frozen=True, slots=True)
class Yolo:
    """YOLO: `images/<split>/`, `labels/<split>/` and `data.yaml`; *task* is detect or segment.

    An image without objects has an empty file, which makes it a negative. To detect, an object
    that is only a mask has the bounds of the mask; to segment, one that is only a box is outlined
    by its box, since Ultralytics refuses a file with lines of both kinds.
    """

    task: Task = "detect"

    @property
    def name(self) -> str:
        return "yolo"

    def image_path(self, picture: Picture) -> str:
        return f"images/{picture.split}/{picture.image_id}.jpg"

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        told: Counter[str] = Counter()
        lines = []
        for thing in picture.things:
            numbers = (
                self._outline(thing, picture, frame, told)
                if self.task == "segment"
                else self._box(thing, picture, frame, told)
            )
            if numbers:
                told["group_of"] += thing.flags.group_of == 1
                lines.append(" ".join([str(thing.category), *map(_printed, numbers)]) + "\n")
        labels = OutFile(
            f"labels/{picture.split}/{picture.image_id}.txt", content="".join(lines).encode("ascii")
        )
        return Entry((image, labels) if image is not None else (labels,), told)

    def writer(self, out: Path, categories: tuple[Category, ...]) -> _Writer:
        return _Writer(out, categories)

    def _box(
        self, thing: Thing, picture: Picture, frame: Frame, told: Counter[str]
    ) -> tuple[float, ...]:
        """Give x-centre, y-centre, width and height; nothing where a mask is all, and empty."""
        shape = mask_of(thing, picture, frame, told) if thing.box is None else None
        box = box_of(thing, picture, frame, shape)
        if box is None:
            return ()
        x0, y0, x1, y1 = _shares(box, frame)
        return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0

    def _outline(
        self, thing: Thing, picture: Picture, frame: Frame, told: Counter[str]
    ) -> tuple[float, ...]:
        """Give x and y of each point in turn; nothing where a mask is all, and empty."""
        shape = mask_of(thing, picture, frame, told)
        if shape is not None:
            parts = polygons(shape.pixels)
            told["joined"] += len(parts) > 1
            return _shares(joined(parts), frame)
        if thing.box is None:
            return ()
        told["box"] += 1
        x0, y0, x1, y1 = _shares(frame.box(picture, thing.box), frame)
        return x0, y0, x1, y0, x1, y1, x0, y1


class _Writer:
    """Counts what has to be told, and writes `data.yaml`."""

    def __init__(self, out: Path, categories: tuple[Category, ...]) -> None:
        self._out = out
        self._categories = categories
        self._told: Counter[str] = Counter()
        self._folders: dict[str, str] = {}

    def add(self, picture: Picture, entry: Entry) -> None:
        self._told.update(cast("Counter[str]", entry.rows))
        key = _KEYS.get(picture.split, picture.split)
        self._folders[key] = f"images/{picture.split}"

    def finish(self) -> Iterable[str]:
        notes = notes_of(self._told, _TOLD)
        folders = dict(self._folders)
        for key in _NEEDED:
            if folders and key not in folders:
                # Any that is there: the loader asks for both, even to validate alone.
                folders[key] = next(iter(self._folders.values()))
                notes.append(
                    f"there is no split '{key}', which Ultralytics asks for: data.yaml names "
                    f"{folders[key]} in its place (make one with --split-ratio)"
                )
        # Without `path` the folders are beside the file, wherever it is moved to.
        lines = [f"{key}: {folder}\n" for key, folder in sorted(folders.items(), key=_in_order)]
        lines.append("names:\n")
        # A JSON string is a YAML string, whatever is in it.
        lines += [
            f"  {each.number}: {json.dumps(each.name, ensure_ascii=False)}\n"
            for each in self._categories
        ]
        (self._out / "data.yaml").write_text("".join(lines), encoding="utf-8", newline="\n")
        return notes


def _in_order(row: tuple[str, str]) -> tuple[int, str]:
    usual = (*_NEEDED, "test")
    return (usual.index(row[0]) if row[0] in usual else len(usual), row[0])


def _shares(numbers: Iterable[float], frame: Frame) -> tuple[float, ...]:
    """Make shares of pixels, x and y in turn; never outside of 0 to 1, which loaders refuse."""
    sides = (frame.width, frame.height)
    return tuple(min(max(each / sides[at % 2], 0.0), 1.0) for at, each in enumerate(numbers))


def _printed(share: float) -> str:
    """Print a share without zeros at its end."""
    return f"{share:.{_DIGITS}f}".rstrip("0").rstrip(".")
