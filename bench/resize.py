"""How many pictures a second an export resizes, beside the loops of Pillow and OpenCV, in one run.

    python bench/resize.py FOLDER [SIZE] [ROUNDS]

FOLDER holds JPEGs at any depth, such as ``images/`` of a dataset. oidkit's way is what
``oid export --format csv --image-size SIZE --processes 1`` does for each picture: the same code,
with boxes moved and entries made. The other loops do no more than a script of one's own would:
read, decode, resize with a filter that skips no pixel, encode at the same quality, write. All
write into a folder of their own, take turns, and have one thread each. Times are of the processor.
Without OpenCV (opencv-python-headless) Pillow stands alone.
"""

from __future__ import annotations

import io
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from oidkit.formats.flat import FlatCsv
from oidkit.formats.frames import Resizing, frame_of
from oidkit.formats.making import Making
from oidkit.formats.model import Flags, Picture, Thing

if TYPE_CHECKING:
    from collections.abc import Callable

_QUALITY = 90
_THINGS = tuple(
    Thing(0, "/m/0bt9lr", (0.1 * at, 0.2, 0.1 * at + 0.3, 0.9), None, Flags(), at)
    for at in range(5)
)
"""Five boxes on each picture, as an export of Open Images has on the average."""


def by_oidkit(pictures: list[Picture], size: int, out: Path) -> None:
    """Do what a worker of an export does."""
    Making(FlatCsv(), Resizing(size, quality=_QUALITY), out).make(pictures)


def by_pillow(pictures: list[Picture], size: int, out: Path) -> None:
    """Use Pillow's own way to make thumbnails: draft, reducing_gap and bicubic, its default."""
    for each in pictures:
        with Image.open(str(each.path)) as picture:
            picture.thumbnail((size, size))
            picture.convert("RGB").save(out / f"{each.image_id}.jpg", quality=_QUALITY)


def by_pillow_hamming(pictures: list[Picture], size: int, out: Path) -> None:
    """Use Pillow with the fastest filter that looks at every pixel and is sharp."""
    for each in pictures:
        frame = frame_of(each.width, each.height, Resizing(size))
        with Image.open(str(each.path)) as picture:
            picture.draft("RGB", (frame.width, frame.height))
            made = picture.resize((frame.width, frame.height), Image.Resampling.HAMMING)
            made.convert("RGB").save(out / f"{each.image_id}.jpg", quality=_QUALITY)


def by_opencv(pictures: list[Picture], size: int, out: Path) -> None:
    """Use OpenCV with its filter for making smaller."""
    import cv2

    for each in pictures:
        frame = frame_of(each.width, each.height, Resizing(size))
        pixels = cv2.imread(str(each.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        made = cv2.resize(pixels, (frame.width, frame.height), interpolation=cv2.INTER_AREA)
        place = str(out / f"{each.image_id}.jpg")
        cv2.imwrite(place, made, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def pictures_of(folder: str) -> list[Picture]:
    """Give the JPEGs of a folder that can be decoded."""
    found = []
    for path in sorted(Path(folder).rglob("*.jpg")):
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as picture:
                width, height = picture.size
                picture.load()
        except OSError:
            continue
        found.append(Picture("train", path.stem, path, width, height, _THINGS))
    return found


def main(folder: str, size: str = "640", rounds: str = "5") -> None:
    """Compare the ways, and print pictures a second of each."""
    pictures = pictures_of(folder)
    if not pictures:
        sys.exit(f"there is no JPEG in {folder}; give the folder images/ of a download")
    ways: dict[str, Callable[[list[Picture], int, Path], None]] = {
        "oidkit": by_oidkit,
        "pillow, thumbnail": by_pillow,
        "pillow, hamming": by_pillow_hamming,
    }
    try:
        import cv2
    except ImportError:
        print("OpenCV is not installed", file=sys.stderr)
    else:
        cv2.setNumThreads(1)
        ways["opencv, area"] = by_opencv
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as made:
        for _ in range(int(rounds)):
            for name, way in ways.items():
                out = Path(made) / "out"
                out.mkdir()
                begun = time.process_time()
                way(pictures, int(size), out)
                rates[name].append(len(pictures) / (time.process_time() - begun))
                shutil.rmtree(out)
    for name, found in rates.items():
        print(f"{name:18} {statistics.median(found):6.1f} pictures/s  (best {max(found):.1f})")
    ours = rates.pop("oidkit")
    best = max(rates, key=lambda name: statistics.median(rates[name]))
    share = statistics.median(one / other for one, other in zip(ours, rates[best], strict=True))
    print(f"oidkit has {share:.0%} of the rate of {best}; {len(pictures)} pictures, {size} pixels")


if __name__ == "__main__":
    main(*sys.argv[1:])
