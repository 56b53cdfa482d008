"""How fast masks become COCO's run lengths, beside Pillow and pycocotools, in one run.

    python benchmarks/masks_to_rle.py FOLDER [ROUNDS]

FOLDER holds published masks (PNG) at any depth, such as ``masks/`` of a dataset. Each is brought to
1024 pixels on its longest side, as most images are. Both ways take turns, each in one thread on
the same bytes in memory, and their results are compared. Times are of the processor.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from oidkit.formats.masks import runs
from oidkit.formats.model import Frame, Picture
from oidkit.imagefile import png_size

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 1024
_AT_LEAST = 300
"""Masks in a round; fewer are gone through several times."""


def by_pillow(data: bytes, picture: Picture, frame: Frame) -> tuple[list[int], str]:
    """Decode, resize and encode, as one writes it in plain Python."""
    with Image.open(io.BytesIO(data)) as mask:
        resized = mask.resize((frame.width, frame.height), Image.Resampling.NEAREST)
    made = coco.encode(np.asfortranarray(np.asarray(resized), dtype=np.uint8))
    return made["size"], made["counts"].decode()


def by_oidkit(data: bytes, picture: Picture, frame: Frame) -> tuple[list[int], str]:
    """Do the same with oidkit."""
    made = runs(data, picture, frame).rle
    return made["size"], made["counts"]


def main(folder: str, rounds: str = "7") -> None:
    """Compare both ways, and print masks a second of each."""
    work = []
    for path in sorted(Path(folder).rglob("*.png")):
        data = path.read_bytes()
        width, height = png_size(data)
        scale = _LONGEST / max(width, height)
        width, height = round(width * scale), round(height * scale)
        picture = Picture("train", path.name[:16], path, width, height)
        work.append((data, picture, Frame(width, height)))
    if not work:
        sys.exit(f"there is no mask in {folder}; give the folder masks/ of a download")
    for each in work:
        if by_pillow(*each) != by_oidkit(*each):
            sys.exit(f"{each[1].path} differs")
    turns = -(-_AT_LEAST // len(work))
    ways: dict[str, Callable[..., object]] = {"pillow": by_pillow, "oidkit": by_oidkit}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(int(rounds)):
        for name, way in ways.items():
            begun = time.process_time()
            for _ in range(turns):
                for each in work:
                    way(*each)
            rates[name].append(turns * len(work) / (time.process_time() - begun))
    for name, found in rates.items():
        print(f"{name}  {statistics.median(found):7,.0f} masks/s  (best {max(found):,.0f})")
    ratio = statistics.median(
        ours / theirs for ours, theirs in zip(rates["oidkit"], rates["pillow"], strict=True)
    )
    print(f"oidkit is {ratio:.2f} times as fast; {len(work)} masks, the same run lengths")


if __name__ == "__main__":
    main(*sys.argv[1:])
