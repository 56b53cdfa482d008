"""Disks that are full, lose their power, or may not be written."""

from __future__ import annotations

import csv
import json
import os
import random
import threading
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults.kills import moment, slowed
from faults.places import (
    WITHOUT_RIGHTS,
    ext4,
    fill,
    needs_mounts,
    needs_rights,
    resize,
    tmpfs,
)
from faults.runs import Done, Folder, finished, kill_group, settle, tree
from oidkit.disk import holds

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Measure = Callable[[str, object], None]

DISK = 5
SOON = 10.0
UNDER_WAY = 64
"""What may be in flight, or wait to be written, when a disk turns out to be full."""

# -- power ----------------------------------------------------------------------------------------

RECORD = ("path", "kind", "key", "status", "bytes", "width", "height", "check", "reason")


def claims(out: Path) -> list[dict[str, str]]:
    """Give the rows of files that the records of a dataset vouch for after a loss of power.

    Those are the rows of the manifest, and of the journal those up to its last note of a sync.
    """
    vouched = {}
    if (manifest := out / ".oid" / "manifest.csv").exists():
        with manifest.open(newline="", encoding="utf-8") as file:
            vouched = {row["path"]: row for row in csv.DictReader(file)}
    for journal in (out / ".oid").glob("journal-*.jsonl"):
        rows = [dict(zip(RECORD, row, strict=False)) for row in whole_lines(journal)]
        sure = [int(row["bytes"]) for row in rows if row["kind"] == "synced"] or [0]
        plain = [row for row in rows if row["kind"] != "synced"]
        # A row that was written later has put its file in the place of the earlier one.
        for row in plain[sure[-1] :]:
            vouched.pop(row["path"], None)
        vouched |= {row["path"]: row for row in plain[: sure[-1]]}
    return [row for row in vouched.values() if row["status"] == "ok"]


def whole_lines(journal: Path) -> list[list[str]]:
    """Read the rows of a journal that fit their CRC-32."""
    found = []
    for line in journal.read_bytes().split(b"\n")[:-1]:
        check, _, text = line.partition(b" ")
        if check == b"%08x" % zlib.crc32(text):
            found.append(json.loads(text))
    return found


@needs_mounts
@pytest.mark.row(4)
@pytest.mark.seeds(2, 30)
def test_power_is_lost(folder: Folder, seed: int, record_property: Measure) -> None:
    """No record claims a file that is not whole, and the same command completes."""
    rng = random.Random(f"power {seed}")
    options = ("", "data=writeback", "commit=1", "nodelalloc")[seed % 4]
    with ext4(folder.root, options) as disk:
        case = replace(folder, root=disk.place)
        with slowed(case.undisturbed):
            process = case.start()
            share = moment(seed, rng)
            while process.poll() is None and case.undisturbed.progress() < min(share, 1):
                time.sleep(0.003)
            time.sleep(rng.uniform(0, 1.5) if share > 1 else rng.uniform(0, 0.05))
            disk.lose_power()
            kill_group(process)
        settle(case.undisturbed.server)
        disk.unmount()
        disk.mount()
        found = claims(case.out)
        record_property("power: files vouched for", len(found))
        for row in found:
            place = case.out / row["path"]
            assert holds(place, size=int(row["bytes"]), check=row["check"]), row
        case.check_complete(case.run())


@needs_mounts
@pytest.mark.row(4)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.whole)])
def test_power_is_lost_once_all_is_done(folder: Folder, seed: int) -> None:
    """What a run has said to be complete is so after a loss of power, cache and all."""
    with ext4(folder.root, ("", "data=writeback")[seed]) as disk:
        case = replace(folder, root=disk.place)
        assert case.run().code == 0
        whole = tree(case.out)
        disk.lose_power()
        disk.unmount()
        disk.mount()
        found = tree(case.out)
        lost = {path for path in whole if found.get(path) != whole[path]}
        # Annotation files are compared with what they should be by every run.
        assert not lost
        case.undisturbed.server.reset()
        case.check_complete(case.run())
        log = case.undisturbed.server.log
        assert not [each.path for each in log if each.status in (200, 206)]


@needs_mounts
@pytest.mark.row(4)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.whole)])
def test_power_is_lost_after_an_export(folder: Folder, seed: int) -> None:
    """An export that has taken its place is whole after a loss of power."""
    assert folder.run().code == 0
    with ext4(folder.root, ("", "data=writeback")[seed]) as disk:
        out = disk.place / "export"
        command = ("export", folder.out, "--out", out, "--format", "webdataset", "--quiet")
        assert folder.run(*command).code == 0
        before = tree(out)
        disk.lose_power()
        disk.unmount()
        disk.mount()
        assert tree(out) == before


# -- full -----------------------------------------------------------------------------------------


def full_at(place: Path, process: subprocess.Popen[bytes], folder: Folder) -> list[float]:
    """Watch a disk from beside; give when it had no room left, and the requests until then."""
    seen: list[float] = []

    def watch() -> None:
        while process.poll() is None and not seen:
            free = os.statvfs(place)
            # A large file fails before the last page is taken.
            if free.f_bavail * free.f_frsize < 1 << 14 or not free.f_favail:
                seen.extend((time.monotonic(), folder.undisturbed.server.requests))
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait(timeout=120)
    watcher.join()
    return seen


def run_full(folder: Folder, place: Path, measure: Measure | None = None) -> Done:
    """Run into a disk that has no room: exit 5 soon, no storm of requests, the path named."""
    process = folder.start()
    seen = full_at(place, process, folder)
    ended = time.monotonic()
    done = finished(process)
    assert done.code == DISK, f"exit {done.code}: {done.err}"
    if seen:
        late, more = ended - seen[0], folder.undisturbed.server.requests - seen[1]
        assert late < SOON
        assert more <= UNDER_WAY, f"{more} requests after the disk was full"
        if measure is not None:
            measure("full disk: seconds until the end", late)
            measure("full disk: requests after it was full", more)
    assert str(place) in done.err, done.err
    assert done.err.count("\n") == 1, done.err
    folder.check_standing()
    return done


OUT = (
    "size=24k",
    "size=150k",
    "size=500k",
    "size=900k",
    "nr_inodes=8",
    "nr_inodes=40",
    "nr_inodes=90",
)
CACHE = ("size=12k", "size=100k", "size=400k", "nr_inodes=5", "nr_inodes=14", "nr_inodes=40")
FEW = {"size=500k", "nr_inodes=40"}


@needs_mounts
@pytest.mark.row(28)
@pytest.mark.parametrize(
    ("where", "room"),
    [
        pytest.param(where, room, marks=[] if room in FEW else pytest.mark.whole)
        for where, rooms in (("out", OUT), ("cache", CACHE))
        for room in rooms
    ],
)
def test_no_room(folder: Folder, where: str, room: str, record_property: Measure) -> None:
    """For bytes or inodes, in the dataset or the cache: exit 5; with more room it completes."""
    place = folder.out if where == "out" else folder.cache
    with tmpfs(place, f"{room},mode=755"):
        run_full(folder, place, record_property)
        resize(place)
        folder.check_complete(folder.run())


@needs_mounts
@pytest.mark.row(28)
@pytest.mark.seeds(1, 8)
def test_room_is_gone_half_way(folder: Folder, seed: int) -> None:
    """Another program takes all the room while we fetch; when it gives it back, all is well."""
    share = moment(seed, random.Random(seed)) * 0.8
    with tmpfs(folder.out, "size=8m"):
        with slowed(folder.undisturbed):
            process = folder.start()
            while process.poll() is None and folder.undisturbed.progress() < share:
                time.sleep(0.003)
            filler = fill(folder.out)
            done = finished(process)
        assert done.code == DISK, done.err
        assert str(folder.out) in done.err
        filler.unlink()
        folder.check_standing()
        folder.check_complete(folder.run())


@needs_mounts
@pytest.mark.row(28)
@pytest.mark.parametrize(
    "name",
    ["webdataset", "coco", pytest.param("yolo", marks=pytest.mark.whole)],
)
def test_no_room_for_an_export(folder: Folder, tmp_path: Path, name: str) -> None:
    """The old export stands; nothing is left beside it; with more room the new one comes."""
    assert folder.run().code == 0
    command = ["export", str(folder.out), "--out", str(tmp_path / "small" / "out"), "--quiet"]
    with tmpfs(tmp_path / "small", "size=700k") as small:
        first = [*command, "--format", "csv", "--split", "test"]
        (small / "out").mkdir()
        before = tree(small / "out")
        done = folder.run(*command, "--format", name)
        assert done.code == DISK, done.err
        assert str(small) in done.err
        assert [path.name for path in small.iterdir()] == ["out"]
        assert tree(small / "out") == before, first
        resize(small)
        assert folder.run(*command, "--format", name).code == 0
        assert [path.name for path in small.iterdir()] == ["out"]


@needs_mounts
@needs_mounts
@pytest.mark.control(28)
def test_without_atomic_writes_a_full_disk_leaves_files_in_part(folder: Folder) -> None:
    """The tests above fail where files are written straight to their final names."""
    case = replace(folder, without="atomic writes")
    with tmpfs(case.out, "size=500k"), pytest.raises(AssertionError):
        run_full(case, case.out)


# -- rights ---------------------------------------------------------------------------------------


@needs_rights
@pytest.mark.row(29)
@pytest.mark.parametrize("where", ["out", "cache", "above"])
def test_a_folder_that_may_not_be_written(folder: Folder, where: str) -> None:
    """Exit 5 with the path before anything is fetched but what the cache cannot take."""
    place = {"out": folder.out, "cache": folder.cache, "above": folder.root / "ours"}[where]
    place.mkdir()
    case = replace(folder, root=place) if where == "above" else folder
    place.chmod(0o555)
    try:
        done = case.run(before=WITHOUT_RIGHTS)
    finally:
        place.chmod(0o755)
    assert done.code == DISK, done.err
    assert str(place) in done.err
    images = [each for each in folder.undisturbed.server.log if each.path.endswith(".jpg")]
    assert not images
    if where != "cache":
        assert not folder.undisturbed.server.requests
    case.check_complete(case.run(before=WITHOUT_RIGHTS))


@needs_rights
@pytest.mark.row(29)
@pytest.mark.parametrize(
    "kind",
    ["images", "csv", *(pytest.param(one, marks=pytest.mark.whole) for one in ("masks", ".oid"))],
)
def test_one_folder_may_not_be_written(folder: Folder, kind: str) -> None:
    """Of a dataset that is there, one folder cannot be written: exit 5, and it is named."""
    assert folder.run().code == 0
    gone = next(path for path in (folder.out / kind).rglob("*") if path.is_file())
    gone.unlink()
    gone.parent.chmod(0o555)
    try:
        done = folder.run(before=WITHOUT_RIGHTS)
    finally:
        gone.parent.chmod(0o755)
    assert done.code == DISK, done.err
    assert str(gone.parent) in done.err
    folder.check_complete(folder.run())


@needs_rights
@pytest.mark.row(29)
@pytest.mark.seeds(1, 6)
def test_rights_are_lost_half_way(folder: Folder, seed: int) -> None:
    """Rights taken away while images come: exit 5, the path named, nothing partial."""
    share = 0.5 + moment(seed, random.Random(seed)) * 0.4
    with slowed(folder.undisturbed):
        process = folder.start(before=WITHOUT_RIGHTS)
        while process.poll() is None and folder.undisturbed.progress() < share:
            time.sleep(0.003)
        places = [path for path in (folder.out / "images").rglob("*") if path.is_dir()]
        for place in places:
            place.chmod(0o555)
        done = finished(process)
    for place in places:
        place.chmod(0o755)
    assert done.code == DISK, done.err
    assert str(folder.out / "images") in done.err
    folder.check_standing()
    folder.check_complete(folder.run(before=WITHOUT_RIGHTS))


@needs_mounts
@pytest.mark.row(29)
@pytest.mark.seeds(1, 8)
def test_a_disk_turns_read_only(folder: Folder, seed: int) -> None:
    """The kernel makes it read-only half way: exit 5, the path named; mounted anew, it goes on."""
    share = moment(seed, random.Random(seed)) * 0.9
    with ext4(folder.root) as disk:
        case = replace(folder, root=disk.place)
        with slowed(case.undisturbed):
            process = case.start()
            while process.poll() is None and case.undisturbed.progress() < share:
                time.sleep(0.003)
            disk.turn_read_only()
            done = finished(process)
        assert done.code == DISK, done.err
        assert str(disk.place) in done.err
        assert "read-only" in done.err
        disk.unmount()
        disk.mount()
        case.check_standing()
        case.check_complete(case.run())
