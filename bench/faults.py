"""The same faults for oidkit and for what people would use instead, and the table of both.

    python -m bench.faults [--only-peers|--only-suite] [--quick] [--rounds N] [TEST ...]

Runs the whole fault suite of the tests, then lets each program fetch the same images from the same
server while the same thing goes wrong, and writes docs/concepts/faults.json and the tables of
docs/concepts/reliability.md. Needs aria2 and rclone (apt-get install) and img2dataset (make peers);
what is not there is left out of the table. Takes about two hours on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.fault_table import HERE, read, render_into, write
from bench.peers import TOOLS, Job, Tool, available

from oidkit.testing import Fault, MirrorServer, PerSplit, ReleaseSpec, RequestInfo, make_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ALL = ["tests/faults"]
_IMAGES = 40
_BYTES = 60_000
_LONGEST = 120.0
"""Seconds after which a program counts as one that does not come to an end."""
_SPEC = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes",),
    images=PerSplit(_IMAGES, 1, 1),
    jpegs=1.0,
    jpeg_bytes=_BYTES,
)


@dataclass
class Bench:
    """A server, the images that it has, and a place for one try."""

    server: MirrorServer
    content: dict[str, bytes]
    root: Path
    rng: random.Random = field(default_factory=random.Random)
    meanwhile: list[threading.Thread] = field(default_factory=list)
    """What goes on beside the program; it is waited for before the next try."""

    @property
    def images(self) -> list[str]:
        """The images, as `train/<ImageID>`."""
        return list(self.content)

    def victim(self) -> str:
        """Choose an image that something happens to."""
        return self.rng.choice(self.images)


@dataclass(frozen=True)
class End:
    """What was there when a program ended: the images that are right, wrong, and not there."""

    ended: bool
    told: bool
    right: frozenset[str]
    wrong: frozenset[str]
    temporary: int

    def verdict(self, wanted: frozenset[str], everything: frozenset[str]) -> str:
        """Say in a word what came of it; "" for a fault that was survived.

        It was when every image that could be had is there, nothing wrong is, and what is lacking
        was told.
        """
        if not self.ended:
            return "no end"
        if self.wrong:
            return "wrong file, told" if self.told else "wrong file, silent"
        if not wanted <= self.right:
            return "others lost" if self.told else "lost, silent"
        if self.right != everything and not self.told:
            return "lacking, silent"
        if self.right == everything and self.told:
            return "an error for nothing"
        return "leftovers" if self.temporary else ""


def end_of(tool: Tool, job: Job, bench: Bench, code: int | None) -> End:
    """Look at what a program has left."""
    right, wrong = set(), set()
    for image, content in bench.content.items():
        place = tool.place(job, image)
        if place.is_file():
            unfinished = place.with_name(f"{place.name}.aria2").exists()
            whole = place.read_bytes() == content
            # aria2 marks by a second file that the first one is not whole
            if whole:
                right.add(image)
            elif not unfinished or code == 0:
                wrong.add(image)
    files = [path for path in job.folder.rglob("*") if path.is_file()]
    left = sum(tool.temporary(path.name) for path in files)
    told = tool.tells(job, code) if code is not None else False
    return End(code is not None, told, frozenset(right), frozenset(wrong), left)


def start(tool: Tool, job: Job) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own."""
    job.folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        tool.command(job),
        env=os.environ | dict(tool.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[bytes], *, longest: float = _LONGEST) -> int | None:
    """Wait for a program; None for one that was killed because it came to no end."""
    with process:
        try:
            return process.wait(timeout=longest)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


# -- faults of the source ------------------------------------------------------------------------


def hit(bench: Bench, fault: Fault, *, times: int | None = None) -> frozenset[str]:
    """Let one image come with a fault, and give those that can be had all the same."""
    victim = bench.victim()
    key = f"open-images-dataset/{victim}.jpg"
    seen = 0

    def hook(request: RequestInfo) -> Fault | None:
        nonlocal seen
        if request.path != key or request.method != "GET":
            return None
        seen += 1
        return fault if times is None or seen <= times else None

    bench.server.hook = hook
    everything = frozenset(bench.images)
    return everything if times is not None else everything - {victim}


def gone(bench: Bench) -> frozenset[str]:
    """Take two images away."""
    lost = set(bench.rng.sample(bench.images, 2))
    keys = {f"open-images-dataset/{each}.jpg" for each in lost}
    bench.server.hook = lambda request: Fault.answer(404) if request.path in keys else None
    return frozenset(bench.images) - lost


def away(bench: Bench, seconds: float) -> frozenset[str]:
    """Let the server be away for a while, once it has sent a third of all bytes."""

    def leave() -> None:
        end = time.monotonic() + _LONGEST
        third = _IMAGES * _BYTES // 3
        while bench.server.bytes_sent < third and time.monotonic() < end:
            time.sleep(0.01)
        bench.server.stop()
        time.sleep(seconds)
        bench.server.start()

    bench.server.delay = 0.05
    bench.meanwhile.append(threading.Thread(target=leave, daemon=True))
    bench.meanwhile[-1].start()
    return frozenset(bench.images)


_HALF = _BYTES // 2
_NOT_FOUND = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
FAULTS: dict[str, tuple[int, Callable[[Bench], frozenset[str]]]] = {
    "a body is cut once": (6, partial(hit, fault=Fault(cut=_HALF), times=1)),
    "a body is always cut": (6, partial(hit, fault=Fault(cut=_HALF))),
    "no length, cut once": (7, partial(hit, fault=Fault(no_length=True, cut=_HALF), times=1)),
    "a flipped bit under the right ETag, once": (8, partial(hit, fault=Fault(flip=_HALF), times=1)),
    "a flipped bit, always": (8, partial(hit, fault=Fault(flip=_HALF))),
    "200 with an XML error, once": (9, partial(hit, fault=Fault(body=_NOT_FOUND), times=1)),
    "200 with nothing, once": (10, partial(hit, fault=Fault(body=b""), times=1)),
    "reset in the body, once": (11, partial(hit, fault=Fault(reset=True, cut=_HALF), times=1)),
    "the source is away for 6 s": (12, partial(away, seconds=6.0)),
    "one image falls silent": (13, partial(hit, fault=Fault(stall=3600, stall_at=_HALF))),
    "one image drips, 1 byte in 2 s": (14, partial(hit, fault=Fault(bandwidth=0.5))),
    "503 twice": (15, partial(hit, fault=Fault.answer(503), times=2)),
    "429 with Retry-After: 3": (
        17,
        partial(hit, fault=Fault.answer(429, retry_after="3"), times=1),
    ),
    "two images are gone (404)": (18, gone),
}
"""What goes wrong, by its words: the row of the matrix, and what makes it so."""


def try_fault(tool: Tool, bench: Bench, spoil: Callable[[Bench], frozenset[str]]) -> str:
    """Let a program meet a fault, and give the verdict."""
    with place(bench) as root:
        wanted = spoil(bench)
        job = Job(bench.server.url, bench.images, root)
        code = ended(start(tool, job))
        return end_of(tool, job, bench, code).verdict(wanted, frozenset(bench.images))


@contextlib.contextmanager
def place(bench: Bench) -> Iterator[Path]:
    """Give an empty place for one try, and an honest server when it is over."""
    bench.server.reset()
    with tempfile.TemporaryDirectory(dir=bench.root) as name:
        try:
            yield Path(name)
        finally:
            while bench.meanwhile:
                bench.meanwhile.pop().join()
            bench.server.hook, bench.server.delay, bench.server.bandwidth = None, 0.0, None


# -- faults of this machine ----------------------------------------------------------------------


def try_kill(tool: Tool, bench: Bench) -> str:
    """Kill a program at a random share of its requests, and run it again to its end."""
    with place(bench) as root:
        job = Job(bench.server.url, bench.images, root)
        bench.server.delay, bench.server.bandwidth = 0.02, 600_000.0
        share = bench.rng.uniform(0.1, 0.9) * _IMAGES * _BYTES
        process = start(tool, job)
        while process.poll() is None and bench.server.bytes_sent < share:
            time.sleep(0.002)
        with process, contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        bad = end_of(tool, job, bench, -9).wrong
        code = ended(start(tool, job), longest=120)
        verdict = end_of(tool, job, bench, code).verdict(
            frozenset(bench.images), frozenset(bench.images)
        )
        return verdict or ("partial file until rerun" if bad else "")


def try_full_disk(tool: Tool, bench: Bench) -> str:
    """Let a program run on a disk that has room for half of the images, then give it more."""
    with place(bench) as root:
        mount = root / "disk"
        mount.mkdir()
        size = _IMAGES * _BYTES // 2
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount], check=True)
        try:
            job = Job(bench.server.url, bench.images, mount)
            code = ended(start(tool, job))
            end = end_of(tool, job, bench, code)
            if code is None:
                return "no end"
            if end.wrong:
                return "wrong file, told" if end.told else "wrong file, silent"
            if not end.told:
                return "lacking, silent"
            subprocess.run(["mount", "-o", "remount,size=100m", mount], check=True)
            code = ended(start(tool, job))
            everything = frozenset(bench.images)
            return end_of(tool, job, bench, code).verdict(everything, everything)
        finally:
            subprocess.run(["umount", "-l", mount], check=False)


# -- the whole -----------------------------------------------------------------------------------


def try_all(rounds: int) -> dict[str, object]:
    """Let each program meet each fault, and count what it survived."""
    cases: dict[str, tuple[int, Callable[[Tool, Bench], str]]] = {
        "killed, and run again": (1, try_kill)
    }
    for words, (row, spoil) in FAULTS.items():
        cases[words] = (row, partial(try_fault, spoil=spoil))
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount"):
        cases["the disk is full, then has room"] = (28, try_full_disk)
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        mirror = make_release(root / "mirror", _SPEC).root
        files = sorted((mirror / "open-images-dataset" / "train").glob("*.jpg"))
        content = {f"train/{path.stem}": path.read_bytes() for path in files}
        with MirrorServer(mirror) as server:
            bench = Bench(server, content, root)
            tools = [tool for tool in TOOLS if available(tool, Job("", [], root))]
            for words, (row, attempt) in cases.items():
                cells: dict[str, object] = {}
                for tool in tools:
                    cells[tool.name] = tried(tool, bench, attempt, rounds=rounds)
                    print(f"{words} | {tool.name}: {cells[tool.name]}", flush=True)
                found[words] = {"row": row, "tools": cells}
    return {"rounds": rounds, "images": _IMAGES, "faults": found, "versions": versions()}


def tried(
    tool: Tool, bench: Bench, attempt: Callable[[Tool, Bench], str], *, rounds: int
) -> dict[str, object]:
    """Let a program meet a fault so many times; one that comes to no end is not asked again."""
    verdicts: list[str] = []
    for seed in range(rounds):
        bench.rng = random.Random(seed)
        verdicts.append(attempt(tool, bench))
        if verdicts[-1] == "no end":
            break
    failed = sorted({each for each in verdicts if each})
    return {"tried": len(verdicts), "survived": verdicts.count(""), "failed": failed}


def versions() -> dict[str, str]:
    """Ask the programs which they are."""
    found = {}
    for program, asked in (("aria2c", "--version"), ("rclone", "version")):
        if shutil.which(program):
            said = subprocess.run([program, asked], capture_output=True, text=True, check=False)
            found[program] = said.stdout.split("\n", 1)[0]
    python = Path("build/peers/bin/python")
    code = "import importlib.metadata as m; print(m.version('{}'))"
    for module, where in (("boto3", Path(sys.executable)), ("img2dataset", python)):
        if where.exists():
            command = [str(where), "-c", code.format(module)]
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            found[module] = said.stdout.strip()
    return found


def run_suite(outcome: Path, tests: list[str], *, quick: bool) -> int:
    """Run the whole fault suite, or some tests of it; it writes down what became of each row."""
    whole = [] if quick else ["--whole"]
    options = [*whole, "--outcome", str(outcome), "-n3", "--dist=loadgroup", *tests]
    return subprocess.run([sys.executable, "-m", "pytest", *options], check=False).returncode


def main() -> int:
    """Run what was asked for, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--only-suite", action="store_true", help="not the other programs")
    parser.add_argument("--only-peers", action="store_true", help="not the fault suite")
    parser.add_argument("--quick", action="store_true", help="the part of the suite that CI runs")
    parser.add_argument("--rounds", type=int, default=5, help="tries of each (default: 5)")
    text = "tests of the suite, whose rows are written anew (default: all)"
    parser.add_argument("tests", nargs="*", metavar="TEST", default=_ALL, help=text)
    options = parser.parse_args()
    book = read()
    code = 0
    if not options.only_peers:
        outcome = Path("build/faults/outcome.json")
        if options.tests == _ALL:
            outcome.unlink(missing_ok=True)
        code = run_suite(outcome, options.tests, quick=options.quick)
        book["suite"] = read(outcome)
    if not options.only_suite:
        book["peers"] = try_all(options.rounds)
    write(book)
    render_into(HERE / "reliability.md", book)
    return code


if __name__ == "__main__":
    sys.exit(main())
