"""`--upright`: pictures, masks and coordinates that are turned, and fit each other as before."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import random
import shutil
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mirrors import environment, run, start, tree
from oidkit.api import Settings, download, plan, verify
from oidkit.cli import main
from oidkit.errors import UsageError
from oidkit.events import Event, Warned
from oidkit.recipe import Recipe
from oidkit.rotation import degrees_of, row_turner, turned_line
from oidkit.selection import Selection
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release
from oidkit.upright import is_lossless, is_turned_mask, turned_by, turned_jpeg, turned_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

WAYS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
BOX = ("XMin", "XMax", "YMin", "YMax")
SPEC = dataclasses.replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(60, 16, 16),
    long_side=128,
    jpeg_quality=90,
)
ROTATIONS = ("90.0", "0.0", "180", "NaN", "270.0", "", "0", "90")
WANTED = Selection(("Handgun", "Person"), splits=("train", "test"), upright=True)


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


# -- pictures ------------------------------------------------------------------------------------


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Make a smooth picture that looks different from every side."""
    rng = np.random.default_rng(size)
    small = rng.integers(0, 255, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, **options: Any) -> bytes:
    """Encode as JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


def pixels(data: bytes) -> npt.NDArray[np.float64]:
    """Decode."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(np.float64)


def loss(data: bytes, made: bytes, degrees: int) -> float:
    """Give the peak signal-to-noise ratio (dB) to what Pillow makes of the decoded picture."""
    with Image.open(io.BytesIO(data)) as image:
        want = np.asarray(image.rotate(degrees, expand=True)).astype(np.float64)
    found = pixels(made)
    assert found.shape == want.shape
    return float(10 * np.log10(255**2 / max(((found - want) ** 2).mean(), 1e-9)))


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


# -- a folder ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release whose images are turned in every way that is published."""
    root = make_release(tmp_path_factory.mktemp("mirror"), SPEC).root
    for path in root.rglob("*-with-rotation.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        rows.sort()
        for at, row in enumerate(rows):
            row[-1] = ROTATIONS[at % len(ROTATIONS)]
        random.Random(0).shuffle(rows)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return root


@pytest.fixture(scope="module")
def server(mirror: Path) -> Iterator[MirrorServer]:
    """Serve it."""
    with MirrorServer(mirror) as running:
        yield running


@pytest.fixture(scope="module")
def settings(server: MirrorServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Read from the server."""
    return Settings(source=server.url, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def plain(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download as published."""
    out = tmp_path_factory.mktemp("plain") / "out"
    download(dataclasses.replace(WANTED, upright=False), out, settings=settings)
    return out


@pytest.fixture(scope="module")
def whole(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download upright; nobody may change it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert download(WANTED, out, settings=settings).exit_code == 0
    return out


def rotations(out: Path) -> dict[str, str]:
    """Read what the list says of each image of a folder."""
    with (out / "attribution.csv").open(newline="", encoding="utf-8") as file:
        return {row["ImageID"]: row["Rotation"] for row in csv.DictReader(file)}


def by(out: Path, path: str) -> int:
    """Say how an image or mask has to be turned, by another program than ours."""
    text = rotations(out)[Path(path).name[:16]]
    return int(float(text)) if text not in ("", "NaN") else 0


def slowly(row: dict[str, str], degrees: int, front: str) -> dict[str, float]:
    """Turn a box by its corners, in floats, a quarter at a time."""
    x0, x1, y0, y1 = (float(row[front + name]) for name in BOX)
    for _ in range(degrees // 90):
        x0, x1, y0, y1 = y0, y1, 1 - x1, 1 - x0
    return dict(zip(BOX, (x0, x1, y0, y1), strict=True))


def test_every_file_is_as_published_but_turned(whole: Path, plain: Path) -> None:
    """Images and masks are the published ones, turned; of rotation 0, byte for byte."""
    found, published = tree(whole), tree(plain)
    files = [path for path in published if path.endswith((".jpg", ".png"))]
    assert [path for path in found if path.endswith((".jpg", ".png"))] == files
    seen = {"jpg": set[int](), "png": set[int]()}
    for path in files:
        degrees = by(whole, path)
        seen[path[-3:]].add(degrees)
        if not degrees:
            assert found[path] == published[path]
        elif path.endswith(".jpg"):
            assert loss(published[path], found[path], degrees) > 30
        else:
            want = np.rot90(pixels(published[path]), degrees // 90)
            assert (pixels(found[path]) == want).all()
    assert seen == {"jpg": {0, 90, 180, 270}, "png": {0, 90, 180, 270}}


def test_every_row_is_as_published_but_turned(whole: Path, plain: Path) -> None:
    """The same rows in the same order; boxes as a slow program turns them, all else unchanged."""
    compared = 0
    for path in sorted((plain / "csv").glob("*_*_*.csv")):
        if not path.name.endswith(("boxes.csv", "masks.csv")):
            continue
        front = "Box" if path.name.endswith("masks.csv") else ""
        own = {front + name for name in BOX} | {"Clicks"}
        own |= {f"XClick{n}{axis}" for n in range(1, 5) for axis in "XY"}
        with path.open(newline="") as one, (whole / "csv" / path.name).open(newline="") as two:
            for row, made in zip(csv.DictReader(one), csv.DictReader(two), strict=True):
                degrees = by(whole, row["ImageID"])
                if not degrees:
                    assert made == row
                    continue
                compared += 1
                for name, value in slowly(row, degrees, front).items():
                    assert float(made[front + name]) == pytest.approx(value, abs=1e-12)
                    assert len(made[front + name]) <= max(len(row[front + each]) for each in BOX)
                assert {k: v for k, v in made.items() if k not in own} == {
                    k: v for k, v in row.items() if k not in own
                }
    assert compared > 50
    for name in ("attribution.csv", "csv/images_train.csv"):
        assert (whole / name).read_bytes() == (plain / name).read_bytes()
    assert "turned by 90°" in (whole / "ATTRIBUTION.md").read_text(encoding="utf-8")


def test_masks_still_lie_in_their_boxes(whole: Path) -> None:
    """The turned mask has its object within the turned box of its row."""
    checked = 0
    for path in sorted((whole / "csv").glob("*_masks.csv")):
        split = path.name.split("_")[1]
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                grid = pixels((whole / "masks" / split / row["MaskPath"]).read_bytes()) > 0
                down, across = np.nonzero(grid)
                high, wide = grid.shape
                assert across.min() >= float(row["BoxXMin"]) * wide - 2
                assert across.max() <= float(row["BoxXMax"]) * wide + 2
                assert down.min() >= float(row["BoxYMin"]) * high - 2
                assert down.max() <= float(row["BoxYMax"]) * high + 2
                checked += by(whole, row["ImageID"]) > 0
    assert checked > 5


def test_again_nothing_is_fetched_and_verify_is_content(
    whole: Path, tmp_path: Path, settings: Settings, server: MirrorServer
) -> None:
    """The manifest knows the turned files as they stand: a second run asks for no image or mask."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    report = verify(out)
    assert (report.exit_code, report.foreign) == (0, [])
    server.reset()
    download(WANTED, out, settings=settings)
    assert not [each.path for each in server.log if each.path.endswith((".jpg", ".zip"))]
    assert tree(out) == tree(whole)
    assert sum(part.to_fetch for part in plan(WANTED, out, settings=settings).images) == 0


def test_files_without_a_record_are_known_by_their_note(
    whole: Path, plain: Path, tmp_path: Path, settings: Settings, server: MirrorServer
) -> None:
    """What a killed run left without a row is kept; a picture that was not turned is not taken."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / ".oid" / "manifest.csv").unlink()
    images = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jpg"))
    other = next(path for path in images if by(whole, path))
    for path in images:
        if Path(path).name == Path(other).name:
            (out / path).unlink()
            shutil.copy(plain / path, out / path)
    server.reset()
    summary = download(WANTED, out, settings=settings)
    asked = [each.path for each in server.log if each.path.endswith((".jpg", ".zip"))]
    assert [Path(path).name for path in asked] == [Path(other).name]
    assert (summary.images.fetched, summary.masks.fetched) == (1, 0)
    assert tree(out) == tree(whole)


def test_repair_turns_again_and_links_whole_copies(
    whole: Path, tmp_path: Path, settings: Settings, server: MirrorServer
) -> None:
    """A damaged image, mask and table come back turned; each is fetched once."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    spoilt = [
        next(path for path in sorted(out.rglob(f"*.{kind}")) if by(whole, path.name) == degrees)
        for kind, degrees in (("jpg", 90), ("jpg", 270), ("png", 180), ("png", 90))
    ]
    spoilt += sorted(out.glob("csv/*_train_boxes.csv"))[:1]
    for at, path in enumerate(spoilt):
        path.unlink() if at == 1 else path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    server.reset()
    report = verify(out, repair=True, settings=settings)
    assert (report.exit_code, report.repaired) == (0, len(spoilt))
    assert tree(out) == tree(whole)
    asked = [each.path for each in server.log if each.path.endswith(".jpg")]
    assert len(asked) == len(set(asked)) <= 2


def test_a_killed_run_ends_in_the_same_folder(
    whole: Path, tmp_path: Path, server: MirrorServer
) -> None:
    """Killed among the images and run again: the same bytes, and no whole image fetched twice."""
    places = ("--out", tmp_path / "out", "--cache", tmp_path / "cache", "--source", server.url)
    splits = ("--split", "train", "--split", "test")
    command = ("download", *WANTED.classes, *splits, "--upright", "--quiet", *places)
    server.reset()
    server.delay = 0.03
    try:
        process = start(*command, "--workers", "2", env=environment())
        images = tmp_path / "out" / "images"
        while process.poll() is None and len(list(images.rglob("[0-9a-f]*.jpg"))) < 8:
            time.sleep(0.005)
        assert process.poll() is None, "the run ended before it was killed"
        process.kill()
        process.communicate()
    finally:
        server.delay = 0.0
    standing = {path.name for path in images.rglob("[0-9a-f]*.jpg")}
    server.reset()
    again = run(*command)
    assert again.returncode == 0, again.stderr.decode()
    asked = {Path(each.path).name for each in server.log if each.path.endswith(".jpg")}
    assert standing.isdisjoint(asked)
    found = tree(tmp_path / "out")
    assert [path for path, data in tree(whole).items() if found.get(path) != data] == []


def test_a_folder_is_upright_or_not(
    whole: Path,
    plain: Path,
    tmp_path: Path,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The other setting is refused, before anything is written, also in one recipe."""
    before = tree(whole)
    bare = dataclasses.replace(WANTED, upright=False)
    for wanted, out, says in ((bare, whole, "give --upright"), (WANTED, plain, "leave out --up")):
        for call in (download, plan):
            with pytest.raises(UsageError) as caught:
                call(wanted, out, settings=settings)
            assert says in (caught.value.remedy or "")
    assert tree(whole) == before
    assert main(["download", "Person", "--out", str(whole), "--source", "x://"]) == 2
    capsys.readouterr()
    code = main(["download", "Person", "--out", str(whole), "--source", str(settings.source)])
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(UsageError, match="some selections"):
        download(Recipe((WANTED, bare)), tmp_path / "both", settings=settings)
    assert not (tmp_path / "both").exists()


def test_without_metadata_the_list_is_read_all_the_same(
    whole: Path, tmp_path: Path, settings: Settings
) -> None:
    """Images, masks and rows are turned, and no file of the metadata is there; unknown are told."""
    events: list[Event] = []
    wanted = dataclasses.replace(WANTED, metadata=False)
    download(wanted, tmp_path / "out", settings=settings, on_event=events.append)
    found, full = tree(tmp_path / "out"), tree(whole)
    kept = (".jpg", ".png", "boxes.csv", "masks.csv")
    assert {path: data for path, data in found.items() if path.endswith(kept)} == {
        path: data for path, data in full.items() if path.endswith(kept)
    }
    assert not {"attribution.csv", "ATTRIBUTION.md", "csv/images_train.csv"} & found.keys()
    text = (whole / "csv" / "images_train.csv").read_text(encoding="utf-8").splitlines()[1:]
    unknown = sum(line.endswith((",", ",NaN")) for line in text)
    told = [event.text for event in events if isinstance(event, Warned)]
    assert f"{unknown} of {len(text)} chosen train images have no known rotation" in told[0]


def test_the_recipe_says_it(whole: Path) -> None:
    """A folder's recipe has `upright`, and reads back as the selection."""
    text = (whole / ".oid" / "recipe.toml").read_text(encoding="utf-8")
    assert "upright = true" in text
    assert Recipe.from_toml(text).selections[0].upright
    assert Selection.from_dict(WANTED.as_dict()) == WANTED
    assert "upright" not in dataclasses.replace(WANTED, upright=False).as_dict()
