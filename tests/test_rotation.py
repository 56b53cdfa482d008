"""Turning by quarters: numbers of rows, JPEGs and masks, each beside another way to turn them."""

from __future__ import annotations

import io
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oidkit.rotation import degrees_of, row_turner, turned_line
from oidkit.upright import is_lossless, is_turned_mask, turned_by, turned_jpeg, turned_mask
from turned_pictures import BOX, WAYS, encoded, loss, picture, pixels

# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("0.0", 0),
        ("0", 0),
        ("90", 90),
        ("90.0", 90),
        ("180.00", 180),
        (" 270.0 ", 270),
        ("", None),
        ("NaN", None),
        ("nan", None),
        ("45", None),
        ("90.5", None),
        ("-90", None),
        ("x", None),
        (None, None),
    ],
)
def test_rotation_is_read_leniently(text: str | None, degrees: int | None) -> None:
    """Every form that is published is read; what is no quarter turn is unknown."""
    assert degrees_of(text) == degrees


@given(
    x=st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
    y=st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
    degrees=st.sampled_from([90, 180, 270]),
)
def test_a_box_lies_where_its_pixels_come_to(x: list[int], y: list[int], degrees: int) -> None:
    """The oracle fills the box on a grid, turns that with numpy, and reads the box again."""
    grid = np.zeros((21, 21), dtype=bool)
    grid[y[0] : y[1] + 1, x[0] : x[1] + 1] = True
    down, across = np.nonzero(np.rot90(grid, degrees // 90))
    want = [across.min(), across.max() + 1, down.min(), down.max() + 1]
    turn = row_turner(BOX)
    assert turn is not None
    row = [str(each / 21) for each in (x[0], x[1] + 1, y[0], y[1] + 1)]
    found = [float(text) * 21 for text in turn(row, degrees)]
    assert found == pytest.approx(want, abs=1e-9)


@given(st.lists(st.decimals(0, 1, places=7).map("{:f}".format), min_size=21, max_size=21))
def test_four_quarter_turns_give_every_number_back(values: list[str]) -> None:
    """As text, digit by digit; two quarters are a half, and three are the last."""
    columns = (*BOX, *(f"Box{name}" for name in BOX), *(f"{name}1" for name in BOX), "X", "Y")
    clicks = [f"XClick{n}{axis}" for axis in "XY" for n in (1, 2, 3)]
    turn = row_turner([*columns, *clicks, "Clicks"])
    assert turn is not None
    row = [*values[: len(columns) + 6], ";".join(f"{each} {values[0]} 1" for each in values)]
    seen = [row]
    for _ in range(4):
        seen.append(turn(seen[-1], 90))
    assert seen[4] == row
    assert turn(row, 180) == seen[2]
    assert turn(row, 270) == seen[3]
    assert turn(row, 0) == row


def test_columns_of_every_file() -> None:
    """Real rows: decimals stay as many, -1 stays unknown, and nothing else is touched."""

    def turned(columns: str, row: str, degrees: int) -> str:
        turn = row_turner(columns.split(","))
        assert turn is not None
        return ",".join(turn(row.split(","), degrees))

    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded"
    row = "0001eeaf4aed83f9,xclick,/m/0cmf2,1,0.022673031,0.9642005,0.07103825,0.80054647,0"
    assert turned(head, row, 90) == (
        "0001eeaf4aed83f9,xclick,/m/0cmf2,1,0.07103825,0.80054647,0.0357995,0.977326969,0"
    )
    clicks = ",".join(f"XClick{n}{axis}" for axis in "XY" for n in range(1, 5))
    assert turned(clicks, "0.1,0.20,0,1,0.5,0.6,0.7,0.8", 180) == "0.9,0.80,1,0,0.5,0.4,0.3,0.2"
    assert turned(clicks, "-1,-1,-1,-1,-1,-1,-1,-1", 90) == "-1,-1,-1,-1,-1,-1,-1,-1"
    assert turned("BoxXMin,BoxXMax,BoxYMin,BoxYMax,Clicks", "0,1,0.25,0.5,", 270) == "0.5,0.75,0,1,"
    assert turned("Clicks", "0.95498 0.65197 1;0.5 x 0;;0.1 0.2", 90) == (
        "0.65197 0.04502 1;0.5 x 0;;0.2 0.9"
    )
    pair = "XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel"
    assert turned(pair, "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,at", 90) == (
        "0.3,0.4,0.8,0.9,0.7,0.8,0.4,0.5,at"
    )
    assert turned("ImageId,X,Y,Label", "a,0.25,0.75,/m/0", 270) == "a,0.25,0.25,/m/0"
    assert turned("XMin,XMax,YMin,YMax", "0.5,0.5,0.5,0.7", 90) == "0.5,0.7,0.5,0.5"
    assert turned("X,Y", "1e-7,1e999999", 90) == "1e-7,1e999999"
    assert row_turner(["ImageID", "Source", "LabelName", "Confidence"]) is None


def test_a_narrative_keeps_all_but_its_traces() -> None:
    """Traces turn, also beyond the image; words that look like a trace stay as all else."""
    caption = 'a {"x": 0.1, "y": 0.2} \\ "quoted" {x} é'
    made: dict[str, Any] = {
        "image_id": "0001eeaf4aed83f9",
        "caption": caption,
        "timed_caption": [{"utterance": '{"x":1,"y":2}', "start_time": 0.5, "end_time": 1.0}],
        "traces": [[{"x": 0.25, "y": -0.125, "t": 0.0}, {"x": 1.5, "y": 1, "t": 1e-05}], []],
        "voice_recording": "x",
    }
    for line in (json.dumps(made), json.dumps(made, ensure_ascii=False, separators=(",", ":"))):
        found = json.loads(turned_line(line, 90))
        want = made | {
            "traces": [[{"x": -0.125, "y": 0.75, "t": 0.0}, {"x": 1, "y": -0.5, "t": 1e-05}], []]
        }
        assert found == want
        assert turned_line(turned_line(line, 270), 90) == line
        assert turned_line(line, 0) == line


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("size", [(128, 96), (128, 83), (61, 128), (1, 1)])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"subsampling": 2}),
        ("RGB", {"subsampling": 1, "progressive": True}),
        ("RGB", {"subsampling": 0}),
        ("L", {}),
        ("CMYK", {}),
    ],
)
def test_a_jpeg_is_turned_as_pillow_turns_it(
    degrees: int, size: tuple[int, int], mode: str, options: dict[str, Any]
) -> None:
    """Every kind and size comes out as Pillow rotates it, the same mode, and whole."""
    data = encoded(picture(size, mode), **options)
    made = turned_jpeg(data, degrees)
    assert loss(data, made, degrees) > 36
    with Image.open(io.BytesIO(made)) as image:
        assert image.mode == mode
    assert (turned_by(data), turned_by(made)) == (0, degrees)
    assert turned_jpeg(data, degrees) == made


@pytest.mark.skipif(not is_lossless(), reason="jpeglib, the extra 'upright', is not installed")
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_whole_blocks_are_turned_without_loss(subsampling: int) -> None:
    """Four quarter turns give every pixel back; one is within the rounding of a decoder."""
    data = encoded(picture((128, 96)), subsampling=subsampling)
    made = data
    for _ in range(4):
        made = turned_jpeg(made, 90)
    assert (pixels(made) == pixels(data)).all()
    assert (pixels(turned_jpeg(turned_jpeg(data, 180), 180)) == pixels(data)).all()
    assert (pixels(turned_jpeg(turned_jpeg(data, 270), 90)) == pixels(data)).all()
    assert loss(data, turned_jpeg(data, 90), 90) > 48
    narrow = encoded(picture((128, 83)), subsampling=subsampling)
    assert (pixels(turned_jpeg(turned_jpeg(narrow, 90), 270)) == pixels(narrow)).all()


def test_what_an_author_wrote_stays_but_no_orientation() -> None:
    """Comment, colour profile and EXIF are kept; an EXIF orientation would turn it once more."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "maker", 6
    note = "turned by 180 degrees counter-clockwise by oidkit"
    data = encoded(picture((64, 48)), exif=tags, comment=note, icc_profile=b"profile")
    made = turned_jpeg(data, 90)
    with Image.open(io.BytesIO(made)) as image:
        exif = image.getexif()
        assert (exif[0x010F], exif[0x0112]) == ("maker", 1)
        assert image.info["icc_profile"] == b"profile"
    assert note.encode() in made
    assert turned_by(made) == 90


def test_a_mask_covers_the_same_as_before() -> None:
    """As Pillow rotates it, in one bit, whatever kind of PNG it was; and it says what it is of."""
    grid = np.zeros((37, 61), dtype=np.uint8)
    grid[3:20, 40:61] = 255
    for mode in ("1", "L", "RGB"):
        out = io.BytesIO()
        Image.fromarray(grid).convert(mode).save(out, "PNG")
        for degrees in WAYS:
            made = turned_mask(out.getvalue(), degrees)
            with Image.open(io.BytesIO(made)) as image:
                assert image.mode == "1"
                assert (np.asarray(image) == (np.rot90(grid, degrees // 90) > 0)).all()
            crc = zlib.crc32(out.getvalue())
            assert is_turned_mask(made, degrees, crc32=crc)
            assert not is_turned_mask(made, (degrees + 90) % 360, crc32=crc)
            assert not is_turned_mask(made, degrees, crc32=crc ^ 1)
            assert not is_turned_mask(made[:-20], degrees, crc32=crc)
