"""Hundreds of short commands end each with the right code; a thousand with `--whole`.

Libraries whose threads outlive the interpreter abort now and then when it shuts down, after all the
work is done. That shows in whole processes alone, and in one of twenty to one of hundreds of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import mirrors
from mirrors import environment, made_mirror, run

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.testing import MirrorServer

RUNS = 160
WHOLE = 1_000
AT_ONCE = 4
# Every tenth run downloads something; one of these loads the table engine with its threads.
DOWNLOADS = 10
MISSING = "train/ffffffffffffffff"


server = pytest.fixture(mirrors.served)


def ended(command: list[str | Path], env: dict[str, str]) -> tuple[int, bytes]:
    """Run the command as a process of its own; give its code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "oidkit", *map(str, command)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_each_of_many_exit_codes(
    server: MirrorServer,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> None:
    """Of many commands that end with 0, 2 or 3, each ends with its own code."""
    runs = WHOLE if pytestconfig.getoption("whole") else RUNS
    mirror = made_mirror(tmp_path_factory)
    env = environment(OID_CACHE=str(tmp_path / "cache"), OID_SOURCE=server.url)
    ids = sorted(path.stem for path in (mirror / "open-images-dataset" / "validation").iterdir())[
        :5
    ]
    lists = {0: tmp_path / "there.txt", 3: tmp_path / "missing.txt"}
    lists[0].write_text("".join(f"validation/{name}\n" for name in ids))
    lists[3].write_text(lists[0].read_text() + f"{MISSING}\n")
    warm = run("download", "Handgun", "--split", "test", "--out", tmp_path / "warm", env=env)
    usual = warm.returncode

    def command(nth: int) -> tuple[list[str | Path], int]:
        out = tmp_path / str(nth)
        kind = nth % (4 * DOWNLOADS)
        if kind == 0:
            flags = ["--split", "test", "--no-metadata", "--quiet"]
            return ["download", "Handgun", *flags, "--out", out], usual
        if kind == DOWNLOADS:
            return ["fetch", lists[0], "--download_folder", out, "--quiet"], 0
        if kind == 2 * DOWNLOADS:
            return ["fetch", lists[3], "--download_folder", out, "--quiet"], 3
        if kind == 3 * DOWNLOADS:
            return ["download", "Handgn", "--out", out], 2
        if kind % DOWNLOADS == 1:
            return ["classes", "handgun", "--release", "v9"], 2
        return ["classes", "handgun"], 0

    def judged(nth: int) -> tuple[int, int, str]:
        arguments, wanted = command(nth)
        code, said = ended(arguments, env)
        note = f"{arguments}: {code} for {wanted}: {said.decode(errors='replace')[-300:]}"
        return wanted, code, note if code != wanted else ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = list(pool.map(judged, range(runs)))
    wrong = [note for _, _, note in ends if note]
    assert not wrong, f"{len(wrong)} of {runs} ended wrongly, such as {wrong[0]}"
    counts = Counter(code for _, code, _ in ends)
    assert counts.total() == runs
    assert min(counts[0], counts[2], counts[3]) >= runs // (4 * DOWNLOADS), counts
