"""Masks in the pixels of their picture: from a published PNG to pixels, runs and COCO's RLE.

A published mask seldom has the size of its image, so each is resized on the way, to the picture
that is written, by the nearest pixel. The rule is that of `PIL.Image.resize` with `NEAREST`, to the
pixel: a written pixel takes the mask's pixel that its centre falls into, each axis by itself. The
shapes need not agree, as many masks are off by a pixel.

A mask is mostly empty. What lies around the object is cut away while the pixels are still packed,
8 to a byte, and everything after that looks at the rest only.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from oidkit.decoding import LARGEST_MASK, UndecodableError, opened
from oidkit.errors import MalformedError
from oidkit.imagefile import png_size

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from oidkit.formats.model import Frame, Picture, Thing
    from oidkit.objectpath import Location

    Pixels = npt.NDArray[np.bool_]
    Bytes = npt.NDArray[np.uint8]
    Numbers = npt.NDArray[np.int64]

__all__ = [
    "LEFT_OUT",
    "Rle",
    "Runs",
    "box_of",
    "mask_of",
    "nearest",
    "notes_of",
    "runs",
]

_IHDR = slice(24, 29)
_PLAIN = b"\x01\x00\x00\x00\x00"
"""One bit, grey, deflated, the usual filters, not interlaced: what all published masks are."""
_CHUNKS = 8
_LARGEST = 1 << 18
"""A larger file is no published mask, and may unfold to much: Pillow says how much is fine."""
_MOST_ROWS = 1 << 24
"""More bytes of pixels no mask has; a damaged header asks for more than there is memory."""
_HALF = 128
# COCO writes a number in groups of five bits, the sixth says that more follow, and adds 48 to make
# a character of it (rleToString in maskApi.c of pycocotools).
_BITS, _MORE, _ZERO = 5, 32, 48


LEFT_OUT = {
    "empty": "masks that have no pixel left at the size of their picture: {n:,}",
    "damaged": "masks that cannot be read and were left out (see: oid verify DIR): {n:,}",
}
"""What `mask_of` counts, and what the user is told of it."""


class Rle(TypedDict):
    """A mask as COCO's compressed run lengths: [height, width], and the runs down the columns."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask as the runs of set pixels down its columns, one column after the other.

    `places` are where runs begin and end, in turn: a pixel is ``x * height + y``, the end of a run
    is the first pixel behind it. No two runs touch.
    """

    height: int
    width: int
    places: Numbers

    @property
    def area(self) -> int:
        """Give the number of set pixels."""
        return int((self.places[1::2] - self.places[::2]).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Give x, y, width and height of the set pixels; four times 0 where there is none."""
        if not len(self.places):
            return 0, 0, 0, 0
        first, last = self.places[::2], self.places[1::2] - 1
        left, right = int(first[0]) // self.height, int(last[-1]) // self.height
        if (first // self.height != last // self.height).any():
            # A run goes from the foot of a column on to the head of the next.
            return left, 0, right - left + 1, self.height
        top, bottom = int((first % self.height).min()), int((last % self.height).max())
        return left, top, right - left + 1, bottom - top + 1

    @property
    def counts(self) -> Numbers:
        """Give the lengths of the runs, unset and set in turn; the first may be 0."""
        import numpy as np

        total = self.height * self.width
        ends = self.places if len(self.places) and self.places[-1] == total else None
        if ends is None:
            ends = np.append(self.places, total)
        return np.diff(ends, prepend=0)

    @property
    def pixels(self) -> Pixels:
        """Give the mask as pixels of shape (height, width)."""
        import numpy as np

        counts = self.counts
        flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return flat.reshape(self.width, self.height).T

    @property
    def rle(self) -> Rle:
        """Give the mask as COCO's compressed run lengths."""
        return {"size": [self.height, self.width], "counts": _written(self.counts)}


def mask_of(thing: Thing, picture: Picture, frame: Frame, told: Counter[str]) -> Runs | None:
    """Give the mask of an object, or None where it has none, an empty or a damaged one.

    The last two are counted in *told*, by the keys of `LEFT_OUT`.

    Raises:
        OSError: the file cannot be read.

    """
    if thing.mask is None:
        return None
    try:
        found = runs(thing.mask, picture, frame)
    except MalformedError:
        told["damaged"] += 1
        return None
    if not len(found.places):
        told["empty"] += 1
        return None
    return found


def box_of(
    thing: Thing, picture: Picture, frame: Frame, shape: Runs | None
) -> tuple[float, float, float, float] | None:
    """Give (xmin, ymin, xmax, ymax) of an object in pixels of the written picture, half-open.

    It is that of its box, else that of the *shape*, its mask; None where it has neither.
    """
    if thing.box is not None:
        return frame.box(picture, thing.box)
    if shape is None:
        return None
    x, y, width, height = map(float, shape.box)
    return x, y, x + width, y + height


def notes_of(told: Mapping[str, int], texts: Mapping[str, str] = LEFT_OUT) -> list[str]:
    """Give the sentences for what was counted, by default of masks that were left out."""
    return [text.format(n=told[key]) for key, text in texts.items() if told.get(key)]


def runs(mask: bytes | Location, picture: Picture, frame: Frame) -> Runs:
    """Give the runs of a published mask, a PNG, in the pixels of the written picture.

    Raises:
        MalformedError: it is not a PNG, or is damaged.
        OSError: it cannot be read.

    """
    crop = _crop(mask, picture, frame)
    return _runs(crop, frame.height, frame.width)


@lru_cache(maxsize=64)
def nearest(count: int, size: int) -> Numbers:
    """Give for each of *count* pixels the one of *size* that its centre falls into, on one axis.

    Steps are added up as Pillow does, so that centres on the edge of two pixels go the same way.
    """
    import numpy as np

    steps = np.full(count, size / count)
    steps[0] /= 2
    places: Numbers = np.cumsum(steps).astype(np.int64)
    return np.minimum(places, size - 1)


class _Crop(NamedTuple):
    """The set part of a mask: where it lies, and its pixels by x and y; any but 0 are set."""

    left: int
    top: int
    inner: Bytes


def _crop(mask: bytes | Location, picture: Picture, frame: Frame) -> _Crop:
    """Cut the set part out of a mask and resize it."""
    import numpy as np

    packed, width, height = _packed(mask)
    # The place of the picture within what is written; a letterbox has a border around it.
    left, top = round(frame.offset_x), round(frame.offset_y)
    across = nearest(round(picture.width * frame.scale_x), width)
    down = nearest(round(picture.height * frame.scale_y), height)
    lines = np.flatnonzero(np.bitwise_or.reduce(packed, axis=1))
    if not len(lines):
        return _Crop(0, 0, np.zeros((0, 0), np.uint8))
    used = np.flatnonzero(np.bitwise_or.reduce(packed[lines[0] : lines[-1] + 1], axis=0))
    first, last = int(used[0]), int(used[-1]) + 1
    y0, y1 = np.searchsorted(down, (lines[0], lines[-1] + 1))
    x0, x1 = np.searchsorted(across, (first * 8, last * 8))
    # Column by column from here on, as the runs go: whole lines are copied, and no bit is unpacked.
    columns = np.ascontiguousarray(packed[down[y0:y1], first:last].T)
    wanted = across[x0:x1]
    bits = np.right_shift(_HALF, wanted % 8).astype(np.uint8)
    inner = columns[wanted // 8 - first] & bits[:, None]
    return _Crop(left + int(x0), top + int(y0), inner)


def _runs(crop: _Crop, height: int, width: int) -> Runs:
    """Find the runs down the columns; *height* and *width* are those of the whole."""
    import numpy as np

    left, top, inner = crop
    wide, deep = inner.shape
    # An unset pixel above each column and one behind the last: no run goes on into the next.
    columns = np.zeros(wide * (deep + 1) + 1, np.bool_)
    columns[:-1].reshape(wide, deep + 1)[:, 1:] = inner != 0
    column, row = np.divmod(np.flatnonzero(columns[1:] != columns[:-1]), deep + 1)
    places: Numbers = (left + column) * height + (top + row)
    if deep == height and len(places):
        apart = places[1:-1:2] != places[2::2]
        places = places[np.concatenate(([True], np.repeat(apart, 2), [True]))]
    return Runs(height, width, places)


def _packed(mask: bytes | Location) -> tuple[Bytes, int, int]:
    """Give the rows of a mask, 8 pixels to a byte, and its width and height."""
    import numpy as np

    data = mask if isinstance(mask, bytes) else mask.read_bytes()
    name = "a mask" if isinstance(mask, bytes) else mask.name
    width, height = png_size(data)
    if width and data[_IHDR] == _PLAIN and len(data) <= _LARGEST:
        stride = 1 + (width + 7) // 8
        raw = _inflated(data, stride * height)
        if len(raw) == stride * height:
            rows = np.frombuffer(raw, np.uint8).reshape(height, stride)
            # The first byte of a row says how it was filtered; published masks are not.
            if not rows[:, 0].any():
                return _without_spare(rows[:, 1:], width), width, height
    return _by_pillow(data, name)


def _by_pillow(data: bytes, name: str) -> tuple[Bytes, int, int]:
    """Read a mask of any other kind; what is at least half as bright as white is set."""
    import numpy as np

    try:
        with opened(data, formats=("PNG",), most=LARGEST_MASK) as image:
            grey = np.asarray(image.convert("L"))
    except UndecodableError as error:
        raise MalformedError(
            f"{name} is not a PNG that can be read",
            remedy="bring it back with: oid verify DIR --repair",
        ) from error
    height, width = grey.shape
    return np.packbits(grey >= _HALF, axis=1), width, height


def _inflated(data: bytes, size: int) -> bytes:
    """Give the rows that a PNG holds, which should be *size* bytes; nothing if it is damaged."""
    if size > _MOST_ROWS:
        return b""
    place, parts = _CHUNKS, []
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"IDAT":
            parts.append(data[place + 8 : place + 8 + length])
        place += 12 + length
    try:
        # A byte more than there should be shows that there is more, and a bomb does not go off.
        return zlib.decompressobj().decompress(b"".join(parts), size + 1)
    except zlib.error:
        return b""


def _without_spare(packed: Bytes, width: int) -> Bytes:
    """Clear the bits behind the last pixel of each row, which may be anything."""
    spare = 0xFF >> width % 8
    if not width % 8 or not (packed[:, -1] & spare).any():
        return packed
    cleared = packed.copy()
    cleared[:, -1] &= 0xFF ^ spare
    return cleared


def _written(counts: Numbers) -> str:
    """Write run lengths as COCO's characters; from the fourth on, each less the one two before."""
    import numpy as np

    numbers = counts.copy()
    numbers[3:] -= counts[1:-2]
    # So many groups that the sign is in the topmost bit of the last.
    sizes = np.where(numbers < 0, ~numbers, numbers)
    groups = np.ones(len(numbers), np.int64)
    most = 1
    while (longer := sizes >> (_BITS * most - 1) > 0).any():
        groups += longer
        most += 1
    at = np.arange(most)
    letters = (numbers[:, None] >> (_BITS * at)) & (_MORE - 1)
    letters[at < groups[:, None] - 1] += _MORE
    chosen = letters[at < groups[:, None]] + _ZERO
    return chosen.astype(np.uint8).tobytes().decode("ascii")
