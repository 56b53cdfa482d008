"""The main job comes to what the contract says, file by file and byte by byte."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from oidkit.api import Settings, download, plan
from oidkit.errors import UsageError
from oidkit.events import Event, Fetched, Missing, PhaseStarted
from oidkit.selection import Selection
from oidkit.testing import (
    Fault,
    MirrorServer,
    PerSplit,
    ReleaseSpec,
    RequestInfo,
    make_release,
)
from oracle import (
    LABELS,
    SPLITS,
    Asked,
    Expected,
    Mirror,
    Tree,
    differences,
    expected,
    ids_in,
    tree_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oidkit.api.summary import Summary
    from oidkit.catalog import Split
    from oidkit.choice import Match

SPEC = dataclasses.replace(
    ReleaseSpec.tiny(), images=PerSplit(50, 20, 30), jpegs=0.9, long_side=96, jpeg_quality=50
)
"""Small pictures, of which a tenth is missing; classes that share most of their images."""
PERSON, HANDGUN, CHOPSTICKS = "/m/01g317", "/m/0gxl3", "/m/01_5g"
# Two frequent classes, a rare one with `_` in its MID, and one that has no masks.
CLASSES = ("Person", "Handgun", "Chopsticks", "Human face")


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Mirror]:
    """Give a made release of some seed, each made once."""
    made: dict[int, Path] = {}

    def mirror(seed: int, release: str) -> Mirror:
        if seed not in made:
            folder = tmp_path_factory.mktemp(f"mirror-{seed}")
            made[seed] = make_release(folder, dataclasses.replace(SPEC, seed=seed)).root
        return Mirror(made[seed], release)

    return mirror


@pytest.fixture(scope="module")
def mirror(mirrors: Callable[[int, str], Mirror]) -> Mirror:
    """Give the mirror that most tests read, as V7."""
    return mirrors(0, "v7")


@pytest.fixture(scope="module")
def server(mirror: Mirror) -> Iterator[MirrorServer]:
    """Serve that mirror."""
    with MirrorServer(mirror.root) as running:
        yield running


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the tables for all tests of this module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def settings(mirror: Mirror, cache: Path) -> Settings:
    """Read from the folder."""
    return Settings(source=str(mirror.root), cache=cache)


@pytest.fixture
def web(server: MirrorServer, cache: Path) -> Settings:
    """Read over HTTP; the server's books begin with the test."""
    server.hook = None
    server.reset()
    return Settings(source=server.url, cache=cache)


def agree(out: Path, summary: Summary, want: Expected) -> None:
    """Compare the folder and the summary of a first run with what the oracle expects."""
    assert differences(tree_of(out), want.tree) == []
    assert summary.annotations == want.rows
    images, masks = summary.images, summary.masks
    assert (images.asked, images.missing) == (len(want.images), len(want.missing))
    assert (images.fetched, images.present) == (len(want.images - want.missing), 0)
    assert images.bytes == want.image_bytes
    assert (masks.asked, masks.fetched, masks.present) == (want.masks, want.masks, 0)
    assert (images.failed, masks.failed, masks.missing) == (0, 0, 0)
    assert set(summary.missing) == set(sorted(want.missing)[:100]) or len(want.missing) > 100
    assert summary.exit_code == (3 if want.missing else 0)


def manifest(out: Path) -> bytes:
    """Read the manifest."""
    return (out / ".oid" / "manifest.csv").read_bytes()


def fetched(server: MirrorServer) -> list[str]:
    """List what was asked of images and mask zips, in order of path."""
    paths = (each.path for each in server.log)
    return sorted(path for path in paths if path.startswith("open-images") or "-masks/" in path)


# -- whole results ------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["v4", "v5", "v6", "v7"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_release_and_seed_comes_to_what_the_oracle_says(
    mirrors: Callable[[int, str], Mirror], cache: Path, tmp_path: Path, seed: int, release: str
) -> None:
    """The whole folder of four classes, missing images and shared ones, is as the oracle has it."""
    mirror = mirrors(seed, release)
    labels = LABELS if release != "v4" else ("boxes",)
    want = expected(mirror, Asked(tuple(map(mirror.by_id, CLASSES)), labels=labels))
    settings = Settings(source=str(mirror.root), cache=cache, release=release)
    summary = download(Selection(CLASSES), tmp_path / "out", settings=settings)
    assert want.missing
    agree(tmp_path / "out", summary, want)


@pytest.mark.parametrize("layout", ["class", "flat"])
@pytest.mark.parametrize("match", ["any", "all"])
@pytest.mark.parametrize("labels", [("boxes",), ("masks",), LABELS])
def test_every_layout_match_and_label_over_http(
    mirror: Mirror, web: Settings, tmp_path: Path, layout: str, match: str, labels: tuple[str, ...]
) -> None:
    """Layouts, matches and labels together come to what the oracle has, over HTTP."""
    asked = Asked((PERSON, HANDGUN), labels=labels, layout=layout, match=match)
    want = expected(mirror, asked)
    selection = Selection((PERSON, HANDGUN), labels=labels, layout=layout, match=match)  # type: ignore[arg-type]
    summary = download(selection, tmp_path / "out", settings=web)
    assert want.images
    agree(tmp_path / "out", summary, want)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("images", "metadata"), [(False, True), (True, False), (False, False)])
def test_what_is_left_out_is_all_that_is_left_out(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path, split: str, *,
    images: bool, metadata: bool,
) -> None:  # fmt: skip
    """Without images or metadata, and for one split, everything else stands as always."""
    asked = Asked((PERSON,), splits=(split,), images=images, metadata=metadata)
    want = expected(mirror, asked)
    selection = Selection(("person",), splits=(split,), images=images, metadata=metadata)  # type: ignore[arg-type]
    summary = download(selection, tmp_path / "out", settings=web)
    assert differences(tree_of(tmp_path / "out"), want.tree) == []
    assert summary.images.asked == (len(want.images) if images else 0)
    asked_for = {each.path.split("/")[0] for each in server.log}
    assert ("open-images-dataset" in asked_for) == images
    assert (tmp_path / "out" / "images").exists() == images


def test_a_class_in_one_split_alone_leaves_headers_in_the_others(
    mirrors: Callable[[int, str], Mirror], cache: Path, tmp_path: Path
) -> None:
    """A split that has no row of a class gets its files all the same: a header, an empty list."""
    mirror = mirrors(1, "v7")
    counts = {
        mid: [len(Asked((mid,)).chosen(mirror, split)[mid]) for split in SPLITS]
        for mid in mirror.names
    }
    mid = next(mid for mid, found in counts.items() if any(found) and not all(found))
    settings = Settings(source=str(mirror.root), cache=cache)
    summary = download(mid, tmp_path / "out", settings=settings)
    want = expected(mirror, Asked((mid,)))
    agree(tmp_path / "out", summary, want)
    empty = SPLITS[counts[mid].index(0)]
    stem = mid.replace("/", "")
    assert (tmp_path / "out" / f"downloader_IDs_for_{stem}_{empty}.txt").read_bytes() == b""
    assert (tmp_path / "out" / f"csv/{stem}_{empty}_boxes.csv").read_bytes().count(b"\n") == 1


def test_names_of_other_releases_and_spellings_mean_the_same(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """A name of V4, one in capitals with `_`, a MID and one named twice resolve to their MIDs."""
    want = expected(mirror, Asked(("/m/0cmf2", "/m/01m2v", "/m/0gxl3")))
    names = ("Airplane", "COMPUTER_keyboard", "/m/0gxl3", "handgun")
    summary = download(names, tmp_path / "out", settings=settings)
    agree(tmp_path / "out", summary, want)


def test_the_order_of_classes_and_splits_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    """Classes and splits in any order give the same files and the same manifest."""
    trees = []
    for at, classes in enumerate((CLASSES, CLASSES[::-1])):
        splits = SPLITS if at else SPLITS[::-1]
        selection = Selection(classes, splits=splits, limit=7, match="any")  # type: ignore[arg-type]
        download(selection, tmp_path / str(at), settings=settings)
        kept = (tmp_path / str(at) / ".oid/dataset.json").read_bytes()
        files = {"manifest": manifest(tmp_path / str(at)), "dataset": kept}
        trees.append(tree_of(tmp_path / str(at)) | files)
    assert differences(trees[0], trees[1]) == []


# -- images of several classes ------------------------------------------------------------------


def shared_images(mirror: Mirror) -> set[str]:
    """Name the images that both classes have and the bucket too, as `split/id`."""
    return {
        f"{split}/{each}"
        for split in SPLITS
        for each in set.intersection(*Asked((PERSON, HANDGUN)).chosen(mirror, split).values())
        if mirror.image(split, each) is not None
    }


def places(out: Path, image: str) -> list[Path]:
    """Find the files of an image."""
    split, image_id = image.split("/")
    return sorted((out / "images" / split).rglob(f"{image_id}.jpg"))


def test_an_image_of_two_classes_is_one_file_linked_twice(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """Both names of a shared image are the same file, and every other image has one name."""
    download((PERSON, HANDGUN), tmp_path, settings=settings)
    shared = shared_images(mirror)
    assert shared
    for image in shared:
        first, second = (path.stat() for path in places(tmp_path, image))
        assert (first.st_ino, first.st_nlink) == (second.st_ino, 2)
    alone = [path for path in tmp_path.rglob("*.jpg") if path.stat().st_nlink == 1]
    assert not {f"{path.parts[-3]}/{path.stem}" for path in alone} & shared


def test_where_links_do_not_work_a_copy_stands(
    mirror: Mirror, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without hard links both names hold the same bytes."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    summary = download((PERSON, HANDGUN), tmp_path, settings=settings)
    agree(tmp_path, summary, expected(mirror, Asked((PERSON, HANDGUN))))
    for image in shared_images(mirror):
        first, second = (path.stat().st_ino for path in places(tmp_path, image))
        assert first != second


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


def test_an_image_of_two_classes_is_told_of_once(settings: Settings, tmp_path: Path) -> None:
    """Of as many images as there are to do is told, in however many folders each of them stands."""
    for asked in ((PERSON, HANDGUN), (PERSON, HANDGUN, CHOPSTICKS)):
        events: list[Event] = []
        summary = download(asked, tmp_path, settings=settings, on_event=events.append)
        (begun,) = (e for e in events if isinstance(e, PhaseStarted) and e.phase == "images")
        files = [e for e in events if isinstance(e, Fetched | Missing) and ".jpg" in e.name]
        assert begun.items == len(files) >= summary.images.asked - summary.images.present > 0


# -- again, and with another selection ----------------------------------------------------------


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


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("match", ["any", "all"])
def test_a_limit_keeps_its_laws_and_the_folder_fits_it(
    mirror: Mirror, settings: Settings, tmp_path: Path, match: str
) -> None:
    """At most N images for each class and split, out of the right ones, and all that is theirs."""
    mids = (PERSON, HANDGUN)
    asked = Asked(mids, match=match)
    for limit in (1, 4, 1000):
        out = tmp_path / str(limit)
        selection = Selection(mids, limit=limit, match=match)  # type: ignore[arg-type]
        summary = download(selection, out, settings=settings)
        chosen = {split: ids_in(out, mids, split) for split in SPLITS}
        for split in SPLITS:
            having = asked.chosen(mirror, split)
            for mid, ids in chosen[split].items():
                assert ids <= having[mid]
                assert len(ids) == min(limit, len(having[mid]))
        agree(out, summary, expected(mirror, asked, chosen=chosen))
        if limit == 1000:
            agree(out, summary, expected(mirror, asked))


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


def test_the_seed_decides_which_images_a_limit_keeps(settings: Settings, tmp_path: Path) -> None:
    """The same seed keeps the same images, and another seed keeps others."""
    picked = []
    for at, seed in enumerate((0, 0, 1)):
        selection = Selection((PERSON,), limit=5, seed=seed, splits=("train",), images=False)
        download(selection, tmp_path / str(at), settings=settings)
        picked.append(ids_in(tmp_path / str(at), [PERSON], "train")[PERSON])
    assert picked[0] == picked[1] != picked[2]
    assert len(picked[2]) == 5


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


# -- what the source does not have --------------------------------------------------------------


def test_missing_images_are_listed_and_cost_one_request_each(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """Each 404 is asked for once, stands in the manifest and the summary, and makes exit 3."""
    summary = download((PERSON, HANDGUN), tmp_path, settings=web)
    want = expected(mirror, Asked((PERSON, HANDGUN)))
    paths = [each.path for each in server.log if each.path.startswith("open-images-dataset/")]
    assert sorted(paths) == sorted(f"open-images-dataset/{each}.jpg" for each in want.images)
    assert summary.exit_code == 3
    assert set(summary.missing) == want.missing
    rows = [line.split(",") for line in manifest(tmp_path).decode().splitlines()]
    listed = {row[2] for row in rows if row[3] == "missing"}
    assert listed == {f"open-images-dataset/{each}.jpg" for each in want.missing}


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


def test_v4_has_boxes_alone(
    mirrors: Callable[[int, str], Mirror], cache: Path, tmp_path: Path
) -> None:
    """Masks of V4 are refused by the releases that have them, before anything is written."""
    settings = Settings(source=str(mirrors(0, "v4").root), cache=cache, release="v4")
    with pytest.raises(UsageError) as caught:
        download(Selection((PERSON,), labels=("masks",)), tmp_path / "out", settings=settings)
    assert all(release in str(caught.value) for release in ("V4", "V5", "V6", "V7"))
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


# -- the plan -----------------------------------------------------------------------------------


def test_a_plan_says_what_the_download_then_does(
    mirror: Mirror, web: Settings, server: MirrorServer, tmp_path: Path
) -> None:
    """The numbers of a plan are those of the run, and planning writes nothing into the folder."""
    out = tmp_path / "out"
    ahead = plan((PERSON, HANDGUN), out, settings=web).as_dict()
    assert not out.exists()
    assert not fetched(server)
    want = expected(mirror, Asked((PERSON, HANDGUN)))
    count = len(want.images)
    assert ahead["images"] == {"asked": count, "present": 0, "to_fetch": count}
    assert ahead["masks"] == {"asked": want.masks, "present": 0, "to_fetch": want.masks}
    assert ahead["annotations"] == want.rows
    download((PERSON, HANDGUN), out, settings=web)
    before = tree_of(out) | {"manifest": manifest(out)}
    after = plan((PERSON, HANDGUN), out, settings=web).as_dict()
    gone = len(want.missing)
    assert after["images"] == {"asked": count, "present": count - gone, "to_fetch": gone}
    assert after["masks"] == {"asked": want.masks, "present": want.masks, "to_fetch": 0}
    assert tree_of(out) | {"manifest": manifest(out)} == before


# -- the mirror of real files -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the table of issue 2; bytes are those of the images, where it gives them."""

    classes: tuple[str, ...]
    split: Split
    images: int
    masks: int
    boxes: int
    match: Match = "any"
    missing: int = 0
    bytes: int | None = None


_REAL = [
    Line(("Person",), "validation", 61, 0, 110, bytes=21_299_917),
    Line(("apple", "orange"), "validation", 86, 0, 229),
    Line(("Apple", "Orange"), "validation", 0, 0, 0, match="all"),
    Line(("Dog", "Pizza", "Taxi"), "train", 10, 15, 15),
    Line(("Human foot",), "train", 0, 0, 2_189, missing=962),
]
_REAL_MIDS = {
    "person": PERSON,
    "apple": "/m/014j1m",
    "orange": "/m/0cyhj_",
    "dog": "/m/0bt9lr",
    "pizza": "/m/0663v",
    "taxi": "/m/0pg52",
    "human foot": "/m/031n1",
}


@pytest.fixture(scope="module", params=["folder", "http"])
def real(
    request: pytest.FixtureRequest, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Read the mirror of real files from its folder, then over HTTP."""
    cache = tmp_path_factory.mktemp("real-cache")
    if request.param == "folder":
        yield Settings(source=str(sample), cache=cache)
        return
    with MirrorServer(sample) as server:
        yield Settings(source=server.url, cache=cache)


@pytest.mark.parametrize("line", _REAL, ids=lambda line: "-".join(line.classes))
def test_the_real_files_come_to_the_numbers_of_the_issue(
    sample: Path, real: Settings, tmp_path: Path, line: Line
) -> None:
    """Each line of the table gives its images, masks and boxes, and the oracle's folder."""
    mids = tuple(_REAL_MIDS[name.lower()] for name in line.classes)
    want = expected(Mirror(sample), Asked(mids, splits=(line.split,), match=line.match))
    selection = Selection(line.classes, splits=(line.split,), match=line.match)
    summary = download(selection, tmp_path / "out", settings=real)
    agree(tmp_path / "out", summary, want)
    assert (summary.images.fetched, summary.images.missing) == (line.images, line.missing)
    assert line.bytes in (None, summary.images.bytes)
    assert (summary.masks.fetched, summary.annotations["boxes"]) == (line.masks, line.boxes)
    assert summary.exit_code == (3 if line.missing else 0)
