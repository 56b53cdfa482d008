"""Parquet files as Hugging Face's `datasets` lays them out: pictures, objects and types in one.

``data/<split>-00000-of-000NN.parquet`` and the dataset card ``README.md``:
``datasets.load_dataset(folder)`` needs no more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from oidkit.errors import UsageError
from oidkit.formats.card import Card, SplitSize
from oidkit.formats.model import Entry
from oidkit.formats.objects import plain_flags, shape_of
from oidkit.formats.sharded import ShardWriter
from oidkit.schema import ATTRIBUTION, FLAGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from oidkit.formats.model import Category, Frame, OutFile, Picture, ShardNote

__all__ = ["Parquet", "ParquetShard", "features_of"]

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
        **{flag: _value("int8") for flag in FLAGS},
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

    def writer(self, out: Path, categories: tuple[Category, ...]) -> ShardWriter:
        return ShardWriter(out, categories, sharded=self)

    def shard_path(self, split: str, at: int, of: int) -> str:
        return f"data/{split}-{at:05d}-of-{of:05d}.parquet"

    def shard(self, file: BinaryIO, categories: tuple[Category, ...]) -> ParquetShard:
        most = self.shard_megabytes * _MEGABYTE
        return ParquetShard(file, features_of(categories), most_bytes=most)

    def listing(
        self, categories: tuple[Category, ...], shards: Sequence[ShardNote]
    ) -> dict[str, bytes]:
        splits: dict[str, SplitSize] = {}
        for each in shards:
            splits.setdefault(each.split, SplitSize()).include(each.facts)
        return {"README.md": Card(categories, splits, features_of(categories)).text().encode()}


class ParquetShard:
    """One file: rows in the order in which they are added, a row group of them in memory."""

    def __init__(self, file: BinaryIO, features: Mapping[str, Any], *, most_bytes: int) -> None:
        from oidkit.tables.features import FeatureFile

        self._file, self._rows = file, FeatureFile(file, features)
        self._most = most_bytes
        self.size = SplitSize()
        self.told: Counter[str] = Counter()

    @property
    def samples(self) -> int:
        return self.size.pictures

    def has_room(self, entry: Entry) -> bool:
        row = entry.rows
        assert isinstance(row, _Row)  # noqa: S101 - for the type checker: prepare made it
        return self.size.bytes + _weight_of(row) <= self._most

    def add(self, picture: Picture, entry: Entry) -> None:
        row = entry.rows
        assert isinstance(row, _Row)  # noqa: S101 - for the type checker: prepare made it
        self.told.update(row.told)
        content = _content_of(row.image)
        weight = len(content or b"") + row.mask_bytes
        self.size.take(picture, row.values["objects"], bytes=weight)
        shown = {"bytes": content, "path": f"{picture.image_id}.jpg"}
        self._rows.add({"image": shown, **row.values}, weight=weight)

    def close(self) -> dict[str, Any]:
        """Write the end of the file; gives what it holds, as `SplitSize.include` takes it."""
        self._rows.close()
        self.size.file_bytes = self._file.tell()
        return self.size.as_dict()


def _weight_of(row: _Row) -> int:
    """Give about how many bytes a row takes."""
    image = row.image
    if image is None:
        return row.mask_bytes
    size = len(image.content or b"") if image.source is None else image.source.stat().st_size
    return size + row.mask_bytes


def _content_of(image: OutFile | None) -> bytes | None:
    if image is None:
        return None
    return image.content if image.source is None else image.source.read_bytes()
