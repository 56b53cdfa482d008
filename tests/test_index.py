"""The tables and mask directories in the cache: built ahead of time, once, and listed."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import zipfile
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

import mirrors
from mirrors import run, start
from oidkit import catalog
from oidkit.api import Settings, building, download, index_build, index_info
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.catalog import Label


mirror = pytest.fixture(mirrors.made_mirror)
server = pytest.fixture(mirrors.served)


@pytest.fixture
def settings(server: MirrorServer, tmp_path: Path) -> Settings:
    """Read from the server, with an empty cache."""
    return Settings(source=server.url, cache=tmp_path / "cache")


def rows_of(path: Path) -> int:
    """Count the rows of a CSV below its header."""
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def test_after_a_build_a_download_reads_no_table(
    server: MirrorServer, mirror: Path, settings: Settings, tmp_path: Path
) -> None:
    """After a build a download asks whether the CSVs changed, and for members, nothing else."""
    tables = {entry.key for entry in index_build(settings=settings) if entry.kind == "table"}
    server.reset()
    download("Handgun", tmp_path / "out", settings=settings)
    zips = 0
    for request in server.log:
        if request.path in tables:
            assert request.status == 304, f"{request.path} was read again"
        elif request.path.endswith(".zip"):
            zips += 1
            asked = (request.range or "").removeprefix("bytes=").split("-")
            first, last = (int(each) for each in asked)
            with zipfile.ZipFile(mirror / request.path) as archive:
                assert first <= last < archive.start_dir, "a directory was read again"
    assert zips


def test_info_lists_what_was_built(mirror: Path, settings: Settings) -> None:
    """Every table and directory is listed with the rows that csv and zipfile count."""
    assert index_info(settings=settings) == []
    built = index_build(settings=settings)
    assert index_info(settings=settings) == built
    tables = {entry.key: entry for entry in built if entry.kind == "table"}
    assert len(tables) == 9
    assert not [key for key, entry in tables.items() if entry.rows != rows_of(mirror / key)]
    directories = {entry.key: entry for entry in built if entry.kind == "mask directory"}
    assert len(directories) == 48
    for key, entry in directories.items():
        with zipfile.ZipFile(mirror / key) as archive:
            assert entry.rows == len(archive.namelist())
    assert not [
        entry for entry in built if not (entry.source == settings.source and entry.bytes > 0)
    ]
    assert not any(entry.rejects for entry in built)


def test_build_of_a_part(settings: Settings) -> None:
    """Splits, labels and metadata that were not asked for are not built."""
    built = index_build(splits=["test"], labels=["boxes"], metadata=False, settings=settings)
    assert [entry.key for entry in built] == ["openimages/v5/test-annotations-bbox.csv"]


def test_a_label_type_of_several_files(settings: Settings, tmp_path: Path) -> None:
    """Image labels by humans and by machine, and all shards of the narratives, get tables."""
    labels: list[Label] = ["image-labels", "narratives"]
    spec = ReleaseSpec(releases=("v7",), labels=catalog.LABELS, images=PerSplit(20, 4, 4), jpegs=0)
    make_release(tmp_path / "whole", spec)
    settings = dataclasses.replace(settings, source=str(tmp_path / "whole"))
    built = index_build(splits=["train"], labels=labels, metadata=False, settings=settings)
    files = [file for label in labels for file in catalog.tables("v7", label, "train")]
    assert [entry.key for entry in built] == sorted(file.key for file in files)
    assert len(built) == 12


def test_second_build_reads_nothing(server: MirrorServer, settings: Settings) -> None:
    """A build of what is there receives no byte of a body."""
    index_build(settings=settings)
    server.reset()
    index_build(settings=settings)
    assert server.bytes_sent == 0
    assert {request.status for request in server.log} <= {304}


def test_changed_file_is_noticed(mirror: Path, tmp_path: Path) -> None:
    """A CSV that its mirror replaced is built again, and the older table is gone."""
    import shutil

    copy = tmp_path / "mirror"
    shutil.copytree(mirror / "openimages" / "v5", copy / "openimages" / "v5")
    shutil.copytree(mirror / "openimages" / "v7", copy / "openimages" / "v7", dirs_exist_ok=True)
    path = copy / "openimages" / "v5" / "test-annotations-bbox.csv"
    settings = Settings(source=str(copy), cache=tmp_path / "cache")

    def build() -> list[int]:
        built = index_build(splits=["test"], labels=["boxes"], metadata=False, settings=settings)
        return [entry.rows for entry in built]

    (before,) = build()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    assert build() == [before - 3]


def test_two_mirrors_share_nothing(mirror: Path, settings: Settings) -> None:
    """The same files from two addresses are two entries each."""
    part = {"splits": ["test"], "labels": ["boxes"], "metadata": False}
    index_build(**part, settings=settings)  # type: ignore[arg-type]
    other = Settings(source=str(mirror), cache=settings.cache)
    index_build(**part, settings=other)  # type: ignore[arg-type]
    sources = [entry.source for entry in index_info(settings=settings)]
    assert sorted(sources) == sorted([str(settings.source), str(mirror)])


def test_two_builds_at_once_read_each_csv_once(
    server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """Two processes that build the same tables at once both succeed, and one does the work."""
    server.delay, server.bandwidth = 0.02, 300_000.0
    command = ["index", "build", "--json", "--quiet", "--source", server.url]
    both = [start(*command, "--cache", tmp_path / "cache") for _ in range(2)]
    ends = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    first, second = (json.loads(out) for out, _ in ends)
    assert first == second
    whole = Counter(
        request.path
        for request in server.log
        if request.path.endswith(".csv") and request.status == 200 and "class" not in request.path
    )
    assert len(whole) == 9
    assert set(whole.values()) == {1}


def test_locks_are_taken_in_one_order(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the splits are named in, the locks are taken in the same: no deadlock."""
    taken: list[str] = []

    @contextlib.contextmanager
    def noted(path: Path, *, waiting: object = None) -> Iterator[None]:
        taken.append(path.name)
        yield

    monkeypatch.setattr(building, "locked", noted)
    index_build(splits=["train", "test"], metadata=False, labels=["boxes"], settings=settings)
    one = [name for name in taken if name.endswith(".lock") and "bbox" in name]
    taken.clear()
    other = Settings(source=settings.source, cache=f"{settings.cache}-other")
    index_build(splits=["test", "train"], metadata=False, labels=["boxes"], settings=other)
    two = [name for name in taken if name.endswith(".lock") and "bbox" in name]
    assert one == two
    assert not [(a, b) for a, b in pairwise(one) if a >= b]
    assert len(one) == 2


def test_command_shows_the_cache(mirror: Path, tmp_path: Path) -> None:
    """`oid index build` and `oid index info` list the same, and an empty cache is said to be so."""
    places = ["--source", mirror, "--cache", tmp_path / "cache"]
    empty = run("index", "info", "--cache", tmp_path / "cache")
    assert (empty.returncode, empty.stdout) == (0, b"")
    assert b"index build" in empty.stderr
    part = ["--split", "test", "--labels", "boxes", "--no-metadata"]
    built = run("index", "build", *part, "--quiet", *places)
    assert built.returncode == 0, built.stderr.decode()
    shown = run("index", "info", "--cache", tmp_path / "cache")
    assert shown.stdout == built.stdout
    assert b"test-annotations-bbox.csv" in shown.stdout
    plain = run("index", "info", "--json", "--cache", tmp_path / "cache")
    (entry,) = json.loads(plain.stdout)
    assert entry["rows"] == rows_of(mirror / entry["key"])
