"""A clock that is wrong or steps, few descriptors, little memory."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from faults.kills import slowed
from faults.runs import SPEC, Folder, Undisturbed, finished
from oidkit.testing import Fault, MirrorServer, PerSplit, RequestInfo, make_release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Measure = Callable[[str, object], None]

CLOCKS = ["-1y", "+10y"]
GIGABYTE = 1 << 30

faketime = shutil.which("faketime")
needs_faketime = pytest.mark.skipif(faketime is None, reason="faketime is not installed")
needs_prlimit = pytest.mark.skipif(shutil.which("prlimit") is None, reason="there is no prlimit")


def whole(value: object) -> object:
    """Leave a case to the whole of the suite."""
    return pytest.param(value, marks=pytest.mark.whole)


# -- clocks ---------------------------------------------------------------------------------------


def at(clock: str) -> tuple[str, ...]:
    """Run a command at another time; what a disk tells of its files stays true."""
    return ("env", "NO_FAKE_STAT=1", str(faketime), "-f", clock)


@needs_faketime
@pytest.mark.row(35)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_clock_that_is_wrong(folder: Folder, clock: str) -> None:
    """It completes; a later run at the right time, or the reverse, fetches nothing again."""
    folder.check_complete(folder.run(before=at(clock)))
    for before in ((), at("-3y")):
        folder.undisturbed.server.reset()
        folder.check_complete(folder.run(before=before))
        log = folder.undisturbed.server.log
        assert not [each.path for each in log if each.status in (200, 206)]


@pytest.mark.row(35)
@pytest.mark.parametrize("step", [-365 * 86_400, 3650 * 86_400, -30])
def test_a_clock_that_steps(folder: Folder, tmp_path: Path, step: int) -> None:
    """The clock steps back or forward in the middle: no endless wait, and it completes."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    case = replace(folder, without="a steady clock", env={"OID_TESTED_CLOCK": str(offset)})
    with slowed(case.undisturbed):
        process = case.start()
        while process.poll() is None and case.undisturbed.progress() < 0.6:
            time.sleep(0.003)
        offset.write_text(str(step))
        done = finished(process, timeout=60)
    case.check_complete(done)


@needs_faketime
@pytest.mark.row(35)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_date_to_wait_for_is_the_servers(folder: Folder, clock: str) -> None:
    """Retry-After as a date is waited for by the server's clock, however wrong ours is."""
    asked: list[float] = []

    def busy(request: RequestInfo) -> Fault | None:
        if not request.path.endswith(".jpg"):
            return None
        first = next(path for path in folder.undisturbed.tree if path.endswith(".jpg"))
        if request.path.rpartition("/")[2] != first.rpartition("/")[2]:
            return None
        asked.append(time.time())
        if len(asked) > 1:
            return None
        until = formatdate(time.time() + 3, usegmt=True)
        return Fault.answer(503, retry_after=until)

    folder.undisturbed.server.hook = busy
    folder.check_complete(folder.run(before=at(clock)))
    # A date has whole seconds: it was sent as up to one second less.
    assert 1.9 <= asked[1] - asked[0] < 20


# -- limits ---------------------------------------------------------------------------------------


@needs_prlimit
@pytest.mark.row(38)
@pytest.mark.parametrize("most", [64, pytest.param(256, marks=pytest.mark.whole)])
def test_few_descriptors(folder: Folder, most: int) -> None:
    """A download completes with so many open files and sockets."""
    folder.check_complete(folder.run(before=("prlimit", f"--nofile={most}:{most}")))


@needs_prlimit
@pytest.mark.row(38)
@pytest.mark.parametrize("most", [8, 24, *map(whole, (12, 16, 20, 32))])
def test_too_few_descriptors(folder: Folder, most: int) -> None:
    """It completes, or ends with one clear sentence; with more of them it goes on."""
    done = folder.run(before=("prlimit", f"--nofile={most}:{most}"))
    check_clear(folder, done.code, done.err)


@needs_prlimit
@pytest.mark.row(38)
@pytest.mark.parametrize("gigabytes", [1.0, 1.4, *map(whole, (1.5, 2.0))])
def test_little_memory(folder: Folder, gigabytes: float) -> None:
    """It completes, or ends with one clear sentence; with more memory it goes on.

    The limit is one of addresses, not of memory in use: the table engine reserves far more of them
    than it uses, and would end the process itself, without a word of ours, where there are too few.
    """
    most = int(gigabytes * GIGABYTE)
    few = replace(folder, env={"POLARS_MAX_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"})
    done = few.run(before=("prlimit", f"--as={most}:{most}"))
    if gigabytes >= 2:
        folder.check_complete(done)
    if gigabytes < 1.5:
        assert "ulimit -v" in done.err
    check_clear(folder, done.code, done.err)


def check_clear(folder: Folder, code: int, said: str) -> None:
    """Check how a run under a limit has ended, and that without it the same command completes."""
    if code:
        assert code in (4, 5), (code, said)
        assert "Traceback" not in said
        assert said.startswith("oid: "), said
        assert said.count("\n") == 1, said
    folder.check_standing()
    folder.check_complete(folder.run())


@pytest.mark.row(38)
@pytest.mark.whole
def test_a_million_rows(tmp_path: Path, record_property: Measure) -> None:
    """A class of a million boxes: it completes, and memory stays bounded."""
    spec = replace(
        SPEC, images=PerSplit(900_000, 5, 5), jpegs=0.0, labels=("boxes",), image_lists=True
    )
    made = make_release(tmp_path / "mirror", spec).root
    with MirrorServer(made) as server:
        folder = Folder(tmp_path, Undisturbed(server, made, {}, 1, 1, 0.0))
        places = ("--out", folder.out, "--cache", folder.cache, "--source", server.url)
        rest = ("--split", "train", "--no-images", "--labels", "boxes", "--json", "--quiet")
        process = folder.start("download", "Person", *places, *rest)
        assert process.stdout
        assert process.stderr
        out, err = process.stdout.read(), process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        process.stderr.close()
    assert process.returncode == 0, err
    record_property("a million rows: peak RSS in MB", used.ru_maxrss / 1024)
    record_property("a million rows: rows", rows_of(out))
    assert rows_of(out) > 900_000
    assert used.ru_maxrss * 1024 < 2.5 * GIGABYTE


def rows_of(out: bytes) -> int:
    """Give the number of boxes that a summary tells."""
    import json

    found: Mapping[str, int] = json.loads(out)["annotations"]
    return found["boxes"]
