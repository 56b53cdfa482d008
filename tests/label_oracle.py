"""The dataset folder for every label type and release, worked out slowly with csv and json.

Nothing of oidkit is imported here. Which files a release has is written down once more, from
the official pages. Every file is read whole, and every rule is applied row by row.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from oracle import ATTRIBUTION, Mirror, Row, Tree, class_folder, printed, stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

SPLITS = ("train", "validation", "test")
LABELS = ("boxes", "masks", "image-labels", "relationships", "points", "narratives")
HAVING = {
    "v4": ("boxes", "image-labels", "relationships"),
    "v5": ("boxes", "masks", "image-labels", "relationships"),
    "v6": ("boxes", "masks", "image-labels", "relationships", "narratives"),
    "v7": LABELS,
}
FULL_LISTS = {
    "v4": "openimages/2018_04/class-descriptions.csv",
    "v5": "openimages/v6/oidv6-class-descriptions.csv",
    "v6": "openimages/v6/oidv6-class-descriptions.csv",
    "v7": "openimages/v7/oidv7-class-descriptions.csv",
}
ATTRIBUTES = dict.fromkeys(("v4", "v5"), "openimages/2019_01/challenge-2018-attributes-description")
ATTRIBUTES |= dict.fromkeys(("v6", "v7"), "openimages/v6/oidv6-attributes-description")
GONE = "openimages/v6/oidv6-train-annotations-machine-imagelabels.csv"
_TOLD = "localized-narratives/annotations/open_images_"


def kinds_of(label: str, *, captions: bool = False, source: str = "all") -> tuple[str, ...]:
    """Name the kinds of files that a label type reads."""
    if label == "image-labels":
        return ("human", "machine") if source == "all" else (source,)
    return ("captions",) if label == "narratives" and captions else (label,)


def files_of(release: str, kind: str, split: str) -> tuple[str, ...]:
    """Name the files of a kind, bucket first; one that is gone is named by what is read for it."""
    if kind == "captions":
        return (f"{_TOLD}{'train_v6' if split == 'train' else split}_captions.jsonl",)
    if kind == "narratives":
        if split != "train":
            return (f"{_TOLD}{split}_localized_narratives.jsonl",)
        name = f"{_TOLD}train_v6_localized_narratives"
        return tuple(f"{name}-{nth:05d}-of-00010.jsonl" for nth in range(10))
    return (f"openimages/{_csv_of(release, kind, split)}",)


def _csv_of(release: str, kind: str, split: str) -> str:
    folder, name = _CSV[kind, release, split == "train"]
    short = "val" if split == "validation" else split
    return f"{folder}/{name}".format(split=split, short=short)


def _csv_files() -> Iterator[tuple[str, str, bool, str, str]]:
    """Give kind, release, whether it is that of train, folder and name of every CSV."""
    old, new = ("v4", "v5"), ("v6", "v7")
    box, human = "{split}-annotations-bbox.csv", "annotations-human-imagelabels.csv"
    for release in HAVING:
        train = ("2018_04/train", box) if release in old else ("v6", "oidv6-" + box)
        yield "boxes", release, True, *train
        yield "boxes", release, False, "2018_04/{split}" if release == "v4" else "v5", box
        for is_train in (True, False):
            yield "masks", release, is_train, "v5", "{split}-annotations-object-segmentation.csv"
            yield "points", release, is_train, "v7", "oidv7-{short}-annotations-point-labels.csv"
            if release in new:
                yield "relationships", release, is_train, "v6", "oidv6-{split}-annotations-vrd.csv"
            for kind in ("human", "machine"):
                name = human.replace("human", kind)
                at = {
                    "v4": ("2018_04/{split}", "{split}-"),
                    "v5": ("v5", "{split}-"),
                    "v6": ("v5", "{split}-"),
                    "v7": ("v7", "oidv7-{short}-"),
                }[release]
                # V6 has new labels of train; those by machine are given out no longer.
                at = ("v6", "oidv6-train-") if (release, is_train, kind) == _NEW else at
                yield kind, release, is_train, at[0], at[1] + name
    for release in old:
        yield "relationships", release, True, "2019_01/train", "challenge-2018-train-vrd.csv"
        yield "relationships", release, False, "v5", "{split}-annotations-vrd.csv"


_NEW = ("v6", True, "human")
_CSV = {each[:3]: each[3:] for each in _csv_files()}


@dataclass(frozen=True, eq=False)
class Line:
    """One published row: where it stands, and what it says."""

    image: str
    classes: tuple[str, ...]
    values: dict[str, str]
    fields: Row
    place: tuple[int, int]
    """File of its label type, counted from 0, and row in it."""


@dataclass(frozen=True)
class Published:
    """The annotations of a release below a mirror folder, each file read whole."""

    root: Path
    release: str

    @cached_property
    def boxable(self) -> Mirror:
        """Give what the other oracle knows of the release."""
        return Mirror(self.root, self.release)

    @cached_property
    def every_name(self) -> dict[str, str]:
        """Give MID -> display name of all classes, boxable ones by their boxable name."""
        text = (self.root / FULL_LISTS[self.release]).read_text(encoding="utf-8")
        found = {row[0]: row[1] for row in csv.reader(text.splitlines())}
        found.pop("LabelName", None)
        return found | self.boxable.names

    @cached_property
    def _read(self) -> dict[tuple[str, int], tuple[Row, list[Line]]]:
        return {}

    def lines(self, kind: str, split: str) -> tuple[Row, list[Line]]:
        """Give the header and the rows of a kind of file."""
        columns: Row = []
        rows: list[Line] = []
        for nth, key in enumerate(files_of(self.release, kind, split)):
            at = nth + (kind == "machine")
            if (key, at) not in self._read:
                path = self.root / key
                self._read[key, at] = _told(path, at) if kind in _TEXTS else _rows(path, at, kind)
            columns, more = self._read[key, at]
            rows = rows + more
        return columns, rows


_TEXTS = ("narratives", "captions")


def _told(path: Path, nth: int) -> tuple[Row, list[Line]]:
    text = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [], [
        Line(json.loads(line)["image_id"], (), {}, [line], (nth, row))
        for row, line in enumerate(text)
    ]


def _rows(path: Path, nth: int, kind: str) -> tuple[Row, list[Line]]:
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    image = "ImageId" if kind == "points" else "ImageID"
    names = {"points": ("Label",), "relationships": ("LabelName1", "LabelName2")}
    found = []
    for row, fields in enumerate(rows):
        values = dict(zip(columns, fields, strict=True))
        classes = tuple(values[name] for name in names.get(kind, ("LabelName",)))
        found.append(Line(values[image], classes, values, fields, (nth, row)))
    return columns, found


@dataclass(frozen=True)
class Asked:
    """What a download is asked for; classes and images by their ids."""

    classes: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...] = SPLITS
    match: str = "any"
    limit: int | None = None
    total: int | None = None
    seed: int = 0
    layout: str = "class"
    images: bool = True
    metadata: bool = True
    flags: tuple[tuple[str, str], ...] = ()
    min_area: float = 0.0
    exclude: tuple[str, ...] = ()
    subclasses: bool = False
    annotations: str = "requested"
    image_ids: tuple[str, ...] = ()
    label_source: str = "all"
    min_confidence: float = 0.0
    negatives: bool = False
    captions: bool = False

    def kinds(self, label: str) -> tuple[str, ...]:
        """Name the kinds of files that are read for a label type."""
        return kinds_of(label, captions=self.captions, source=self.label_source)

    @property
    def telling(self) -> tuple[str, ...]:
        """Name the kinds of files that choose images."""
        labels = [each for each in self.labels if each != "narratives"] or ["boxes"]
        return tuple(kind for label in labels for kind in self.kinds(label))

    def keeps(self, kind: str, line: Line) -> bool:
        """Say whether a row counts."""
        if kind == "machine":
            return float(line.values["Confidence"]) >= self.min_confidence
        if kind not in ("boxes", "masks"):
            return True
        if kind == "boxes" and any(line.values[name] != text for name, text in self.flags):
            return False
        front = "Box" if kind == "masks" else ""
        sides = ("XMin", "XMax", "YMin", "YMax")
        x_min, x_max, y_min, y_max = (float(line.values[f"{front}{side}"]) for side in sides)
        return (x_max - x_min) * (y_max - y_min) >= self.min_area

    def shows(self, kind: str, line: Line, *, broadly: bool = False) -> bool:
        """Say whether a row is a reason to choose its image."""
        if kind == "human":
            return float(line.values["Confidence"]) == 1
        if kind == "points":
            return line.values["EstimatedYesNo"] == "yes"
        if kind == "machine" and not (self.min_confidence or self.label_source == "machine"):
            return False
        if broadly and kind in ("boxes", "masks"):
            return True
        return self.keeps(kind, line)

    def meant(self, release: Published, mid: str) -> set[str]:
        """Give the MIDs that a class stands for."""
        return release.boxable.below(mid) if self.subclasses else {mid}


def denies(kind: str, line: Line) -> bool:
    """Say whether a row is a human's word that its class is not there."""
    if kind == "human":
        return float(line.values["Confidence"]) == 0
    return kind == "points" and line.values["EstimatedYesNo"] == "no"


def chosen(release: Published, asked: Asked, split: str) -> dict[str, set[str]]:
    """Give the images of each class, of the negatives of each (`-` and its MID), and the listed."""
    found: dict[str, set[str]] = {}
    for mid in asked.classes:
        found[mid] = _showing(release, asked, split, asked.meant(release, mid))
        if asked.labels == ("narratives",):
            _, lines = release.lines(asked.kinds("narratives")[0], split)
            found[mid] &= {line.image for line in lines}
    if asked.match == "all" and found:
        found = dict.fromkeys(found, set.intersection(*found.values()))
    for mid in asked.classes if asked.negatives else ():
        shown = _showing(release, asked, split, asked.meant(release, mid), broadly=True)
        denied = {
            line.image
            for kind in asked.telling
            for line in release.lines(kind, split)[1]
            if mid in line.classes and denies(kind, line)
        }
        found[f"-{mid}"] = denied - shown
    if asked.image_ids:
        found[""] = {each[-16:] for each in asked.image_ids if each.startswith(f"{split}/")}
    for mid in asked.exclude:
        unwanted = _showing(release, asked, split, asked.meant(release, mid), broadly=True)
        found = {key: images - unwanted for key, images in found.items()}
    return _limited(asked, found)


def _showing(
    release: Published, asked: Asked, split: str, mids: set[str], *, broadly: bool = False
) -> set[str]:
    return {
        line.image
        for kind in asked.telling
        for line in release.lines(kind, split)[1]
        if mids.intersection(line.classes) and asked.shows(kind, line, broadly=broadly)
    }


def _limited(asked: Asked, found: dict[str, set[str]]) -> dict[str, set[str]]:
    start = splitmix64(asked.seed)

    def rank(image: str) -> int:
        return splitmix64(int(image, 16) ^ start)

    queues = {key: sorted(images, key=rank) for key, images in found.items()}
    if asked.limit is not None:
        queues = {key: queue[: asked.limit] if key else queue for key, queue in queues.items()}
    if asked.total is not None:
        turns: dict[str, int] = {}
        for queue in queues.values():
            for turn, image in enumerate(queue):
                turns[image] = min(turn, turns.get(image, turn))
        order = sorted(turns, key=lambda image: (turns[image], rank(image)))
        taken = set(order[: asked.total])
        queues = {key: [each for each in queue if each in taken] for key, queue in queues.items()}
    return {key: set(queue) for key, queue in queues.items()}


def splitmix64(value: int) -> int:
    """Mix a number as Steele, Lea and Flood (2014) do in one step of their generator."""
    most = 2**64 - 1
    value = (value + 0x9E3779B97F4A7C15) & most
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & most
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & most
    return value ^ (value >> 31)


@dataclass
class Folder:
    """What a download has to come to."""

    tree: Tree
    images: set[str]
    missing: set[str]
    masks: set[str]
    rows: dict[str, int]


def expected(release: Published, asked: Asked) -> Folder:
    """Work out the whole dataset folder."""
    made = Folder({}, set(), set(), set(), dict.fromkeys(asked.labels, 0))
    made.tree["csv/class-descriptions-boxable.csv"] = release.boxable.class_file
    if {"image-labels", "points"} & set(asked.labels):
        content = (release.root / FULL_LISTS[release.release]).read_bytes()
        made.tree["csv/class-descriptions.csv"] = content
    attributes = release.root / f"{ATTRIBUTES[release.release]}.csv"
    if "relationships" in asked.labels and attributes.exists():
        made.tree["csv/attributes-description.csv"] = attributes.read_bytes()
    attribution: list[Row] = []
    for split in asked.splits:
        by_class = chosen(release, asked, split)
        images = set[str]().union(*by_class.values())
        made.images |= {f"{split}/{each}" for each in images} if asked.images else set()
        for key, ids in by_class.items() if asked.images else ():
            _add_images(made, release, _image_folder(release, asked, split, key), split, ids)
        for key, ids in by_class.items():
            name = f"{stem(key)}_{split}" + ("_negatives" if key[:1] == "-" else "")
            if key:
                text = "".join(f"{split}/{each}\n" for each in sorted(ids))
                made.tree[f"downloader_IDs_for_{name.lstrip('-')}.txt"] = text.encode()
        for label in asked.labels:
            _add_rows(made, release, asked, split, label, by_class)
        if asked.metadata:
            sheet = release.boxable.image_list(split)
            kept = sorted(sheet.having("ImageID", images))
            made.tree[f"csv/images_{split}.csv"] = printed(sheet.columns, kept)
            attribution += [[row[sheet.column(name)] for name in ATTRIBUTION] for row in kept]
            unlisted = images - {row[sheet.column("ImageID")] for row in kept}
            attribution += [[each] + [""] * (len(ATTRIBUTION) - 1) for each in unlisted]
    if asked.metadata:
        made.tree["attribution.csv"] = printed(ATTRIBUTION, sorted(attribution))
    return made


def _image_folder(release: Published, asked: Asked, split: str, key: str) -> str:
    if asked.layout == "flat" or not key:
        return f"images/{split}"
    mid = key.lstrip("-")
    name = class_folder(release.every_name[mid], mid)
    return f"images/{split}/{name}" + ("_negatives" if key != mid else "")


def _add_images(
    made: Folder, release: Published, folder: str, split: str, ids: Iterable[str]
) -> None:
    for each in ids:
        data = release.boxable.image(split, each)
        if data is None:
            made.missing.add(f"{split}/{each}")
        else:
            made.tree[f"{folder}/{each}.jpg"] = data


def _add_rows(
    made: Folder,
    release: Published,
    asked: Asked,
    split: str,
    label: str,
    by_class: dict[str, set[str]],
) -> None:
    """Add the files that a label type has in a split, and count their rows, each once."""
    at = label, asked.kinds(label)[0], split
    images = set[str]().union(*by_class.values())
    counted: set[int] = set()
    for mid in asked.classes:
        mids = asked.meant(release, mid)
        rows = [
            line
            for kind, line in _all_lines(release, asked, split, label)
            if (line.image in by_class[mid] if kind in _TEXTS else line.image in images)
            and (kind in _TEXTS or mids.intersection(line.classes))
            and asked.keeps(kind, line)
        ]
        counted |= _add_file(made, release, at, stem(mid), rows)
    if asked.annotations == "all" or not asked.classes:
        every = _all_lines(release, asked, split, label)
        rows = [line for _, line in every if line.image in images]
        counted |= _add_file(made, release, at, "all", rows)
    made.rows[label] += len(counted)


def _all_lines(
    release: Published, asked: Asked, split: str, label: str
) -> Iterator[tuple[str, Line]]:
    for kind in asked.kinds(label):
        for line in release.lines(kind, split)[1]:
            yield kind, line


def _add_file(
    made: Folder,
    release: Published,
    at: tuple[str, str, str],
    front: str,
    rows: Sequence[Line],
) -> set[int]:
    label, kind, split = at
    one_class = len(rows[0].classes) == 1 if rows else False

    def order(line: Line) -> tuple[object, ...]:
        nth, row = line.place
        return (line.image, nth, line.classes if one_class else (), row)

    rows = sorted(rows, key=order)
    columns, _ = release.lines(kind, split)
    if kind in _TEXTS:
        text = "".join(f"{line.fields[0]}\n" for line in rows)
        made.tree[f"csv/{front}_{split}_{kind}.jsonl"] = text.encode()
    else:
        content = printed(columns, [line.fields for line in rows])
        made.tree[f"csv/{front}_{split}_{label}.csv"] = content
    if kind == "masks":
        names = {line.values["MaskPath"] for line in rows}
        masks = release.boxable.masks[split]
        made.tree |= {f"masks/{split}/{name}": masks[name] for name in names}
        made.masks |= names
    return {id(line) for line in rows}
