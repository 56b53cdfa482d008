"""How a split is cut into blocks that fit in memory and can be made in any order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from oidkit.catalog import SHARDS, SPLITS, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.testing.spec import ReleaseSpec

__all__ = ["Block", "blocks_of", "planted_step", "random_of", "spread"]

_IMAGES_A_BLOCK = 32_768


@dataclass(frozen=True, slots=True)
class Block:
    """Images [`first`, `first` + `images`) of a split, all of one shard, and their rows.

    `first_in_shard` counts from the shard's first image, of which there are `shard_images`.
    """

    split: Split
    number: int
    shard: int
    first: int
    images: int
    first_in_shard: int
    shard_images: int
    boxes: int
    masks: int


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Divide *total* in proportion to the weights, to the last one: the parts sum up to it.

    >>> spread(10, [1, 1, 1])
    [3, 3, 4]
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    ends = [total * reached // whole for reached in accumulate(weights)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _capped(total: int, weights: Sequence[int], caps: Sequence[int]) -> list[int]:
    """Like `spread`, but no part is larger than its cap; the caps sum up to *total* or more."""
    parts = [min(part, cap) for part, cap in zip(spread(total, weights), caps, strict=True)]
    left = total - sum(parts)
    for at, cap in enumerate(caps):
        more = min(left, cap - parts[at])
        parts[at] += more
        left -= more
    return parts


def blocks_of(spec: ReleaseSpec, split: Split) -> list[Block]:
    """Cut a split into blocks, in the order of the image ids, with exact counts of rows."""
    images = spread(spec.images.of(split), [1] * len(SHARDS))
    boxes = spread(spec.boxes_of(split), images)
    masks = _capped(spec.masks_of(split), images, boxes)
    if spec.members_per_zip is not None and spec.masks_of(split):
        masks = [spec.members_per_zip.of(split)] * len(SHARDS)
        boxes = _at_least(boxes, masks)
    blocks: list[Block] = []
    first = 0
    for shard in range(len(SHARDS)):
        count = -(-images[shard] // _IMAGES_A_BLOCK)
        sizes = spread(images[shard], [1] * count)
        box_counts = spread(boxes[shard], sizes)
        mask_counts = _capped(masks[shard], sizes, box_counts)
        within = 0
        for size, box_count, mask_count in zip(sizes, box_counts, mask_counts, strict=True):
            blocks.append(
                Block(
                    split=split,
                    number=len(blocks),
                    shard=shard,
                    first=first,
                    images=size,
                    first_in_shard=within,
                    shard_images=images[shard],
                    boxes=box_count,
                    masks=mask_count,
                )
            )
            first += size
            within += size
    return blocks


def _at_least(counts: Sequence[int], least: Sequence[int]) -> list[int]:
    """Move rows from shards that have plenty to those that have too few; the sum stays."""
    moved = [max(count, needed) for count, needed in zip(counts, least, strict=True)]
    surplus = sum(moved) - sum(counts)
    for at, needed in enumerate(least):
        taken = min(surplus, moved[at] - needed)
        moved[at] -= taken
        surplus -= taken
    return moved


def planted_step(images: int) -> int:
    """Every so many images has a Handgun with a mask, so that no split goes without."""
    return max(3, images // 400)


def random_of(spec: ReleaseSpec, split: Split, *stream: int) -> np.random.Generator:
    """Give the generator of one stream of numbers, independent of every other stream."""
    return np.random.default_rng([spec.seed, SPLITS.index(split), *stream])
