"""COCO: one JSON a split with images, categories and instances, as pycocotools reads it.

Field names and meanings are those of https://cocodataset.org/#format-data. Boxes are x, y, width
and height in pixels of the written picture, from its upper left corner.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from oidkit.attribution import licence_name
from oidkit.catalog import OFFICIAL_HOSTS
from oidkit.formats.masks import mask_of, notes_of
from oidkit.formats.model import Category, Entry, Frame, OutFile, Picture, Thing
from oidkit.formats.outlines import polygons

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oidkit.formats.masks import Runs

__all__ = ["Coco", "image_number"]

_INFO = {
    "description": "Open Images",
    "url": "https://storage.googleapis.com/openimages/web/index.html",
    "version": "1.0",
    "contributor": "Google LLC (annotations, CC BY 4.0); the images are their authors'",
}
_BUCKET = OFFICIAL_HOSTS["open-images-dataset"]
_UNKNOWN_LICENSE = {"id": 0, "name": "unknown", "url": ""}
# JSON readers that hold numbers as doubles keep 53 of the 64 bits of an ImageID.
_SPARE_BITS = 64 - 53
_DIGITS = 2


class _Rows(NamedTuple):
    """What a picture comes to: an image without its id and licence, annotations without theirs."""

    image: dict[str, Any]
    license: str
    annotations: list[tuple[int, str]]
    told: Counter[str]


def image_number(image_id: str) -> int:
    """Give the number of an ImageID: the first 53 of its 64 bits.

    It depends on the ImageID alone, and numbers are in the order of the ImageIDs.
    """
    return int(image_id, 16) >> _SPARE_BITS


@dataclass(frozen=True, slots=True)
class Coco:
    """COCO: `annotations/instances_<split>.json` and `images/<split>/`.

    Masks are run lengths, or with *polygons* outlines; a crowd's always are run lengths.
    """

    polygons: bool = False

    @property
    def name(self) -> str:
        return "coco"

    def image_path(self, picture: Picture) -> str:
        return f"images/{picture.split}/{picture.image_id}.jpg"

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        about = picture.metadata
        described = {
            "file_name": f"{picture.image_id}.jpg",
            "width": frame.width,
            "height": frame.height,
            "open_images_id": picture.image_id,
            "open_images_split": picture.published_split,
            "coco_url": f"{_BUCKET}/{picture.published_split}/{picture.image_id}.jpg",
            "flickr_url": about.get("OriginalURL", ""),
            "landing_url": about.get("OriginalLandingURL", ""),
            "title": about.get("Title", ""),
            "author": about.get("Author", ""),
            "author_url": about.get("AuthorProfileURL", ""),
        }
        annotations = []
        told: Counter[str] = Counter()
        for thing in picture.things:
            shape = mask_of(thing, picture, frame, told)
            made = self._annotation(thing, picture, frame, shape)
            if made is not None:
                annotations.append((thing.number + 1, json.dumps(made, separators=(",", ":"))))
        rows = _Rows(described, about.get("License", ""), annotations, told)
        return Entry((image,) if image is not None else (), rows)

    def writer(self, out: Path, categories: tuple[Category, ...]) -> _Writer:
        return _Writer(out, categories)

    def _annotation(
        self, thing: Thing, picture: Picture, frame: Frame, shape: Runs | None
    ) -> dict[str, Any] | None:
        """Describe an object, or give None for one of which nothing is left: an empty mask."""
        if thing.box is not None:
            x0, y0, x1, y1 = (round(side, _DIGITS) for side in frame.box(picture, thing.box))
            box: list[float] = [x0, y0, round(x1 - x0, _DIGITS), round(y1 - y0, _DIGITS)]
        elif shape is not None:
            box = list(shape.box)
        else:
            return None
        crowd = thing.flags.group_of == 1
        outline: Any = []
        if shape is not None:
            outline = polygons(shape.pixels) if self.polygons and not crowd else shape.rle
        flags = thing.flags
        return {
            "category_id": thing.category + 1,
            "bbox": box,
            "area": shape.area if shape is not None else round(box[2] * box[3], _DIGITS),
            "iscrowd": int(crowd),
            "segmentation": outline,
            "attributes": {
                "occluded": flags.occluded,
                "truncated": flags.truncated,
                "group_of": flags.group_of,
                "depiction": flags.depiction,
                "inside": flags.inside,
            },
            "mid": thing.mid,
        }


@dataclass(slots=True)
class _Split:
    """The JSON of a split that is being written: instances go there, images wait in a file.

    Of the images only the licences and the last number stay in memory.
    """

    file: TextIO
    images: IO[str]
    licenses: dict[str, int] = field(default_factory=dict)
    unknown: bool = False
    last: int = -1
    any_annotation: bool = False

    def license_number(self, url: str) -> int:
        """Give the number of a licence by its address, from 1; 0 where it is not known."""
        if not url:
            self.unknown = True
            return 0
        return self.licenses.setdefault(url, len(self.licenses) + 1)


class _Writer:
    """Writes the file of each split as its pictures come."""

    def __init__(self, out: Path, categories: tuple[Category, ...]) -> None:
        self._folder = out / "annotations"
        self._splits: dict[str, _Split] = {}
        self._told: Counter[str] = Counter()
        self._categories = [
            {
                "id": each.number + 1,
                "name": each.name,
                "supercategory": each.supercategory,
                "mids": list(each.mids),
            }
            for each in categories
        ]

    def add(self, picture: Picture, entry: Entry) -> None:
        rows = cast("_Rows", entry.rows)
        split = self._splits.get(picture.split)
        if split is None:
            split = self._splits[picture.split] = self._begun(picture.split)
        number = image_number(picture.image_id)
        if number <= split.last:
            # Two ImageIDs that differ in their last 11 bits alone come one after the other.
            number = split.last + 1
        described = {"id": number, **rows.image, "license": split.license_number(rows.license)}
        before = ",\n" if split.last >= 0 else "\n"
        split.images.write(before + json.dumps(described, separators=(",", ":")))
        split.last = number
        self._told.update(rows.told)
        for annotation, rest in rows.annotations:
            before = ",\n" if split.any_annotation else "\n"
            # The rest is an object of its own, whose first brace is left out.
            split.file.write(f'{before}{{"id":{annotation},"image_id":{number},{rest[1:]}')
            split.any_annotation = True

    def finish(self) -> Iterable[str]:
        for split in self._splits.values():
            split.file.write('\n],\n"images":[')
            split.images.seek(0)
            shutil.copyfileobj(split.images, split.file)
            split.images.close()
            licenses: list[dict[str, Any]] = [_UNKNOWN_LICENSE] if split.unknown else []
            licenses += [
                {"id": number, "name": licence_name(url), "url": url}
                for url, number in split.licenses.items()
            ]
            split.file.write(f'\n],\n"licenses":{json.dumps(licenses)}}}\n')
            split.file.close()
        return notes_of(self._told)

    def close(self) -> None:
        """Let go of the files of an export that was given up."""
        for split in self._splits.values():
            split.images.close()
            split.file.close()

    def _begun(self, split: str) -> _Split:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"instances_{split}.json"
        # Plain ASCII: some readers open the file in the encoding of the machine.
        file = path.open("w", encoding="ascii", newline="\n")
        head = (json.dumps(_INFO), json.dumps(self._categories))
        file.write('{{"info":{},\n"categories":{},\n"annotations":['.format(*head))
        images = tempfile.TemporaryFile(  # noqa: SIM115 - closed with the file of its split
            "w+", encoding="ascii", newline="\n", dir=self._folder
        )
        return _Split(file, images)
