"""Several runs at once, in one folder and one cache, with locks and where locks do nothing."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults.datasets import put_dataset
from faults.runs import ASKED, Folder, finished, kill_group, tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oidkit.testing import MirrorServer


@contextlib.contextmanager
def slowed(server: MirrorServer) -> Iterator[None]:
    """Let the server dawdle, so that runs are under way together."""
    server.delay, server.bandwidth = 0.02, 800_000.0
    try:
        yield
    finally:
        server.delay, server.bandwidth = 0.0, None


def killed_when(
    process: subprocess.Popen[bytes], reached: Callable[[], bool], *, wait: float = 0.0
) -> bool:
    """Kill a run as soon as something is so, or when it has ended."""
    while process.poll() is None and not reached():
        time.sleep(0.004)
    time.sleep(wait)
    return kill_group(process)


def together(folder: Folder, seed: int, *, kill: bool) -> list[int]:
    """Start 2 to 8 runs at once, kill one of them, and wait for the rest."""
    rng = random.Random(seed)
    server = folder.undisturbed.server
    server.reset()
    with slowed(server):
        running = [folder.start() for _ in range(rng.randint(2, 8))]
        if kill:
            victim = running.pop(rng.randrange(len(running)))
            share = rng.random()
            killed_when(victim, lambda: folder.undisturbed.progress() >= share)
        ends = [finished(process) for process in running]
    assert [end.code for end in ends] == [0] * len(ends), [end.err for end in ends]
    return [end.code for end in ends]


def duplicates(folder: Folder) -> float:
    """Tell how many bytes the server sent, as a multiple of what one run takes."""
    return round(folder.undisturbed.server.bytes_sent / folder.undisturbed.bytes, 3)


def check_last(folder: Folder) -> None:
    """Check that the next run finds all there, and sweeps what the dead have left."""
    folder.check_standing()
    server = folder.undisturbed.server
    server.reset()
    folder.check_complete(folder.run())
    assert not [each for each in server.log if each.path.endswith(".jpg")]


@pytest.mark.row(30)
@pytest.mark.seeds(1, 40)
def test_runs_together_one_killed(
    folder: Folder, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """2 to 8 runs at once, one killed: all others end well in the undisturbed tree."""
    together(folder, seed, kill=True)
    record_property("row 30: bytes sent, of those for one run", duplicates(folder))
    check_last(folder)


@pytest.mark.row(31)
@pytest.mark.seeds(1, 40)
def test_runs_together_where_locks_do_nothing(
    folder: Folder, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """The same where every lock is had by everybody at once: they do work twice, but no harm."""
    lockless = replace(folder, without="locks")
    together(lockless, seed, kill=seed % 2 == 0)
    record_property("row 31: bytes sent, of those for one run", duplicates(folder))
    check_last(lockless)


@pytest.mark.control(30)
def test_without_names_of_their_own_runs_harm_each_other(folder: Folder) -> None:
    """The test above fails where unfinished files have the same names in all runs."""
    for seed in range(4):
        case = replace(folder, root=folder.root / str(seed), without="names")
        case.root.mkdir()
        try:
            together(case, seed, kill=False)
            check_last(case)
        except AssertionError:
            return
    pytest.fail("no run was harmed")


@pytest.mark.row(31)
@pytest.mark.seeds(1, 10)
def test_other_selections_where_locks_do_nothing(folder: Folder, seed: int) -> None:
    """Runs of a class each, without locks, leave the files that one run of both leaves."""
    case = replace(folder, without="locks")
    common = [word for word in case.download() if word not in ASKED[:2]][1:]
    with slowed(folder.undisturbed.server):
        running = [case.start("download", name, *common) for name in ASKED[:2]]
        ends = [finished(process) for process in running]
    assert [end.code for end in ends] == [0, 0], ends
    found, whole = tree(case.out, case.url), folder.undisturbed.tree
    # the selections differ: two of one class, one of two
    for name in (".oid/dataset.json", ".oid/recipe.toml"):
        assert len(found[name]) > len(whole[name])
    different = [name for name in found if "json" not in name and found[name] != whole.get(name)]
    assert not set(different) - {".oid/recipe.toml"}
    case.check_no_temporary()


# -- the cache -----------------------------------------------------------------------------------


def build(folder: Folder) -> list[str]:
    """Give the arguments of an index build."""
    places = ["--source", folder.url, "--cache", str(folder.cache)]
    return ["index", "build", *ASKED[2:], "--json", "--quiet", *places]


@pytest.mark.parametrize(
    "without",
    [pytest.param("", marks=pytest.mark.row(30)), pytest.param("locks", marks=pytest.mark.row(31))],
)
@pytest.mark.seeds(1, 10)
def test_builds_together_one_killed(folder: Folder, seed: int, without: str) -> None:
    """Builds of one cache at once, one killed: the others agree, and a download reads no table."""
    case, rng = replace(folder, without=without), random.Random(seed)
    server = folder.undisturbed.server
    with slowed(server):
        running = [case.start(*build(case)) for _ in range(rng.randint(2, 4))]
        count = rng.randint(1, 40)
        killed_when(running.pop(), lambda: server.requests >= count)
        ends = [finished(process) for process in running]
    assert [end.code for end in ends] == [0] * len(ends), [end.err for end in ends]
    last = case.run(*build(case))
    assert len({json.dumps(_facts(end.out)) for end in (*ends, last)}) == 1
    server.reset()
    case.check_complete(case.run())
    again = [each.path for each in server.log if each.path.endswith(".csv") and each.sent]
    assert again == ["openimages/v7/oidv7-class-descriptions-boxable.csv"]


def _facts(printed: bytes) -> list[tuple[object, ...]]:
    return [(each["key"], each["rows"], each["bytes"]) for each in json.loads(printed)]


@pytest.mark.row(30)
@pytest.mark.parametrize("earlier", [False, pytest.param(True, marks=pytest.mark.whole)])
def test_half_a_table_of_a_dead_run_is_gone_on_with(folder: Folder, *, earlier: bool) -> None:
    """A build that is killed in a large CSV is taken over: its blocks are not fetched again."""
    from oidkit.schema import BOXES
    from oidkit.store import Checksums
    from oidkit.tables import Cache

    key = "openimages/v5/validation-annotations-bbox.csv"
    data = (folder.undisturbed.mirror / key).read_bytes()
    half = data.rindex(b"\n", 0, len(data) // 2) + 1
    server = folder.undisturbed.server
    assert finished(folder.start(*build(folder), "--labels", "masks", "--no-metadata")).code == 0
    (root,) = (path for path in folder.cache.iterdir() if path.is_dir())
    etag = _etag(server, key)
    with Cache(root).building(key, BOXES) as builder:
        builder.begin(etag, Checksums(size=len(data)))
        builder.feed(data[:half])
        builder._submit(b"".join(builder._pieces))
        builder._drain()
    if earlier:
        # The first oidkit gave such folders no owner.
        (work,) = (path for path in (root / "work").iterdir() if path.is_dir())
        work.rename(work.with_name(work.name.rpartition(".")[0]))
    server.reset()
    folder.check_complete(folder.run())
    (asked,) = (each for each in server.log if each.path == key)
    assert (asked.status, asked.range) == (206, f"bytes={half}-")


def _etag(server: MirrorServer, key: str) -> str:
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/{key}") as answer:
        return str(answer.headers["ETag"])


# -- exports and repairs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "without",
    [pytest.param("", marks=pytest.mark.row(30)), pytest.param("locks", marks=pytest.mark.row(31))],
)
@pytest.mark.seeds(1, 10)
def test_exports_into_one_place(folder: Folder, seed: int, without: str) -> None:
    """Exports into one OUT at once, one killed: OUT is one whole export, and nothing is left."""
    case, rng = replace(folder, without=without), random.Random(seed)
    root = put_dataset(case)

    def command(out: Path) -> list[object]:
        return ["export", root, "--format", "csv", "--out", out, "--quiet"]

    assert case.run(*command(case.root / "alone")).code == 0
    place = case.root / "export"
    running = [case.start(*command(place)) for _ in range(4)]
    time.sleep(rng.uniform(0.3, 2.5))
    kill_group(running.pop())
    ends = [finished(process) for process in running]
    assert [end.code for end in ends] == [0] * 3, [end.err for end in ends]
    assert tree(place) == tree(case.root / "alone")
    assert case.run(*command(place)).code == 0
    assert tree(place) == tree(case.root / "alone")
    assert not list(case.root.rglob(".oid-tmp-*"))


@pytest.mark.parametrize(
    "without",
    [pytest.param("", marks=pytest.mark.row(30)), pytest.param("locks", marks=pytest.mark.row(31))],
)
def test_repair_beside_a_download(folder: Folder, without: str) -> None:
    """`verify --repair` and downloads at once mend a spoilt folder, and agree on what is there."""
    case = replace(folder, without=without)
    root = put_dataset(case)
    # Not a list of rows: a download that comes to it first keeps the spoilt one under another name.
    for ending in ("*.jpg", "*.png"):
        min(root.rglob(ending)).write_bytes(b"spoilt")
    places = ["--cache", str(case.cache), "--source", case.url]
    with slowed(folder.undisturbed.server):
        running = [case.start("verify", root, "--repair", "--quiet", *places), case.start()]
        running.append(case.start())
        ends = [finished(process) for process in running]
    assert [end.code for end in ends] == [0] * 3, [end.err for end in ends]
    case.check_complete(case.run())
    assert case.run("verify", root, *places).code == 0


# -- what is stale -------------------------------------------------------------------------------


STALE = (b"", b"4194303\n", b"12345@another-host\n", b'{"pid": 1, "host": "gone"}', b"\0" * 9999)


@pytest.mark.row(30)
@pytest.mark.parametrize(
    "content",
    [STALE[2], *(pytest.param(each, marks=pytest.mark.whole) for each in STALE[:2] + STALE[3:])],
    ids=["host", "empty", "pid", "json", "garbage"],
)
def test_a_stale_lock_file_blocks_nobody(folder: Folder, content: bytes) -> None:
    """A lock file that some dead process left, here or on another host, is no lock."""
    assert folder.run().code == 0
    locks = [folder.out / ".oid" / "lock", *folder.cache.rglob("*.csv.lock")]
    assert len(locks) > 3
    for lock in locks:
        lock.write_bytes(content)
    shutil.rmtree(folder.out / "images")
    done = folder.run()
    folder.check_complete(done)
    assert done.seconds < 60


@pytest.mark.row(30)
def test_work_of_another_machine_is_left_for_a_day(folder: Folder) -> None:
    """Nobody can tell whether another machine's run lives: its files are swept a day later."""
    import os

    assert folder.run().code == 0
    name = ".oid-tmp-01234567-abcdef-99-12-0123456789ab"
    fresh, old = folder.out / "csv" / name, folder.out / "images" / "train" / name
    for path in (fresh, old):
        path.write_bytes(b"half")
    long_ago = time.time() - 90_000
    os.utime(old, (long_ago, long_ago))
    # images right in the split have folders for a flat selection
    flat = [word.replace("--json", "--layout=flat") for word in folder.download()]
    assert folder.run(*flat).code == 0
    assert fresh.exists()
    assert not old.exists()


@pytest.mark.row(30)
def test_an_export_that_died_in_the_folder_of_the_dataset(whole: Folder) -> None:
    """What a killed export has left beside the images stops no download, and the next sweeps it."""
    out = whole.out / "training"
    left = whole.out / ".oid-tmp-export-training-0123456789ab"
    (left / "images").mkdir(parents=True)
    assert whole.run().code == 0
    assert whole.run("export", whole.out, "--format", "csv", "--out", out, "--quiet").code == 0
    assert not left.exists()
    shutil.rmtree(out)
    whole.check_complete(whole.run())
