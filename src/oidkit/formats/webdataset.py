"""WebDataset: tar shards of pictures, each with its annotations as JSON and its masks as PNG.

A sample is ``<id>.jpg``, ``<id>.json`` and ``<id>.mask<N>.png`` for each object N that has a mask.
Shards are plain USTAR archives without times or owners, so the same dataset gives the same bytes.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from oidkit.errors import UsageError
from oidkit.formats.model import Entry, OutFile
from oidkit.formats.objects import plain_flags, shape_of
from oidkit.formats.sharded import ShardWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from oidkit.formats.model import Category, Frame, Picture, ShardNote

__all__ = ["INDEX", "TarShard", "WebDataset"]

INDEX = "shards.json"
"""The file that lists the shards of each split, with their samples, and the classes."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The members of a sample, and its objects, whose classes the writer can name."""

    image: tuple[OutFile, ...]
    masks: tuple[OutFile, ...]
    objects: list[dict[str, Any]]
    width: int
    height: int
    told: Counter[str]


@dataclass(frozen=True, slots=True)
class WebDataset:
    """The format ``webdataset``: `shard_size` samples a shard.

    Raises:
        UsageError: a shard of less than one sample.

    """

    shard_size: int = 1000

    def __post_init__(self) -> None:
        """Check the size."""
        if self.shard_size < 1:
            raise UsageError(
                f"a shard of {self.shard_size} samples makes no sense", remedy="give 1 or more"
            )

    @property
    def name(self) -> str:
        return "webdataset"

    def image_path(self, picture: Picture) -> str:  # noqa: ARG002 - it lies in a file with others
        return ""

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        stem = picture.image_id
        jpeg = () if image is None else (OutFile(f"{stem}.jpg", image.source, image.content),)
        objects: list[dict[str, Any]] = []
        masks = []
        told: Counter[str] = Counter()
        for thing in picture.things:
            shape = shape_of(picture, thing, frame, told)
            if shape is None:
                continue
            at = len(objects)
            if shape.mask is not None:
                masks.append(OutFile(f"{stem}.mask{at}.png", content=shape.mask))
            about: dict[str, Any] = {
                "category": thing.category,
                "mid": thing.mid,
                "bbox": shape.box,
                "area": shape.area,
                "mask": None if shape.mask is None else f"mask{at}.png",
                **plain_flags(thing),
                "box_id": thing.box_id,
                "source": thing.source,
            }
            objects.append(about)
        sample = _Sample(jpeg, tuple(masks), objects, frame.width, frame.height, told)
        return Entry(rows=sample)

    def writer(self, out: Path, categories: tuple[Category, ...]) -> ShardWriter:
        return ShardWriter(out, categories, sharded=self)

    def shard_path(self, split: str, at: int, of: int) -> str:  # noqa: ARG002 - as every format
        return f"{split}-{at:06d}.tar"

    def shard(self, file: BinaryIO, categories: tuple[Category, ...]) -> TarShard:
        return TarShard(file, [each.name for each in categories], most=self.shard_size)

    def listing(
        self, categories: tuple[Category, ...], shards: Sequence[ShardNote]
    ) -> dict[str, bytes]:
        splits: dict[str, list[dict[str, object]]] = {}
        for each in shards:
            splits.setdefault(each.split, []).append({"file": each.file, "samples": each.samples})
        listed = {"classes": [each.name for each in categories], "splits": splits}
        return {INDEX: (json.dumps(listed, ensure_ascii=False, indent=2) + "\n").encode()}


class TarShard:
    """One shard: a tar of samples, in the order in which they are added."""

    def __init__(self, file: BinaryIO, names: Sequence[str], *, most: int) -> None:
        self._file, self._names, self._most = file, names, most
        self.samples = 0
        self.told: Counter[str] = Counter()

    def has_room(self, entry: Entry) -> bool:  # noqa: ARG002 - samples are counted, whatever their size
        return self.samples < self._most

    def add(self, picture: Picture, entry: Entry) -> None:
        sample = entry.rows
        assert isinstance(sample, _Sample)  # noqa: S101 - for the type checker: prepare made it
        self.samples += 1
        self.told.update(sample.told)
        text = json.dumps(
            self._about(picture, sample),
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
        )
        about = OutFile(f"{picture.image_id}.json", content=text.encode())
        for member in (*sample.image, about, *sample.masks):
            self._file.writelines(_member(member))

    def close(self) -> dict[str, Any]:
        """Write the end; what a listing needs beside the samples is nothing."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))
        return {}

    def _about(self, picture: Picture, sample: _Sample) -> dict[str, object]:
        names = self._names
        return {
            "image_id": picture.image_id,
            "split": picture.split,
            "published_split": picture.published_split,
            "width": sample.width,
            "height": sample.height,
            "objects": [{"class": names[about["category"]], **about} for about in sample.objects],
            "present": [names[number] for number in picture.present],
            "absent": [names[number] for number in picture.absent],
            "metadata": dict(picture.metadata),
        }


def _member(member: OutFile) -> Iterator[bytes]:
    """Give a file as a member of a tar, without time, owner or other traces of this machine.

    The content is handed on as it is: `tarfile` would copy it, twice.
    """
    content = (member.content if member.source is None else member.source.read_bytes()) or b""
    info = tarfile.TarInfo(member.path)
    info.size, info.mode = len(content), 0o644
    yield info.tobuf(tarfile.USTAR_FORMAT)
    yield content
    yield bytes(-len(content) % tarfile.BLOCKSIZE)
