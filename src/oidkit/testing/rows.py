"""The numbers of a block: which image holds which boxes, of which class, where, and which masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oidkit.catalog import SPLITS
from oidkit.testing.blocks import Block, planted_step, random_of
from oidkit.testing.classes import HANDGUN, MadeClass

if TYPE_CHECKING:
    from oidkit.testing.spec import ReleaseSpec

__all__ = ["FLAGS", "BlockRows", "image_sizes", "make_rows"]

FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
_FLAG_SHARES = (0.4, 0.0, 0.05, 0.04, 0.005)
_TRUNCATED, _GROUP_OF = 1, 2

# (width, height, share) at a long side of 1,024: nearly all images were scaled to it, a few are
# smaller or larger (measured on the size lists of the real validation images)
_SIZES = (
    (1024, 768, 0.41),
    (1024, 683, 0.19),
    (768, 1024, 0.13),
    (1024, 682, 0.08),
    (683, 1024, 0.06),
    (1024, 576, 0.04),
    (1024, 1024, 0.02),
    (1024, 685, 0.03),
    (768, 768, 0.02),
    (640, 480, 0.01),
    (1600, 1200, 0.01),
)

Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BlockRows:
    """One block as columns: n images, and m boxes ordered by image.

    Coordinates are pixels of the image as stored; a box is half-open, [x0, x1) by [y0, y1).
    """

    block: Block
    ids: npt.NDArray[np.uint64]
    """(n,) ascending."""
    width: Ints
    height: Ints
    mask_scale: npt.NDArray[np.int8]
    """(n,) which of the mask sizes the image's masks have."""
    image: Ints
    """(m,) position of the box's image in the block."""
    label: Ints
    """(m,) position of its class among the classes."""
    x0: Ints
    x1: Ints
    y0: Ints
    y1: Ints
    source: npt.NDArray[np.int8]
    """(m,) 0 xclick, 1 the split's other source: activemil in train, freeform elsewhere."""
    flags: npt.NDArray[np.int8]
    """(5, m) in the order of `FLAGS`; -1 is unknown."""
    clicks: Ints
    """(4, m) x of the top click, y of the left, x of the bottom, y of the right."""
    in_v4: Bools
    """(m,) whether V4's file of a split other than train has the row."""
    masked: npt.NDArray[np.int64]
    """(q,) positions of the boxes that have a mask, in the mask file's order (unsorted)."""
    box_ids: npt.NDArray[np.uint32]
    """(q,) what the mask's name ends in."""


def image_sizes(spec: ReleaseSpec) -> list[tuple[int, int]]:
    """Give every (width, height) that occurs."""
    return [
        (round(width * spec.long_side / 1024), round(height * spec.long_side / 1024))
        for width, height, _ in _SIZES
    ]


def make_rows(spec: ReleaseSpec, block: Block, classes: tuple[MadeClass, ...]) -> BlockRows:
    """Make the numbers of one block; the same call gives the same numbers."""
    rng = random_of(spec, block.split, block.number, 0)
    sizes = np.array(image_sizes(spec), dtype=np.int32)
    shares = np.array([share for *_, share in _SIZES])
    kind = rng.choice(len(sizes), size=block.images, p=shares / shares.sum())
    width, height = sizes[kind, 0], sizes[kind, 1]
    step = planted_step(spec.images.of(block.split))
    planted = (np.arange(block.images) + block.first) % step == 0
    counts = _box_counts(rng, block, planted)
    image = np.repeat(np.arange(block.images, dtype=np.int32), counts)
    starts = np.cumsum(counts) - counts
    nth = np.arange(block.boxes) - starts[image]
    label = _labels(rng, block.boxes, classes)
    sure = planted[image] & (nth == 0)
    label[sure] = next(at for at, each in enumerate(classes) if each.mid == HANDGUN)
    # the first box need not be in the first cell, or every Handgun would be at the top left
    cell = (nth + rng.integers(0, 1 << 16, block.images)[image]) % counts[image]
    sides = width[image], height[image]
    x0, x1, y0, y1, truncated = _placed(rng, sides, counts[image], cell)
    masked = _masked(rng, block, label=label, sure=sure, classes=classes)
    plain = sure.copy()
    plain[masked] = True
    source, flags = _sources_and_flags(rng, block, truncated=truncated, plain=plain)
    clicks = np.array([rng.integers(low, high + 1) for low, high in ((x0, x1), (y0, y1)) * 2])
    return BlockRows(
        block=block,
        ids=_ids(rng, block),
        width=width,
        height=height,
        mask_scale=rng.integers(0, 16, block.images).astype(np.int8),
        image=image,
        label=label,
        x0=x0,
        x1=x1,
        y0=y0,
        y1=y1,
        source=source,
        flags=flags,
        clicks=clicks.astype(np.int32),
        in_v4=sure | (rng.random(block.boxes) < 2 / 3),
        masked=masked,
        box_ids=_distinct(rng, len(masked)),
    )


def _ids(rng: np.random.Generator, block: Block) -> npt.NDArray[np.uint64]:
    """Give ids that ascend and differ in every split: one in each of equal stretches."""
    width = (1 << 60) // max(1, block.shard_images)
    offsets = rng.integers(0, width, block.images, dtype=np.uint64)
    position = np.arange(block.images, dtype=np.uint64) + np.uint64(block.first_in_shard)
    base = np.uint64(block.shard << 60)
    ids = base + position * np.uint64(width) + offsets
    return (ids & ~np.uint64(3)) | np.uint64(SPLITS.index(block.split))


def _box_counts(rng: np.random.Generator, block: Block, planted: Bools) -> Ints:
    """Give how many boxes each image has, one at least where there are enough; sums up."""
    weights = rng.gamma(0.9, size=block.images) + 1e-3
    if block.boxes >= block.images > 0:
        more = rng.multinomial(block.boxes - block.images, weights / weights.sum())
        return (more + 1).astype(np.int32)
    counts = np.zeros(block.images, dtype=np.int32)
    first = np.argsort(rng.random(block.images) - planted)[: block.boxes]
    counts[first] = 1
    return counts


def _labels(rng: np.random.Generator, count: int, classes: tuple[MadeClass, ...]) -> Ints:
    """Draw classes with a long tail: the n-th most frequent falls off like 1/n."""
    weights = 1.0 / (np.arange(len(classes)) + 2.0) ** 1.05
    reached = np.cumsum(weights / weights.sum())
    drawn = np.searchsorted(reached, rng.random(count), side="right")
    return np.minimum(drawn, len(classes) - 1).astype(np.int32)


def _placed(
    rng: np.random.Generator, sides: tuple[Ints, Ints], count: Ints, cell: npt.NDArray[Any]
) -> tuple[Ints, Ints, Ints, Ints, Bools]:
    """Place each box in its cell of a grid over the image, some beyond it or up to the edge."""
    columns = np.ceil(np.sqrt(count)).astype(np.int64)
    rows = -(-count // np.maximum(columns, 1))
    columns, rows = np.maximum(columns, 1), np.maximum(rows, 1)
    x0, x1, left, right = _along(rng, sides[0], columns, cell % columns)
    y0, y1, top, bottom = _along(rng, sides[1], rows, cell // columns)
    return x0, x1, y0, y1, left | right | top | bottom


def _along(
    rng: np.random.Generator,
    extent: Ints,
    cells: npt.NDArray[Any],
    cell: npt.NDArray[Any],
) -> tuple[Ints, Ints, Bools, Bools]:
    """Place along one axis: [low, high) in pixels, and whether it runs into either edge."""
    count = len(extent)
    size = rng.uniform(0.5, 0.95, count)
    size = np.where(rng.random(count) < 0.06, size * 1.5, size)
    start = cell + rng.uniform(0.02, 0.98, count) * np.maximum(0.0, 1.0 - size)
    scale = extent / cells
    low = np.clip((start * scale).astype(np.int32), 0, extent - 2)
    high = np.clip(((start + size) * scale).astype(np.int32), low + 2, extent)
    at_low = (cell == 0) & (rng.random(count) < 0.06)
    at_high = (cell == cells - 1) & (rng.random(count) < 0.06)
    low = np.where(at_low, 0, low).astype(np.int32)
    high = np.where(at_high, extent, high).astype(np.int32)
    return low, high, at_low, at_high


def _masked(
    rng: np.random.Generator,
    block: Block,
    *,
    label: Ints,
    sure: Bools,
    classes: tuple[MadeClass, ...],
) -> npt.NDArray[np.int64]:
    """Choose the boxes with a mask; gives a class that has masks to those that need one."""
    segmentable = np.array([each.segmentable for each in classes])
    rank = rng.random(block.boxes) + np.where(segmentable[label], 0.0, 1.0) - sure
    chosen = np.argsort(rank, kind="stable")[: block.masks]
    label[chosen[~segmentable[label[chosen]]]] = 0
    return rng.permutation(chosen)


def _sources_and_flags(
    rng: np.random.Generator, block: Block, *, truncated: Bools, plain: Bools
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Draw (m,) sources and (5, m) flags; *plain* boxes may have a mask.

    Masks are never of groups, depictions or insides (facts page), nor of boxes made by a machine.
    """
    train = block.split == "train"
    source = ((rng.random(block.boxes) < (0.02 if train else 0.3)) & ~plain).astype(np.int8)
    flags = np.array([rng.random(block.boxes) < share for share in _FLAG_SHARES], dtype=np.int8)
    flags[_TRUNCATED] = truncated
    flags[_GROUP_OF:, plain] = 0
    unknown = (rng.random(block.boxes) < 0.005) & ~plain
    if train:
        unknown |= source == 1
    flags[:, unknown] = -1
    return source, flags


def _distinct(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint32]:
    drawn = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    while len(np.unique(drawn)) < count:
        drawn = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    return drawn
