"""The main job once more, also with another selection: what is there is not fetched again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from main_job.results import CLASSES, HANDGUN, PERSON, fetched, manifest, places, shared_images
from oidkit.api import Settings, download
from oidkit.selection import Selection
from oidkit.testing import Fault, MirrorServer, RequestInfo
from oracle import Asked, Mirror, Tree, differences, expected, tree_of

if TYPE_CHECKING:
    from pathlib import Path


# -- again, and with another selection ----------------------------------------------------------


def test_a_second_class_links_what_the_first_one_fetched(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """Images that are there for one class are linked for the next: no request, the same file."""
    download(PERSON, tmp_path, settings=web)
    server.reset()
    download(HANDGUN, tmp_path, settings=web)
    shared = shared_images(mirror)
    assert not {f"open-images-dataset/{image}.jpg" for image in shared} & set(fetched(server))
    for image in shared:
        first, second = (path.stat().st_ino for path in places(tmp_path, image))
        assert first == second


def test_the_same_again_fetches_nothing_and_changes_nothing(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """A rerun asks for no mask and only for images that are missing, and touches no file."""
    first = download(CLASSES, tmp_path, settings=web)
    want = expected(mirror, Asked(tuple(map(mirror.by_id, CLASSES))))
    before = {path: path.stat() for path in tmp_path.rglob("*.*") if ".oid" not in path.parts}
    kept = manifest(tmp_path)
    server.reset()
    again = download(CLASSES, tmp_path, settings=web)
    assert fetched(server) == sorted(f"open-images-dataset/{each}.jpg" for each in want.missing)
    assert differences(tree_of(tmp_path), want.tree) == []
    assert manifest(tmp_path) == kept
    now = {path: path.stat() for path in tmp_path.rglob("*.*") if ".oid" not in path.parts}
    assert {at: (s.st_ino, s.st_mtime_ns) for at, s in now.items()} == {
        at: (s.st_ino, s.st_mtime_ns) for at, s in before.items()
    }
    assert (again.images.fetched, again.images.present) == (0, first.images.fetched)
    assert (again.masks.fetched, again.masks.present) == (0, first.masks.fetched)
    assert (again.annotations, again.exit_code) == (first.annotations, 3)


def test_another_selection_adds_and_removes_nothing(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """Three selections one after the other come to what they come to at once."""
    download(Selection((HANDGUN,), splits=("train",)), tmp_path, settings=settings)
    first = tree_of(tmp_path)
    download(Selection((PERSON,), splits=("train", "test")), tmp_path, settings=settings)
    second = tree_of(tmp_path)
    assert first.keys() <= second.keys()
    parts = [
        expected(mirror, Asked((HANDGUN,), splits=("train",))),
        expected(mirror, Asked((PERSON,), splits=("train", "test"))),
    ]
    want = {**parts[0].tree, **parts[1].tree}
    both = expected(mirror, Asked((PERSON, HANDGUN), splits=("train",))).tree
    want["csv/images_train.csv"] = both["csv/images_train.csv"]
    del want["attribution.csv"]
    found = dict(second)
    attribution = found.pop("attribution.csv")
    assert differences(found, want) == []
    lines = {*first["attribution.csv"].split(b"\n"), *parts[1].tree["attribution.csv"].split(b"\n")}
    assert set(attribution.split(b"\n")) == lines
    download(Selection((HANDGUN, PERSON)), tmp_path, settings=settings)
    at_once = expected(mirror, Asked((HANDGUN, PERSON)))
    assert differences(tree_of(tmp_path), at_once.tree) == []


def test_another_layout_adds_its_own_folder(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """The flat layout after that by class gives images a second name, and fetches none again."""
    download(HANDGUN, tmp_path, settings=web)
    server.reset()
    download(Selection((HANDGUN,), layout="flat"), tmp_path, settings=web)
    by_class = expected(mirror, Asked((HANDGUN,)))
    flat = expected(mirror, Asked((HANDGUN,), layout="flat"))
    assert differences(tree_of(tmp_path), by_class.tree | flat.tree) == []
    gone = sorted(f"open-images-dataset/{each}.jpg" for each in by_class.missing)
    assert fetched(server) == gone


def test_annotations_only_first_then_the_images(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """A folder that was begun without images or metadata is filled up to the whole."""
    bare = Selection((HANDGUN,), labels=("boxes",), images=False, metadata=False)
    download(bare, tmp_path, settings=settings)
    bare_tree = tree_of(tmp_path)
    download(HANDGUN, tmp_path, settings=settings)
    found = tree_of(tmp_path)
    assert bare_tree.keys() < found.keys()
    assert differences(found, expected(mirror, Asked((HANDGUN,))).tree) == []


def test_a_larger_limit_keeps_all_that_a_smaller_one_chose(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """A larger limit in the same folder adds to it, and comes to what it comes to alone."""
    mids = (PERSON, HANDGUN)
    download(Selection(mids, limit=3), tmp_path / "grown", settings=web)
    small = tree_of(tmp_path / "grown")
    server.reset()
    download(Selection(mids, limit=9), tmp_path / "grown", settings=web)
    again = {each.path for each in server.log if each.status == 200}
    download(Selection(mids, limit=9), tmp_path / "fresh", settings=web)
    grown = tree_of(tmp_path / "grown")
    assert small.keys() < grown.keys()
    assert differences(grown, tree_of(tmp_path / "fresh")) == []
    had = {path.rpartition("/")[2] for path in small if path.endswith(".jpg")}
    assert not had & {path.rpartition("/")[2] for path in again}


# -- what is damaged, deleted or not ours -------------------------------------------------------


def test_deleted_files_are_all_that_is_fetched_again(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """After some files were deleted, a rerun makes one request for each of just those."""
    asked = (PERSON, HANDGUN)
    download(Selection(asked, layout="flat"), tmp_path, settings=web)
    want = expected(mirror, Asked(asked, layout="flat"))
    kept = manifest(tmp_path)
    images = sorted(path for path in want.tree if path.endswith(".jpg"))[::7]
    masks = sorted(path for path in want.tree if path.endswith(".png"))[::11]
    sheet = "csv/m0gxl3_train_boxes.csv"
    for path in (*images, *masks, sheet):
        (tmp_path / path).unlink()
    server.reset()
    again = download(Selection(asked, layout="flat"), tmp_path, settings=web)
    assert differences(tree_of(tmp_path), want.tree) == []
    assert manifest(tmp_path) == kept
    gone = {f"open-images-dataset/{each}.jpg" for each in want.missing}
    lost = [path.replace("images/", "open-images-dataset/", 1) for path in images]
    found = [path for path in fetched(server) if path not in gone]
    assert [path for path in found if path.endswith(".jpg")] == lost
    zips = {
        f"openimages/v5/{split}-masks/{split}-masks-{name[0]}.zip"
        for split, name in (path.split("/")[1:] for path in masks)
    }
    assert {path for path in found if path.endswith(".zip")} == zips
    assert (again.images.fetched, again.masks.fetched) == (len(images), len(masks))


def test_a_file_deleted_in_one_of_two_folders_costs_no_request(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """An image that still stands in its other folder is linked again, not fetched."""
    download((PERSON, HANDGUN), tmp_path, settings=web)
    image = min(shared_images(mirror))
    kept = manifest(tmp_path)
    places(tmp_path, image)[0].unlink()
    server.reset()
    download((PERSON, HANDGUN), tmp_path, settings=web)
    assert f"open-images-dataset/{image}.jpg" not in fetched(server)
    first, second = (path.stat().st_ino for path in places(tmp_path, image))
    assert first == second
    assert manifest(tmp_path) == kept


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_file_cut_short_in_its_place_is_fetched_again(
    mirror: Mirror, settings: Settings, tmp_path: Path, keep: int
) -> None:
    """An image and a mask that were truncated on disk are whole after the next run."""
    download(HANDGUN, tmp_path, settings=settings)
    kept = manifest(tmp_path)
    image = min((tmp_path / "images").rglob("*.jpg"))
    mask = min((tmp_path / "masks").rglob("*.png"))
    for path in (image, mask):
        path.write_bytes(path.read_bytes()[:keep])
    again = download(HANDGUN, tmp_path, settings=settings)
    assert (again.images.fetched, again.masks.fetched) == (1, 1)
    want = expected(mirror, Asked((HANDGUN,)))
    assert differences(tree_of(tmp_path), want.tree) == []
    assert manifest(tmp_path) == kept


def test_files_of_the_user_stay(mirror: Mirror, settings: Settings, tmp_path: Path) -> None:
    """What somebody put into the folder is there after the next run, wherever it was put."""
    download(HANDGUN, tmp_path, settings=settings)
    own: Tree = {
        "notes.txt": b"mine",
        "images/train/handgun_m0gxl3/holiday.jpg": b"no image id",
        "images/train/handgun_m0gxl3/ffffffffffffffff.jpg": b"no JPEG",
        "masks/train/drawn.png": b"mine too",
        "csv/mine.csv": b"a,b\n1,2\n",
        "models/best.bin": bytes(100),
    }
    for path, data in own.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    download((HANDGUN, PERSON), tmp_path, settings=settings)
    want = expected(mirror, Asked((HANDGUN, PERSON))).tree
    assert differences(tree_of(tmp_path), want | own) == []


def test_an_image_that_turns_up_later_is_fetched_then(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """What was missing is asked for again by the next run, and is no longer listed as missing."""
    gone = shared_images(mirror)

    def hide(info: RequestInfo) -> Fault | None:
        image = info.path.removeprefix("open-images-dataset/").removesuffix(".jpg")
        return Fault.answer(410) if image in gone else None

    server.hook = hide
    first = download((PERSON, HANDGUN), tmp_path, settings=web)
    want = expected(mirror, Asked((PERSON, HANDGUN)))
    assert first.images.missing == len(want.missing) + len(gone)
    server.hook = None
    again = download((PERSON, HANDGUN), tmp_path, settings=web)
    assert (again.images.fetched, again.images.missing) == (len(gone), len(want.missing))
    assert differences(tree_of(tmp_path), want.tree) == []
