"""Processes that read a large CSV make the same table, to the byte, as one process does."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from oidkit.errors import DiskError
from oidkit.schema import BOXES, RELATIONSHIPS, Schema
from oidkit.store import Checksums
from oidkit.tables import TableBuilder, build, readers, sorting
from oidkit.tables.blocks import read_block
from oidkit.tables.holding import Words, holding_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
RELATIONS = (
    "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationLabel"
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks and buckets small, and processes worth it for any file."""
    monkeypatch.setattr(build, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(sorting, "MOST_ROWS", 100)
    monkeypatch.setattr(sorting, "PART_ROWS", 300)
    monkeypatch.setattr(readers, "_cores", lambda: 3)


def number(rng: random.Random) -> str:
    """Draw a number as it is published, rarely in an odd way."""
    return "1e-05" if rng.random() < 0.001 else f"{rng.random():.6f}"


def boxes(rng: random.Random) -> Iterator[str]:
    """Write rows of boxes, some of them odd, some bad, with classes that come late."""
    for at in range(6_000):
        # up to the last of the ids, and in the order of the file not always in theirs
        image = f"{at // 5 * 0xDA << 46 | rng.getrandbits(40):016x}"
        low, high = sorted((number(rng), number(rng)), key=float)
        # one class is larger than a bucket may be, and classes come late
        mid = f"/m/0{min(rng.randrange(5 + at // 40), 120) if at % 3 else 0:03d}"
        flags = ",".join(rng.choice("011") for _ in range(5))
        bad = "x" if rng.random() < 0.002 and not 2_000 < at < 3_000 else ""
        yield f"{image}{bad},xclick,{mid},1,{low},{high},{low},{high},{flags}"


def relations(rng: random.Random) -> Iterator[str]:
    """Write rows that name two classes."""
    for at in range(4_000):
        low, high = sorted((number(rng), number(rng)), key=float)
        mids = (f"/m/0{rng.randrange(5 + at // 100):03d}" for _ in range(2))
        corners = f"{low},{high},{low},{high}"
        yield f"{at // 3:016x},{','.join(mids)},{corners},{corners},{rng.choice(['on', 'holds'])}"


FILES = {"boxes": (BOXES, HEADER, boxes), "relationships": (RELATIONSHIPS, RELATIONS, relations)}


def made(folder: Path, schema: Schema, data: bytes) -> dict[str, bytes]:
    """Build a table, and read its files."""
    builder = TableBuilder(folder / "tables", folder / "work", schema, name="rows.csv")
    builder.begin('"etag"', Checksums(size=len(data)))
    for at in range(0, len(data), 7_000):
        builder.feed(data[at : at + 7_000])
    table = builder.finish()
    return {path.name: path.read_bytes() for path in table.folder.iterdir()}


def data_of(kind: str) -> tuple[Schema, bytes]:
    """Write a file of a kind."""
    schema, header, write = FILES[kind]
    return schema, "\n".join([header, *write(random.Random(kind))]).encode()


def children() -> list[psutil.Process]:
    """Name the processes of this one that read."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if "oidkit.tables.reader" in " ".join(each.cmdline())
    ]


def answers_of(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each block whether a process has read it."""
    answers: list[bool] = []
    real = readers._Process.answer

    def answer(self: readers._Process, *rest: Any) -> Any:
        block = real(self, *rest)
        answers.append(block is not None)
        return block

    monkeypatch.setattr(readers._Process, "answer", answer)
    return answers


@pytest.mark.parametrize("kind", FILES)
def test_the_table_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Rows, words and their numbers, rejects: every file of the table is equal."""
    schema, data = data_of(kind)
    alone = made(tmp_path / "alone", schema, data)
    monkeypatch.setattr(readers, "WORTH", 0)
    answers = answers_of(monkeypatch)
    assert made(tmp_path / "beside", schema, data) == alone
    assert len(answers) > 10
    assert all(answers), "a block was not read by a process"
    assert not children()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_dies_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is killed after some blocks: the table is still the same."""
    schema, data = data_of("boxes")
    alone = made(tmp_path / "alone", schema, data)
    monkeypatch.setattr(readers, "WORTH", 0)
    builder = TableBuilder(tmp_path / "tables", tmp_path / "work", schema, name="rows.csv")
    builder.begin('"etag"', Checksums(size=len(data)))
    builder.feed(data[:100_000])
    deadline = time.monotonic() + 60
    while not children() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(children()[0].pid, signal.SIGKILL)
    builder.feed(data[100_000:])
    table = builder.finish()
    assert {path.name: path.read_bytes() for path in table.folder.iterdir()} == alone
    assert not children()


def test_no_process_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that is not there is done without."""
    schema, data = data_of("boxes")
    alone = made(tmp_path / "alone", schema, data)
    monkeypatch.setattr(readers, "WORTH", 0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    asked = answers_of(monkeypatch)
    assert made(tmp_path / "beside", schema, data) == alone
    assert not any(asked)


@pytest.mark.parametrize(
    "instead",
    [
        'print(\'["0", "elsewhere"]\', flush=True); sys.stdin.read()',
        "print('hello', flush=True); sys.stdin.read()",
        "sys.exit(3)",
        # an answer that is cut in its rows, and one cut in its head
        "answer(); out.write(line + (50).to_bytes(8, 'little') + b'{'); out.flush()",
        "answer(); out.write(line); out.flush()",
    ],
)
def test_what_is_no_reader_of_ours_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: str
) -> None:
    """Another oidkit, another program, an end in the middle of an answer: read here instead."""
    schema, data = data_of("boxes")
    alone = made(tmp_path / "alone", schema, data)
    monkeypatch.setattr(readers, "WORTH", 0)
    script = tmp_path / "python"
    script.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        'out, line = sys.stdout.buffer, b\'{"lines": 1, "rejects": [], "words": []}\\n\'\n'
        "def answer():\n    sys.stdin.readline(); sys.stdin.readline()\n"
        f"    out.write({json.dumps(readers.greeting())!r}.encode() + b'\\n')\n"
        f"{instead}\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    answers = answers_of(monkeypatch)
    assert made(tmp_path / "beside", schema, data) == alone
    assert not any(answers)


def test_processes_that_are_ended_leave_the_work_to_this_one() -> None:
    """Whoever still holds them when a disk is full meets no other error than that."""
    schema, data = data_of("boxes")
    columns, rows = data.split(b"\n", 1)
    block = read_block(schema, tuple(columns.decode().split(",")), rows[:20_000], line=2)
    holding = holding_of(schema, block.rows)
    assert holding is not None
    before = readers._cores_taken.number
    found = readers.Readers(schema, holding, readers._cores_taken.take(2, of=2 + before))
    found.close()
    assert found.number == 2
    rest = rows[: rows.index(b"\n", 30_000) + 1]
    assert found.ask(rest, line=2)(Words()).lines == rest.count(b"\n")
    found.close()
    assert readers._cores_taken.number == before


def test_a_failing_disk_ends_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block cannot be put down, the build says so at once, and no later block is."""
    schema, data = data_of("boxes")
    monkeypatch.setattr(readers, "WORTH", 0)
    put: list[int] = []

    def full(*_: object, block: int, **__: object) -> dict[Path, list[int]]:
        put.append(block)
        if block == 4:
            raise OSError(28, "No space left on device", "rows")
        return {}

    monkeypatch.setattr(build, "put_down", full)
    builder = TableBuilder(tmp_path / "tables", tmp_path / "work", schema, name="rows.csv")
    builder.begin('"etag"', Checksums(size=len(data)))

    def whole() -> None:
        for at in range(0, len(data), 7_000):
            builder.feed(data[at : at + 7_000])
        builder.finish()

    with pytest.raises(DiskError, match="no space left"):
        whole()
    builder.close()
    assert put == [0, 1, 2, 3, 4]
    assert not children()


def test_a_build_that_died_goes_on_with_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words keep their numbers from one run to the next."""
    schema, data = data_of("boxes")
    alone = made(tmp_path / "alone", schema, data)
    monkeypatch.setattr(readers, "WORTH", 0)
    where = (tmp_path / "tables", tmp_path / "work", schema)
    first = TableBuilder(*where, name="rows.csv")
    first.begin('"etag"', Checksums(size=len(data)))
    first.feed(data[: len(data) // 2])
    first.close()
    answers = answers_of(monkeypatch)
    second = TableBuilder(*where, name="rows.csv")
    assert 0 < second.offset < len(data) // 2
    second.feed(data[second.offset :])
    table = second.finish()
    assert len(answers) > 5
    assert all(answers)
    assert {path.name: path.read_bytes() for path in table.folder.iterdir()} == alone
