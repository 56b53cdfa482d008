"""`oid verify`, `stats` and `export` of a dataset in a bucket find what they find in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import oidkit
from buckets import BUCKET, Store, images_asked
from mirrors import CLASSES, tree
from oidkit.api import Settings, download
from oidkit.selection import Selection
from oidkit.testing import Fault, MirrorServer
from oracle import differences

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE_BUT_MISSING = 3


pytest_plugins = ["bucket_fixtures"]


# -- verify, stats, export ----------------------------------------------------------------------


def test_an_image_that_comes_damaged_is_no_object(
    settings: Settings, server: MirrorServer, store: Store
) -> None:
    """What never matches its checksum is exit 6, and does not stand in the bucket."""
    server.hook = lambda request: (
        Fault(flip=100) if request.path.endswith(".jpg") and "/test/" in request.path else None
    )
    selection = Selection(("Handgun",), splits=("test",))
    summary = download(selection, f"s3://{BUCKET}/damaged", settings=settings)
    assert summary.exit_code == 6
    assert not [key for key in store.keys("damaged/images") if key.endswith(".jpg")]


def test_verify_finds_what_is_wrong_and_repair_mends_it(
    settings: Settings, server: MirrorServer, store: Store, folder: Path
) -> None:
    """Damaged, cut, absent and foreign objects are found, and those of ours come again."""
    place = f"s3://{BUCKET}/verified"
    download(CLASSES, place, settings=settings)
    whole = store.tree("verified")
    report = oidkit.verify(place, settings=settings)
    assert report == oidkit.verify(folder, settings=settings)
    assert (report.exit_code, report.damaged, report.absent) == (COMPLETE_BUT_MISSING, [], [])

    images = sorted(path for path in whole if path.endswith(".jpg"))
    masks = sorted(path for path in whole if path.endswith(".png"))
    boxes = next(path for path in whole if path.endswith("_train_boxes.csv"))
    damaged = [images[0], masks[0], boxes]
    for path in damaged:
        data = bytearray(whole[path])
        data[len(data) // 2] ^= 1
        store.put(f"verified/{path}", bytes(data))
    cut, absent = images[1], sorted([images[2], images[-1], masks[-1]])
    store.put(f"verified/{cut}", whole[cut][:-10])
    for path in absent:
        store.remove(f"verified/{path}")
    foreign = ["csv/mine.txt", "images/train/a.jpg", "masks/zz/~.png"]
    for path in foreign:
        store.put(f"verified/{path}", b"mine")
    store.put("verified/notes.txt", b"beside ours, and nobody's business")

    report = oidkit.verify(place, settings=settings)
    assert report.damaged == sorted([*damaged, cut])
    assert (report.absent, report.foreign, report.exit_code) == (absent, foreign, 6)
    server.reset()
    mended = oidkit.verify(place, repair=True, settings=settings)
    assert (mended.damaged, mended.absent, mended.foreign) == ([], [], foreign)
    assert mended.repaired == len(damaged) + 1 + len(absent)
    asked = {path.rpartition("/")[2] for path in images_asked(server)}
    assert asked <= {path.rpartition("/")[2] for path in (cut, *damaged, *absent)}
    store.remove("verified/notes.txt")
    for path in foreign:
        store.remove(f"verified/{path}")
    assert differences(store.tree("verified"), whole) == []


def test_a_verify_of_whole_objects_reads_none_of_the_images(
    settings: Settings, store: Store
) -> None:
    """The ETag of an image is its MD5; masks, which are known by their CRC-32, are read."""
    place = f"s3://{BUCKET}/by-etag"
    download(CLASSES, place, settings=settings)
    store.log.clear()
    oidkit.verify(place, settings=settings)
    read = [each.path for each in store.log if each.method == "GET" and not each.query]
    assert not [path for path in read if "/images/" in path or "/csv/" in path]
    lists = [each for each in store.log if "list-type" in each.query]
    assert len(lists) <= 6


def test_stats_are_those_of_the_folder(settings: Settings, store: Store, folder: Path) -> None:
    """Every number is the same."""
    place = f"s3://{BUCKET}/counted"
    download(CLASSES, place, settings=settings)
    one, other = oidkit.stats(place).as_dict(), oidkit.stats(folder).as_dict()
    differing = {name for name in one if one[name] != other[name]}
    assert differing <= {"folder", "root", "path"}


@pytest.mark.parametrize(
    ("name", "workers"),
    [("coco", 1), ("coco", 2), ("yolo", 2), ("voc", 1), ("webdataset", 2), ("parquet", 1)],
)
def test_an_export_is_that_of_the_folder(
    settings: Settings, store: Store, folder: Path, tmp_path: Path, name: str, workers: int
) -> None:
    """The files are the same to the byte, from one process and from several."""
    place = f"s3://{BUCKET}/exported"
    if not store.keys("exported/"):
        download(CLASSES, place, settings=settings)
    one = oidkit.export(place, tmp_path / "one" / "x", name, workers=workers)
    other = oidkit.export(folder, tmp_path / "other" / "x", name, workers=workers)
    assert one.pictures == other.pictures
    trees = [tree(tmp_path / each / "x") for each in ("one", "other")]
    assert trees[0]
    assert differences(*trees) == []
