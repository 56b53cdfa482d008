"""Row 27: annotation files with garbage in them, from a seeded fuzzer."""

from __future__ import annotations

import csv
import io
import random
import re
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pytest

from faults.hostile_csvs import Hostile, Verdict, hostile, verdict
from faults.runs import tree
from oidkit.errors import MalformedError, UsageError
from oidkit.schema import (
    BOXES,
    HUMAN_LABELS,
    IMAGES,
    MASKS,
    NARRATIVES,
    POINTS,
    RELATIONSHIPS,
)
from oidkit.store import Checksums
from oidkit.tables import TableBuilder
from oidkit.tables import build as building
from oidkit.tables.texts import published
from oidkit.taxonomy import folder_name, parse_class_file
from oidkit.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from faults.runs import Folder
    from oidkit.tables import Table

pytestmark = pytest.mark.row(27)
SCHEMAS = {
    each.name: each
    for each in (BOXES, MASKS, HUMAN_LABELS, RELATIONSHIPS, POINTS, IMAGES, NARRATIVES)
}


def build(given: Hostile, root: Path, chance: random.Random) -> Table:
    """Feed the file in pieces of any size, as a transfer does."""
    builder = TableBuilder(root / "tables", root / "work", SCHEMAS[given.kind], name="the file")
    try:
        builder.begin("an-etag", Checksums(size=len(given.data)))
        at = 0
        while at < len(given.data):
            size = chance.choice((1, 7, 1000, 65_536, 1 << 20))
            builder.feed(given.data[at : at + size])
            at += size
        return builder.finish()
    finally:
        builder.close()


def kept(table: Table) -> Counter[tuple[str, ...]]:
    """Read every row of a table, each once, as published."""
    parts = sorted(table.folder.glob("part-*.parquet"))
    if not parts:
        return Counter()
    frame = pl.read_parquet(parts)
    if len(table.classes) > 1:
        frame = frame.unique("oidkit: row")
    if table.holding is not None:
        frame = published(frame, table.holding, table.words, table.columns)
    return Counter(frame.select(table.columns).iter_rows())


def rejected(table: Table) -> list[int]:
    """Read the numbers of the lines that were set aside; each has a reason and is one line."""
    if not table.rejects_file.is_file():
        return []
    with table.rejects_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["line", "reason", "text"]
    assert not [row for row in rows[1:] if not (len(row) == 3 and row[1] and len(row[2]) <= 8001)]
    return [int(row[0]) for row in rows[1:]]


def check(given: Hostile, wanted: Verdict, root: Path, chance: random.Random) -> None:
    """Build the table of a file, and compare it with the verdict."""
    if wanted.refused or wanted.too_many:
        with pytest.raises(MalformedError) as caught:
            build(given, root, chance)
        if not wanted.refused:
            total = len(wanted.rows) + len(wanted.bad)
            assert f"{len(wanted.bad)} of {total} rows" in caught.value.cause
            assert f"line {wanted.bad[0]}:" in caught.value.cause
        return
    table = build(given, root, chance)
    assert rejected(table) == wanted.bad
    assert (table.rows, table.rejects) == (len(wanted.rows), len(wanted.bad))
    assert kept(table) == Counter(wanted.rows)
    assert not [path for path in root.parent.rglob("*") if path.name in {"x", "passwd"}]


@pytest.mark.seeds(25, 300)
def test_garbage_in_a_csv(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good rows are kept to the letter, bad lines listed; a file of garbage is refused."""
    chance = random.Random(-seed)
    if chance.random() < 0.5:
        monkeypatch.setattr(building, "BLOCK_BYTES", chance.choice((700, 5000, 60_000)))
    given = hostile(seed)
    check(given, verdict(given), tmp_path / "made", chance)


def test_the_fuzzer_makes_every_kind_of_garbage() -> None:
    """Of 300 seeds many have no bad line, a few, too many, or are no such file at all."""
    found: Counter[str] = Counter()
    for seed in range(300):
        given = hostile(seed)
        wanted = verdict(given)
        found[given.kind] += 1
        few = "some" if wanted.bad else "sound"
        found["refused" if wanted.refused else "many" if wanted.too_many else few] += 1
    assert {*SCHEMAS} < {*found}
    assert min(found[each] for each in ("refused", "many", "some", "sound", *SCHEMAS)) >= 20, found


BOXES_KEY = "openimages/v5/validation-annotations-bbox.csv"
GARBAGE = (
    b"../../x,xclick,/m/0gxl3,1,0.1,0.2,0.1,0.2,0,0,0,0,0",
    b"0123456789abcdef,=cmd|'/c calc'!A0,/m/0gxl3,1,NaN,0.2,0.1,0.2,0,0,0,0,0",
    b"0123456789abcdef,x,/m/../../x,1,0.1,0.2,0.1,0.2,0,0,0,0,0",
    b"0123456789abcdef,x,/m/0gxl3,1,0.9,0.2,0.1,0.2,0,0,0,0,0",
    b"\xff\xfe\0\0garbage",
    b"x" * 10_000_000,
)


def with_garbage(folder: Folder, lines: dict[int, bytes]) -> None:
    """Serve a file of boxes with other lines put in, under an ETag of its own."""
    whole = (folder.undisturbed.mirror / BOXES_KEY).read_bytes()
    end = b"\r\n" if b"\r\n" in whole else b"\n"
    rows = whole.split(end)
    # as many again, so that the odd ones stay below one in a hundred
    rows = [rows[0], *rows[1:-1] * 5, b""]
    for at, line in sorted(lines.items()):
        rows.insert(at - 1, line)
    told = {"ETag": '"other-1"', "x-goog-hash": ""}
    fault = Fault(body=end.join(rows), headers=told)
    folder.undisturbed.server.hook = lambda each: fault if each.path == BOXES_KEY else None


@pytest.mark.seeds(2, 10)
def test_the_command_meets_garbage(seed: int, folder: Folder) -> None:
    """Images and masks are those of the undisturbed run, the bad lines are listed, nothing else."""
    chance = random.Random(seed)
    places = chance.sample(range(2, 700), 4)
    with_garbage(folder, {at: chance.choice(GARBAGE) for at in places})
    done = folder.run()
    assert done.code == 0, done.err
    assert f"4 rows of {BOXES_KEY} set aside" in done.err
    assert "Traceback" not in done.err
    (file,) = folder.cache.rglob("rejects.csv")
    with file.open(encoding="utf-8", newline="") as rows:
        assert [int(row["line"]) for row in csv.DictReader(rows)] == sorted(places)
    found = tree(folder.out)
    for path, data in folder.undisturbed.tree.items():
        if path.startswith(("images/", "masks/")):
            assert found[path] == data
    assert {path for path in found if path.startswith(("images/", "masks/"))} <= {
        *folder.undisturbed.tree
    }
    assert {each.name for each in folder.root.iterdir()} == {"out", "cache"}


def test_too_much_garbage_is_one_sentence(folder: Folder) -> None:
    """More than 1 % bad: exit 6, how many of how many, the first line; not a file is made."""
    with_garbage(folder, {at: GARBAGE[at % 5] for at in range(2, 40)})
    done = folder.run()
    assert done.code == 6, done.err
    assert len(done.err.splitlines()) == 1
    assert "38 of " in done.err
    assert "more than 1 % (line 2: " in done.err
    assert not list(folder.out.rglob("*.jpg"))


NAME_PARTS = (
    "../", "..", "/", "\\", "C:", "\0", "\x1b[2J", "<b>", "\u202e", "\U0001f52b", "con", "aux.txt",
    "\u0130", "\u1e9e", "\u0958", "\U0001d15e", "\ufb01", "Handgun", " ", "\t", ".", "-", "_", "'",
    "%2e%2e", "\u2024\u2024", "\uff0e\uff0e\uff0f", "\u00e9", "e\u0301", "\ufeff", "~", "$(x)", "|",
)  # fmt: skip


@pytest.mark.seeds(10, 100)
def test_the_folder_of_a_class_is_one_plain_name(seed: int) -> None:
    """Whatever a class is called, its folder is letters and digits that every file system takes."""
    chance = random.Random(seed)
    for _ in range(50):
        name = "".join(chance.choices(NAME_PARTS, k=chance.randrange(1, 70)))
        row = io.StringIO()
        csv.writer(row, lineterminator="\n").writerow(["/m/0gxl3", name])
        try:
            (read,) = parse_class_file(row.getvalue().encode()).values()
        except UsageError:
            continue
        folder = folder_name(read, "/m/0gxl3")
        assert re.fullmatch(r"[\w]+", folder)
        assert folder.endswith("m0gxl3")
        assert len(folder.encode()) <= 255
        assert not {*folder} & {*'/\\:<>|"?*.\0 '}
