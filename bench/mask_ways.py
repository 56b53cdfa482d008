"""Masks to COCO's run lengths or to polygons, in one way, in one process.

    python bench/mask_ways.py WAY FOLDER PART PARTS TIMES

Takes every PARTS-th mask (PNG) of FOLDER from the PART-th on, reads it into memory, and converts
it TIMES times at the size of its image, 1024 pixels on the longest side. Prints JSON: seconds, and
those of the processor, of the converting alone, and a digest of what came out.

- pillow: `PIL.Image.resize`, `numpy.asfortranarray`, `pycocotools.mask.encode`.
- fiftyone (voxel51/fiftyone, fiftyone/utils/coco.py): the mask drawn at the size of the image; for
  run lengths the lengths of `itertools.groupby` over its pixels down the columns, for polygons
  `skimage.measure.find_contours` at 0.5 around a border and `approximate_polygon` to 2 pixels.
- opencv: `cv2.findContours` of the mask as it is, with holes, as in most converters for YOLO.
- decode: `PIL.Image` decodes the PNG, and no more.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[bytes, int, int], object]

_LONGEST = 1024


def _pixels(data: bytes, width: int, height: int) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data)) as mask:
        resized = mask.resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized)


def pillow_rle() -> Way:
    """Prepare Pillow and pycocotools."""
    import numpy as np
    from pycocotools import mask as coco

    def way(data: bytes, width: int, height: int) -> object:
        pixels = np.asfortranarray(_pixels(data, width, height), dtype=np.uint8)
        return coco.encode(pixels)["counts"].decode()

    return way


def fiftyone_rle() -> Way:
    """Prepare FiftyOne's way to run lengths."""

    def way(data: bytes, width: int, height: int) -> object:
        counts = []
        pixels = _pixels(data, width, height).ravel(order="F")
        for at, (value, run) in enumerate(groupby(pixels)):
            if at == 0 and value:
                counts.append(0)
            counts.append(len(list(run)))
        return counts

    return way


def fiftyone_polygons() -> Way:
    """Prepare FiftyOne's way to polygons."""
    import numpy as np
    from skimage import measure

    def way(data: bytes, width: int, height: int) -> object:
        padded = np.pad(_pixels(data, width, height), 1)
        outlines = [
            measure.approximate_polygon(c - 1, 2) for c in measure.find_contours(padded, 0.5)
        ]
        return [np.flip(each, axis=1).ravel().tolist() for each in outlines if len(each) > 2]

    return way


def opencv_polygons() -> Way:
    """Prepare OpenCV's contours."""
    import cv2
    import numpy as np

    def way(data: bytes, width: int, height: int) -> object:
        pixels = _pixels(data, width, height).astype(np.uint8)
        found, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        return [each.ravel().tolist() for each in found if len(each) > 2]

    return way


def decode() -> Way:
    """Prepare the floor."""
    from PIL import Image

    def way(data: bytes, width: int, height: int) -> object:
        with Image.open(io.BytesIO(data)) as mask:
            mask.load()
        return (width, height)

    return way


def _runs() -> Callable[[bytes, int, int], Any]:
    from oidkit.formats.masks import runs
    from oidkit.formats.model import Frame, Picture

    def way(data: bytes, width: int, height: int) -> Any:
        picture = Picture("train", "0" * 16, Path("0.jpg"), width, height)
        return runs(data, picture, Frame(width, height))

    return way


def ours_rle() -> Way:
    """Prepare oidkit's run lengths."""
    way = _runs()
    return lambda data, width, height: way(data, width, height).rle["counts"]


def ours_polygons() -> Way:
    """Prepare oidkit's polygons."""
    from oidkit.formats.outlines import polygons

    way = _runs()
    return lambda data, width, height: polygons(way(data, width, height).pixels)


_WAYS = {
    each.__name__: each
    for each in (
        pillow_rle,
        fiftyone_rle,
        fiftyone_polygons,
        opencv_polygons,
        decode,
        ours_rle,
        ours_polygons,
    )
}


def main() -> None:
    """Convert, and say what it took."""
    name, folder, part, parts, times = sys.argv[1:]
    work = []
    for path in sorted(Path(folder).glob("*.png"))[int(part) :: int(parts)]:
        data = path.read_bytes()
        sides = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]
        scale = _LONGEST / max(sides)
        work.append((data, round(sides[0] * scale), round(sides[1] * scale)))
    way = _WAYS[name]()
    digest = hashlib.sha256(json.dumps([way(*each) for each in work]).encode()).hexdigest()
    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(int(times)):
        for each in work:
            way(*each)
    took, used = time.perf_counter() - begun, time.process_time() - cpu
    print(json.dumps({"seconds": took, "cpu": used, "digest": digest}))


if __name__ == "__main__":
    main()
