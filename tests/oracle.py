"""The dataset folder as the contract words it, worked out slowly with csv and zipfile alone.

Nothing of oidkit is imported here, so that a mistake of its own can not be on both sides of a
comparison. Where each file of a release lies is written down once more, from the published pages.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPLITS = ("train", "validation", "test")
LABELS = ("boxes", "masks")
ATTRIBUTION = [
    "ImageID",
    "Title",
    "Author",
    "AuthorProfileURL",
    "License",
    "OriginalLandingURL",
    "Rotation",
]

_OLD_TRAIN = "2018_04/train/train-annotations-bbox.csv"
_NEW_TRAIN = "v6/oidv6-train-annotations-bbox.csv"
_BOXES = {
    "v4": (
        _OLD_TRAIN,
        "2018_04/validation/validation-annotations-bbox.csv",
        "2018_04/test/test-annotations-bbox.csv",
    ),
    "v5": (_OLD_TRAIN, "v5/validation-annotations-bbox.csv", "v5/test-annotations-bbox.csv"),
    "v6": (_NEW_TRAIN, "v5/validation-annotations-bbox.csv", "v5/test-annotations-bbox.csv"),
    "v7": (_NEW_TRAIN, "v5/validation-annotations-bbox.csv", "v5/test-annotations-bbox.csv"),
}
_CLASS_FILES = {
    "v4": "2018_04/class-descriptions-boxable.csv",
    "v5": "v5/class-descriptions-boxable.csv",
    "v6": "v5/class-descriptions-boxable.csv",
    "v7": "v7/oidv7-class-descriptions-boxable.csv",
}
_IMAGE_LISTS = {
    "train": "2018_04/train/train-images-boxable-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}

Row = list[str]
Tree = dict[str, bytes]


@dataclass(frozen=True)
class Sheet:
    """A CSV as the csv module reads it."""

    columns: Row
    rows: list[Row]

    def column(self, name: str) -> int:
        """Say at which position a column stands."""
        return self.columns.index(name)

    def having(self, name: str, values: Iterable[str]) -> list[Row]:
        """Keep the rows of some values of a column, in the order of the file."""
        at, wanted = self.column(name), set(values)
        return [row for row in self.rows if row[at] in wanted]


def printed(columns: Row, rows: Iterable[Row]) -> bytes:
    """Print rows as the csv module does, with LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def stem(mid: str) -> str:
    """Write a MID without its slashes."""
    return mid.replace("/", "")


def class_folder(name: str, mid: str) -> str:
    """Name a class's folder: lower case, runs of all but letters and digits as one `_`."""
    words = "".join(
        each if each.isalnum() else " " for each in unicodedata.normalize("NFC", name).lower()
    )
    return f"{'_'.join(words.split())}_{stem(mid)}"


def tree_of(root: Path) -> Tree:
    """Read every file of a dataset folder but its own records.

    Nor is the page read that is made of `attribution.csv`; it has tests of its own.
    """
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in (".oid", "ATTRIBUTION.md")
    }


def differences(found: Tree, expected: Tree) -> list[str]:
    """Say in short which files differ: whole trees are too long for a message."""
    return [
        *(f"missing: {path}" for path in sorted(expected.keys() - found.keys())),
        *(f"surplus: {path}" for path in sorted(found.keys() - expected.keys())),
        *(
            f"differs: {path}"
            for path in sorted(found.keys() & expected.keys())
            if found[path] != expected[path]
        ),
    ]


@dataclass(frozen=True)
class Mirror:
    """A mirror folder, read whole."""

    root: Path
    release: str = "v7"

    def sheet(self, key: str) -> Sheet:
        """Read a CSV below the bucket openimages, every field as published text."""
        with (self.root / "openimages" / key).open(encoding="utf-8", newline="") as file:
            columns, *rows = csv.reader(file)
        return Sheet(columns, rows)

    @cached_property
    def names(self) -> dict[str, str]:
        """Give MID -> display name of the release's boxable classes."""
        text = self.class_file.decode("utf-8").splitlines()
        found = {row[0]: row[1] for row in csv.reader(text)}
        found.pop("LabelName", None)
        return found

    @cached_property
    def class_file(self) -> bytes:
        """Give the release's list of boxable classes as it is."""
        return (self.root / "openimages" / _CLASS_FILES[self.release]).read_bytes()

    @cached_property
    def sheets(self) -> dict[tuple[str, str], Sheet]:
        """Give the annotations by label and split."""
        keys = {("boxes", split): _BOXES[self.release][at] for at, split in enumerate(SPLITS)}
        if self.release != "v4":
            keys |= {
                ("masks", split): f"v5/{split}-annotations-object-segmentation.csv"
                for split in SPLITS
            }
        return {
            at: self.sheet(key)
            for at, key in keys.items()
            if (self.root / "openimages" / key).exists()
        }

    def below(self, mid: str) -> set[str]:
        """Give a class and all that the published hierarchy has below it, but for parts."""
        path = self.root / "openimages/2018_04/bbox_labels_600_hierarchy.json"
        found: set[str] = set()

        def walk(node: dict[str, Any], *, inside: bool) -> None:
            inside = inside or node["LabelName"] == mid
            if inside:
                found.add(node["LabelName"])
            for child in node.get("Subcategory", []):
                walk(child, inside=inside)
            for part in node.get("Part", []):
                walk(part, inside=False)

        walk(json.loads(path.read_text(encoding="utf-8")), inside=False)
        return found | {mid}

    def image_list(self, split: str) -> Sheet:
        """Give the list of a split's images."""
        return self.sheet(_IMAGE_LISTS[split])

    @cached_property
    def masks(self) -> dict[str, dict[str, bytes]]:
        """Give the content of every mask by split and name; zipfile checks the CRCs."""
        found: dict[str, dict[str, bytes]] = {split: {} for split in SPLITS}
        for split in SPLITS:
            for path in sorted((self.root / f"openimages/v5/{split}-masks").glob("*.zip")):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        found[split][name] = archive.read(name)
        return found

    def image(self, split: str, image_id: str) -> bytes | None:
        """Give an image, or None where the bucket has none."""
        path = self.root / "open-images-dataset" / split / f"{image_id}.jpg"
        return path.read_bytes() if path.exists() else None

    def by_id(self, mid_or_name: str) -> str:
        """Find the MID of a class of this release by its exact name."""
        if mid_or_name in self.names:
            return mid_or_name
        (mid,) = (mid for mid, name in self.names.items() if name == mid_or_name)
        return mid


@dataclass(frozen=True)
class Asked:
    """What a download is asked for."""

    classes: tuple[str, ...]
    splits: tuple[str, ...] = SPLITS
    labels: tuple[str, ...] = LABELS
    match: str = "any"
    layout: str = "class"
    images: bool = True
    metadata: bool = True
    flags: tuple[tuple[str, str], ...] = ()
    """Columns of boxes, and the published text that a row has to have."""
    min_area: float = 0.0
    exclude: tuple[str, ...] = ()
    subclasses: bool = False
    annotations: str = "requested"
    image_ids: tuple[str, ...] = ()
    """Images that are listed, each with its split."""

    def keeps(self, label: str, sheet: Sheet, row: Row) -> bool:
        """Say whether a row counts: by its flags if it is a box, and by the area of its box."""
        if label == "boxes" and any(row[sheet.column(name)] != text for name, text in self.flags):
            return False
        front = "Box" if label == "masks" else ""
        x_min, x_max, y_min, y_max = (
            float(row[sheet.column(f"{front}{side}")]) for side in ("XMin", "XMax", "YMin", "YMax")
        )
        return (x_max - x_min) * (y_max - y_min) >= self.min_area

    def chosen(self, mirror: Mirror, split: str) -> dict[str, set[str]]:
        """Give the images of each class (by MID) in a split, without any limit."""
        found: dict[str, set[str]] = {}
        for mid in self.mids(mirror):
            found[mid] = set()
            for label in self.labels:
                sheet = mirror.sheets[label, split]
                at = sheet.column("ImageID")
                rows = sheet.having("LabelName", self.meant(mirror, mid))
                found[mid] |= {row[at] for row in rows if self.keeps(label, sheet, row)}
        if self.match == "all":
            common = set.intersection(*found.values())
            found = dict.fromkeys(found, common)
        unwanted = self.unwanted(mirror, split)
        return {mid: images - unwanted for mid, images in found.items()}

    def listed(self, mirror: Mirror, split: str) -> set[str]:
        """Give the listed images of a split, but for those with an excluded class."""
        pairs = [each.split("/") for each in self.image_ids]
        found = {image_id for place, image_id in pairs if place == split}
        return found - self.unwanted(mirror, split)

    def unwanted(self, mirror: Mirror, split: str) -> set[str]:
        """Give the images that carry a class which is excluded, in any row of any label."""
        return {
            row[sheet.column("ImageID")]
            for label in self.labels
            for sheet in (mirror.sheets[label, split],)
            for mid in self.exclude
            for row in sheet.having("LabelName", self.meant(mirror, mid))
        }

    def meant(self, mirror: Mirror, mid: str) -> set[str]:
        """Give the MIDs that a class stands for."""
        return mirror.below(mid) if self.subclasses else {mid}

    def mids(self, mirror: Mirror) -> list[str]:
        """Give the MIDs of the classes asked for."""
        return [mirror.by_id(each) for each in self.classes]


@dataclass(frozen=True)
class Expected:
    """What a download has to come to: its files, the images that are missing, and its numbers."""

    tree: Tree
    images: set[str]
    missing: set[str]
    masks: int
    rows: dict[str, int]

    @property
    def image_bytes(self) -> int:
        """Sum up the images, each once, however many folders it is in."""
        sizes = {Path(at).stem: len(data) for at, data in self.tree.items() if at[-4:] == ".jpg"}
        return sum(sizes.values())


def expected(
    mirror: Mirror, asked: Asked, *, chosen: dict[str, dict[str, set[str]]] | None = None
) -> Expected:
    """Work out the whole dataset folder.

    *chosen* is the images of each class by split and MID, where a limit decides on them.
    """
    tree: Tree = {"csv/class-descriptions-boxable.csv": mirror.class_file}
    every: set[str] = set()
    missing: set[str] = set()
    # A row that stands in the files of two classes is one annotation.
    counted: dict[str, set[tuple[str, int]]] = {label: set() for label in asked.labels}
    masks: set[str] = set()
    attribution: list[Row] = []
    for split in asked.splits:
        by_class = chosen[split] if chosen else asked.chosen(mirror, split)
        listed = asked.listed(mirror, split)
        images = listed.union(*by_class.values())
        every |= {f"{split}/{each}" for each in images}
        for mid, ids in by_class.items():
            lines = "".join(f"{split}/{each}\n" for each in sorted(ids))
            tree[f"downloader_IDs_for_{stem(mid)}_{split}.txt"] = lines.encode()
            for label in asked.labels:
                sheet = mirror.sheets[label, split]
                own = sheet.having("LabelName", asked.meant(mirror, mid))
                kept = _rows(asked, sheet, label, own, images)
                tree[f"csv/{stem(mid)}_{split}_{label}.csv"] = printed(sheet.columns, kept)
                counted[label] |= {(split, id(row)) for row in kept}
                masks |= _add_masks(tree, mirror, sheet, split, kept)
        for label in asked.labels if asked.annotations == "all" else ():
            sheet = mirror.sheets[label, split]
            every_row = _rows(Asked(()), sheet, label, sheet.having("ImageID", images), images)
            tree[f"csv/all_{split}_{label}.csv"] = printed(sheet.columns, every_row)
            counted[label] |= {(split, id(row)) for row in every_row}
            masks |= _add_masks(tree, mirror, sheet, split, every_row)
        if asked.images:
            for mid, ids in by_class.items():
                name = class_folder(mirror.names[mid], mid)
                folder = f"{split}/{name}" if asked.layout == "class" else split
                missing |= _add_images(tree, mirror, split, folder, ids)
            missing |= _add_images(tree, mirror, split, split, listed)
        if asked.metadata:
            sheet = mirror.image_list(split)
            kept = sorted(sheet.having("ImageID", images), key=lambda row: row[0])
            tree[f"csv/images_{split}.csv"] = printed(sheet.columns, kept)
            attribution += [[row[sheet.column(name)] for name in ATTRIBUTION] for row in kept]
            unlisted = images - {row[sheet.column("ImageID")] for row in kept}
            attribution += [[each] + [""] * (len(ATTRIBUTION) - 1) for each in unlisted]
    if asked.metadata:
        attribution.sort(key=lambda row: row[0])
        tree["attribution.csv"] = printed(ATTRIBUTION, attribution)
    rows = {label: len(found) for label, found in counted.items()}
    return Expected(tree, every, missing, len(masks), rows)


def _add_masks(tree: Tree, mirror: Mirror, sheet: Sheet, split: str, rows: list[Row]) -> set[str]:
    if "MaskPath" not in sheet.columns:
        return set()
    names = {row[sheet.column("MaskPath")] for row in rows}
    tree |= {f"masks/{split}/{name}": mirror.masks[split][name] for name in names}
    return names


def _rows(asked: Asked, sheet: Sheet, label: str, rows: list[Row], images: set[str]) -> list[Row]:
    at, name = sheet.column("ImageID"), sheet.column("LabelName")
    kept = [row for row in rows if row[at] in images and asked.keeps(label, sheet, row)]
    return sorted(kept, key=lambda row: (row[at], row[name]))


def _add_images(
    tree: Tree, mirror: Mirror, split: str, folder: str, ids: Iterable[str]
) -> set[str]:
    missing = set()
    for each in ids:
        data = mirror.image(split, each)
        if data is None:
            missing.add(f"{split}/{each}")
        else:
            tree[f"images/{folder}/{each}.jpg"] = data
    return missing


def ids_in(root: Path, mids: Sequence[str], split: str) -> dict[str, set[str]]:
    """Read the lists of ids that a download wrote: the images of each class of a split."""
    return {
        mid: {
            line.removeprefix(f"{split}/")
            for line in (root / f"downloader_IDs_for_{stem(mid)}_{split}.txt").read_text().split()
        }
        for mid in mids
    }
