"""Ctrl-C once and twice, and a polite kill: exit 130 soon, and the same command completes."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from faults.kills import built_index, moment, slowed
from faults.runs import Done, Folder, finished, tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.kills import Built

    Measure = Callable[[str, object], None]

STOPPED = 130
SOON = 5.0
KNOCKS = {"once": (signal.SIGINT,), "twice": (signal.SIGINT,) * 2, "polite": (signal.SIGTERM,)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Give a release whose files take several blocks, and the cache that they become."""
    with built_index(tmp_path_factory) as found:
        yield found


def knock(process: subprocess.Popen[bytes], how: str, measure: Measure) -> Done | None:
    """Stop a run as a terminal does, with all that it has started; None where it was over."""
    begun = time.monotonic()
    for number in KNOCKS[how]:
        if process.poll() is not None:
            break
        os.killpg(process.pid, number)
        time.sleep(0.02)
    done = finished(process)
    late = time.monotonic() - begun
    if done.code == 0 or (done.code == -signal.SIGTERM and done.out):
        return None  # it had said what came of it, and was about to leave
    measure("signals: seconds until the end", late)
    # where more wants to run than there are cores, everything takes that much longer
    crowd = min(4.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
    # How it was stopped must not matter; the second Ctrl-C may come as the interpreter leaves.
    assert done.code == STOPPED or (how == "twice" and done.code == -signal.SIGINT), done
    assert late < SOON * crowd
    assert "Traceback" not in done.err
    return done


def wait_for(process: subprocess.Popen[bytes], folder: Folder, share: float) -> None:
    """Wait until a run is that far; one that has asked for nothing yet is starting."""
    undisturbed = folder.undisturbed
    while process.poll() is None:
        if undisturbed.server.requests and undisturbed.progress() >= share:
            return
        time.sleep(0.003)


@pytest.mark.row(5)
@pytest.mark.seeds(1, 12)
@pytest.mark.parametrize("how", KNOCKS)
def test_a_download_is_stopped(
    folder: Folder, how: str, seed: int, record_property: Measure
) -> None:
    """In whatever stage: exit 130 within five seconds, the manifest valid, a rerun completes."""
    share = moment(seed + list(KNOCKS).index(how), random.Random(f"stop {how} {seed}")) * 0.95
    with slowed(folder.undisturbed):
        process = folder.start()
        wait_for(process, folder, share)
        done = knock(process, how, record_property)
    folder.check_standing()
    if done is not None and how != "twice":
        assert done.err.count("interrupted") == 1, done.err
        assert not list((folder.out / ".oid").glob("journal*"))
    folder.check_complete(folder.run())


@pytest.mark.row(5)
@pytest.mark.seeds(1, 6)
@pytest.mark.parametrize("how", ["once", pytest.param("twice", marks=pytest.mark.whole), "polite"])
def test_a_table_build_is_stopped(
    built: Built, tmp_path: Path, how: str, seed: int, record_property: Measure
) -> None:
    """In the middle of tables of several blocks: 130 soon, and the next run makes the same."""
    folder = built.folder(tmp_path)
    command = built.command(folder)
    share = moment(seed + len(how), random.Random(f"tables {how} {seed}")) * 0.9
    with slowed(folder.undisturbed):
        process = folder.start(*command)
        wait_for(process, folder, share)
        knock(process, how, record_property)
    built.check(folder, folder.run(*command))


@pytest.mark.row(5)
@pytest.mark.seeds(1, 6)
@pytest.mark.parametrize("how", ["once", "twice", "polite"])
def test_an_export_is_stopped(
    folder: Folder, tmp_path: Path, how: str, seed: int, record_property: Measure
) -> None:
    """With workers: 130 soon, the place as it was, nothing beside it; a rerun completes."""
    assert folder.run().code == 0
    (tmp_path / "place").mkdir()
    out = tmp_path / "place" / "out"
    command = ["export", str(folder.out), "--out", str(out), "--format", "coco", "--quiet"]
    command += ["--image-size", "700", "--processes", "2"]
    process = folder.start(*command)
    while process.poll() is None and not list(out.parent.glob(".oid-tmp-*")):
        time.sleep(0.003)
    time.sleep(random.Random(f"export {how} {seed}").uniform(0, 0.8))
    done = knock(process, how, record_property)
    if done is not None and how != "twice":
        assert not tree(out.parent)
    again = folder.run(*command)
    assert again.code == 0, again.err
    assert [path.name for path in out.parent.iterdir()] == ["out"]
