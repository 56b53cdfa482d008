"""Draws an image of a dataset folder with its annotations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from oidkit.api.numbering import Naming, categories_of
from oidkit.api.opening import class_names, opened
from oidkit.api.pictures import Asked, read_pictures
from oidkit.catalog import SPLITS
from oidkit.decoding import UndecodableError
from oidkit.decoding import opened as decoded
from oidkit.drawing import Dot, Mark, Tie, annotated
from oidkit.errors import MalformedError, OidError, UsageError
from oidkit.formats.frames import Resizing, frame_of
from oidkit.formats.masks import runs
from oidkit.formats.model import Frame
from oidkit.imageids import ImageList
from oidkit.shelf import folder_of
from oidkit.tables import rows_of_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from oidkit.dataset import Dataset, Description
    from oidkit.formats.model import Picture

__all__ = ["Drawable", "draw", "drawn"]

Drawable = Literal["boxes", "masks", "clicks", "points", "relationships"]
_SIDES = ("XMin", "YMin", "XMax", "YMax")


@dataclass(frozen=True, slots=True)
class _Found:
    """An image of the dataset with the beginnings of the names of its annotation files."""

    picture: Picture
    folder: Path
    stems: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)

    def rows(self, label: str) -> list[dict[str, str]]:
        """Give the image's rows of a label type, as published."""
        split = self.picture.published_split
        files = [self.folder / "csv" / f"{stem}_{split}_{label}.csv" for stem in self.stems]
        return rows_of_image(files, self.picture.image_id)


def draw(
    root: Path | str,
    image_id: str,
    *,
    labels: Sequence[Drawable] = ("boxes", "masks"),
    annotations: Literal["requested", "all"] | None = None,
    names: bool = True,
    size: int | None = None,
) -> Image:
    """Draw an image of the dataset folder *root* with its annotations, as a Pillow image in RGB.

    *image_id* is ``<ImageID>`` or ``<split>/<ImageID>``. Of *labels*, "clicks" are the extreme
    points of boxes, which train alone has; "points" are dots for yes, rings for unsure and crosses
    for no; "relationships" are lines. *annotations* are "requested" or "all", as far as the folder
    has them. *names* puts the class on each box. *size* is the longest side in pixels; without it,
    or where the image is smaller, it keeps its own pixels. Masks lie on the pixels of the image
    by the nearest pixel, half transparent; one that is damaged or not there is left out.

    Each class has a colour of its own, the same in every image. In a notebook the image that is
    returned shows itself.

    Raises:
        UsageError: there is no dataset, the image is not in it or has not come, or there is no
            such label type.
        OidError: the file of the image cannot be decoded.
        IntegrityError: an annotation file of the dataset is not what a download writes.

    """
    for label in labels:
        if label not in get_args(Drawable):
            listed = ", ".join(get_args(Drawable))
            raise UsageError(f"'{label}' cannot be drawn", remedy=f"choose from {listed}")
    if size is not None:
        Resizing(size)
    found = _find(folder_of(root, what="a drawing"), image_id, annotations)
    dots = _dots(found) if "points" in labels else ()
    ties = _ties(found) if "relationships" in labels else ()
    picture = _open(found.picture, size)
    marks = _marks(found.picture, picture.size, found.names, labels)
    marks += _clicks(found) if "clicks" in labels else []
    return annotated(picture, marks, dots=dots, ties=ties, names=names)


def drawn(picture: Picture, names: Mapping[str, str], *, size: int) -> Image:
    """Draw the boxes and masks of a picture, without names; the longest side is *size* at most.

    Raises:
        OidError: the file of the image cannot be decoded.

    """
    shown = _open(picture, size)
    marks = _marks(picture, shown.size, names, ("boxes", "masks"))
    return annotated(shown, marks, names=False)


def _find(folder: Path, image_id: str, annotations: str | None) -> _Found:
    dataset, description = opened(folder)
    listed = ImageList.of([image_id])
    split = image_id.rpartition("/")[0]
    categories, stems = categories_of(dataset, description, Naming(annotations))
    splits = (split,) if split else SPLITS
    asked = Asked(splits, stems, only=listed.of_split(split))
    pictures = read_pictures(dataset, asked, categories)
    if not len(pictures):
        raise _not_there(dataset, description, image_id, pictures.missing + pictures.damaged)
    names = {mid: each.name for each in categories.listed for mid in each.mids}
    names |= class_names(folder)
    return _Found(pictures.some(0, 1)[0], folder, [*stems], names)


def _not_there(
    dataset: Dataset, description: Description, image_id: str, lost: Sequence[str]
) -> UsageError:
    if not lost:
        return UsageError(
            f"{image_id} is not an image of the dataset {dataset.root}",
            remedy="give one of those that its files downloader_IDs_for_*.txt list",
        )
    if not any(each.get("images", True) for each in description.selections):
        remedy = "run its download again, without --no-images"
    else:
        remedy = "see .oid/manifest.csv for why, or run its download again"
    return UsageError(f"the file of {lost[0]} is not in {dataset.root}", remedy=remedy)


def _open(picture: Picture, most: int | None) -> Image:
    """Open the file of a picture, its longest side no longer than *most* pixels, if given."""
    from PIL import Image

    try:
        with decoded(picture.path.read_bytes()) as image:
            longest = max(image.size)
            frame = frame_of(*image.size, Resizing(min(most or longest, longest)))
            # A JPEG is decoded at a half or a quarter of its size, where that is enough.
            image.draft("RGB", (2 * frame.width, 2 * frame.height))
            plain = image.convert("RGB")
    except (OSError, UndecodableError) as error:
        raise OidError(
            f"cannot read {picture.path}: {error}",
            remedy="bring it back with: oid verify DIR --repair",
        ) from error
    wanted = frame.width, frame.height
    return plain if plain.size == wanted else plain.resize(wanted, Image.Resampling.LANCZOS)


def _marks(
    picture: Picture, size: tuple[int, int], names: Mapping[str, str], labels: Sequence[str]
) -> list[Mark]:
    width, height = size
    frame = Frame(width, height, width / picture.width, height / picture.height)
    found = []
    for thing in picture.things:
        mask = None
        if thing.mask is not None and "masks" in labels:
            try:
                mask = runs(thing.mask, picture, frame).pixels
            except (MalformedError, OSError):
                mask = None
        box = thing.box if "boxes" in labels else None
        if box is not None or mask is not None:
            found.append(Mark(thing.mid, names.get(thing.mid, thing.mid), box, mask))
    return found


def _clicks(found: _Found) -> list[Mark]:
    marks = []
    for row in found.rows("boxes"):
        pairs = [
            (_number(row, f"XClick{nth}X"), _number(row, f"XClick{nth}Y")) for nth in range(1, 5)
        ]
        # A negative one is unknown.
        known = [(x, y) for x, y in pairs if x >= 0 and y >= 0]
        marks.append(Mark(row.get("LabelName", ""), clicks=known))
    return marks


def _dots(found: _Found) -> Iterator[Dot]:
    answers: dict[str, Any] = {"yes": "yes", "no": "no"}
    for row in found.rows("points"):
        mid, at = row.get("Label", ""), (_number(row, "X"), _number(row, "Y"))
        answer = answers.get(row.get("EstimatedYesNo", "").casefold(), "unsure")
        yield Dot(mid, found.names.get(mid, mid), at, answer)


def _ties(found: _Found) -> Iterator[Tie]:
    for row in found.rows("relationships"):
        one, other = row.get("LabelName1", ""), row.get("LabelName2", "")
        words = found.names.get(one, one), row.get("RelationshipLabel", "")
        name = " ".join([*words, found.names.get(other, other)]).replace("_", " ")
        yield Tie(one, name, _box(row, "1"), _box(row, "2"))


def _box(row: Mapping[str, str], nth: str) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (_number(row, f"{side}{nth}") for side in _SIDES)
    return x0, y0, x1, y1


def _number(row: Mapping[str, str], column: str) -> float:
    try:
        return float(row.get(column, ""))
    except ValueError:
        return math.nan
