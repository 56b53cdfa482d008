"""Several runs at once, in one folder and one cache."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import mirrors
from mirrors import CLASSES, run, start, tree
from oidkit.api import Settings, download
from oidkit.disk import check_writable, listing, locked

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.testing import MirrorServer

COMPLETE_BUT_MISSING = 3
RUNS = 4


server = pytest.fixture(mirrors.served)


def arguments(server: MirrorServer, out: Path, cache: Path) -> list[str | Path]:
    """Give the arguments of every run."""
    command = ["download", *CLASSES, "--source", server.url, "--quiet"]
    return [*command, "--out", out, "--cache", cache]


def test_four_runs_in_one_folder(server: MirrorServer, tmp_path: Path) -> None:
    """Four runs at once all end well, in a single run's tree, and fetch each image once."""
    alone = run(*arguments(server, tmp_path / "alone", tmp_path / "cache-alone"))
    assert alone.returncode == COMPLETE_BUT_MISSING, alone.stderr.decode()
    server.reset()
    places = tmp_path / "together", tmp_path / "cache"
    running = [start(*arguments(server, *places)) for _ in range(RUNS)]
    ends = [(process.communicate(timeout=100)[1], process.returncode) for process in running]
    assert [code for _, code in ends] == [COMPLETE_BUT_MISSING] * RUNS, ends
    assert tree(places[0]) == tree(tmp_path / "alone")
    fetched = Counter(
        request.path
        for request in server.log
        if request.path.startswith("open-images-dataset/") and request.status == 200
    )
    assert set(fetched.values()) == {1}


def test_killed_holder_of_the_locks_blocks_nobody(server: MirrorServer, tmp_path: Path) -> None:
    """A run that is killed while it holds folder and tables leaves no lock behind."""
    server.bandwidth = 20_000.0
    command = arguments(server, tmp_path / "out", tmp_path / "cache")
    holder = start(*command)
    deadline = time.monotonic() + 60
    while not any(request.path.endswith("-bbox.csv") for request in server.log):
        assert time.monotonic() < deadline, "the run never came to its tables"
        time.sleep(0.02)
    waiter = start(*command)
    time.sleep(1.0)
    assert waiter.poll() is None, "the second run did not wait for the lock"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    server.bandwidth = None
    said = waiter.communicate(timeout=60)[1]
    assert waiter.returncode == COMPLETE_BUT_MISSING, said.decode()


def test_runs_of_other_classes_add_to_one_folder(server: MirrorServer, tmp_path: Path) -> None:
    """Two runs at once, of a class each, leave the files that one run of both leaves."""
    settings = Settings(source=server.url, cache=tmp_path / "cache")
    download(CLASSES, tmp_path / "both", settings=settings)
    places = ["--out", tmp_path / "out", "--cache", tmp_path / "cache", "--source", server.url]
    running = [start("download", name, "--quiet", *places) for name in CLASSES]
    ends = [(process.communicate(timeout=100)[1], process.returncode) for process in running]
    assert {code for _, code in ends} == {COMPLETE_BUT_MISSING}, ends
    together, both = tree(tmp_path / "out"), tree(tmp_path / "both")
    # the selections differ: two of one class, one of two
    for name in (".oid/dataset.json", ".oid/recipe.toml"):
        del together[name], both[name]
    assert together == both


def test_probe_that_another_run_sweeps(tmp_path: Path) -> None:
    """A run that tries whether it may write is not upset when another sweeps the folder."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            listing(tmp_path)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(500):
            check_writable(tmp_path)
    finally:
        stop.set()
        sweeper.join()


def test_lock_tells_that_it_waits(tmp_path: Path) -> None:
    """Whoever finds the lock held is told once, and gets it when it is free."""
    told: list[str] = []
    got: list[float] = []

    def wait() -> None:
        with locked(tmp_path / "lock", waiting=lambda: told.append("waiting")):
            got.append(time.monotonic())

    with locked(tmp_path / "lock"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.3)
        released = time.monotonic()
    waiter.join(timeout=10)
    assert told == ["waiting"]
    assert got[0] >= released
