"""Processes that read blocks of a large CSV side by side; the rows come back in order.

The reading of fields is thousands of short calls, which threads of one process wait for each other
at. What a process says of a block is what `read_numbers` says here, but for the numbers of words:
each process counts the words that it meets, and here they get the number that they have in the
file. A process that has died, or could not be started, is done without: its blocks are read here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import polars as pl

from oidkit.schema import BY_NAME
from oidkit.tables.blocks import Block, Reject
from oidkit.tables.pieces import read_numbers_of
from oidkit.tables.stretches import read_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from oidkit.schema import Schema
    from oidkit.tables.holding import Holding, Words

__all__ = ["Readers", "readers_for"]

_PACKAGE: Final = Path(__file__).parents[1]
WORTH: Final = 128 << 20
"""Bytes of a CSV from which on it is worth to start processes, which takes them half a second."""
_MOST: Final = 3
"""More than these read faster than rows are sorted and put down."""
MARK: Final = "OIDKIT_READER"
"""Set in the environment of the processes: whatever it is that was started, it starts none."""


def readers_for(schema: Schema, holding: Holding, *, left: int | None) -> Readers | None:
    """Start processes for the *left* bytes of a CSV, or give None where they are not worth it.

    There is one for each core of this process, whatever the number of tables that are built, and
    three at the most.
    """
    if left is None or left < WORTH or BY_NAME.get(schema.name) is not schema:
        return None
    # In a frozen program, and in some that hold an interpreter, it is not Python that would start.
    if not sys.executable or getattr(sys, "frozen", False) or MARK in os.environ:
        return None
    number = min(_MOST, _cores())
    if number < 2:  # noqa: PLR2004 - this process does as much as one
        return None
    number = _cores_taken.take(number, of=_cores())
    return Readers(schema, holding, number) if number else None


@dataclass(slots=True)
class _Taken:
    """How many cores the processes of all tables have."""

    number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, wanted: int, *, of: int) -> int:
        """Take as many as are wanted, or as are left."""
        with self._lock:
            found = min(wanted, max(0, of - self.number))
            self.number += found
            return found

    def give_back(self, number: int) -> None:
        """Give some back."""
        with self._lock:
            self.number -= number


_cores_taken: Final = _Taken()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Readers:
    """Some processes that take blocks in turn."""

    def __init__(self, schema: Schema, holding: Holding, number: int) -> None:
        self._schema, self._holding = schema, holding
        self._taken, self._next = number, 0
        self._words = [name for name, held in holding.columns.items() if held == "word"]
        self._processes: list[_Process] = []
        try:
            for _ in range(number):
                self._processes.append(_Process(schema, holding))
        except BaseException:
            self.close()
            raise

    @property
    def number(self) -> int:
        """How many blocks are read at a time."""
        return len(self._processes)

    def ask(self, data: bytes, *, line: int) -> Callable[[Words], Block]:
        """Hand on a block; what is given waits for its rows, and is called in the same order.

        This may wait as well, until the block before the last ones has been taken.
        """
        process = self._processes[self._next % len(self._processes)]
        self._next += 1
        asked = process.ask(data, line=line)

        def take(words: Words) -> Block:
            block = process.answer(words, self._words) if asked else None
            if block is None:
                return read_numbers(self._schema, self._holding, words, data, line=line)
            return block

        return take

    def close(self) -> None:
        """End them all; what they have not answered is lost, and whatever is asked is read here."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.end()
        taken, self._taken = self._taken, 0
        _cores_taken.give_back(taken)


@dataclass(slots=True)
class _Process:
    """One process, and what number each of its words has in the file."""

    schema: Schema
    holding: Holding
    _codes: list[int] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _greeted: bool = False
    _lost: bool = False

    def __post_init__(self) -> None:
        # -P: no file of the folder that the user is in takes the place of a module. But the package
        # is to be this one, wherever it was found.
        root = str(_PACKAGE.parent)
        places = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-P", "-m", "oidkit.tables.reader"]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, on a module of ours
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": places, MARK: "1"},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:
            self._lost = True
            return
        holding = self.holding
        first = {
            "schema": self.schema.name,
            "held": dict(holding.columns),
            "beside": dict(holding.beside),
        }
        self._say(first, b"")

    def ask(self, data: bytes, *, line: int) -> bool:
        """Hand it a block; False where it is gone."""
        return self._say({"line": line, "bytes": len(data)}, data)

    def answer(self, words: Words, columns: list[str]) -> Block | None:
        """Wait for its answer, or give None where it is gone."""
        if self._lost or self._process is None:
            return None
        try:
            source = _of(self._process.stdout)
            if not self._greeted and json.loads(source.readline()) != greeting():
                raise ValueError("another oidkit")  # noqa: TRY301 - as any other answer that is none
            self._greeted = True
            said = json.loads(source.readline())
            rows = read_numbers_of(source)
        except (OSError, ValueError):
            self._lost = True
            self.kill()  # nobody takes what it may still say
            return None
        self._codes += [words.code(text) for text in said["words"]]
        codes = np.array(self._codes, dtype=np.uint32)
        rows = rows.with_columns(_renumbered(rows[name], codes) for name in columns)
        rejects = tuple(Reject(*each) for each in said["rejects"])
        return Block(rows, rejects, said["lines"])

    def kill(self) -> None:
        """Let it end soon."""
        self._lost = True
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            # What is still to be written to it cannot be.
            with contextlib.suppress(OSError), self._process:
                pass

    def _say(self, head: Mapping[str, object], data: bytes) -> bool:
        if self._lost or self._process is None:
            return False
        sink = _of(self._process.stdin)
        try:
            sink.write(json.dumps(head).encode() + b"\n")
            sink.write(data)
            sink.flush()
        except (OSError, ValueError):
            self._lost = True
            return False
        return True


def greeting() -> list[str]:
    """Say which oidkit this is: its name, and where it lies."""
    return [_PACKAGE.name, str(_PACKAGE.resolve())]


def _of(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("a process without a pipe")
    return pipe


def _renumbered(numbers: pl.Series, codes: NDArray[np.uint32]) -> pl.Series:
    if numbers.null_count():
        return pl.Series(
            numbers.name,
            [None if each is None else int(codes[each]) for each in numbers],
            dtype=pl.UInt32,
        )
    return pl.Series(numbers.name, codes[numbers.to_numpy()])
