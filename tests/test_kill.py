"""Promise 2 of every transfer: `kill -9` at any moment, then the same command again."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mirrors import CLASSES, made_mirror, published, run, start, tree
from oidkit.testing import MirrorServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOMENTS = 20
COMPLETE_BUT_MISSING = 3
IMAGES = "open-images-dataset/"


@dataclass(frozen=True)
class Undisturbed:
    """A server, what a run comes to that nobody disturbs, and what it costs the server."""

    server: MirrorServer
    tree: dict[str, bytes]
    requests: int
    bytes: int

    def progress(self) -> float:
        """Tell how far a run has come, 0 to 1: half by requests, half by bytes.

        Tables are many bytes and few requests, masks the reverse. Time would not do: on a busy
        machine one run takes twice as long as another.
        """
        requests = self.server.requests / self.requests
        return (requests + self.server.bytes_sent / self.bytes) / 2


@contextmanager
def slowed(server: MirrorServer) -> Iterator[None]:
    """Let the server dawdle, so that a run lasts long enough to be hit."""
    server.delay, server.bandwidth = 0.03, 400_000.0
    try:
        yield
    finally:
        server.delay, server.bandwidth = 0.0, None


def command(server: MirrorServer, folder: Path) -> list[str | Path]:
    """Give the arguments of the run, whose output and cache lie in *folder*."""
    places = ("--out", folder / "out", "--cache", folder / "cache")
    splits = ("--split", "train", "--split", "validation")
    return ["download", *CLASSES, *splits, "--source", server.url, "--quiet", *places]


def kill_group(process: subprocess.Popen[bytes]) -> bool:
    """Kill the process and all that it started; tell whether it was still at work."""
    with process:
        at_work = process.poll() is None
        if at_work and hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        elif at_work:
            process.kill()
        process.communicate()
    return at_work and process.returncode != 0


def killed_at(undisturbed: Undisturbed, folder: Path, share: float, *, wait: float = 0.0) -> bool:
    """Run the command and kill it when that share of it is done, and *wait* seconds later."""
    server = undisturbed.server
    server.reset()
    with slowed(server):
        process = start(*command(server, folder), stderr=subprocess.DEVNULL)
        while process.poll() is None and (not server.requests or undisturbed.progress() < share):
            time.sleep(0.004)
        time.sleep(wait)
        at_work = kill_group(process)
    settle(server)
    return at_work


def settle(server: MirrorServer) -> None:
    """Wait until the server has read what the killed run had sent."""
    seen = -1
    while seen != server.requests:
        seen = server.requests
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Run the command once, slowed but not disturbed."""
    mirror = made_mirror(tmp_path_factory)
    folder = tmp_path_factory.mktemp("undisturbed")
    with MirrorServer(mirror) as server:
        with slowed(server):
            done = run(*command(server, folder))
        assert done.returncode == COMPLETE_BUT_MISSING, done.stderr.decode()
        content = published(mirror)
        found = tree(folder / "out")
        assert found.keys() >= {".oid/manifest.csv", ".oid/dataset.json", "attribution.csv"}
        for path, data in found.items():
            if path.endswith((".jpg", ".png")):
                assert data == content[path.rpartition("/")[2]], path
        yield Undisturbed(server, found, server.requests, server.bytes_sent)


def check_what_stands(undisturbed: Undisturbed, out: Path) -> None:
    """Nothing partial is at a final name: each file is as it is in the end."""
    for path, data in tree(out).items():
        name = path.rpartition("/")[2]
        if not path.startswith(".oid/") and not name.startswith(".oid-tmp-"):
            assert data == undisturbed.tree.get(path), f"{path} is partial"


def images_whole(out: Path) -> set[str]:
    """Give the keys of the images that stand at a final name."""
    return {
        f"{IMAGES}{path.relative_to(out).parts[1]}/{path.name}"
        for path in (out / "images").rglob("*.jpg")
        if not path.name.startswith(".oid-tmp-")
    }


def masks_on_record(out: Path) -> set[str]:
    """Give the masks that the manifest, or the journal of the killed run, says are there."""
    files = [out / ".oid" / name for name in ("manifest.csv", "journal.csv")]
    texts = [path.read_text(encoding="utf-8") for path in files if path.exists()]
    rows = [row for text in texts for row in csv.reader(text.splitlines())]
    return {row[0] for row in rows if len(row) == 7 and row[1] == "mask" and row[3] == "ok"}


def check_rerun(undisturbed: Undisturbed, folder: Path) -> None:
    """Run the same command again: it ends well, with the same bytes.

    No image that stood there is fetched again, and no mask that was on record.
    """
    server = undisturbed.server
    whole = images_whole(folder / "out")
    recorded = masks_on_record(folder / "out")
    server.reset()
    again = run(*command(server, folder), "--json")
    assert again.returncode == COMPLETE_BUT_MISSING, again.stderr.decode()
    assert json.loads(again.stdout)["masks"]["present"] >= len(recorded)
    asked = [request.path for request in server.log if request.path.startswith(IMAGES)]
    assert whole.isdisjoint(asked), "an image that was there whole was fetched again"
    assert len(asked) == len(set(asked)), "an image was asked for twice"
    found = tree(folder / "out")
    assert found.keys() == undisturbed.tree.keys()
    different = [path for path, data in found.items() if data != undisturbed.tree[path]]
    assert not different
    left = [path for path in (folder / "out").rglob("*") if path.name.startswith(".oid-tmp-")]
    assert not left
    assert not (folder / "out" / ".oid" / "journal.csv").exists()


def stage(server: MirrorServer) -> str:
    """Say what the killed run was at, by the last thing that it asked for."""
    last = [request.path for request in server.log][-1]
    if last.startswith(IMAGES):
        return "images"
    return "masks" if last.endswith(".zip") else "tables"


@pytest.mark.slow
def test_twenty_kills_each_followed_by_a_rerun(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A run killed at any of 20 random moments ends, run again, in the undisturbed tree."""
    rng = random.Random(20)
    stages: list[str] = []
    for nth in range(MOMENTS):
        # one moment in each twentieth of the run: random, and in every stage
        moment = (nth + rng.random()) / MOMENTS
        folder = tmp_path / f"{nth}"
        if killed_at(undisturbed, folder, moment, wait=rng.uniform(0, 0.04)):
            stages.append(stage(undisturbed.server))
        check_what_stands(undisturbed, folder / "out")
        check_rerun(undisturbed, folder)
    assert len(stages) >= MOMENTS - 4, "too many runs ended before they were killed"
    assert set(stages) == {"tables", "images", "masks"}, stages


@pytest.mark.slow
def test_several_kills_in_a_row(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A folder that six runs in a row were killed in still ends as the undisturbed one."""
    rng = random.Random(6)
    standing: set[str] = set()
    for _ in range(6):
        # each run has less to do than the one before
        killed_at(undisturbed, tmp_path, rng.uniform(0.05, 0.25), wait=rng.uniform(0, 0.1))
        check_what_stands(undisturbed, tmp_path / "out")
        asked = {request.path for request in undisturbed.server.log}
        assert standing.isdisjoint(asked), "a killed run fetched a whole image again"
        now = images_whole(tmp_path / "out")
        assert standing <= now, "an image that was there is gone"
        standing = now
    check_rerun(undisturbed, tmp_path)


def test_kill_while_the_tables_are_built(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A run killed before its first table is whole leaves a cache that the next run can use."""
    assert killed_at(undisturbed, tmp_path, 0.04)
    assert stage(undisturbed.server) == "tables"
    check_rerun(undisturbed, tmp_path)


def test_journal_cut_in_a_row(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A journal whose last row is cut, as a dying machine leaves it, loses that row alone."""
    killed_at(undisturbed, tmp_path, 0.9)
    journal = tmp_path / "out" / ".oid" / "journal.csv"
    rows = journal.read_bytes()
    journal.write_bytes(rows[: rows.rindex(b",")])
    check_rerun(undisturbed, tmp_path)
