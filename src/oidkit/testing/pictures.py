"""The JPEGs of a made release: coloured shapes in their boxes, on a sky and a ground."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from oidkit.testing.blocks import planted_step, random_of
from oidkit.testing.rows import BlockRows, image_sizes
from oidkit.testing.shapes import PixelBox, colour_of, draw_shape, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oidkit.catalog import Split
    from oidkit.testing.classes import MadeClass
    from oidkit.testing.spec import ReleaseSpec

__all__ = ["PictureMaker", "present_images"]

_SOI_AND_APP0 = 20
_MOST_COMMENT = 65_533
_GREY_EVERY, _GREY_AT = 41, 4
_PRESENT_STREAM, _POOL_STREAM = 2, 3


def present_images(spec: ReleaseSpec, split: Split) -> npt.NDArray[np.bool_]:
    """Give, for each image of a split, whether the bucket has its JPEG.

    A number takes first the images that surely hold a Handgun, so that the main job finds some; a
    share draws from all of them alike.
    """
    images, count = spec.images.of(split), spec.jpegs_of(split)
    rank = random_of(spec, split, 0, _PRESENT_STREAM).random(images)
    if not isinstance(spec.jpegs, float):
        rank -= np.arange(images) % planted_step(images) == 0
    present = np.zeros(images, dtype=np.bool_)
    present[np.argsort(rank, kind="stable")[:count]] = True
    return present


@dataclass(frozen=True, slots=True)
class _Scene:
    size: tuple[int, int]
    boxes: Sequence[PixelBox]
    labels: Sequence[int]


class PictureMaker:
    """Draws and encodes the JPEGs of one spec."""

    def __init__(self, spec: ReleaseSpec, classes: tuple[MadeClass, ...]) -> None:
        self._spec = spec
        self._classes = classes
        self._shapes = [shape_of(each, at) for at, each in enumerate(classes)]
        self._pool: list[bytes] = []

    def jpegs(
        self, made: BlockRows, present: npt.NDArray[np.bool_], *, exif_at: int
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (position in the block, JPEG) of the images that the bucket has.

        The image numbered *exif_at* in its split carries EXIF; no two JPEGs are the same bytes.
        """
        ends = np.searchsorted(made.image, np.arange(made.block.images + 1))
        for at in range(made.block.images):
            nth = made.block.first + at
            if not present[nth]:
                continue
            if self._spec.pictures_drawn is not None:
                plain = self._pooled(nth)
            else:
                scene = _scene_of(made, at, slice(int(ends[at]), int(ends[at + 1])))
                plain = self._drawn(scene, nth, exif=nth == exif_at)
            yield at, self._sized(plain, made, nth)

    def _drawn(self, scene: _Scene, nth: int, *, exif: bool) -> bytes:
        rng = np.random.default_rng([self._spec.seed, nth])
        picture = _background(scene.size, rng)
        draw = ImageDraw.Draw(picture)
        for box, label in zip(scene.boxes, scene.labels, strict=True):
            fill = colour_of(self._classes[label], label)
            shade = (fill[0] // 2, fill[1] // 2, fill[2] // 2)
            draw_shape(draw, self._shapes[label], box, fill=fill, hole=shade)
        if nth % _GREY_EVERY == _GREY_AT:
            picture = picture.convert("L")
        return _encoded(picture, self._spec.jpeg_quality, exif=exif)

    def _pooled(self, nth: int) -> bytes:
        size = self._spec.pictures_drawn or 1
        while len(self._pool) < size:
            self._pool.append(self._drawn(self._pool_scene(len(self._pool)), nth, exif=False))
        return self._pool[nth % size]

    def _pool_scene(self, number: int) -> _Scene:
        rng = random_of(self._spec, "train", number, _POOL_STREAM)
        sizes = image_sizes(self._spec)
        width, height = sizes[number % len(sizes)]
        box = (width // 8, height // 6, width * 7 // 8, height * 5 // 6)
        return _Scene((width, height), [box], [int(rng.integers(len(self._classes)))])

    def _sized(self, plain: bytes, made: BlockRows, nth: int) -> bytes:
        """Mark the JPEG as its image's own, and fill it up to the size that the spec wants."""
        mark = _comment(f"{made.block.split} {nth} {self._spec.seed}".encode())
        marked = plain[:_SOI_AND_APP0] + mark + plain[_SOI_AND_APP0:]
        wanted = self._spec.jpeg_bytes
        if wanted is None:
            return marked
        missing = wanted - len(marked)
        quality = self._spec.jpeg_quality
        while missing < 4 and missing != 0:
            if quality <= 5:
                raise ValueError(f"no JPEG of {wanted} bytes can hold this picture")
            quality -= 5
            marked = _requantised(marked, quality)
            missing = wanted - len(marked)
        rng = random_of(self._spec, made.block.split, nth, _POOL_STREAM)
        filling = b"".join(_filling(missing, rng))
        return marked[:_SOI_AND_APP0] + filling + marked[_SOI_AND_APP0:]


def _scene_of(made: BlockRows, at: int, rows: slice) -> _Scene:
    columns = (made.x0[rows], made.y0[rows], made.x1[rows], made.y1[rows])
    boxes = list(zip(*(column.tolist() for column in columns), strict=True))
    size = (int(made.width[at]), int(made.height[at]))
    return _Scene(size, boxes, made.label[rows].tolist())


def _background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Paint a pale sky over a darker ground, each fading downwards."""
    horizon = rng.uniform(0.45, 0.75)
    sky, ground = rng.integers(190, 250, 3), rng.integers(110, 185, 3)
    down = np.linspace(0.0, 1.0, 64)[:, None]
    colours = np.where(down < horizon, sky - 25 * down, ground + 50 * (1.0 - down))
    column = Image.fromarray(colours.astype(np.uint8)[:, None, :], "RGB")
    return column.resize(size, Image.Resampling.NEAREST)


def _encoded(picture: Image.Image, quality: int, *, exif: bool = False) -> bytes:
    out = io.BytesIO()
    if exif:
        tags = Image.Exif()
        tags[0x010F], tags[0x0110], tags[0x0112] = "oidkit", "made release", 1
        picture.save(out, "JPEG", quality=quality, exif=tags)
    else:
        picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _requantised(jpeg: bytes, quality: int) -> bytes:
    with Image.open(io.BytesIO(jpeg)) as picture:
        comment = picture.info.get("comment", b"")
        encoded = _encoded(picture, quality)
    if b"\xff\xfe" in encoded[:64]:  # Pillow keeps the comment of what it has read
        return encoded
    return encoded[:_SOI_AND_APP0] + _comment(comment) + encoded[_SOI_AND_APP0:]


def _comment(text: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text


def _filling(count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield comment segments of *count* bytes together; *count* is 0, or 4 and more."""
    while count:
        length = min(count, _MOST_COMMENT + 4)
        if 0 < count - length < 4:
            length -= 4
        yield _comment(rng.bytes(length - 4))
        count -= length
