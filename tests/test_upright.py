"""`--upright`: pictures, masks and coordinates of a folder are turned, and fit as before."""

from __future__ import annotations

import csv
import dataclasses
import random
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mirrors
from mirrors import environment, run, start, tree
from oidkit.api import Settings, download, plan, verify
from oidkit.cli import main
from oidkit.errors import UsageError
from oidkit.events import Event, Warned
from oidkit.recipe import Recipe
from oidkit.selection import Selection
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release
from turned_pictures import BOX, loss, pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

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


settings = pytest.fixture(scope="module")(mirrors.read_from)


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
