"""Runs that are killed, what they left, and what the same command then costs."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faults.runs import SPEC, Done, Folder, Undisturbed, kill_group, settle, tree
from oidkit.testing import MirrorServer, PerSplit, make_release

if TYPE_CHECKING:
    import random
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

__all__ = ["Again", "Built", "built_index", "kill", "moment", "run_again", "slowed", "stage"]

_IMAGES = "open-images-dataset/"
_GOLDEN = 0.6180339887
_FROM_CACHE = 304
_SETTLING = 32
"""How many objects may have come and wait to be written: the engine's bound."""


def moment(seed: int, rng: random.Random) -> float:
    """Give the share of a run at which a seed kills: few seeds or many, they lie everywhere."""
    return ((seed + 1) * _GOLDEN + rng.uniform(0, 0.02)) % 1 * 1.04


@contextmanager
def slowed(undisturbed: Undisturbed) -> Iterator[None]:
    """Let the server dawdle, so that a run lasts long enough to be hit."""
    server = undisturbed.server
    server.delay, server.bandwidth = 0.02, max(2e6, undisturbed.bytes / 3)
    try:
        yield
    finally:
        server.delay, server.bandwidth = 0.0, None


def kill(folder: Folder, command: list[str], *, share: float, wait: float) -> bool:
    """Run a command, kill it when that share of it is done and *wait* seconds later."""
    undisturbed = folder.undisturbed
    server = undisturbed.server
    server.reset()
    with slowed(undisturbed):
        process = folder.start(*command)
        _wait_for(process, undisturbed, min(share, 1.0))
        time.sleep(wait)
        hit = kill_group(process)
    settle(server)
    return hit


def _wait_for(process: subprocess.Popen[bytes], undisturbed: Undisturbed, share: float) -> None:
    while process.poll() is None:
        if undisturbed.server.requests and undisturbed.progress() >= share:
            return
        time.sleep(0.003)


def stage(server: MirrorServer) -> str:
    """Say what a killed run was at, by the last thing that it asked for."""
    log = server.log
    if not log:
        return "nothing"
    last = log[-1].path
    if last.startswith(_IMAGES):
        return "images"
    return "masks" if last.endswith(".zip") else "tables"


@dataclass(frozen=True)
class Again:
    """What was fetched a second time: how many objects, in part or whole, and their bytes."""

    objects: int
    bytes: int
    most_under_way: int


def run_again(folder: Folder, command: list[str]) -> tuple[Done, Again]:
    """Run the same command again: nothing that was finished may be fetched again."""
    server = folder.undisturbed.server
    before, peak = _sent(server), server.peak
    finished = _finished(folder)
    server.reset()
    done = folder.run(*command)
    after = _sent(server)
    assert not finished.intersection(path for path, _ in after), "what was whole came again"
    again = set(before) & set(after)
    cost = sum(min(before[each], after[each]) for each in again)
    objects = {path for path, _ in again}
    assert len(objects) <= peak + _SETTLING
    return done, Again(len(objects), cost, peak)


def _sent(server: MirrorServer) -> Counter[tuple[str, str | None]]:
    """Give the bytes that were sent of each object, or of each range of it."""
    sent: Counter[tuple[str, str | None]] = Counter()
    for request in server.log:
        if request.status in (200, 206):
            sent[request.path, request.range] += request.sent
    return sent


def _finished(folder: Folder) -> set[str]:
    """Name the objects that stand whole in the folder or in the cache."""
    images = (folder.out / "images").rglob("[0-9a-f]*.jpg")
    found = {f"{_IMAGES}{path.relative_to(folder.out).parts[1]}/{path.name}" for path in images}
    kept = itertools.chain(folder.cache.glob("*/tables/*"), folder.cache.glob("*/files/[!.]*"))
    for path in kept:
        if path.is_file() or any(path.glob("*/table.json")):
            found.add(path.name.replace("~", "/"))
    return found


# -- the index ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """A release whose annotation files take several blocks, and the cache that they become."""

    undisturbed: Undisturbed

    def folder(self, root: Path) -> Folder:
        """Give an empty place for one case."""
        self.undisturbed.server.reset()
        return Folder(root, self.undisturbed)

    def command(self, folder: Folder) -> list[str]:
        """Give the arguments that build the index of two splits."""
        splits = ("--split", "train", "--split", "validation")
        places = ("--cache", str(folder.cache), "--source", folder.url)
        return ["index", "build", *splits, *places, "--json", "--quiet"]

    def check(self, folder: Folder, done: Done) -> None:
        """Check that the cache is that of the undisturbed run, to the byte, and nothing else."""
        assert done.code == 0, done.err
        found, whole = cache_tree(folder), self.undisturbed.tree
        assert found.keys() == whole.keys(), sorted(found.keys() ^ whole.keys())
        assert not [path for path in whole if found[path] != whole[path]]


def cache_tree(folder: Folder) -> dict[str, bytes]:
    """Read a cache but for its locks; the folder and the note of a source have one name in all."""
    found = {}
    for path, data in tree(folder.cache).items():
        name = path.partition("/")[2]
        if not name.endswith(".lock") and name != "source.txt":
            found[name] = data
    return found


@contextmanager
def built_index(factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Serve the release, and build its index once without a fault."""
    spec = replace(SPEC, images=PerSplit(40_000, 2_000, 5), jpegs=0.0)
    made = make_release(factory.mktemp("release") / "mirror", spec).root
    with MirrorServer(made) as server:
        bare = Built(Undisturbed(server, made, {}, 1, 1, 0.0))
        folder = bare.folder(factory.mktemp("built"))
        done = folder.run(*bare.command(folder))
        assert done.code == 0, done.err
        requests, sent = server.requests, server.bytes_sent
        found = cache_tree(folder)
        assert any(path.endswith(".parquet") for path in found)
        yield Built(Undisturbed(server, made, found, requests, sent, done.seconds))
