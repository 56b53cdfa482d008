"""Pascal VOC: an XML file beside each image, lists of images, and masks as pictures of numbers.

The layout is that of the VOC 2012 development kit (its section 3 and 4). Coordinates are whole
pixels counted from 1, and xmax and ymax are the last pixels within the box.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast
from xml.etree import ElementTree as ET

from oidkit.formats.filenames import told_apart, without_awkward
from oidkit.formats.masks import LEFT_OUT, box_of, mask_of, notes_of
from oidkit.formats.model import Category, Entry, Frame, OutFile, Picture, Thing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from oidkit.formats.masks import Runs

    Numbers = npt.NDArray[np.uint8]

__all__ = ["Voc", "colour_map"]

_SETS = {"validation": "val"}
"""Split -> what its lists are called; others keep their name."""
_TRAINVAL = ("train", "val")
_VOID = 255
"""The number of a pixel that counts for nothing; objects and classes have 1 to 254."""
_WAITING = 1 << 16
_TOLD = {
    "objects": "masks beyond the 254 objects that SegmentationObject holds, left out of it: {n:,}",
    "classes": "masks beyond the 254 classes that SegmentationClass holds, void in it: {n:,}",
    **LEFT_OUT,
}


class _Rows(NamedTuple):
    """What a picture adds to the lists: whether it has masks, and categories with their state."""

    segmented: bool
    states: dict[int, int]
    told: Counter[str]


@dataclass(frozen=True, slots=True)
class Voc:
    """Pascal VOC: `Annotations/`, `JPEGImages/`, `ImageSets/` and `Segmentation...` folders.

    *categories* are handed in before the first picture.
    """

    categories: tuple[Category, ...] = ()

    @property
    def name(self) -> str:
        return "voc"

    def image_path(self, picture: Picture) -> str:
        return f"JPEGImages/{picture.image_id}.jpg"

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        told: Counter[str] = Counter()
        shapes: list[tuple[int, Thing, Runs]] = []
        kept: list[tuple[Thing, tuple[int, int, int, int]]] = []
        for thing in picture.things:
            shape = mask_of(thing, picture, frame, told)
            box = _box(thing, picture, frame, shape)
            if box is None:
                continue
            kept.append((thing, box))
            if shape is not None:
                shapes.append((len(kept), thing, shape))
        files = [image] if image is not None else []
        files.append(self._xml(picture, frame, kept, segmented=bool(shapes)))
        if shapes:
            objects, classes = _painted(frame, shapes, told)
            for folder, numbers in (("Object", objects), ("Class", classes)):
                path = f"Segmentation{folder}/{picture.image_id}.png"
                files.append(OutFile(path, content=_png(numbers)))
        return Entry(tuple(files), _Rows(bool(shapes), _states(picture, kept), told))

    def writer(self, out: Path, categories: tuple[Category, ...]) -> _Writer:
        return _Writer(out, categories)

    def _xml(
        self,
        picture: Picture,
        frame: Frame,
        kept: Sequence[tuple[Thing, tuple[int, int, int, int]]],
        *,
        segmented: bool,
    ) -> OutFile:
        """Describe a picture and its objects."""
        root = ET.Element("annotation")
        _put(root, "folder", "JPEGImages")
        _put(root, "filename", f"{picture.image_id}.jpg")
        source = ET.SubElement(root, "source")
        _put(source, "database", "Open Images")
        _put(source, "annotation", "Open Images")
        _put(source, "image", "flickr")
        if author := picture.metadata.get("Author"):
            _put(ET.SubElement(root, "owner"), "name", author)
        size = ET.SubElement(root, "size")
        for name, number in (("width", frame.width), ("height", frame.height), ("depth", 3)):
            _put(size, name, number)
        _put(root, "segmented", int(segmented))
        names = _names(self.categories)
        for thing, box in kept:
            about = ET.SubElement(root, "object")
            _put(about, "name", names[thing.category])
            _put(about, "pose", "Unspecified")
            flags = thing.flags
            _put(about, "truncated", int(flags.truncated == 1))
            _put(about, "occluded", int(flags.occluded == 1))
            _put(about, "difficult", int(flags.group_of == 1))
            bounds = ET.SubElement(about, "bndbox")
            for name, number in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                _put(bounds, name, number)
        ET.indent(root, "\t")
        content = ET.tostring(root, encoding="utf-8") + b"\n"
        return OutFile(f"Annotations/{picture.image_id}.xml", content=content)


class _Writer:
    """Writes the lists of images: of each split, and of each class in it."""

    def __init__(self, out: Path, categories: tuple[Category, ...]) -> None:
        self._out = out
        self._names = _file_names(categories)
        self._waiting: dict[str, list[str]] = {}
        self._lines = 0
        self._told: Counter[str] = Counter()
        (out / "labelmap.txt").write_text(_label_map(categories), encoding="utf-8", newline="\n")

    def add(self, picture: Picture, entry: Entry) -> None:
        rows = cast("_Rows", entry.rows)
        self._told.update(rows.told)
        name = _SETS.get(picture.split, picture.split)
        for subset in (name, "trainval") if name in _TRAINVAL else (name,):
            self._put(f"Main/{subset}", picture.image_id)
            # A list of segmented images stands for every split, be it an empty one.
            self._put(f"Segmentation/{subset}", picture.image_id if rows.segmented else None)
            for category, state in rows.states.items():
                self._put(f"Main/{self._names[category]}_{subset}", f"{picture.image_id} {state:2}")

    def finish(self) -> Iterable[str]:
        self._flush()
        return notes_of(self._told, _TOLD)

    def _put(self, path: str, line: str | None) -> None:
        lines = self._waiting.setdefault(path, [])
        if line is not None:
            lines.append(line + "\n")
            self._lines += 1
        if self._lines >= _WAITING:
            self._flush()

    def _flush(self) -> None:
        """Add what waits to its files: they are too many to be kept open."""
        for path, lines in self._waiting.items():
            file = self._out / "ImageSets" / f"{path}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="ascii", newline="\n") as end:
                end.writelines(lines)
        self._waiting.clear()
        self._lines = 0


@cache
def colour_map() -> bytes:
    """Give the colours of 256 numbers, three bytes each, as the VOC development kit makes them.

    The bits of a number go to red, green and blue in turn, the lowest first, each colour from its
    highest bit down.
    """
    colours = bytearray()
    for number in range(256):
        for colour in range(3):
            bits = [number >> (3 * level + colour) & 1 for level in range(3)]
            colours.append(sum(bit << (7 - level) for level, bit in enumerate(bits)))
    return bytes(colours)


def _box(
    thing: Thing, picture: Picture, frame: Frame, shape: Runs | None
) -> tuple[int, int, int, int] | None:
    """Give the first and last pixel of a box on both axes, counted from 1."""
    box = box_of(thing, picture, frame, shape)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    xmin, ymin = min(round(x0) + 1, frame.width), min(round(y0) + 1, frame.height)
    xmax, ymax = min(round(x1), frame.width), min(round(y1), frame.height)
    return xmin, ymin, max(xmin, xmax), max(ymin, ymax)


def _states(picture: Picture, kept: Sequence[tuple[Thing, object]]) -> dict[int, int]:
    """Say of categories whether the picture has them: 1, 0 for difficult ones alone, or -1.

    Categories that nothing is known of are left out: in Open Images what is not annotated may
    well be there.
    """
    states = dict.fromkeys(picture.absent, -1) | dict.fromkeys(picture.present, 1)
    seen: dict[int, int] = {}
    for thing, _ in kept:
        seen[thing.category] = max(seen.get(thing.category, 0), int(thing.flags.group_of != 1))
    return dict(sorted((states | seen).items()))


def _painted(
    frame: Frame, shapes: Sequence[tuple[int, Thing, Runs]], told: Counter[str]
) -> tuple[Numbers, Numbers]:
    """Paint the masks by object and by class, large ones first, so that small ones stay seen."""
    import numpy as np

    objects = np.zeros(frame.width * frame.height, np.uint8)
    classes = np.zeros_like(objects)
    for number, thing, shape in sorted(shapes, key=lambda each: (-each[2].area, each[0])):
        category = thing.category + 1
        told["objects"] += number >= _VOID
        told["classes"] += category >= _VOID
        for start, end in shape.places.reshape(-1, 2).tolist():
            objects[start:end] = number if number < _VOID else 0
            classes[start:end] = min(category, _VOID)
    shape_of = (frame.width, frame.height)
    return objects.reshape(shape_of).T, classes.reshape(shape_of).T


def _png(numbers: Numbers) -> bytes:
    """Write numbers as a picture with the colours of VOC."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(numbers))
    picture.putpalette(colour_map())
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _put(parent: ET.Element, name: str, text: object) -> None:
    # Some characters have no place in XML, not even escaped.
    cleaned = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", str(text))
    ET.SubElement(parent, name).text = cleaned


@lru_cache(maxsize=4)
def _names(categories: tuple[Category, ...]) -> tuple[str, ...]:
    """Name the classes in the XML and the label map alike, by which datumaro joins the two.

    A line of the map is fields between colons, and one that begins with # is a comment. No two
    names are alike, and none is that of the background.
    """
    names: list[str] = []
    # A name that need not change keeps it, wherever it stands.
    taken = {"background", *(each.name for each in categories)}
    for each in categories:
        name = re.sub(r"^#|:", "_", each.name)
        while name in taken and (name != each.name or name == "background"):
            name = f"{name}_{each.number}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def _file_names(categories: tuple[Category, ...]) -> list[str]:
    """Give a name for the lists of each class that every file system takes."""
    return told_apart(map(without_awkward, _names(categories)), taken=["trainval"])


def _label_map(categories: tuple[Category, ...]) -> str:
    """List classes and their colours, as CVAT and datumaro take classes that are not VOC's own."""
    colours = colour_map()
    lines = ["# label:color_rgb:parts:actions\n", "background:0,0,0::\n"]
    for each, name in zip(categories, _names(categories), strict=True):
        at = 3 * min(each.number + 1, _VOID)
        red, green, blue = colours[at : at + 3]
        lines.append(f"{name}:{red},{green},{blue}::\n")
    return "".join(lines)
