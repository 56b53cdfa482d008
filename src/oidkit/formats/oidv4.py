"""The folders of the OIDv4 toolkit.

`<split>/<Class>/<id>.jpg` is a picture, `<split>/<Class>/Label/<id>.txt` has its boxes.
A line of a label file is ``Class x1 y1 x2 y2``, in pixels of the picture. The class is written as
it is, spaces and all, as the toolkit does: a reader takes the last four words as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from oidkit.formats.filenames import told_apart, without_awkward
from oidkit.formats.model import Category, Entry, Frame, OutFile, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Oidv4", "folder_names"]


@dataclass(frozen=True, slots=True)
class Oidv4:
    """A folder for each class; a picture of two classes is one file, linked twice.

    A class's label file has its own boxes alone. Pictures without a box are left out, as the
    toolkit has no place for them; it has none for masks either. `categories` are filled in by the
    run.
    """

    categories: tuple[Category, ...] = ()

    @property
    def name(self) -> str:
        return "oidv4"

    def image_path(self, picture: Picture) -> str:
        return f"{picture.split}/{picture.image_id}.jpg"

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        lines: dict[int, list[str]] = {}
        for thing in picture.things:
            if thing.box is not None:
                corners = " ".join(str(side) for side in frame.box(picture, thing.box))
                name = self.categories[thing.category].name
                lines.setdefault(thing.category, []).append(f"{name} {corners}\n")
        folders = folder_names(self.categories)
        files: list[OutFile] = []
        for number in sorted(lines):
            front = f"{picture.split}/{folders[number]}"
            text = "".join(lines[number]).encode()
            files.append(OutFile(f"{front}/Label/{picture.image_id}.txt", content=text))
            if image is not None:
                files.append(replace(image, path=f"{front}/{picture.image_id}.jpg"))
        alone = sum(thing.box is None for thing in picture.things)
        return Entry(tuple(files), (not lines, alone))

    def writer(self, out: Path, categories: tuple[Category, ...]) -> _Writer:  # noqa: ARG002 - as all
        return _Writer()


@lru_cache(maxsize=4)
def folder_names(categories: tuple[Category, ...]) -> list[str]:
    """Name the folder of each category: its name, with ``_`` for what no file name may hold.

    Names that a file system may take for the same get their number at the end.
    """
    return told_apart(
        without_awkward(each.name).strip(". ") or str(each.number) for each in categories
    )


class _Writer:
    """Counts what the layout has no place for; the files of a picture are all there are."""

    def __init__(self) -> None:
        self._without_box = self._masks_alone = 0

    def add(self, picture: Picture, entry: Entry) -> None:  # noqa: ARG002 - the protocol's
        without_box, alone = cast("tuple[bool, int]", entry.rows)
        self._without_box += without_box
        self._masks_alone += alone

    def finish(self) -> Iterable[str]:
        if self._without_box:
            yield (
                f"{self._without_box:,} images have no box and are left out: the layout of OIDv4 "
                "has no place for them"
            )
        if self._masks_alone:
            yield f"{self._masks_alone:,} masks without a box are left out: OIDv4 has boxes alone"
