"""The dataset card: a README.md whose head tells Hugging Face what the files hold.

The head is YAML. Every text in it is written as JSON, which YAML takes as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oidkit.attribution import as_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oidkit.formats.model import Category, Picture

__all__ = ["Card", "SplitSize"]

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)

_COLUMNS = """\
## Columns

- `image`, `image_id`, `width`, `height`: the picture, and its size in pixels
- `objects`: for each object
  - `bbox`: xmin, ymin, xmax, ymax in pixels of the picture
  - `category`, `mid`: its class, and the MID of the annotation
  - `mask`: a picture of the same size, or none
  - `area` in pixels: of the mask, else of the box
  - `occluded`, `truncated`, `group_of`, `depiction`, `inside`: 1, 0, or -1 for unknown
  - `box_id`, `source`: of the mask, and of the box
- `present`, `absent`: classes that people verified to be there, and not to be there
- `metadata`: title, author and licence of the picture

"""
_LICENCES = """\
## Licences and attribution

The annotations are published by Google LLC under CC BY 4.0. The images are listed as being under
CC BY 2.0; check the licence of each image yourself. Both ask for attribution: the column
`metadata` has the title, author, profile and licence of each image, and the page that it comes
from. Hand it on with the images.
"""


_COUNTS = ("pictures", "bytes", "file_bytes", "masks")


@dataclass(slots=True)
class SplitSize:
    """What a split holds: pictures, bytes of pictures and masks, objects of each category."""

    pictures: int = 0
    bytes: int = 0
    file_bytes: int = 0
    masks: int = 0
    objects: Counter[int] = field(default_factory=Counter)
    labelled: Counter[int] = field(default_factory=Counter)
    """Pictures that each category is on: by an object, or verified as present."""

    def take(self, picture: Picture, objects: Sequence[Mapping[str, Any]], *, bytes: int) -> None:
        """Count a picture, and its objects as they are written."""
        self.pictures += 1
        self.bytes += bytes
        self.masks += sum(each["mask"] is not None for each in objects)
        self.objects.update(each["category"] for each in objects)
        self.labelled.update({each["category"] for each in objects} | {*picture.present})

    def include(self, other: Mapping[str, Any]) -> None:
        """Add what another one gave by `as_dict`."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + other[name])
        for name in ("objects", "labelled"):
            getattr(self, name).update({int(key): n for key, n in other[name].items()})

    def as_dict(self) -> dict[str, Any]:
        """Give the counts as plain values, which JSON can hold."""
        plain = {name: getattr(self, name) for name in _COUNTS}
        return plain | {"objects": dict(self.objects), "labelled": dict(self.labelled)}


@dataclass(frozen=True, slots=True)
class Card:
    """What the card is made of. `features` are the types of the columns as `datasets` has them."""

    categories: tuple[Category, ...]
    splits: Mapping[str, SplitSize]
    features: Mapping[str, Any]

    def text(self) -> str:
        """Give the card."""
        return "\n".join([*self._head(), "", *self._body()]) + "\n"

    def _head(self) -> Iterator[str]:
        total = sum(split.pictures for split in self.splits.values())
        yield "---"
        yield "pretty_name: Part of Open Images"
        yield "license: cc-by-4.0"
        yield "task_categories:"
        yield "- object-detection"
        if any(split.masks for split in self.splits.values()):
            yield "- image-segmentation"
        yield "size_categories:"
        yield f"- {next((name for most, name in _SIZES if total < most), '10M<n<100M')}"
        if not self.splits:
            yield "---"
            return
        yield "dataset_info:"
        yield "  features:"
        for name, feature in self.features.items():
            yield from _feature(name, feature, indent="  ")
        yield "  splits:"
        for name, split in self.splits.items():
            yield f"  - name: {json.dumps(name)}"
            yield f"    num_bytes: {split.bytes}"
            yield f"    num_examples: {split.pictures}"
        yield f"  download_size: {sum(split.file_bytes for split in self.splits.values())}"
        yield f"  dataset_size: {sum(split.bytes for split in self.splits.values())}"
        yield "configs:"
        yield "- config_name: default"
        yield "  data_files:"
        for name in self.splits:
            yield f"  - split: {json.dumps(name)}"
            yield f"    path: {json.dumps(f'data/{name}-*')}"
        yield "---"

    def _body(self) -> Iterator[str]:
        names = ", ".join(as_markdown(each.name) for each in self.categories[:20])
        more = len(self.categories) - 20
        yield "# Part of Open Images"
        yield ""
        yield f"Images of Google's Open Images with all that is known of: {names}"
        if more > 0:
            yield f"and {more:,} more classes"
        yield ""
        yield from _table(
            ("split", "images", "objects", "masks"),
            (
                (name, split.pictures, sum(split.objects.values()), split.masks)
                for name, split in self.splits.items()
            ),
        )
        yield ""
        yield from _COLUMNS.splitlines()
        yield "## Classes"
        yield ""
        yield from _table(("class", "number", "MID", *_of_splits(self.splits)), self._classes())
        yield ""
        yield from _LICENCES.splitlines()

    def _classes(self) -> Iterator[tuple[object, ...]]:
        for each in self.categories:
            counts = (
                count
                for split in self.splits.values()
                for count in (split.labelled[each.number], split.objects[each.number])
            )
            yield (as_markdown(each.name), each.number, " ".join(each.mids), *counts)


def _of_splits(splits: Mapping[str, SplitSize]) -> list[str]:
    return [f"{kind} in {name}" for name in splits for kind in ("images", "objects")]


def _table(header: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _feature(name: str, feature: Mapping[str, Any], *, indent: str) -> Iterator[str]:
    """Write a feature as `datasets` writes it into the head of a card."""
    yield f"{indent}- name: {json.dumps(name, ensure_ascii=False)}"
    within = indent + "  "
    key, inner = "dtype", feature
    if inner.get("_type") == "List":
        key, inner = "list", inner["feature"]
    kind = inner.get("_type")
    if kind == "Value":
        yield f"{within}{key}: {inner['dtype']}"
    elif kind == "Image":
        yield f"{within}{key}: image"
    elif kind == "ClassLabel":
        yield f"{within}{key}:"
        yield f"{within}  class_label:"
        if not inner["names"]:
            yield f"{within}    names: {{}}"
            return
        yield f"{within}    names:"
        for number, each in enumerate(inner["names"]):
            yield f"{within}      '{number}': {json.dumps(each, ensure_ascii=False)}"
    else:
        yield f"{within}{'struct' if key == 'dtype' else key}:"
        for each, below in inner.items():
            yield from _feature(each, below, indent=within)
