"""WebDataset: tar shards of pictures, each with its annotations as JSON and its masks as PNG.

A sample is ``<id>.jpg``, ``<id>.json`` and ``<id>.mask<N>.png`` for each object N that has a mask.
Shards are plain USTAR archives without times or owners, so the same dataset gives the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oidkit.disk import write_atomically
from oidkit.errors import UsageError
from oidkit.formats.masks import notes_of
from oidkit.formats.model import Entry, OutFile
from oidkit.formats.objects import plain_flags, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oidkit.formats.model import Category, Frame, Picture

__all__ = ["INDEX", "ShardWriter", "WebDataset"]

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
        return ShardWriter(out, categories, shard_size=self.shard_size)


@dataclass(slots=True)
class _Split:
    """The shards of a split so far, each with its samples, and the one that is being written."""

    shards: list[tuple[str, int]] = field(default_factory=list)
    tar: tarfile.TarFile | None = None


class ShardWriter:
    """Writes samples into tar shards ``<split>-000000.tar``, one after the other."""

    def __init__(self, out: Path, categories: tuple[Category, ...], *, shard_size: int) -> None:
        self._out, self._size = out, shard_size
        self._names = [each.name for each in categories]
        self._splits: dict[str, _Split] = {}
        self._told: Counter[str] = Counter()
        self._open = ExitStack()

    def add(self, picture: Picture, entry: Entry) -> None:
        split = self._splits.setdefault(picture.split, _Split())
        if split.tar is None or split.shards[-1][1] == self._size:
            self._begin(picture.split, split)
        name, samples = split.shards[-1]
        split.shards[-1] = (name, samples + 1)
        sample = entry.rows
        assert split.tar is not None  # noqa: S101 - for the type checker: it was begun above
        assert isinstance(sample, _Sample)  # noqa: S101 - likewise: prepare made it
        self._told.update(sample.told)
        text = json.dumps(
            self._about(picture, sample),
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
        )
        about = OutFile(f"{picture.image_id}.json", content=text.encode())
        for member in (*sample.image, about, *sample.masks):
            _append(split.tar, member)

    def finish(self) -> Iterable[str]:
        self.close()
        listed = {
            "classes": self._names,
            "splits": {
                name: [{"file": file, "samples": samples} for file, samples in split.shards]
                for name, split in self._splits.items()
            },
        }
        text = json.dumps(listed, ensure_ascii=False, indent=2) + "\n"
        write_atomically(self._out / INDEX, text.encode())
        return notes_of(self._told)

    def close(self) -> None:
        """Let go of the shard that is open."""
        self._open.close()

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

    def _begin(self, name: str, split: _Split) -> None:
        # Pictures come split by split, so that one shard is open at a time.
        self._open.close()
        for each in self._splits.values():
            each.tar = None
        file = f"{name}-{len(split.shards):06d}.tar"
        split.shards.append((file, 0))
        split.tar = self._open.enter_context(
            tarfile.open(  # noqa: SIM115 - the stack is its context
                self._out / file, "x", format=tarfile.USTAR_FORMAT
            )
        )


def _append(tar: tarfile.TarFile, member: OutFile) -> None:
    """Add a file without time, owner or other traces of this machine."""
    content = member.content if member.source is None else member.source.read_bytes()
    info = tarfile.TarInfo(member.path)
    info.size, info.mode = len(content or b""), 0o644
    tar.addfile(info, io.BytesIO(content or b""))
