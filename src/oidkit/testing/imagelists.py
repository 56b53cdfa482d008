"""The lists of images: where each came from, who made it, how it is turned."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from oidkit import catalog
from oidkit.testing.blocks import Block, blocks_of, random_of
from oidkit.testing.outside import fates_of, outside_ids, with_originals, write_whole_lists
from oidkit.testing.pictures import present_images
from oidkit.testing.rows import make_rows
from oidkit.testing.tables import hex_texts, open_new

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from oidkit.catalog import Split
    from oidkit.testing.classes import MadeClass
    from oidkit.testing.spec import ReleaseSpec

__all__ = ["write_image_list", "write_outside"]

_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation\n"
)
_LICENSE = "https://creativecommons.org/licenses/by/2.0/"
_STREAM = 4
_AUTHORS = (
    "Ann Example",
    "Łukasz Przykład",
    "José Ejemplo",
    "futurebeispiel.de",
    "山田 太郎",
    "B. O'Neil",
)
_TITLES = (
    "DSC_0417",
    "IMG_2231",
    "Market, early morning",
    "Żubr w puszczy",
    "Sunday in the park",
    'The so-called "small" house',
    "Café, crème, croissant",
    "東京の夜",
    "Our dog & the neighbour's cat",
    "100% cotton; 20% off",
    "Peru - Cusco 153 - steep-sided valley",
    "P1020304.JPG",
    "...die Kerze",
    "Untitled",
)
# counted in the heads of the real lists; the texts differ between them as here
_ROTATIONS = (
    ("0.0", 0.40),
    ("0", 0.20),
    (None, 0.26),
    ("NaN", 0.07),
    ("270.0", 0.03),
    ("270", 0.01),
    ("180.0", 0.02),
    ("90.0", 0.01),
)
_NO_THUMBNAIL = 0.025


def write_image_list(
    spec: ReleaseSpec, root: Path, split: Split, classes: tuple[MadeClass, ...]
) -> dict[str, int]:
    """Write the list of the split's images, in no order; give key -> rows."""
    key = catalog.image_list(spec.releases[-1], split).key
    blocks = blocks_of(spec, split)
    present = present_images(spec, split)
    rows = 0
    with open_new(root, key) as file:
        file.write(_HEADER.encode())
        for at in random_of(spec, split, 0, _STREAM).permutation(len(blocks)):
            ids = make_rows(spec, blocks[at], classes).ids
            first = blocks[at].first
            absent = hex_texts(ids[~present[first : first + len(ids)]], 16)
            frame = _frame(spec, blocks[at], ids)
            frame = with_originals(frame, spec, root, dict.fromkeys(absent, "whole"))
            frame.write_csv(file, include_header=False, quote_style="necessary")
            rows += frame.height
    return {key: rows}


def write_outside(spec: ReleaseSpec, root: Path) -> dict[str, int]:
    """Write the lists that have the images outside the bucket too; give key -> rows."""
    ids = outside_ids(spec, "train")
    if not len(ids):
        return {}
    # A number that no block of the split has.
    block = replace(blocks_of(spec, "train")[0], number=1 << 20, images=len(ids))
    return write_whole_lists(spec, root, _frame(spec, block, ids), fates_of(spec, "train"))


def _frame(spec: ReleaseSpec, block: Block, made: npt.NDArray[np.uint64]) -> pl.DataFrame:
    rng = random_of(spec, block.split, block.number, _STREAM)
    count = block.images
    order = rng.permutation(count)
    ids = made[order]
    photo = pl.Series(rng.integers(10**9, 5 * 10**10, count)).cast(pl.String)
    secret = pl.Series(
        hex_texts(rng.integers(0, 1 << 32, count, dtype=np.uint32), 8), dtype=pl.String
    )
    farm = pl.Series(rng.integers(1, 9, count)).cast(pl.String)
    server = pl.Series(rng.integers(1000, 9000, count)).cast(pl.String)
    author = rng.integers(0, len(_AUTHORS), count).astype(np.uint32)
    people = [f"{70_000_000 + 13 * at}@N0{at}" for at in range(len(_AUTHORS))]
    person = pl.Series(people).gather(author)
    host = "https://farm" + farm + ".staticflickr.com/" + server + "/" + photo + "_" + secret
    shares = np.array([share for _, share in _ROTATIONS])
    turned = rng.choice(len(_ROTATIONS), size=count, p=shares / shares.sum()).astype(np.uint32)
    without = pl.Series(rng.random(count) < _NO_THUMBNAIL)
    return pl.DataFrame(
        {
            "ImageID": pl.Series(hex_texts(ids, 16), dtype=pl.String),
            "Subset": pl.Series([block.split] * count, dtype=pl.String),
            "OriginalURL": host + "_o.jpg",
            "OriginalLandingURL": "https://www.flickr.com/photos/" + person + "/" + photo,
            "License": pl.Series([_LICENSE] * count, dtype=pl.String),
            "AuthorProfileURL": "https://www.flickr.com/people/" + person + "/",
            "Author": pl.Series(_AUTHORS).gather(author),
            "Title": pl.Series(_TITLES).gather(
                rng.integers(0, len(_TITLES), count).astype(np.uint32)
            ),
            "OriginalSize": pl.Series(rng.integers(100_000, 9_000_000, count)),
            "OriginalMD5": pl.Series(_md5s(rng, count), dtype=pl.String),
            "Thumbnail300KURL": pl.select(
                pl.when(~without).then(host + "_z.jpg").otherwise(None)
            ).to_series(),
            "Rotation": pl.Series([text for text, _ in _ROTATIONS]).gather(turned),
        }
    )


def _md5s(rng: np.random.Generator, count: int) -> list[str]:
    digests = rng.bytes(16 * count)
    return [
        base64.b64encode(digests[at : at + 16]).decode("ascii") for at in range(0, 16 * count, 16)
    ]
