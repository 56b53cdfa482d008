"""Tar shards of an export as an endless-able stream: for datasets that are read once through."""

from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from oidkit.decoding import LARGEST_MASK, opened
from oidkit.errors import IntegrityError, UsageError
from oidkit.formats.webdataset import INDEX
from oidkit.torch.targets import Objects, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["OpenImagesShards"]


class OpenImagesShards(IterableDataset):  # type: ignore[misc] # torch is not there for the checker
    """The samples of ``oid export --format webdataset`` as (image, target), shard after shard.

    Each shard goes to one rank and one worker of it: `world_size` and `rank` are those of
    `torch.distributed` where it runs, else 1 and 0. Where the shards cannot be shared out evenly,
    some have one more; have several for each worker. Shards are read as streams, without seeking.

    *shuffle* samples are held back and given in random order, from shards in random order, both by
    *seed* and epoch (`set_epoch`); 0 keeps the order of the export. Targets are those of
    `OpenImagesDataset`; ``image_id`` is the first 15 digits of the id as a number.

    `classes` are the names by label; the first is the background.

    Raises:
        UsageError: the folder is no such export, or the split is not in it.

    """

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        transforms: Callable[[Any, dict[str, Any]], tuple[Any, Any]] | None = None,
        *,
        masks: bool = True,
        shuffle: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._root, self._transforms, self._masks = Path(root), transforms, masks
        self._shuffle, self._seed, self._epoch = shuffle, seed, 0
        index = _index(self._root)
        if split not in index["splits"]:
            raise UsageError(
                f"{root} has no split '{split}'",
                remedy=f"choose from {', '.join(index['splits'])}",
            )
        self.classes = ["__background__", *index["classes"]]
        self._shards = [(each["file"], each["samples"]) for each in index["splits"][split]]
        self.samples = sum(samples for _, samples in self._shards)
        """How many samples all shards of the split have, over all ranks and workers."""

    def set_epoch(self, epoch: int) -> None:
        """Choose another random order; call it before each epoch, before the loader starts."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        chance = random.Random(f"{self._seed} {self._epoch}")  # noqa: S311 - an order, no secret
        shards = [name for name, _ in self._shards]
        if self._shuffle:
            # Every worker draws the same order, so that each shard is read by one of them.
            chance.shuffle(shards)
        place, places = _place()
        samples = (each for name in shards[place::places] for each in _samples(self._root / name))
        for members in _shuffled(samples, self._shuffle, chance):
            image, target = self._sample(members)
            yield (image, target) if self._transforms is None else self._transforms(image, target)

    def _sample(self, members: Mapping[str, bytes]) -> tuple[Any, dict[str, Any]]:
        about = json.loads(members["json"])
        things = [each for each in about["objects"] if each["bbox"] is not None]
        with opened(members["jpg"]) as picture:
            image = picture.convert("RGB")
        objects = Objects(
            np.array([each["bbox"] for each in things], dtype=np.float32).reshape(-1, 4),
            np.array([each["category"] + 1 for each in things], dtype=np.int64),
            np.array([each["group_of"] == 1 for each in things], dtype=np.bool_),
            [_mask(members, each["mask"]) for each in things] if self._masks else None,
        )
        name = about["image_id"]
        return image, target_of(image, objects, image_id=int(name[:15], 16), name=name)


def _index(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / INDEX).read_bytes())
    except OSError as error:
        raise UsageError(
            f"{root} has no {INDEX}",
            remedy="make shards with: oid export DATASET --format webdataset --out DIR",
        ) from error
    except ValueError as error:
        raise IntegrityError(f"{root / INDEX} is damaged", remedy="export again") from error
    return dict(found)


def _mask(members: Mapping[str, bytes], name: str | None) -> np.ndarray[Any, Any] | None:
    if name is None:
        return None
    with opened(members[name], formats=("PNG",), most=LARGEST_MASK) as mask:
        return np.asarray(mask, dtype=np.bool_)


def _place() -> tuple[int, int]:
    """Say which of how many readers this one is, over all ranks and their workers."""
    from torch import distributed

    rank, ranks = 0, 1
    if distributed.is_available() and distributed.is_initialized():
        rank, ranks = distributed.get_rank(), distributed.get_world_size()
    worker = get_worker_info()
    number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
    return rank * workers + number, ranks * workers


def _samples(path: Path) -> Iterator[dict[str, bytes]]:
    """Give the samples of a shard, each as its members by what follows the id."""
    current = ""
    members: dict[str, bytes] = {}
    # "r|" reads on and on, so that a pipe or a file system over a network does as well.
    with tarfile.open(path, "r|") as tar:
        for info in tar:
            key, _, kind = info.name.partition(".")
            if key != current and members:
                yield members
                members = {}
            current = key
            file = tar.extractfile(info)
            members[kind] = b"" if file is None else file.read()
    if members:
        yield members


def _shuffled(
    samples: Iterator[dict[str, bytes]], size: int, chance: random.Random
) -> Iterator[dict[str, bytes]]:
    held: list[dict[str, bytes]] = []
    for each in samples:
        if len(held) < size:
            held.append(each)
            continue
        if not size:
            yield each
            continue
        at = chance.randrange(size)
        held[at], out = each, held[at]
        yield out
    chance.shuffle(held)
    yield from held
