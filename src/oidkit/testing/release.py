"""Makes a mirror folder: every file of a release, laid out like the public buckets."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.catalog import SHARDS, SPLITS, Split
from oidkit.errors import UsageError
from oidkit.testing.blocks import blocks_of, random_of
from oidkit.testing.classes import MadeClass, made_classes
from oidkit.testing.classfiles import class_files
from oidkit.testing.imagelists import write_image_list, write_outside
from oidkit.testing.labels import write_other_labels
from oidkit.testing.masks import Deflated, deflated, filled, mask_png, mask_size, on_mask
from oidkit.testing.outside import Fate, fates_of
from oidkit.testing.pictures import PictureMaker, present_images
from oidkit.testing.rows import BlockRows, image_sizes
from oidkit.testing.shapes import shape_of
from oidkit.testing.spec import ReleaseSpec
from oidkit.testing.tables import AnnotationWriter, hex_texts, open_new
from oidkit.testing.zips import write_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["MadeRelease", "make_release"]

_POOL_STREAM = 5
# the first day of V4, in seconds since 1970
_EPOCH = 1_525_046_400
_WEEK = 7 * 86_400


@dataclass(frozen=True, slots=True)
class MadeRelease:
    """What was made: `rows` is key -> rows without header, or members of a zip."""

    root: Path
    spec: ReleaseSpec
    classes: tuple[MadeClass, ...]
    rows: Mapping[str, int]
    jpegs: Mapping[Split, int]
    """Images of each split that the bucket has."""
    originals: Mapping[str, Fate] = field(default_factory=dict)
    """What becomes of the originals of the images outside the bucket, by ``train/<ImageID>``."""


def make_release(
    root: os.PathLike[str] | str,
    spec: ReleaseSpec | None = None,
    *,
    on_file: Callable[[str], None] | None = None,
) -> MadeRelease:
    """Make the folder *root* a mirror of the release that *spec* describes (a tiny one).

    The same spec gives the same bytes and times. Works in blocks of 32,768 images: memory does not
    grow with the size. *on_file* is told of each kind of file before it is written.

    Raises `UsageError` if there is a mirror at *root* already.
    """
    folder, spec = Path(root), spec or ReleaseSpec.tiny()
    for bucket in catalog.OFFICIAL_HOSTS:
        if (folder / bucket).exists():
            raise UsageError(
                f"{folder} holds {bucket} already", remedy="make the release in an empty folder"
            )
    say = on_file or (lambda _: None)
    classes = made_classes(spec.classes)
    for key, content in class_files(spec).items():
        with open_new(folder, key) as file:
            file.write(content)
    writer = AnnotationWriter(spec, folder)
    rows: dict[str, int] = {}
    jpegs: dict[Split, int] = {}
    for split in SPLITS:
        if "boxes" in spec.labels:
            say(f"{split} boxes")
            rows |= writer.write_boxes(split)
        if "masks" in spec.labels:
            say(f"{split} masks")
            rows |= writer.write_masks(split)
            rows |= _write_zips(folder, spec, writer, split)
        if spec.image_lists:
            say(f"{split} image list")
            rows |= write_image_list(spec, folder, split, classes)
        say(f"{split} images")
        jpegs[split] = _write_jpegs(folder, spec, writer, split)
        rows |= write_other_labels(folder, spec, writer, split)
    if spec.image_lists:
        rows |= write_outside(spec, folder)
    _set_times(folder, spec)
    fates = fates_of(spec, "train") if spec.originals_root else {}
    originals = {f"train/{image_id}": fate for image_id, fate in fates.items()}
    return MadeRelease(folder, spec, classes, rows, jpegs, originals)


def _write_zips(
    root: Path, spec: ReleaseSpec, writer: AnnotationWriter, split: Split
) -> dict[str, int]:
    if all("masks" not in catalog.labels_of(release) for release in spec.releases):
        return {}
    members = _Members(spec, writer)
    rows: dict[str, int] = {}
    blocks = {
        shard: list(each) for shard, each in groupby(blocks_of(spec, split), lambda b: b.shard)
    }
    for at, shard in enumerate(SHARDS):
        key = catalog.mask_zip(split, shard).key
        with open_new(root, key) as file:
            made = (writer.rows_of(block) for block in blocks.get(at, ()))
            within: Iterable[tuple[str, Deflated]]
            within = (each for block in made for each in members.of(block))
            if spec.sorted_zips:
                within = sorted(within, key=itemgetter(0))
            rows[key] = write_zip(file, within)
    return rows


class _Members:
    """Names and contents of the masks of a block."""

    def __init__(self, spec: ReleaseSpec, writer: AnnotationWriter) -> None:
        self._spec = spec
        self._writer = writer
        self._shapes = [shape_of(each, at) for at, each in enumerate(writer.classes)]
        self._pool = [self._variant(at) for at in range(spec.shapes_drawn or 0)]

    def of(self, made: BlockRows) -> Iterator[tuple[str, Deflated]]:
        names = self._writer.mask_names(made)
        if self._pool:
            chosen = (made.box_ids % len(self._pool)).tolist()
            yield from zip(names, (self._pool[at] for at in chosen), strict=True)
            return
        for name, row in zip(names, made.masked.tolist(), strict=True):
            yield name, deflated(self._drawn(made, row))

    def _drawn(self, made: BlockRows, row: int) -> bytes:
        image = made.image[row]
        size = int(made.width[image]), int(made.height[image])
        box = (int(made.x0[row]), int(made.y0[row]), int(made.x1[row]), int(made.y1[row]))
        on = mask_size(*size, int(made.mask_scale[image]))
        png = mask_png(on, self._shapes[made.label[row]], on_mask(box, size, on))
        return filled(png, self._spec.mask_bytes)

    def _variant(self, number: int) -> Deflated:
        rng = random_of(self._spec, "train", number, _POOL_STREAM)
        sizes = image_sizes(self._spec)
        width, height = mask_size(*sizes[number % len(sizes)], int(rng.integers(16)))
        x, y = np.sort(rng.integers(0, width, 2)), np.sort(rng.integers(0, height, 2))
        box = (int(x[0]), int(y[0]), int(x[1]) + 1, int(y[1]) + 1)
        png = mask_png((width, height), self._shapes[number % len(self._shapes)], box)
        return deflated(filled(png, self._spec.mask_bytes))


def _write_jpegs(root: Path, spec: ReleaseSpec, writer: AnnotationWriter, split: Split) -> int:
    present = present_images(spec, split)
    if not present.any():
        return 0
    maker = PictureMaker(spec, writer.classes)
    # one of the never rescaled files has EXIF still; here it is the first of the validation images
    exif_at = int(present.argmax()) if split == "validation" else -1
    folder = (root / catalog.image_key(split, "any")).parent
    folder.mkdir(parents=True, exist_ok=True)
    for block in blocks_of(spec, split):
        if not present[block.first : block.first + block.images].any():
            continue
        made = writer.rows_of(block)
        ids = hex_texts(made.ids, 16)
        for at, jpeg in maker.jpegs(made, present, exif_at=exif_at):
            (folder / f"{ids[at]}.jpg").write_bytes(jpeg)
    return int(present.sum())


def _set_times(root: Path, spec: ReleaseSpec) -> None:
    """Give every file one time, which another spec would not have.

    A folder's objects are told apart by size and time: releases that differ must differ in them.
    """
    stamp = _EPOCH + zlib.crc32(repr(spec).encode()) % (100 * _WEEK)
    for bucket in catalog.OFFICIAL_HOSTS:
        for folder, _, names in os.walk(root / bucket):
            for name in names:
                os.utime(Path(folder) / name, (stamp, stamp))
