"""Which file of Open Images lies where, in releases V4 to V7, as data.

A *key* names an object bucket-first on every source: the bucket, then the object's own key, as in
`openimages/v7/oidv7-class-descriptions-boxable.csv` or `open-images-dataset/train/<ImageID>.jpg`.

Later releases publish only what they changed and link the files of earlier ones for the rest: V7
has no boxes, masks, relationships or image lists of its own. The tables below follow the links of
the releases' download pages.

Sizes, MD5s and row counts come from `checksums.csv` beside this module; its column `source` says
where the numbers of a line are from:

- `manifest`: exact bytes and MD5, published with the files' checksum manifest;
- `measured`: exact bytes and MD5 of copies that several holders agree on or the bucket confirms;
- `observed`: bytes as the live bucket stated them in 2026, no MD5;
- `page`: row counts of the official facts-and-figures page, nothing known of the bytes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, get_args

from oidkit.errors import UsageError

__all__ = [
    "BEYOND_BOXABLE",
    "BUCKET_SPLITS",
    "DIRECTORY_BYTES_PER_MASK",
    "IMAGE_BYTES",
    "LABELS",
    "LABEL_WORDS",
    "LATEST",
    "MASK_BYTES",
    "OFFICIAL_HOSTS",
    "RELEASES",
    "SHARDS",
    "SPLITS",
    "SPLIT_IMAGES",
    "SPLIT_MASKS",
    "TRAIN_DIRECTORY_BYTES",
    "File",
    "Label",
    "Release",
    "Split",
    "all_classes_file",
    "attributes_file",
    "boxable_image_labels",
    "captions_file",
    "class_file",
    "directory_bytes",
    "hierarchy_file",
    "image_key",
    "image_list",
    "labels_of",
    "mask_zip",
    "mask_zips",
    "published",
    "relationships_file",
    "releases_with",
    "segmentable_file",
    "shard_of",
    "tables",
    "triplets_file",
    "whole_image_list",
]

Release = Literal["v4", "v5", "v6", "v7"]
Split = Literal["train", "validation", "test"]
Label = Literal["boxes", "masks", "image-labels", "relationships", "points", "narratives"]

RELEASES: Final[tuple[Release, ...]] = get_args(Release)
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
BUCKET_SPLITS: Final = (*SPLITS, "challenge2018")
"""The folders of the image bucket. Lists may have images of the last one, annotations none."""
LABELS: Final[tuple[Label, ...]] = get_args(Label)
LABEL_WORDS: Final = {label.replace("-", "_"): label.replace("-", " ") for label in LABELS}
"""What numbers of a dataset call the rows of a label type -> how it reads."""
BEYOND_BOXABLE: Final[frozenset[Label]] = frozenset({"image-labels", "points"})
"""The label types that know more classes than the boxable ones."""
LATEST: Final[Release] = "v7"
SHARDS: Final = tuple("0123456789abcdef")
"""The first hex digits of image ids, each of which has a mask zip in every split."""

OFFICIAL_HOSTS: Final = {
    "openimages": "https://storage.googleapis.com/openimages",
    "open-images-dataset": "https://open-images-dataset.s3.amazonaws.com",
    "localized-narratives": "https://storage.googleapis.com/localized-narratives",
}
"""Bucket -> the URL that stands for it at the official source, without a final slash."""

IMAGE_BYTES: Final = 303_000
"""Mean bytes of an image in the image bucket (sampled by HEAD requests, August 2026)."""
MASK_BYTES: Final[dict[Split, int]] = {"train": 1_660, "validation": 2_300, "test": 2_300}
"""Mean bytes of a mask: published bytes of the split's zips over its published masks."""
SPLIT_IMAGES: Final[dict[Split, int]] = {"train": 1_743_042, "validation": 41_620, "test": 125_436}
"""Images in the image bucket; train holds 9,011,219 in all, the rest is on Flickr only."""
SPLIT_MASKS: Final[dict[Split, int]] = {"train": 2_686_666, "validation": 24_730, "test": 74_102}
"""Masks of each split (facts and figures)."""
DIRECTORY_BYTES_PER_MASK: Final = 88
"""Bytes that one mask takes in its zip's directory: 46 fixed, and a name of about 40."""
TRAIN_DIRECTORY_BYTES: Final = 15_000_000
"""Bytes of one train zip's directory: about 168,000 members (estimated, not measured)."""

_SINCE: Final[dict[Label, Release]] = {
    "boxes": "v4",
    "masks": "v5",
    "image-labels": "v4",
    "relationships": "v4",
    "points": "v7",
    "narratives": "v6",
}
_V5_ON: Final = RELEASES[1:]
_OLD: Final[tuple[Release, ...]] = ("v4", "v5")
_NEW: Final[tuple[Release, ...]] = ("v6", "v7")
_HELD_OUT: Final[tuple[Split, ...]] = ("validation", "test")

# (label, releases, splits, keys in the bucket openimages); {split} is the split's name and {short}
# is what V7 calls it in its own file names, "val" for validation
_TABLES: Final[
    tuple[tuple[Label, tuple[Release, ...], tuple[Split, ...], tuple[str, ...]], ...]
] = (
    ("boxes", _OLD, ("train",), ("2018_04/train/train-annotations-bbox.csv",)),
    ("boxes", ("v4",), _HELD_OUT, ("2018_04/{split}/{split}-annotations-bbox.csv",)),
    ("boxes", _V5_ON, _HELD_OUT, ("v5/{split}-annotations-bbox.csv",)),
    ("boxes", _NEW, ("train",), ("v6/oidv6-train-annotations-bbox.csv",)),
    ("masks", _V5_ON, SPLITS, ("v5/{split}-annotations-object-segmentation.csv",)),
    ("relationships", _OLD, ("train",), ("2019_01/train/challenge-2018-train-vrd.csv",)),
    ("relationships", _OLD, _HELD_OUT, ("v5/{split}-annotations-vrd.csv",)),
    ("relationships", _NEW, SPLITS, ("v6/oidv6-{split}-annotations-vrd.csv",)),
    (
        "image-labels",
        ("v4",),
        SPLITS,
        (
            "2018_04/{split}/{split}-annotations-human-imagelabels.csv",
            "2018_04/{split}/{split}-annotations-machine-imagelabels.csv",
        ),
    ),
    (
        "image-labels",
        ("v5",),
        SPLITS,
        (
            "v5/{split}-annotations-human-imagelabels.csv",
            "v5/{split}-annotations-machine-imagelabels.csv",
        ),
    ),
    (
        "image-labels",
        ("v6",),
        ("train",),
        (
            "v6/oidv6-train-annotations-human-imagelabels.csv",
            "v6/oidv6-train-annotations-machine-imagelabels.csv",
        ),
    ),
    (
        "image-labels",
        ("v6",),
        _HELD_OUT,
        (
            "v5/{split}-annotations-human-imagelabels.csv",
            "v5/{split}-annotations-machine-imagelabels.csv",
        ),
    ),
    (
        "image-labels",
        ("v7",),
        SPLITS,
        (
            "v7/oidv7-{short}-annotations-human-imagelabels.csv",
            "v7/oidv7-{short}-annotations-machine-imagelabels.csv",
        ),
    ),
    ("points", ("v7",), SPLITS, ("v7/oidv7-{short}-annotations-point-labels.csv",)),
)

_GONE: Final = {
    # answers 403 (August 2026)
    "openimages/v6/oidv6-train-annotations-machine-imagelabels.csv": (
        "openimages/v5/train-annotations-machine-imagelabels.csv"
    ),
}
_NARRATIVES: Final = "localized-narratives/annotations/open_images_"
_NARRATIVE_SHARDS: Final = 10


@dataclass(frozen=True, slots=True)
class File:
    """An object that a release publishes."""

    key: str
    size: int | None = None
    """Exact bytes at the official source, or None; binding only where `md5` is known too."""
    md5: str | None = None
    """Lower-case hex, or None where none was published."""
    rows: int | None = None
    """Annotations, images or classes in it, without the header, or None where nobody says."""
    gone: bool = False
    """Whether the official source no longer gives it out, though the release lists it."""
    substitute: str | None = None
    """The key of the nearest file that is still given out, for one that is gone."""


@cache
def _known() -> dict[str, File]:
    # Many commands need no file, and importlib.resources brings zipfile and tempfile with it.
    from pkgutil import get_data

    text = (get_data("oidkit", "checksums.csv") or b"").decode()
    return {
        line["key"]: File(
            line["key"],
            size=int(line["bytes"]) if line["bytes"] else None,
            md5=line["md5"] or None,
            rows=int(line["rows"]) if line["rows"] else None,
        )
        for line in csv.DictReader(text.splitlines())
    }


def published(key: str) -> File:
    """Say what is published about the object *key*: size, MD5, rows, each None where unknown."""
    file = _known().get(key, File(key))
    if key in _GONE:
        return replace(file, gone=True, substitute=_GONE[key])
    return file


def labels_of(release: Release) -> tuple[Label, ...]:
    """Name the labels that *release* publishes, in the order of `LABELS`.

    Raises:
        UsageError: there is no such release.
    """
    at = _at(release)
    return tuple(label for label in LABELS if RELEASES.index(_SINCE[label]) <= at)


def releases_with(label: Label) -> tuple[Release, ...]:
    """Name the releases that publish *label*, oldest first.

    Raises:
        UsageError: there is no such label.
    """
    if label not in _SINCE:
        cause = f"there are no '{label}' in Open Images"
        raise UsageError(cause, remedy=f"choose from {', '.join(LABELS)}")
    return RELEASES[RELEASES.index(_SINCE[label]) :]


def tables(release: Release, label: Label, split: Split) -> tuple[File, ...]:
    """List the annotation files of one label and split: CSVs, or JSON lines for narratives.

    One file, but for image labels (verified by humans, then generated by machine) and the
    narratives of train (ten shards, in order). A file may be `gone`.

    Raises:
        UsageError: there is no such release, label or split, or the release lacks the label.
    """
    having = releases_with(label)
    if RELEASES[_at(release)] not in having:
        names = ", ".join(each.upper() for each in having)
        cause = f"{release.upper()} has no {label}"
        raise UsageError(cause, remedy=f"choose a release that has them: {names}")
    _check_split(split)
    if label == "narratives":
        return tuple(published(key) for key in _narratives(split))
    short = "val" if split == "validation" else split
    return next(
        tuple(published(f"openimages/{key.format(split=split, short=short)}") for key in keys)
        for labelled, releases, splits, keys in _TABLES
        if labelled == label and release in releases and split in splits
    )


def _narratives(split: Split) -> tuple[str, ...]:
    if split != "train":
        return (f"{_NARRATIVES}{split}_localized_narratives.jsonl",)
    return tuple(
        f"{_NARRATIVES}train_v6_localized_narratives-{at:05d}-of-{_NARRATIVE_SHARDS:05d}.jsonl"
        for at in range(_NARRATIVE_SHARDS)
    )


def captions_file(release: Release, split: Split) -> File:
    """Name the JSON lines of the narratives' text alone: a hundredth of them, and never sharded.

    Raises:
        UsageError: as `tables`.
    """
    tables(release, "narratives", split)
    name = "train_v6" if split == "train" else split
    return published(f"{_NARRATIVES}{name}_captions.jsonl")


def boxable_image_labels(release: Release, split: Split) -> File:
    """Name the part of the human image labels that is about boxable classes: an eighth of it."""
    _check_split(split)
    folder = f"2018_04/{split}" if _at(release) == 0 else "v5"
    return published(f"openimages/{folder}/{split}-annotations-human-imagelabels-boxable.csv")


def image_list(release: Release, split: Split) -> File:
    """Name the list of the split's images (for train those in the bucket) and their authors.

    All releases share it.
    """
    _at(release)
    _check_split(split)
    name = "train-images-boxable" if split == "train" else f"{split}-images"
    return published(f"openimages/2018_04/{split}/{name}-with-rotation.csv")


def whole_image_list(release: Release, split: Split) -> File | None:
    """Name the list that also has the split's images outside the bucket; None where there are none.

    Validation and test are all in the bucket. For train, V6 and V7 list the images that have image
    labels; V4 and V5 list all images of all splits in one file, whose column Subset tells them.
    """
    _check_split(split)
    old = RELEASES[_at(release)] in _OLD
    name = "2018_04/image_ids_and_" if old else "v6/oidv6-train-images-with-labels-with-"
    return published(f"openimages/{name}rotation.csv") if split == "train" else None


def class_file(release: Release) -> File:
    """Name the file of the 601 boxable classes as *release* calls them; V5 and V6 share one."""
    folder = ("2018_04/", "v5/", "v5/", "v7/oidv7-")[_at(release)]
    return published(f"openimages/{folder}class-descriptions-boxable.csv")


def all_classes_file(release: Release) -> File:
    """Name the file of the 20,000 classes of image labels.

    None is known of V5, which has the labels of V6 by and large: V6's stands in.
    """
    folder = ("2018_04/", "v6/oidv6-", "v6/oidv6-", "v7/oidv7-")[_at(release)]
    return published(f"openimages/{folder}class-descriptions.csv")


def segmentable_file(release: Release) -> File | None:
    """Name the list of the 350 classes that have masks, a MID a line; None for V4: no masks."""
    return published("openimages/v5/classes-segmentation.txt") if _at(release) else None


def hierarchy_file() -> File:
    """Name the hierarchy of the boxable classes, JSON; one file for all releases."""
    return published("openimages/2018_04/bbox_labels_600_hierarchy.json")


def attributes_file(release: Release) -> File:
    """Name the file of the attributes (MID, name) that an "is" relationship has; no header."""
    return _of_relationships(release, "attributes-description")


def relationships_file(release: Release) -> File:
    """Name the file of relationship labels and what they are called; no header."""
    return _of_relationships(release, "relationships-description")


def triplets_file(release: Release) -> File:
    """Name the list of triplets LabelName1, LabelName2, RelationshipLabel that occur."""
    return _of_relationships(release, "relationship-triplets")


def _of_relationships(release: Release, what: str) -> File:
    prefix = "v6/oidv6-" if RELEASES[_at(release)] in _NEW else "2019_01/challenge-2018-"
    return published(f"openimages/{prefix}{what}.csv")


def image_key(split: str, image_id: str) -> str:
    """Give the key of one image; *split* is one of `BUCKET_SPLITS`.

    Raises:
        UsageError: the bucket has no such folder. The id is taken as it is.
    """
    if split not in BUCKET_SPLITS:
        _check_split(split)
    return f"open-images-dataset/{split}/{image_id}.jpg"


def shard_of(image_id: str) -> str:
    """Say which mask zip holds the image's masks: the first hex digit of its id.

    Raises:
        UsageError: the id does not begin with a lower-case hex digit.
    """
    shard = image_id[:1]
    if shard not in SHARDS:
        cause = f"'{image_id}' is not an image id"
        raise UsageError(cause, remedy="an image id is 16 lower-case hex digits")
    return shard


def mask_zip(split: Split, shard: str) -> File:
    """Name the zip of the split's masks whose image id begins with the hex digit *shard*."""
    _check_split(split)
    if shard not in SHARDS:
        cause = f"there is no mask zip '{shard}'"
        raise UsageError(cause, remedy="choose a lower-case hex digit")
    return published(f"openimages/v5/{split}-masks/{split}-masks-{shard}.zip")


def mask_zips(split: Split) -> tuple[File, ...]:
    """List the 16 mask zips of a split, in the order of `SHARDS`."""
    return tuple(mask_zip(split, shard) for shard in SHARDS)


def directory_bytes(split: Split) -> int:
    """Estimate the bytes that the directory of one of the split's mask zips takes."""
    if split == "train":
        return TRAIN_DIRECTORY_BYTES
    return SPLIT_MASKS[split] // len(SHARDS) * DIRECTORY_BYTES_PER_MASK


def _at(release: str) -> int:
    try:
        return [*RELEASES].index(release)  # type: ignore[arg-type]
    except ValueError:
        cause = f"there is no release '{release}' of Open Images"
        raise UsageError(cause, remedy=f"choose from {', '.join(RELEASES)}") from None


def _check_split(split: str) -> None:
    if split not in SPLITS:
        cause = f"there is no split '{split}'"
        raise UsageError(cause, remedy=f"choose from {', '.join(SPLITS)}")
