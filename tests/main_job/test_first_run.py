"""The main job comes to what the contract says, file by file and byte by byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from main_job.results import (
    CHOPSTICKS,
    CLASSES,
    HANDGUN,
    PERSON,
    agree,
    fetched,
    manifest,
    places,
    shared_images,
)
from oidkit.api import Settings, download, plan
from oidkit.errors import UsageError
from oidkit.events import Event, Fetched, Missing, PhaseStarted
from oidkit.selection import Selection
from oracle import LABELS, SPLITS, Asked, Mirror, differences, expected, ids_in, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from oidkit.testing import MirrorServer


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


def test_an_image_of_two_classes_is_told_of_once(settings: Settings, tmp_path: Path) -> None:
    """Of as many images as there are to do is told, in however many folders each of them stands."""
    for asked in ((PERSON, HANDGUN), (PERSON, HANDGUN, CHOPSTICKS)):
        events: list[Event] = []
        summary = download(asked, tmp_path, settings=settings, on_event=events.append)
        (begun,) = (e for e in events if isinstance(e, PhaseStarted) and e.phase == "images")
        files = [e for e in events if isinstance(e, Fetched | Missing) and ".jpg" in e.name]
        assert begun.items == len(files) >= summary.images.asked - summary.images.present > 0


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


def test_the_seed_decides_which_images_a_limit_keeps(settings: Settings, tmp_path: Path) -> None:
    """The same seed keeps the same images, and another seed keeps others."""
    picked = []
    for at, seed in enumerate((0, 0, 1)):
        selection = Selection((PERSON,), limit=5, seed=seed, splits=("train",), images=False)
        download(selection, tmp_path / str(at), settings=settings)
        picked.append(ids_in(tmp_path / str(at), [PERSON], "train")[PERSON])
    assert picked[0] == picked[1] != picked[2]
    assert len(picked[2]) == 5


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


def test_v4_has_boxes_alone(
    mirrors: Callable[[int, str], Mirror], cache: Path, tmp_path: Path
) -> None:
    """Masks of V4 are refused by the releases that have them, before anything is written."""
    settings = Settings(source=str(mirrors(0, "v4").root), cache=cache, release="v4")
    with pytest.raises(UsageError) as caught:
        download(Selection((PERSON,), labels=("masks",)), tmp_path / "out", settings=settings)
    assert not [release for release in ("V4", "V5", "V6", "V7") if release not in str(caught.value)]
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
