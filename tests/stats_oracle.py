"""Counts a dataset folder slowly, with the csv module and Pillow, to compare `oid stats` with."""

from __future__ import annotations

import csv
import itertools
import re
import statistics
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SPLITS = ("train", "validation", "test")
FLAGS = {
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
}
RATIOS = [0, 1 / 3, 1 / 2, 2 / 3, 0.9, 1.1, 1.5, 2, 3]
SHARES = [0, 0.001, 0.01, 0.05, 0.2, 0.5]
PER_IMAGE = [0, 1, 2, 3, 5, 10, 20, 50]

Rows = list[tuple[str, dict[str, str]]]


def rows_of(root: Path, label: str) -> Rows:
    """Read the rows of a label type with their split; one of several files counts once."""
    found: Rows = []
    for split in SPLITS:
        most: Counter[tuple[tuple[str, str], ...]] = Counter()
        for path in sorted((root / "csv").glob(f"*_{split}_{label}.csv")):
            with path.open(newline="", encoding="utf-8") as file:
                most |= Counter(tuple(row.items()) for row in csv.DictReader(file))
        found += [(split, dict(row)) for row in most.elements()]
    return found


def chosen(root: Path, *, negative: bool = False) -> set[tuple[str, str, str]]:
    """Read the ID lists: split, image, MID."""
    end = "_negatives" if negative else ""
    found = set()
    for path in root.glob("downloader_IDs_for_*.txt"):
        name = re.fullmatch(rf"downloader_IDs_for_([mg])(.+?)_({'|'.join(SPLITS)}){end}", path.stem)
        if name:
            for line in path.read_text(encoding="utf-8").split():
                split, image = line.split("/")
                found.add((split, image, f"/{name[1]}/{name[2]}"))
    return found


def image_files(root: Path) -> dict[tuple[str, str], Path]:
    """Find each image file once."""
    return {
        (path.relative_to(root).parts[1], path.stem): path for path in root.glob("images/**/*.jpg")
    }


def sizes_of(root: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Let Pillow say how large each image is."""
    sizes = {}
    for place, path in image_files(root).items():
        with Image.open(path) as picture:
            sizes[place] = picture.size
    return sizes


def images_of(root: Path, boxes: Rows, masks: Rows) -> set[tuple[str, str]]:
    """Give every image that the folder speaks of."""
    found = {(split, row["ImageID"]) for split, row in boxes + masks}
    found |= {(split, image) for split, image, _ in chosen(root) | chosen(root, negative=True)}
    for label in ("image-labels", "relationships"):
        found |= {(split, row["ImageID"]) for split, row in rows_of(root, label)}
    found |= {(split, row["ImageId"]) for split, row in rows_of(root, "points")}
    for path in root.glob("csv/images_*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            found |= {(path.stem[7:], row["ImageID"]) for row in csv.DictReader(file)}
    with (root / ".oid/manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "image":
                found.add((row["path"].split("/")[1], row["path"][-20:-4]))
    return found


def counted(values: Iterable[float], starts: list[float], last: float | None = None) -> list[Any]:
    """Count values into bins, each value by looking at every bin."""
    listed = list(values)
    ends = [*starts[1:], last]
    bins = []
    for start, end in zip(starts, ends, strict=True):
        inside = [v for v in listed if start <= v and (end in (None, last) or v < end)]
        bins.append({"from": start, "to": end, "count": len(inside)})
    return bins


def median(values: list[float]) -> float | None:
    """Give the median, or None of nothing."""
    return statistics.median(values) if values else None


def box_numbers(root: Path, boxes: Rows) -> dict[str, Any]:
    """Measure every box."""
    sizes = sizes_of(root)
    shares, areas, ratios = [], [], []
    places = [[0] * 8 for _ in range(8)]
    flags = {word: Counter[str]() for word in FLAGS}
    for split, row in boxes:
        wide = float(row["XMax"]) - float(row["XMin"])
        high = float(row["YMax"]) - float(row["YMin"])
        shares.append(wide * high)
        across, down = (float(row[f"{side}Min"]) + float(row[f"{side}Max"]) for side in "XY")
        places[min(int(down * 4), 7)][min(int(across * 4), 7)] += 1
        if size := sizes.get((split, row["ImageID"])):
            wide, high = wide * size[0], high * size[1]
            areas.append(wide * high)
            if wide > 0 and high > 0:
                ratios.append(wide / high)
        for word, column in FLAGS.items():
            flags[word][{"1": "yes", "0": "no"}.get(row[column], "unknown")] += 1
    pixels = Counter("small" if a < 32**2 else "medium" if a < 96**2 else "large" for a in areas)
    pixels["unknown"] = len(boxes) - len(areas)
    return {
        "box_sizes": {
            "median_share": median(shares),
            "shares": counted(shares, [*SHARES], 1.0),
            "pixels": {key: pixels[key] for key in ("small", "medium", "large", "unknown")},
        },
        "box_places": places,
        "box_ratios": {
            "median": median(ratios),
            "histogram": counted(ratios, [*RATIOS]),
            "unknown": len(boxes) - len(ratios),
        },
        "flags": {
            word: {key: count[key] for key in ("yes", "no", "unknown")}
            for word, count in flags.items()
        },
    }


def image_numbers(root: Path, images: set[tuple[str, str]]) -> dict[str, Any]:
    """Measure every image."""
    sizes = list(sizes_of(root).values())
    common = sorted(Counter(sizes).items(), key=lambda item: (-item[1], item[0]))
    ratios = [width / height for width, height in sizes]
    sides: dict[str, Any] = {}
    for nth, side in enumerate(("width", "height")):
        values = [size[nth] for size in sizes]
        least, most = min(values, default=None), max(values, default=None)
        sides[side] = {"least": least, "median": median([*values]), "most": most}
    return {
        "image_ratios": {
            "median": median(ratios),
            "histogram": counted(ratios, [*RATIOS]),
            "unknown": len(images) - len(sizes),
        },
        "image_sizes": {
            "known": len(sizes),
            "unknown": len(images) - len(sizes),
            **sides,
            "common": [{"width": w, "height": h, "images": n} for (w, h), n in common],
        },
    }


def class_numbers(root: Path, boxes: Rows, masks: Rows) -> list[dict[str, Any]]:
    """Count each class, in each split where it has anything."""
    names = {}
    with (root / "csv/class-descriptions-boxable.csv").open(newline="", encoding="utf-8") as file:
        names = {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for _, split, mid in sorted((i, s, m) for s, i, m in members(root, boxes, masks)):
        counts[mid][split]["images"] += 1
    for word, rows in (("boxes", boxes), ("masks", masks)):
        for split, row in rows:
            counts[row["LabelName"]][split][word] += 1
    for split, _, mid in chosen(root, negative=True):
        counts[mid][split]["negatives"] += 1
    shares = defaultdict(list)
    for _, row in boxes:
        wide = float(row["XMax"]) - float(row["XMin"])
        shares[row["LabelName"]].append(wide * (float(row["YMax"]) - float(row["YMin"])))
    words = ("images", "boxes", "masks", "negatives")
    found = []
    for mid, splits in counts.items():
        total = {word: sum(each[word] for each in splits.values()) for word in words}
        by_split = {s: {word: splits[s][word] for word in words} for s in SPLITS if s in splits}
        named = {"mid": mid, "name": names.get(mid, mid)}
        found.append({**named, **total, "median_share": median(shares[mid]), "splits": by_split})
    return sorted(found, key=lambda row: (-row["boxes"], -row["images"], row["mid"]))


def members(root: Path, boxes: Rows, masks: Rows) -> set[tuple[str, str, str]]:
    """Give split, image and MID of whatever is of a class."""
    drawn = {(split, row["ImageID"], row["LabelName"]) for split, row in boxes + masks}
    return chosen(root) | drawn


def pairs(root: Path, boxes: Rows, masks: Rows) -> list[tuple[list[str], int]]:
    """Count the images that two classes share, every pair."""
    of_image = defaultdict(set)
    for split, image, mid in members(root, boxes, masks):
        of_image[split, image].add(mid)
    counts: Counter[tuple[str, str]] = Counter()
    for mids in of_image.values():
        counts.update(itertools.combinations(sorted(mids), 2))
    return [([*two], n) for two, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def per_image(images: set[tuple[str, str]], boxes: Rows) -> dict[str, Any]:
    """Count the boxes of every image."""
    counts = Counter(dict.fromkeys(images, 0))
    counts.update((split, row["ImageID"]) for split, row in boxes)
    values = list(counts.values())
    most = max(values)
    first = min((SPLITS.index(s), i) for (s, i), count in counts.items() if count == most)
    return {
        "mean": statistics.mean(values),
        "median": median([*values]),
        "most": most,
        "most_image": f"{SPLITS[first[0]]}/{first[1]}",
        "histogram": counted(values, [*PER_IMAGE]),
    }
