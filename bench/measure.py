"""What a run costs: time, processor, memory and bytes, and the sheet on which it is written down.

A part of the benchmark (`bench/tables.py`, `bench/images.py` and others) has a function
``run(sheet, scale)``. It measures ours and every peer in turn, round by round, so that all of them
meet the same weather, and states what has to be reached. Times mean nothing alone: only the ratios
of one sheet do.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["OURS", "Cost", "Scale", "Sheet", "Target", "call_cost", "command_cost", "in_turns"]

OURS = "oidkit"
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Scale:
    """How large things are: `full` for the published size, else small enough for CI.

    `rounds` is how often everything is measured; `place` is a folder for what is made and fetched,
    of which what is in `made` may be used again by a later run.
    """

    full: bool
    rounds: int
    place: Path

    @property
    def made(self) -> Path:
        """What is made once: releases, zips, images."""
        return self.place / ("full" if self.full else "quick")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took; `counts` are numbers that do not depend on the machine."""

    seconds: float
    cpu: float
    peak_mb: float = 0.0
    received: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What has to be reached, and what was; `limit` says what stands in the way of more."""

    what: str
    must: str
    found: str
    met: bool
    limit: str = ""


@dataclass(slots=True)
class Sheet:
    """Everything that was measured, in the order in which it was."""

    part: str
    costs: dict[str, dict[str, list[Cost]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def add(self, what: str, who: str, cost: Cost, *, note: str = "") -> None:
        """Write down a run; *who* is `OURS`, a peer, or "floor: " and what bounds everybody."""
        self.costs.setdefault(what, {}).setdefault(who, []).append(cost)
        if note:
            self.notes[f"{what} | {who}"] = note
        print(
            f"{self.part} | {what} | {who}: {cost.seconds:.3f} s, {cost.cpu:.3f} s CPU,"
            f" {cost.peak_mb:.0f} MB, {cost.received:,} bytes {dict(cost.counts) or ''}",
            flush=True,
        )

    def target(self, what: str, *, must: str, found: str, met: bool, limit: str = "") -> None:
        """Say whether something was reached; *limit*, where it was not, what stands in the way."""
        self.targets.append(Target(what, must, found, met, limit))
        print(
            f"{self.part} | {what}: {found}, must be {must}: {'yes' if met else 'NO'}", flush=True
        )

    def median(self, what: str, who: str, name: str = "seconds") -> float:
        """Give the median of a figure, such as `cpu`, over the rounds."""
        return statistics.median(float(getattr(cost, name)) for cost in self.costs[what][who])

    def ratio(self, what: str, who: str, than: str, name: str = "seconds") -> float:
        """Give how many times as much *who* takes as *than*: the median of each round's ratio."""
        ours, theirs = self.costs[what][who], self.costs[what][than]
        return statistics.median(
            float(getattr(one, name)) / max(1e-9, float(getattr(other, name)))
            for one, other in zip(ours, theirs, strict=False)
        )

    def write(self, place: Path) -> None:
        """Write the sheet as JSON."""
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, text: str | bytes) -> Sheet:
        """Read a sheet that was written."""
        found = json.loads(text)
        costs = {
            what: {who: [Cost(**each) for each in runs] for who, runs in ways.items()}
            for what, ways in found["costs"].items()
        }
        targets = [Target(**each) for each in found["targets"]]
        return cls(found["part"], costs, found["notes"], targets)


def in_turns(
    sheet: Sheet, what: str, ways: Mapping[str, Callable[[], Cost]], *, rounds: int
) -> None:
    """Measure every way once in each round, ours and the peers' side by side in time."""
    for _ in range(rounds):
        for who, way in ways.items():
            sheet.add(what, who, way())


def command_cost(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    codes: Sequence[int] = (0,),
    counts: Callable[[Mapping[str, Any]], Mapping[str, int]] | None = None,
) -> Cost:
    """Run a program and give what it and all that it started took; memory is that of all together.

    *counts* picks numbers out of the JSON object that the program prints.

    Raises:
        RuntimeError: it ended with another exit code than one of *codes*.

    """
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(each) for each in command],
            env=os.environ | dict(env or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        with _Watched(process.pid) as watched:
            # wait4 gives the processor time of this process and of those that it waited for.
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
        if process.returncode not in codes:
            raise RuntimeError(f"{command} ended with {process.returncode}: {text[-2000:]}")
    numbers = counts(json.loads(text[text.index("{") :])) if counts else {}
    return Cost(seconds, usage.ru_utime + usage.ru_stime, watched.peak / 1e6, counts=numbers)


def call_cost(call: Callable[[], object]) -> Cost:
    """Run a call in this process and give its time and processor time."""
    begun, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - begun, time.process_time() - cpu)


def _highest(pid: int) -> int:
    """Give the most memory that a process had so far, where the system tells.

    The maximum of rusage counts what this process had when it started the other.
    """
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


class _Watched:
    """Looks at the memory of a process and its children from time to time."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            try:
                process = psutil.Process(self._pid)
                every = [process, *process.children(recursive=True)]
                now = sum(each.memory_info().rss for each in every)
                self.peak = max(self.peak, now, _highest(self._pid))
            except psutil.Error:
                continue
