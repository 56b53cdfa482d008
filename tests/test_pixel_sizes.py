"""The size of every image and mask is known from its header, however the file came to be there."""

from __future__ import annotations

import csv
import io
import shutil
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mirrors
from mirrors import CLASSES
from oidkit.api import Settings, download, fetch, verify
from oidkit.dataset import Dataset, open_dataset, read_dataset
from oidkit.disk import Record
from oidkit.imagefile import jpeg_fault, jpeg_size, png_size
from oidkit.tables import Manifest

if TYPE_CHECKING:
    from pathlib import Path

# -- of bytes ------------------------------------------------------------------------------------


def jpeg(width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    """Let Pillow write a JPEG."""
    data = io.BytesIO()
    Image.new(mode, (width, height)).save(data, "JPEG", **options)
    return data.getvalue()


def turned(width: int, height: int) -> bytes:
    """Let Pillow write a JPEG that EXIF wants to be turned, with a thumbnail within the EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(width, height, exif=exif.tobytes() + jpeg(16, 12))


JPEGS = {
    "baseline": jpeg(1024, 683),
    "one pixel": jpeg(1, 1),
    "long": jpeg(65_500, 1),
    "progressive": jpeg(333, 1024, progressive=True),
    "grey": jpeg(768, 768, "L"),
    "four colours": jpeg(40, 30, "CMYK"),
    "restarts": jpeg(200, 100, restart_marker_rows=1),
    "turned": turned(300, 200),
    "large profile": jpeg(64, 48, icc_profile=bytes(150_000)),
    "comment": jpeg(64, 48, comment=b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01"),
}


@pytest.mark.parametrize("name", JPEGS)
def test_size_of_a_jpeg_is_what_pillow_says(name: str) -> None:
    """The frame header has the size, whatever stands before it and however it is coded."""
    with Image.open(io.BytesIO(JPEGS[name])) as picture:
        assert jpeg_size(JPEGS[name]) == picture.size


def frame(marker: int, width: int, height: int) -> bytes:
    """Write a frame header with one component (ITU-T T.81, B.2.2)."""
    return struct.pack(">BBHBHHB3B", 0xFF, marker, 11, 8, height, width, 1, 1, 0x11, 0)


SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\xff\x00\x34"
TABLE = b"\xff\xc4\x00\x05abc" + b"\xff\xcc\x00\x04ab"


@pytest.mark.parametrize("marker", sorted({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}))
def test_every_kind_of_frame_tells_the_size(marker: int) -> None:
    """Lossless, arithmetic and differential frames too; tables and filling are passed over."""
    data = b"\xff\xd8" + TABLE + b"\xff\xff" + frame(marker, 70, 50) + SCAN + b"\xff\xd9"
    assert jpeg_size(data) == (70, 50)


def test_hierarchical_jpeg_has_the_size_of_the_whole() -> None:
    """Its first frame may be a smaller one; the segment DHP before it has the whole size."""
    data = b"\xff\xd8" + frame(0xDE, 70, 50) + frame(0xC5, 35, 25) + SCAN + b"\xff\xd9"
    assert jpeg_size(data) == (70, 50)


def test_height_that_comes_after_the_scan() -> None:
    """A frame header without a height leaves it to the segment DNL (B.2.5)."""
    data = b"\xff\xd8" + frame(0xC0, 70, 0) + SCAN
    assert jpeg_size(data + b"\xff\xdc\x00\x04\x00\x32\xff\xd9") == (70, 50)
    assert jpeg_size(data + b"\xff\xd9") == (0, 0)


def test_beginning_of_a_file_is_enough() -> None:
    """From the frame header on the size is known, and before it is not: nothing is guessed."""
    data = JPEGS["progressive"]
    known = [jpeg_size(data[:length]) for length in range(len(data))]
    first = known.index((333, 1024))
    assert set(known[:first]) == {(0, 0)}
    assert set(known[first:]) == {(333, 1024)}


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\x89PNG"]))
def test_no_bytes_are_too_bad(data: bytes, front: bytes) -> None:
    """Whatever the bytes are, a size is two numbers and nothing is raised."""
    for width, height in (jpeg_size(front + data), png_size(front + data)):
        assert (width > 0) == (height > 0)
    jpeg_fault(front + data)


@pytest.mark.parametrize("size", [(1, 1), (1600, 1066), (70_000, 2)])
def test_size_of_a_png(size: tuple[int, int]) -> None:
    """The first chunk has it; a cut or foreign file has none."""
    data = io.BytesIO()
    Image.new("1", size).save(data, "PNG")
    assert png_size(data.getvalue()) == size
    assert png_size(data.getvalue()[:20]) == (0, 0)
    assert png_size(JPEGS["baseline"]) == (0, 0)


def test_reading_a_size_costs_next_to_nothing() -> None:
    """A real photograph takes well under a tenth of a millisecond: no pixel is decoded."""
    noise = np.random.default_rng(1).integers(0, 255, (768, 1024, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "JPEG")
    best = min(_seconds(data.getvalue()) for _ in range(200))
    assert best < 0.000_1


def _seconds(data: bytes) -> float:
    begun = time.perf_counter()
    jpeg_size(data)
    return time.perf_counter() - begun


# -- of a dataset --------------------------------------------------------------------------------


server = pytest.fixture(scope="module")(mirrors.served)
settings = pytest.fixture(scope="module")(mirrors.read_from)


@pytest.fixture(scope="module")
def whole(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download once; nobody may change it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    download(CLASSES, out, settings=settings)
    return out


def recorded(root: Path) -> dict[str, tuple[int, int]]:
    """Read the sizes of the files that are there out of the manifest, with the csv module."""
    with (root / ".oid/manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
    return {row["path"]: (int(row["width"]), int(row["height"])) for row in rows}


def pictures(root: Path) -> dict[str, tuple[int, int]]:
    """Let Pillow tell the size of every picture of a dataset."""
    sizes = {}
    for path in root.rglob("*"):
        if path.suffix in {".jpg", ".png"}:
            with Image.open(path) as picture:
                sizes[path.relative_to(root).as_posix()] = picture.size
    return sizes


def complete(root: Path) -> None:
    """Compare manifest and files: pictures have their size, other files none."""
    known, want = recorded(root), pictures(root)
    assert len(want) > 10
    assert {path: size for path, size in known.items() if path in want} == want
    assert {size for path, size in known.items() if path not in want} <= {(0, 0)}


def make_old(root: Path) -> None:
    """Write the manifest as the first oidkit did, without sizes."""
    path = root / ".oid/manifest.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [[*row[:5], *row[7:]] for row in csv.reader(file)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def test_fetched_images_and_masks_have_their_size(whole: Path) -> None:
    """Also those that stand in two folders; files of rows have none."""
    complete(whole)


def test_images_that_are_linked_from_an_earlier_selection(
    settings: Settings, whole: Path, tmp_path: Path
) -> None:
    """Class by class the manifest is the same, to the byte."""
    for name in CLASSES:
        download(name, tmp_path, settings=settings)
    want = (whole / ".oid/manifest.csv").read_bytes()
    assert (tmp_path / ".oid/manifest.csv").read_bytes() == want


def test_files_of_other_tools_and_of_killed_runs(
    settings: Settings, whole: Path, tmp_path: Path
) -> None:
    """Images and masks that are taken in without a record get their size as well."""
    for folder in ("images", "masks"):
        shutil.copytree(whole / folder, tmp_path / folder)
    again = download(CLASSES, tmp_path, settings=settings)
    assert (again.images.fetched, again.masks.fetched) == (0, 0)
    complete(tmp_path)


def test_lists_of_images(settings: Settings, whole: Path, tmp_path: Path) -> None:
    """A flat folder has the sizes of what came, and of what another tool had put there."""
    ids = whole / "downloader_IDs_for_m0gxl3_train.txt"
    (tmp_path / "out").mkdir()
    present = next((whole / "images/train/handgun_m0gxl3").iterdir())
    shutil.copy(present, tmp_path / "out")
    fetch(ids, tmp_path / "out", settings=settings)
    complete(tmp_path / "out")
    with open_dataset(tmp_path / "out", release=None) as dataset:
        sizes = dataset.image_sizes("train")
        assert len(dataset.image_sizes("test").ids) == 0
    want = {int(path[:-4], 16): size for path, size in pictures(tmp_path / "out").items()}
    assert as_dict(sizes.ids, sizes.width, sizes.height) == want


def test_repair_gives_sizes(settings: Settings, whole: Path, tmp_path: Path) -> None:
    """What is fetched again has its size, and an older manifest gets those it never had."""
    shutil.copytree(whole, tmp_path / "out")
    make_old(tmp_path / "out")
    next((tmp_path / "out/images/train/handgun_m0gxl3").iterdir()).unlink()
    next((tmp_path / "out/masks/train").iterdir()).unlink()
    verify(tmp_path / "out")
    assert not any(line.count(",") != 6 for line in header(tmp_path / "out"))
    report = verify(tmp_path / "out", repair=True, settings=settings)
    assert report.repaired == 2
    want = (whole / ".oid/manifest.csv").read_bytes()
    assert (tmp_path / "out/.oid/manifest.csv").read_bytes() == want


def header(root: Path) -> list[str]:
    """Read the first line of a manifest."""
    return (root / ".oid/manifest.csv").read_text(encoding="utf-8").splitlines()[:1]


def test_links_of_an_older_manifest_have_their_size(
    settings: Settings, whole: Path, tmp_path: Path
) -> None:
    """A second class links images of which the manifest knows no size: their headers tell it."""
    download(CLASSES[0], tmp_path, settings=settings)
    make_old(tmp_path)
    download(CLASSES[1], tmp_path, settings=settings)
    known, want = recorded(tmp_path), pictures(tmp_path)
    second = [path for path in want if "person" in path]
    assert {path: known[path] for path in second} == {path: want[path] for path in second}


# -- as columns ----------------------------------------------------------------------------------


def as_dict(ids: np.ndarray, width: np.ndarray, height: np.ndarray) -> dict[int, tuple[int, int]]:
    """Write columns as a dictionary."""
    sizes = zip(width.tolist(), height.tolist(), strict=True)
    return dict(zip(ids.tolist(), sizes, strict=True))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_sizes_of_many_images_are_columns(
    whole: Path, tmp_path: Path, split: str, *, old: bool
) -> None:
    """Ids are sorted and unique; those that an older manifest lacks come from the files."""
    shutil.copytree(whole, tmp_path / "out")
    if old:
        make_old(tmp_path / "out")
    want = {
        int(path[-20:-4], 16): size
        for path, size in pictures(tmp_path / "out").items()
        if path.startswith(f"images/{split}/")
    }
    dataset = read_dataset(tmp_path / "out")
    assert dataset is not None
    sizes = dataset.image_sizes(split)
    assert as_dict(sizes.ids, sizes.width, sizes.height) == want
    assert sizes.ids.tolist() == sorted(want)
    assert [str(each.dtype) for each in (sizes.ids, sizes.width, sizes.height)] == [
        "uint64",
        "int32",
        "int32",
    ]
    asked = np.array([min(want), 5, max(want), 2**64 - 1], dtype=np.uint64)
    width, height = sizes.of(asked)
    assert width.tolist() == [want[min(want)][0], 0, want[max(want)][0], 0]
    assert height.tolist() == [want[min(want)][1], 0, want[max(want)][1], 0]


def test_no_image_has_a_size_in_an_empty_dataset(tmp_path: Path) -> None:
    """Columns of no rows, and zeros for whatever is asked."""
    sizes = Dataset(tmp_path, Manifest(tmp_path)).image_sizes("train")
    assert len(sizes.ids) == 0
    assert sizes.of(np.array([1, 2], dtype=np.uint64))[0].tolist() == [0, 0]


def test_a_long_header_is_read_to_its_end(tmp_path: Path) -> None:
    """Where the profile of a camera is longer than the first piece, the rest is read too."""
    (tmp_path / "a.jpg").write_bytes(JPEGS["large profile"])
    dataset = Dataset(tmp_path, Manifest(tmp_path))
    record = Record("a.jpg", "image", "k", "ok", 1)
    assert dataset.sized(record) == replace(record, width=64, height=48)
    gone = replace(record, path="b.jpg")
    assert dataset.sized(gone) == gone


OLD = '"images/train/%016x.jpg","image","k","ok","3","md5:0",""\n'


@pytest.mark.parametrize("whole_rows", [1, 3])
def test_journal_of_an_older_run_is_read(tmp_path: Path, whole_rows: int) -> None:
    """A run of an earlier oidkit that was killed left rows of seven columns."""
    rows = "".join(OLD % at for at in range(whole_rows))
    (folder := tmp_path / ".oid").mkdir()
    (folder / "journal.csv").write_text(rows + (OLD % 9)[:20], encoding="utf-8")
    manifest = Manifest(folder)
    manifest.add(Record("images/train/a.jpg", "image", "k", "ok", 1, width=4, height=3))
    manifest.close()
    found = list(Manifest(folder).records())
    assert len(found) == whole_rows + 1
    assert [(each.width, each.height) for each in found] == [(0, 0)] * whole_rows + [(4, 3)]
