"""The table of faults: every row has a test, or says what stands in its place."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench.fault_table import HERE as CONCEPTS
from bench.fault_table import read, rendered

from faults.rows import CONTROLLED, ROWS

HERE = Path(__file__).parent


def marked(name: str) -> set[int]:
    """Collect the numbers of a mark in every test of this folder."""
    found = set()
    for path in sorted(HERE.glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        found |= {int(each) for each in re.findall(rf"pytest\.mark\.{name}\((\d+)\)", text)}
    return found


def test_every_row_is_tried_or_says_why_not() -> None:
    """The rows of the matrix are 1 to 40, and each has a test or a sentence."""
    assert sorted(ROWS) == list(range(1, 41))
    untried = [number for number, row in ROWS.items() if not row.instead]
    assert set(untried) <= marked("row")
    assert marked("row") <= set(ROWS)


def test_every_control_is_there() -> None:
    """Six rows are tried with their safeguard switched off."""
    assert marked("control") == set(CONTROLLED)


@pytest.mark.parametrize("option", [[], ["--whole"]])
def test_both_parts_can_be_collected(option: list[str]) -> None:
    """The quick part and the whole suite both have tests."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *option, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_what_was_found() -> None:
    """The tables of the page are those of the book beside it, and the book is of these rows."""
    page = (CONCEPTS / "reliability.md").read_text(encoding="utf-8")
    book = read()
    assert rendered(page, book) == page
    texts = {number: row["fault"] for number, row in book["suite"]["rows"].items()}
    assert texts == {str(number): row.fault for number, row in ROWS.items()}
