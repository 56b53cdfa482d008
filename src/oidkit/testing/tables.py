"""The box and mask files of a made release, in the columns and the order of the real ones."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from oidkit import catalog
from oidkit.testing.blocks import Block, blocks_of, random_of
from oidkit.testing.classes import MadeClass, made_classes
from oidkit.testing.coordinates import Form, Fractions
from oidkit.testing.rows import FLAGS, BlockRows, image_sizes, make_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from oidkit.catalog import Split
    from oidkit.testing.spec import ReleaseSpec

__all__ = ["AnnotationWriter", "hex_texts", "open_new"]

_BOX_COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
_CLICK_COLUMNS = ",".join(f"XClick{nth}{axis}" for axis in "XY" for nth in range(1, 5))
_MASK_COLUMNS = (
    "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
)
_CLICK_TEXTS = 512


def hex_texts(numbers: npt.NDArray[np.unsignedinteger], digits: int) -> list[str]:
    """Give each number as so many lower-case hex digits (16 for 64 bits, 8 for 32)."""
    text = numbers.astype(f">u{digits // 2}").tobytes().hex()
    return [text[at : at + digits] for at in range(0, len(text), digits)]


def open_new(root: Path, key: str) -> IO[bytes]:
    """Open the file of *key* for writing, with the folders above it."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _append(frame: pl.DataFrame, file: IO[bytes]) -> None:
    frame.write_csv(file, include_header=False, quote_style="never")


class AnnotationWriter:
    """Writes box and mask files of one spec, block by block."""

    def __init__(self, spec: ReleaseSpec, root: Path) -> None:
        self._spec = spec
        self._root = root
        self._classes = made_classes(spec.classes)
        self._mids = pl.Series([each.mid for each in self._classes])
        self._stems = pl.Series([each.mid[1:].replace("/", "") for each in self._classes])
        self._fractions = Fractions(size for pair in image_sizes(spec) for size in pair)

    @property
    def classes(self) -> tuple[MadeClass, ...]:
        """Give the boxable classes, which the rows' `label` counts through."""
        return self._classes

    def write_boxes(self, split: Split) -> dict[str, int]:
        """Write every box file of the split in one pass; give key -> rows."""
        rows: dict[str, int] = {}
        files: dict[str, tuple[IO[bytes], bool, bool]] = {}
        try:
            for release in self._spec.releases:
                (found,) = catalog.tables(release, "boxes", split)
                if found.key in files:
                    continue
                clicks = split == "train" and release in {"v6", "v7"}
                file = open_new(self._root, found.key)
                file.write(
                    (f"{_BOX_COLUMNS},{_CLICK_COLUMNS}" if clicks else _BOX_COLUMNS).encode()
                )
                file.write(b"\n")
                files[found.key] = (file, clicks, split != "train" and release == "v4")
                rows[found.key] = 0
            for block in blocks_of(self._spec, split):
                made = make_rows(self._spec, block, self._classes)
                frame = self._box_frame(made, clicks=any(each[1] for each in files.values()))
                for key, (file, clicks, only_v4) in files.items():
                    part = frame if clicks else frame[:, :13]
                    part = part.filter(pl.Series(made.in_v4)) if only_v4 else part
                    _append(part, file)
                    rows[key] += part.height
        finally:
            for file, *_ in files.values():
                file.close()
        return rows

    def _box_frame(self, made: BlockRows, *, clicks: bool) -> pl.DataFrame:
        train = made.block.split == "train"
        sources = ["xclick", "activemil" if train else "freeform"]
        width, height = made.width[made.image], made.height[made.image]
        form: Form = "six" if train else "float32"
        texts = self._fractions.texts
        columns = {
            "ImageID": pl.Series(hex_texts(made.ids, 16), dtype=pl.String).gather(made.image),
            "Source": pl.Series(sources).gather(made.source.astype(np.uint32)),
            "LabelName": self._mids.gather(made.label),
            "Confidence": pl.Series(np.ones(len(made.image), dtype=np.int8)),
            "XMin": texts(form, made.x0, width),
            "XMax": texts(form, made.x1, width),
            "YMin": texts(form, made.y0, height),
            "YMax": texts(form, made.y1, height),
        }
        columns |= {name: pl.Series(made.flags[at]) for at, name in enumerate(FLAGS)}
        if clicks:
            # top, left, bottom, right: the left and right clicks lie on XMin and XMax, the top and
            # bottom ones on YMin and YMax
            none = made.source == 1
            xs = (made.clicks[0], made.x0, made.clicks[2], made.x1)
            ys = (made.y0, made.clicks[1], made.y1, made.clicks[3])
            for axis, pixels, size in (("X", xs, width), ("Y", ys, height)):
                for nth, pixel in enumerate(pixels, 1):
                    columns[f"XClick{nth}{axis}"] = texts("six", pixel, size, missing=none)
        return pl.DataFrame(columns)

    def write_masks(self, split: Split) -> dict[str, int]:
        """Write the split's mask file, its blocks and rows in no order; give key -> rows."""
        releases = [each for each in self._spec.releases if each in catalog.releases_with("masks")]
        if not releases:
            return {}
        (found,) = catalog.tables(releases[0], "masks", split)
        rng = random_of(self._spec, split, 0, 1)
        blocks = blocks_of(self._spec, split)
        clicks = pl.Series(_click_texts(rng), dtype=pl.String)
        rows = 0
        with open_new(self._root, found.key) as file:
            file.write(f"{_MASK_COLUMNS}\n".encode())
            for at in rng.permutation(len(blocks)):
                made = make_rows(self._spec, blocks[at], self._classes)
                _append(self._mask_frame(made, rng, clicks), file)
                rows += len(made.masked)
        return {found.key: rows}

    def _mask_frame(
        self, made: BlockRows, rng: np.random.Generator, clicks: pl.Series
    ) -> pl.DataFrame:
        chosen = made.masked
        train = made.block.split == "train"
        image, label = made.image[chosen], made.label[chosen]
        width, height = made.width[image], made.height[image]
        form: Form = "short" if train else "six"
        texts = self._fractions.texts
        ids = pl.Series(hex_texts(made.ids, 16), dtype=pl.String).gather(image)
        box_ids = pl.Series(hex_texts(made.box_ids, 8), dtype=pl.String)
        count = len(chosen)
        overlap = rng.uniform(0.6, 0.98, count) if train else np.zeros(count)
        drawn = clicks.gather(rng.integers(0, len(clicks), count).astype(np.uint32))
        return pl.DataFrame(
            {
                "MaskPath": ids + "_" + self._stems.gather(label) + "_" + box_ids + ".png",
                "ImageID": ids,
                "LabelName": self._mids.gather(label),
                "BoxID": box_ids,
                "BoxXMin": texts(form, made.x0[chosen], width),
                "BoxXMax": texts(form, made.x1[chosen], width),
                "BoxYMin": texts(form, made.y0[chosen], height),
                "BoxYMax": texts(form, made.y1[chosen], height),
                "PredictedIoU": pl.Series([f"{each:.5f}" for each in overlap], dtype=pl.String),
                "Clicks": drawn if train else pl.Series([""] * count, dtype=pl.String),
            }
        )

    def mask_names(self, made: BlockRows) -> list[str]:
        """Give the names of the block's masks, in the order of `made.masked`."""
        ids, stems = hex_texts(made.ids, 16), self._stems.to_list()
        return [
            f"{ids[made.image[at]]}_{stems[made.label[at]]}_{box_id}.png"
            for at, box_id in zip(made.masked.tolist(), hex_texts(made.box_ids, 8), strict=True)
        ]

    def blocks(self, split: Split) -> Iterable[BlockRows]:
        """Make the split's blocks, one after the other."""
        for block in blocks_of(self._spec, split):
            yield make_rows(self._spec, block, self._classes)

    def rows_of(self, block: Block) -> BlockRows:
        """Make the rows of one block."""
        return make_rows(self._spec, block, self._classes)


def _click_texts(rng: np.random.Generator) -> Sequence[str]:
    """Give clicks as train has them: `X Y T` triples, T is 1 inside the object and 0 outside."""
    return [
        ";".join(
            f"{x:.5f} {y:.5f} {int(inside)}"
            for x, y, inside in zip(
                rng.random(count), rng.random(count), rng.random(count) < 0.6, strict=True
            )
        )
        for count in rng.integers(4, 17, _CLICK_TEXTS).tolist()
    ]
