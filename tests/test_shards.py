"""Straight to shards: the same bytes as a folder and an export of it, and nothing but them."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import pytest

from mirrors import CLASSES, SPEC, environment, made_mirror, run, start
from oidkit.api import Settings, download, download_shards, export
from oidkit.errors import UsageError
from oidkit.objectpath import ObjectPath
from oidkit.recipe import Recipe
from oidkit.selection import Selection
from oidkit.shelf import location_of
from oidkit.testing import Fault, MirrorServer, make_release
from oracle import differences
from team_indexes import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SIZE = 25
POSIX = pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")


@cache
def _whole(base: Path) -> Path:
    return make_release(base / "mirror-with-every-image", replace(SPEC, jpegs=1.0)).root


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorServer]:
    """Serve a mirror that has every image."""
    with MirrorServer(_whole(tmp_path_factory.getbasetemp())) as served:
        yield served


@pytest.fixture
def settings(server: MirrorServer, tmp_path: Path) -> Settings:
    """Give the settings of one who reads from there."""
    return Settings(source=server.url, cache=tmp_path / "cache")


def files(place: Path | str) -> dict[str, bytes]:
    """Read what stands in a folder or a bucket, but for what oidkit says of it itself."""
    root = location_of(place)
    if isinstance(root, ObjectPath):
        found = {each.key: root.objects.read(each.key) for each in root.objects.below("")}
    else:
        every = (path for path in sorted(root.rglob("*")) if path.is_file())
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in every}
    return {name: data for name, data in found.items() if not name.startswith(".oid")}


def images_of(server: MirrorServer) -> list[str]:
    """Name the images that were asked of the source."""
    return [each.path for each in server.log if each.path.endswith(".jpg")]


# -- what is in them ----------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [(), ("boxes",), ("masks", "boxes")])
def test_shards_are_those_of_a_folder_and_its_export(
    settings: Settings, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    """Where the source has every image, shards, their list and the classes are the same bytes."""
    wanted = Selection(CLASSES, labels=labels)  # type: ignore[arg-type]
    download(wanted, tmp_path / "folder", settings=settings)
    export(tmp_path / "folder", tmp_path / "export", "webdataset", shard_size=SIZE)
    came = download_shards(wanted, tmp_path / "shards", shard_size=SIZE, settings=settings)
    want = files(tmp_path / "export")
    assert came.written == len([name for name in want if name.endswith(".tar")]) > 3
    assert differences(files(tmp_path / "shards"), want) == []
    assert came.exit_code == 0


def test_rows_of_parquet_are_those_of_an_export(settings: Settings, tmp_path: Path) -> None:
    """The rows of all files are the same, the card is but for sizes of files, and each is named."""
    download(CLASSES, tmp_path / "folder", settings=settings)
    export(tmp_path / "folder", tmp_path / "export", "parquet")
    place = tmp_path / "shards"
    came = download_shards(CLASSES, place, "parquet", shard_size=SIZE, settings=settings)
    names = sorted(path.name for path in (place / "data").glob("train-*"))
    assert names == [f"train-{at:05d}-of-{len(names):05d}.parquet" for at in range(len(names))]
    for split in ("train", "validation", "test"):
        want = pl.read_parquet(tmp_path / "export" / "data" / f"{split}-*.parquet")
        assert pl.read_parquet(place / "data" / f"{split}-*.parquet").equals(want)
    cards = [
        [
            line
            for line in (each / "README.md").read_text().splitlines()
            if "download_size" not in line
        ]
        for each in (place, tmp_path / "export")
    ]
    assert cards[0] == cards[1]
    assert came.images.fetched == came.images.asked > SIZE


def test_all_annotations_of_listed_images_have_the_classes_of_an_export(
    settings: Settings, tmp_path: Path
) -> None:
    """Without a class, the categories are those of the objects on the images."""
    download("Handgun", tmp_path / "some", settings=settings)
    listed = (tmp_path / "some" / "downloader_IDs_for_m0gxl3_train.txt").read_text().split()[:30]
    wanted = Selection((), image_ids=tuple(listed), splits=("train",))
    download(wanted, tmp_path / "folder", settings=settings)
    export(tmp_path / "folder", tmp_path / "export", "webdataset", shard_size=SIZE)
    download_shards(wanted, tmp_path / "shards", shard_size=SIZE, settings=settings)
    assert differences(files(tmp_path / "shards"), files(tmp_path / "export")) == []


def test_upright_shards_are_those_of_an_upright_folder(settings: Settings, tmp_path: Path) -> None:
    """Images, boxes and masks are turned on the way."""
    wanted = Selection(CLASSES, upright=True)
    download(wanted, tmp_path / "folder", settings=settings)
    export(tmp_path / "folder", tmp_path / "export", "webdataset", shard_size=SIZE)
    download_shards(wanted, tmp_path / "shards", shard_size=SIZE, settings=settings)
    assert differences(files(tmp_path / "shards"), files(tmp_path / "export")) == []


# -- what is missing or fails -------------------------------------------------------------------


def test_a_missing_image_shifts_no_other(
    server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """The shard of an image that the source lacks is shorter; all others are the same bytes."""
    download_shards(CLASSES, tmp_path / "want", shard_size=SIZE, settings=settings)
    lost = next(path for path in images_of(server) if "/train/" in path)
    server.hook = lambda request: Fault(status=404) if request.path == lost else None
    came = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    assert (came.exit_code, came.images.missing) == (3, 1)
    assert came.missing == [f"train/{lost.rpartition('/')[2].removesuffix('.jpg')}"]
    found, want = files(tmp_path / "out"), files(tmp_path / "want")
    assert len([name for name in want if found[name] != want[name]]) == 2  # and the list
    again = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    assert (again.exit_code, again.images.missing, again.written) == (3, 1, 0)


def test_a_failed_image_costs_its_shard_alone_and_a_rerun_mends_it(
    server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """No shard lacks an image for a fault of the moment, and no list tells of shards to come."""
    download_shards(CLASSES, tmp_path / "want", shard_size=SIZE, settings=settings)
    lost = next(path for path in images_of(server) if "/train/" in path)
    server.hook = lambda request: Fault(status=403) if request.path == lost else None
    came = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    want = files(tmp_path / "want")
    shards = {name for name in want if name.endswith(".tar")}
    assert (came.exit_code, came.images.failed) == (4, 1)
    assert len(shards - files(tmp_path / "out").keys()) == 1
    assert "shards.json" not in files(tmp_path / "out")
    server.hook = None
    server.reset()
    again = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    assert (again.exit_code, again.written, again.kept) == (0, 1, len(shards) - 1)
    assert len(images_of(server)) == SIZE
    assert differences(files(tmp_path / "out"), want) == []


def test_a_second_run_asks_for_no_image(
    server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """What is done is known by its notes, and counted as there."""
    first = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    before = files(tmp_path / "out")
    server.reset()
    again = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    assert images_of(server) == []
    assert (again.written, again.kept) == (0, first.written)
    assert (again.images.present, again.images.asked) == (first.images.fetched, first.images.asked)
    assert (again.masks.present, again.annotations) == (first.masks.fetched, first.annotations)
    assert differences(files(tmp_path / "out"), before) == []


def test_a_shard_that_is_gone_or_cut_is_made_again(settings: Settings, tmp_path: Path) -> None:
    """A note counts with the shard that it is of."""
    download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    before = files(tmp_path / "out")
    (tmp_path / "out" / "train-000000.tar").unlink()
    (tmp_path / "out" / "train-000001.tar").write_bytes(b"cut")
    (tmp_path / "out" / ".oid" / "shards" / "test-0.json").write_bytes(b"{")
    again = download_shards(CLASSES, tmp_path / "out", shard_size=SIZE, settings=settings)
    assert again.written == 3
    assert differences(files(tmp_path / "out"), before) == []


# -- buckets, kills, the command ----------------------------------------------------------------


@POSIX
def test_a_killed_run_goes_on_with_the_next_shard(
    server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a bucket: what stood there whole is not asked for again, and all is as undisturbed."""
    with bucket(tmp_path / "s3", monkeypatch) as url:
        words = ["download", *CLASSES, "--export", "webdataset", "--no-folder", "--source"]
        words += [server.url, "--shard-size", "10", "--workers", "4", "--quiet", "--json"]
        env = environment(OID_CACHE=str(tmp_path / "cache"))
        assert run(*words, "--out", f"{url}/want", env=env).returncode == 0
        server.delay = 0.02
        process = start(*words, "--out", f"{url}/out", env=env)
        end = time.monotonic() + 60
        while time.monotonic() < end and len(files(f"{url}/out")) < 3:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stood = {name for name in files(f"{url}/out") if name.endswith(".tar")}
        server.reset()
        done = run(*words, "--out", f"{url}/out", env=env)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        # A kill may come between a shard and its note.
        assert len(stood) - 1 <= told["shards"]["kept"] <= len(stood)
        assert told["shards"]["kept"] >= 2
        assert len(images_of(server)) == told["images"]["fetched"] < told["images"]["asked"]
        assert differences(files(f"{url}/out"), files(f"{url}/want")) == []


def test_nothing_is_left_on_the_disk_but_the_cache(
    server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command writes into the bucket alone, and tells of shards."""
    home = tmp_path / "home"
    home.mkdir()
    with bucket(tmp_path / "s3", monkeypatch) as url:
        env = environment(OID_CACHE=str(tmp_path / "cache"), HOME=str(home), TMPDIR=str(home))
        words = ["download", "Handgun", "--export", "parquet", "--no-folder", "--out", url]
        done = run(*words, "--source", server.url, "--quiet", env=env, cwd=home)
        assert done.returncode == 0, done.stderr
        assert b"shards    3 written" in done.stdout
        assert [*home.rglob("*")] == []
        assert "README.md" in files(url)


def test_a_dry_run_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    """The plan is that of all shards, whether some stand there or not."""
    place = ["--source", settings.source, "--cache", tmp_path / "cache", "--out", tmp_path / "out"]
    words = ["download", "Handgun", "--export", "webdataset", "--no-folder", "--json", *place]
    before = run(*words, "--dry-run")
    assert not (tmp_path / "out").exists()
    assert run(*words).returncode == 0
    plans = [json.loads(each.stdout) for each in (before, run(*words, "--dry-run"))]
    # What is to be received of zips is less by now: their directories are known.
    counts = [(each["images"], each["masks"]) for each in plans]
    assert counts[0] == counts[1]


# -- bad input ----------------------------------------------------------------------------------


def refused(settings: Settings, out: Path, selection: object = "Handgun", **flags: object) -> str:
    """Give the sentence of what is refused before anything is asked for."""
    with pytest.raises(UsageError) as caught:
        download_shards(selection, out, settings=settings, **flags)  # type: ignore[arg-type]
    return str(caught.value)


def test_what_makes_no_sense_is_refused_before_an_image_is_asked_for(
    server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """Formats without shards, sizes, selections, and places that hold something else."""
    out = tmp_path / "out"
    assert "format coco needs a folder" in refused(settings, out, format="coco")
    assert "a shard of 0 samples" in refused(settings, out, shard_size=0)
    assert "leaves them out" in refused(settings, out, Selection(("Handgun",), images=False))
    several = Recipe((Selection(("Handgun",)), Selection(("Person",))))
    assert "the recipe has several" in refused(settings, out, several)
    assert not out.exists()
    download(Selection(("Handgun",), images=False), tmp_path / "dataset", settings=settings)
    assert "holds a dataset, not shards" in refused(settings, tmp_path / "dataset")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_bytes(b"")
    assert "it holds thesis.tex" in refused(settings, tmp_path / "other")
    assert images_of(server) == []
    download_shards("Handgun", out, settings=settings)
    server.reset()
    assert "of another selection" in refused(settings, out, "Person")
    assert "of another shard size" in refused(settings, out, shard_size=7)
    assert "of another format" in refused(settings, out, format="parquet")
    marker = out / ".oid" / "shards.json"
    marker.write_text(marker.read_text().replace('"version": 1', '"version": 2'))
    assert "written by a newer oidkit" in refused(settings, out)
    assert images_of(server) == []


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--no-folder"], "--no-folder writes the shards of --export NAME"),
        (["--no-folder", "--export", "coco"], "format coco needs a folder"),
        (["--no-folder", "--export", "webdataset", "--export-out", "x"], "no --export-out"),
        (["--shard-size", "9"], "--shard-size needs --no-folder"),
        (["--no-folder", "--export", "parquet", "--engine", "ray"], "are made by one process"),
    ],
)
def test_flags_that_do_not_go_together(
    server: MirrorServer, tmp_path: Path, flags: list[str], sentence: str
) -> None:
    """Each is told in one sentence, and nothing is asked of the source."""
    env = environment(OID_CACHE=str(tmp_path / "cache"))
    done = run("download", "Handgun", "--source", server.url, *flags, env=env, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert sentence in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert server.requests == 0


def test_the_shared_mirror_lacks_images_and_that_is_told(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """By the command: the exit code, the notes of shards, and a sentence."""
    mirror = made_mirror(tmp_path_factory)
    words = ["download", *CLASSES, "--export", "webdataset", "--no-folder", "--quiet"]
    env = environment(OID_CACHE=str(tmp_path / "cache"), OID_SOURCE=str(mirror))
    done = run(*words, "--out", tmp_path / "out", env=env)
    assert done.returncode == 3, done.stderr
    assert b"not at the source, as listed in" in done.stderr
    notes = [*(tmp_path / "out" / ".oid" / "shards").glob("*.json")]
    lost = [each for note in notes for each in json.loads(note.read_bytes())["missing"]]
    for each in lost:
        assert not (mirror / "open-images-dataset" / f"{each}.jpg").exists()
    assert lost
