"""The program is killed at its K-th write, rename, sync, link, unlink or open, by strace.

strace counts the calls of each thread by itself: the K-th is that of whichever thread gets there
first. A kill comes as the call is entered, so that it is not carried out.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from faults.runs import SPEC, Folder, finished, kill_group, tree, undisturbed_run
from oidkit.testing import PerSplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.runs import Undisturbed

CALLS = {
    "rename": "rename,renameat,renameat2",
    "sync": "fsync,fdatasync,syncfs",
    "link": "link,linkat",
    "unlink": "unlink,unlinkat",
    "write": "write,pwrite64,writev",
    "open": "openat",
}
QUICK = {
    ("download", "rename"),
    ("download", "sync"),
    ("download", "write"),
    ("index", "rename"),
    ("export", "link"),
    ("export", "rename"),
}
# So few images that every write can be tried.
SMALL = replace(SPEC, images=PerSplit(10, 4, 1))
# More than a command makes of them, so that each write, rename and sync is tried: the whole of a
# command is written down by these. Of the others, so many are tried, evenly spread.
TRIES = {
    ("download", "write"): 560,
    ("index", "write"): 320,
    ("export", "write"): 60,
    ("download", "rename"): 52,
}
FEW = 24
SPREAD = 0.6180339887

strace = shutil.which("strace")
pytestmark = pytest.mark.skipif(strace is None, reason="strace is not installed")


@dataclass
class Calls:
    """The commands, what each leaves when nobody disturbs it, and how often it makes each call."""

    dataset: Folder
    whole: bool
    """Whether each write, rename and sync is to be tried, not one of each."""
    trees: dict[str, dict[str, bytes]] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def command(self, kind: str, folder: Folder) -> list[str]:
        """Give the arguments of a command of one kind, whose results are in *folder*."""
        if kind == "download":
            return folder.download()
        if kind == "index":
            places = ("--cache", str(folder.cache), "--source", folder.url)
            return ["index", "build", "--split", "train", *places, "--json", "--quiet"]
        export = ["export", str(self.dataset.out), "--out", str(folder.out)]
        return [*export, "--format", "yolo", "--quiet"]

    def left(self, kind: str, folder: Folder) -> dict[str, bytes]:
        """Read what a command of one kind has made."""
        if kind != "index":
            return tree(folder.out, folder.url)
        found = tree(folder.cache)
        return {path: data for path, data in found.items() if not path.endswith(".lock")}

    def count(self, kind: str, folder: Folder, log: Path) -> None:
        """Run a command undisturbed, and count for each call those of the busiest thread."""
        every = ",".join(CALLS.values())
        before = (str(strace), "-f", "--seccomp-bpf", "-qq", "-e", f"trace={every}", "-o", str(log))
        done = folder.run(*self.command(kind, folder), before=before)
        assert done.code == 0, done.err
        found = Counter(
            re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
        )
        for call, names in CALLS.items():
            by_thread: Counter[str] = Counter()
            for (thread, name), number in found.items():
                by_thread[thread] += number if name in names.split(",") else 0
            self.counts[kind, call] = max(by_thread.values(), default=0)
        self.trees[kind] = self.left(kind, folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Give what a run over few images leaves, and a server for the others."""
    with undisturbed_run(tmp_path_factory, SMALL) as found:
        yield found


@pytest.fixture(scope="module")
def calls(
    undisturbed: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Calls:
    """Run a command of each kind once, and count its calls."""
    undisturbed.server.reset()
    root = tmp_path_factory.mktemp("calls")
    whole = bool(pytestconfig.getoption("whole"))
    found = Calls(Folder(root / "dataset", undisturbed), whole)
    assert found.dataset.run().code == 0
    for kind in ("download", "index", "export"):
        found.count(kind, Folder(root / kind, undisturbed), root / f"{kind}.log")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try one call of a few kinds, and of the whole each as often as `TRIES` says."""
    if "call" in metafunc.fixturenames:
        whole = metafunc.config.getoption("whole")
        tries = [
            (kind, call, seed)
            for kind in ("download", "index", "export")
            for call in CALLS
            if whole or (kind, call) in QUICK
            for seed in range(TRIES.get((kind, call), FEW) if whole else 1)
        ]
        metafunc.parametrize(("kind", "call", "seed"), tries)


@pytest.mark.row(2)
def test_killed_at_a_system_call(
    calls: Calls,
    folder: Folder,
    kind: str,
    call: str,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    """Run again, it leaves what an undisturbed run does, whichever call it was killed at."""
    most = calls.counts[kind, call]
    if calls.whole and call in ("write", "rename", "sync"):
        assert most <= TRIES.get((kind, call), FEW), "not every call would be tried: raise TRIES"
    nth = nth_call(most, seed, TRIES.get((kind, call), FEW))
    if nth is None:
        pytest.skip(f"{kind} makes {most} calls of {call}: each was tried")
    command = calls.command(kind, folder)
    inject = f"inject={CALLS[call]}:signal=KILL:when={nth}"
    trace = f"trace={CALLS[call]}"
    quietly = (
        str(strace),
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        trace,
        "-e",
        inject,
    )
    process = folder.start(*command, before=quietly)
    try:
        done = finished(process)
    finally:
        kill_group(process)
    record_property(f"system calls: {kind}: killed", done.code != 0)
    if kind == "download":
        folder.check_standing()
    again = folder.run(*command)
    assert again.code == 0, again.err
    assert calls.left(kind, folder) == calls.trees[kind], f"after {call} {nth} of {most}"
    if kind == "download":
        folder.check_complete(again)
    left = [path.name for path in folder.root.rglob(".oid-tmp-*")]
    assert not left


def nth_call(most: int, seed: int, tries: int) -> int | None:
    """Choose which call: every one where there are fewer than tries, else evenly spread."""
    if most > tries:
        return 1 + int((seed + 1) * SPREAD % 1 * most)
    if seed >= most:
        return None
    # Those of the quick part, the first seeds, are to lie in the middle of things.
    return 1 + (seed + int(most * SPREAD)) % most
