"""Parquet files as Hugging Face's `datasets` lays them out: pictures, objects and types in one.

``data/<split>-00000-of-000NN.parquet`` and the dataset card ``README.md``:
``datasets.load_dataset(folder)`` needs no more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oidkit.disk import write_atomically
from oidkit.errors import UsageError
from oidkit.formats.card import Card, SplitSize
from oidkit.formats.masks import notes_of
from oidkit.formats.model import Entry
from oidkit.formats.objects import plain_flags, shape_of
from oidkit.schema import ATTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oidkit.formats.model import Category, Frame, OutFile, Picture
    from oidkit.tables.features import FeatureFile

__all__ = ["Parquet", "ParquetWriter", "features_of"]

_MEGABYTE = 1_000_000


def features_of(categories: tuple[Category, ...]) -> dict[str, Any]:
    """Give the types of the columns, as `datasets` writes them."""
    label = {"names": [each.name for each in categories], "_type": "ClassLabel"}
    objects = {
        "bbox": _list(_value("float32")),
        "category": label,
        "mid": _value("string"),
        "area": _value("float32"),
        "mask": {"_type": "Image"},
        **{flag: _value("int8") for flag in _FLAGS},
        "box_id": _value("string"),
        "source": _value("string"),
    }
    return {
        "image": {"_type": "Image"},
        "image_id": _value("string"),
        "width": _value("int32"),
        "height": _value("int32"),
        "objects": _list(objects),
        "present": _list(label),
        "absent": _list(label),
        "metadata": {name: _value("string") for name in ATTRIBUTION[1:]},
    }


_FLAGS = ("occluded", "truncated", "group_of", "depiction", "inside")


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _list(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "List"}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row but for the picture's bytes, which the writer reads."""

    image: OutFile | None
    values: dict[str, Any]
    mask_bytes: int
    told: Counter[str]


@dataclass(frozen=True, slots=True)
class Parquet:
    """The format ``parquet``: files of about `shard_megabytes`, a row group in memory.

    Raises:
        UsageError: a file of less than one megabyte.

    """

    shard_megabytes: int = 500

    def __post_init__(self) -> None:
        """Check the size."""
        if self.shard_megabytes < 1:
            raise UsageError(
                f"a file of {self.shard_megabytes} megabytes makes no sense",
                remedy="give 1 or more",
            )

    @property
    def name(self) -> str:
        return "parquet"

    def image_path(self, picture: Picture) -> str:  # noqa: ARG002 - it lies in a file with others
        return ""

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        objects: list[dict[str, Any]] = []
        told: Counter[str] = Counter()
        for thing in picture.things:
            shape = shape_of(picture, thing, frame, told)
            if shape is None:
                continue
            name = f"{picture.image_id}.mask{len(objects)}.png"
            objects.append(
                {
                    "bbox": shape.box,
                    "category": thing.category,
                    "mid": thing.mid,
                    "area": shape.area,
                    "mask": None if shape.mask is None else {"bytes": shape.mask, "path": name},
                    **plain_flags(thing),
                    "box_id": thing.box_id or None,
                    "source": thing.source or None,
                }
            )
        row = {
            "image_id": picture.image_id,
            "width": frame.width,
            "height": frame.height,
            "objects": objects,
            "present": list(picture.present),
            "absent": list(picture.absent),
            "metadata": {name: picture.metadata.get(name) for name in ATTRIBUTION[1:]},
        }
        weight = sum(len(each["mask"]["bytes"]) for each in objects if each["mask"])
        return Entry(rows=_Row(image, row, weight, told))

    def writer(self, out: Path, categories: tuple[Category, ...]) -> ParquetWriter:
        return ParquetWriter(out, categories, most_bytes=self.shard_megabytes * _MEGABYTE)


@dataclass(slots=True)
class _Split:
    """The files of a split so far, by their unfinished names, and what it holds."""

    files: list[Path] = field(default_factory=list)
    size: SplitSize = field(default_factory=SplitSize)


class ParquetWriter:
    """Writes rows into files of about a size; the last step gives them their names.

    How many files a split has is part of each one's name, and known at the end alone.
    """

    def __init__(self, out: Path, categories: tuple[Category, ...], *, most_bytes: int) -> None:
        self._out, self._categories, self._most = out, categories, most_bytes
        self._features = features_of(categories)
        self._file: FeatureFile | None = None
        self._bytes = 0
        self._splits: dict[str, _Split] = {}
        self._told: Counter[str] = Counter()

    def add(self, picture: Picture, entry: Entry) -> None:
        row = entry.rows
        assert isinstance(row, _Row)  # noqa: S101 - for the type checker: prepare made it
        self._told.update(row.told)
        content = _content_of(row.image)
        weight = len(content or b"") + row.mask_bytes
        if picture.split not in self._splits or self._bytes + weight > self._most:
            # Pictures come split by split, so that one file is open at a time.
            self.close()
        split = self._splits.setdefault(picture.split, _Split())
        if self._file is None:
            self._file = self._begin(picture.split, split)
        split.size.take(picture, row.values["objects"], bytes=weight)
        shown = {"bytes": content, "path": f"{picture.image_id}.jpg"}
        self._file.add({"image": shown, **row.values}, weight=weight)
        self._bytes += weight

    def finish(self) -> Iterable[str]:
        self.close()
        for name, split in self._splits.items():
            for at, path in enumerate(split.files):
                split.size.file_bytes += path.stat().st_size
                path.rename(path.with_name(f"{name}-{at:05d}-of-{len(split.files):05d}.parquet"))
        card = Card(self._categories, {n: s.size for n, s in self._splits.items()}, self._features)
        write_atomically(self._out / "README.md", card.text().encode())
        return notes_of(self._told)

    def close(self) -> None:
        """Write the end of the file that is open."""
        file, self._file, self._bytes = self._file, None, 0
        if file is not None:
            file.close()

    def _begin(self, name: str, split: _Split) -> FeatureFile:
        from oidkit.tables.features import FeatureFile

        folder = self._out / "data"
        folder.mkdir(exist_ok=True)
        split.files.append(folder / f"{name}-{len(split.files):05d}")
        return FeatureFile(split.files[-1], self._features)


def _content_of(image: OutFile | None) -> bytes | None:
    if image is None:
        return None
    return image.content if image.source is None else image.source.read_bytes()
