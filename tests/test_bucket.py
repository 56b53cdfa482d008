"""A dataset in a bucket is the dataset of a folder: the same objects, at the same cost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import oidkit
from buckets import BUCKET, KEYS, SPEC, Store, command_of, images_asked, user_of
from mirrors import CLASSES, run, start, tree
from oidkit.api import Settings, download
from oidkit.catalog import LABELS
from oidkit.objectpath import ObjectPath
from oidkit.selection import Selection
from oidkit.shelf import location_of
from oidkit.testing import MirrorServer, PerSplit, make_release
from oracle import differences
from servers import upload

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE_BUT_MISSING = 3
INTERRUPTED = 130


pytest_plugins = ["bucket_fixtures"]


# -- what lies there ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "selection",
    [
        Selection(CLASSES, layout="flat"),
        Selection(("Handgun",), labels=LABELS, annotations="all"),
        Selection(("Person",), upright=True, limit=6),
        Selection(("Person",), metadata=False, images=False),
    ],
    ids=["flat", "every-label", "upright", "masks-alone"],
)
def test_the_objects_are_the_files_of_a_folder(
    settings: Settings,
    store: Store,
    tmp_path: Path,
    selection: Selection,
    request: pytest.FixtureRequest,
) -> None:
    """Every object has the name and the bytes of the file of the same download into a folder."""
    prefix = f"selections/{request.node.callspec.id}"
    one = download(selection, tmp_path / "folder", settings=settings)
    other = download(selection, f"s3://{BUCKET}/{prefix}", settings=settings)
    assert differences(store.tree(prefix), tree(tmp_path / "folder")) == []
    assert (other.exit_code, other.images, other.masks) == (one.exit_code, one.images, one.masks)


def test_another_selection_adds_to_the_bucket(
    settings: Settings, server: MirrorServer, store: Store, folder: Path, tmp_path: Path
) -> None:
    """Classes that come one after the other come to what they come to in a folder.

    Images that are there for the first are copied within the bucket, and not fetched again.
    """
    for name in CLASSES:
        server.reset()
        download(name, f"s3://{BUCKET}/one-by-one", settings=settings)
        download(name, tmp_path / "folder", settings=settings)
    assert differences(store.tree("one-by-one"), tree(tmp_path / "folder")) == []
    images = [path for path in tree(folder) if path.startswith("images/")]
    assert {*images} == {path for path in store.tree("one-by-one") if path.startswith("images/")}
    present = {path.rpartition("/")[2] for path in images if "/handgun_" in path}
    present &= {path.rpartition("/")[2] for path in images if "/person_" in path}
    assert present
    assert not present & {path.rpartition("/")[2] for path in images_asked(server)}


@pytest.mark.parametrize(
    "prefix", ["a prefix/of ours", "100%25/a%20b", "größe/图", "a#b?c=d&e+f", "air", "x~y*z"]
)
def test_a_prefix_may_have_any_name(settings: Settings, store: Store, prefix: str) -> None:
    """Objects stand at the very key that was written, with or without a slash at its end."""
    store.put("airplane/readme.txt", b"of others")
    place = f"s3://{BUCKET}/{prefix}"
    selection = Selection(("Handgun",), splits=("test",))
    first = download(selection, f"{place}/", settings=settings)
    assert first.out == place
    assert f"{prefix}/.oid/manifest.csv" in store.keys(f"{prefix}/")
    assert download(selection, place, settings=settings).images.fetched == 0
    assert oidkit.verify(place, settings=settings).foreign == []
    assert store.tree("airplane") == {"readme.txt": b"of others"}


def test_a_whole_bucket_may_be_a_dataset(settings: Settings, store: Store, tmp_path: Path) -> None:
    """Without a prefix objects stand at the top, and the next run finds them there."""
    store.client().create_bucket(Bucket="a-bucket-of-its-own")
    selection = Selection(("Handgun",), splits=("test",))
    download(selection, "s3://a-bucket-of-its-own", settings=settings)
    again = download(selection, "s3://a-bucket-of-its-own/", settings=settings)
    assert again.images.present
    assert again.images.fetched == 0
    assert oidkit.verify("s3://a-bucket-of-its-own", settings=settings).foreign == []
    download(selection, tmp_path / "folder", settings=settings)
    one, other = (oidkit.stats(each) for each in ("s3://a-bucket-of-its-own", tmp_path / "folder"))
    assert one.as_dict()["classes"] == other.as_dict()["classes"]


# -- cost ---------------------------------------------------------------------------------------


def test_a_second_run_fetches_nothing_and_costs_little(
    settings: Settings, server: MirrorServer, store: Store, folder: Path
) -> None:
    """Once all is there the source is asked what it is asked with a folder, the bucket by lists.

    In the first run an image costs one request for each of its places, and a mask one.
    """
    place = f"s3://{BUCKET}/twice"
    download(CLASSES, place, settings=settings)
    files = tree(folder)
    apart = [path for path in files if not path.startswith(("images/", "masks/"))]
    assert len(store.puts("images/")) == sum(path.startswith("images/") for path in files)
    assert len(store.puts("masks/")) == sum(path.startswith("masks/") for path in files)
    rest = len(store.log) - len(store.puts("images/")) - len(store.puts("masks/"))
    assert rest <= 7 * len(apart) + 50

    before = store.tree("twice")
    store.log.clear()
    server.reset()
    again = download(CLASSES, place, settings=settings)
    asked = sorted(each.path for each in server.log)
    server.reset()
    download(CLASSES, folder, settings=settings)
    assert asked == sorted(each.path for each in server.log)
    assert (again.images.fetched, again.masks.fetched) == (0, 0)
    assert not [each for each in store.log if "/images/" in each.path or "/masks/" in each.path]
    assert len(store.log) <= 7 * len(apart) + 50
    assert store.tree("twice") == before


# -- kills, and runs at once --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "number"),
    [(0.1, signal.SIGKILL), (0.4, signal.SIGINT), (0.7, signal.SIGKILL)],
    ids=["early", "interrupted", "late"],
)
def test_killed_and_run_again(
    settings: Settings,
    server: MirrorServer,
    store: Store,
    folder: Path,
    tmp_path: Path,
    *,
    share: float,
    number: signal.Signals,
) -> None:
    """After `kill -9`, or Ctrl-C, the same command comes to the same; what is there stays."""
    prefix = f"killed-{share}"
    command = command_of(server, f"s3://{BUCKET}/{prefix}", settings.cache_folder)
    env = user_of(store, tmp_path / "home")
    whole = tree(folder)
    images = sum(path.startswith("images/") for path in whole)
    server.delay = 0.02
    process = start(*command, env=env)
    end = time.monotonic() + 60
    while len(store.puts(f"{prefix}/images/")) < share * images:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == (INTERRUPTED if number == signal.SIGINT else -number)
    time.sleep(0.3)  # what was under way may still arrive
    there = {path.rpartition("/")[2] for path in store.keys(f"{prefix}/images/")}
    assert there

    server.delay = 0.0
    server.reset()
    done = run(*command, env=env)
    assert done.returncode == COMPLETE_BUT_MISSING, done.stderr.decode()
    assert not there & {path.rpartition("/")[2] for path in images_asked(server)}
    assert differences(store.tree(prefix), whole) == []


def test_runs_at_once_come_to_what_one_comes_to(
    settings: Settings, server: MirrorServer, store: Store, folder: Path, tmp_path: Path
) -> None:
    """Three runs into one prefix all end well, and leave the objects of a single one."""
    command = command_of(server, f"s3://{BUCKET}/together", settings.cache_folder)
    env = user_of(store, tmp_path / "home")
    processes = [start(*command, env=env) for _ in range(3)]
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert {code for _, code in ends} == {COMPLETE_BUT_MISSING}, ends
    done = run(*command, env=env)
    assert done.returncode == COMPLETE_BUT_MISSING, done.stderr.decode()
    assert differences(store.tree("together"), tree(folder)) == []


# -- what stays apart ---------------------------------------------------------------------------


def test_nothing_is_written_on_the_disk(server: MirrorServer, store: Store, tmp_path: Path) -> None:
    """But for the cache, and what an export is asked to write, the machine is as it was."""
    home, cache = tmp_path / "home", tmp_path / "cache"
    env = user_of(store, home)
    place = f"s3://{BUCKET}/nothing-here"
    for command in (
        command_of(server, place, cache),
        ["verify", place, "--source", server.url, "--cache", str(cache), "--quiet"],
        ["verify", place, "--source", server.url, "--cache", str(cache), "--repair", "--quiet"],
        ["stats", place],
        ["export", place, "--format", "coco", "--out", str(tmp_path / "coco"), "--quiet"],
    ):
        done = run(*command, env=env, cwd=home)
        assert done.returncode in (0, COMPLETE_BUT_MISSING), done.stderr.decode()
        assert list(home.rglob("*")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"home", "cache", "coco"}


def test_no_credential_ever_reaches_the_source(
    server: MirrorServer, store: Store, tmp_path: Path
) -> None:
    """Requests for the bucket are signed; none for the source is, nor has it a key in it."""
    place = f"s3://{BUCKET}/apart"
    download(CLASSES, place, settings=Settings(source=server.url, cache=tmp_path / "cache"))
    assert server.log
    for asked in server.log:
        assert not [name for name in asked.headers if name == "authorization" or "amz" in name]
        said = " ".join([asked.path, *asked.headers.values()])
        assert not [key for key in KEYS.values() if key in said]
    assert store.log
    for each in store.log:
        assert f"Credential={KEYS['AWS_ACCESS_KEY_ID']}/" in each.headers["authorization"]


def test_a_source_at_the_same_endpoint_is_read_anonymously(
    mirror: Path, store: Store, folder: Path, tmp_path: Path
) -> None:
    """Even of one server, the bucket of the source is asked without the keys of the other."""
    upload(mirror, f"{store.behind}/their-data", "mirror")
    settings = Settings(source="s3://their-data/mirror", cache=tmp_path / "cache")
    download(CLASSES, f"s3://{BUCKET}/neighbours", settings=settings)
    theirs = [each for each in store.log if each.path.startswith("their-data")]
    assert theirs
    assert not [each for each in theirs if "authorization" in each.headers]
    assert not [
        each for each in store.log if each not in theirs and "authorization" not in each.headers
    ]
    found, images = store.tree("neighbours"), tree(folder)
    assert {path for path in found if path[-4:] in (".jpg", ".png")} == {
        path for path in images if path[-4:] in (".jpg", ".png")
    }


# -- values and memory -------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(store: Store, tmp_path: Path) -> None:
    """Four times the images, of 60 kB each, take as much memory as a quarter of them."""
    peaks = []
    for images in (300, 1_200):
        home, spec = tmp_path / str(images), replace(SPEC, labels=("boxes",), jpeg_bytes=60_000)
        spec = replace(spec, images=PerSplit(images, 2, 2))
        with MirrorServer(make_release(home / "mirror", spec).root) as source:
            command = ["download", "Person", "--labels", "boxes", "--layout", "flat", "--quiet"]
            command += ["--source", source.url, "--cache", str(home / "cache")]
            command += ["--out", f"s3://{BUCKET}/memory-{images}"]
            done = subprocess.run(
                [sys.executable, "-c", _MEASURED, *command],
                env=user_of(store, home / "home"),
                capture_output=True,
                check=False,
            )
        assert done.returncode == COMPLETE_BUT_MISSING, done.stderr.decode()
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    few, many = peaks
    assert many - few < 20  # MB; the images are 30 more


_MEASURED = """
import resource, sys
from oidkit.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def test_locations_are_values(store: Store) -> None:
    """Two paths of the same address are one; they have an order."""
    one, other = (location_of(f"s3://{BUCKET}/x/") for _ in range(2))
    assert (one, hash(one), str(one)) == (other, hash(other), f"s3://{BUCKET}/x")
    assert isinstance(one, ObjectPath)
    assert one / "a" < one / "b"
