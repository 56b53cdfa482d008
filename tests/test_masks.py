"""Masks in the pixels of their picture: against Pillow for pixels, pycocotools for run lengths."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco

from oidkit.errors import MalformedError
from oidkit.formats.masks import Runs, nearest, runs
from oidkit.formats.model import Frame, Picture
from real_masks import real_masks, whole

if TYPE_CHECKING:
    import numpy.typing as npt

small = arrays(
    np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()
) | arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)), fill=st.booleans())


def _picture(width: int, height: int) -> Picture:
    return Picture("train", "0" * 16, Path("none.jpg"), width, height)


def _png(mask: npt.NDArray[np.bool_], **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(mask).convert("1").save(out, "PNG", **options)
    return out.getvalue()


def _runs_of(mask: npt.NDArray[np.bool_]) -> Runs:
    height, width = mask.shape
    return runs(_png(mask), _picture(width, height), Frame(width, height))


def _by_pillow(png: bytes, width: int, height: int) -> npt.NDArray[np.bool_]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)) > 0


def _by_coco(mask: npt.NDArray[np.bool_]) -> dict[str, object]:
    made = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": made["size"], "counts": made["counts"].decode()}


def test_every_real_mask_has_the_pixels_that_pillow_gives_it(sample: Path) -> None:
    """Each published mask, resized to its image and to odd sizes, is Pillow's to the pixel."""
    masks = real_masks(sample)
    assert len(masks) == 15
    for png, picture in masks:
        for width, height in ((picture.width, picture.height), (640, 427), (37, 511), (1, 1)):
            ours = runs(png, _picture(width, height), Frame(width, height)).pixels
            assert ours.shape == (height, width)
            assert np.array_equal(ours, _by_pillow(png, width, height))


def test_every_real_mask_has_the_run_lengths_that_pycocotools_gives_it(sample: Path) -> None:
    """RLE, area and bounds of each published mask are those of pycocotools on Pillow's pixels."""
    for png, picture in real_masks(sample):
        expected = _by_coco(_by_pillow(png, picture.width, picture.height))
        ours = runs(png, picture, whole(picture))
        assert ours.rle == expected
        assert ours.area == int(coco.area(expected))
        assert list(ours.box) == coco.toBbox(expected).tolist()


@given(small)
def test_run_lengths_of_any_mask_are_those_of_pycocotools(mask: npt.NDArray[np.bool_]) -> None:
    """Full and empty columns, noise and blanks: run lengths, area and bounds agree."""
    expected = _by_coco(mask)
    ours = _runs_of(mask)
    assert ours.rle == expected
    assert ours.area == int(mask.sum())
    assert np.array_equal(ours.pixels, mask)
    assert list(ours.box) == (coco.toBbox(expected).tolist() if mask.any() else [0, 0, 0, 0])


@given(small, st.integers(1, 50), st.integers(1, 50))
def test_any_mask_is_resized_as_pillow_resizes(
    mask: npt.NDArray[np.bool_], width: int, height: int
) -> None:
    """A made PNG of any size becomes any other size as Pillow makes it."""
    png = _png(mask)
    ours = runs(png, _picture(width, height), Frame(width, height)).pixels
    assert np.array_equal(ours, _by_pillow(png, width, height))
    assert runs(png, _picture(width, height), Frame(width, height)).rle == _by_coco(ours)


@pytest.mark.parametrize(("count", "size"), [(1024, 1600), (683, 1066), (3, 1000), (1000, 3)])
def test_the_nearest_pixel_is_the_one_that_the_centre_falls_into(count: int, size: int) -> None:
    """The rule, in whole numbers; only a centre right on an edge may go either way."""
    for at, place in enumerate(nearest(count, size).tolist()):
        whole_part, rest = divmod((2 * at + 1) * size, 2 * count)
        assert place == whole_part or (rest == 0 and place == whole_part - 1)


def test_a_letterbox_moves_the_mask_and_leaves_the_border_empty(sample: Path) -> None:
    """In a letterbox the mask lies where the picture lies, and nothing is set beside it."""
    png, picture = next(
        each for each in real_masks(sample) if (each[1].width, each[1].height) == (1024, 683)
    )
    frame = Frame(640, 640, 640 / 1024, 427 / 683, 0.0, 106.0)
    expected = np.zeros((640, 640), np.bool_)
    expected[106 : 106 + 427] = _by_pillow(png, 640, 427)
    assert np.array_equal(runs(png, picture, frame).pixels, expected)
    assert runs(png, picture, frame).rle == _by_coco(expected)


def test_a_mask_may_be_any_kind_of_png(tmp_path: Path) -> None:
    """Grey, coloured, filtered and with spare bits that are set: the pixels are the same."""
    mask = np.random.default_rng(1).random((21, 37)) < 0.4
    picture, frame = _picture(37, 21), Frame(37, 21)
    plain = _png(mask)
    grey, colour = io.BytesIO(), io.BytesIO()
    Image.fromarray(mask).convert("L").save(grey, "PNG")
    Image.fromarray(mask).convert("RGB").save(colour, "PNG")
    packed = np.packbits(mask, axis=1)
    packed[:, -1] |= 0b111
    up = packed.copy()
    up[1:] -= packed[:-1]
    for png in (
        plain,
        grey.getvalue(),
        colour.getvalue(),
        _rewritten(plain, packed, 0),
        _rewritten(plain, up, 2),
    ):
        assert np.array_equal(runs(png, picture, frame).pixels, mask)
    path = tmp_path / "mask.png"
    path.write_bytes(plain)
    assert np.array_equal(runs(path, picture, frame).pixels, mask)


def _rewritten(png: bytes, packed: npt.NDArray[np.uint8], kind: int) -> bytes:
    """Give a PNG with other rows, of one kind of filter."""
    raw = b"".join(bytes([kind]) + row.tobytes() for row in packed)
    made = png[:33]
    for name, body in ((b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
        check = zlib.crc32(name + body).to_bytes(4, "big")
        made += len(body).to_bytes(4, "big") + name + body + check
    return made


@pytest.mark.parametrize("harm", ["cut", "text", "empty"])
def test_a_damaged_mask_is_named_with_what_to_do(sample: Path, tmp_path: Path, harm: str) -> None:
    """A mask that is cut short or no PNG at all ends in one sentence with its name."""
    png, picture = real_masks(sample)[0]
    path = tmp_path / "mask.png"
    path.write_bytes({"cut": png[: len(png) // 2], "text": b"<html>", "empty": b""}[harm])
    with pytest.raises(MalformedError, match=r"mask\.png .* oid verify DIR --repair"):
        runs(path, picture, whole(picture))


def test_an_empty_and_a_full_mask_have_run_lengths() -> None:
    """Nothing set is one run, all set is a run of nothing and one of everything."""
    assert _runs_of(np.zeros((3, 4), np.bool_)).counts.tolist() == [12]
    assert _runs_of(np.ones((3, 4), np.bool_)).counts.tolist() == [0, 12]
    assert _runs_of(np.ones((3, 4), np.bool_)).box == (0, 0, 4, 3)
