"""Troubleshooting quotes what the program says: each sentence is looked up in the source."""

from __future__ import annotations

import ast
import errno
import os
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guides" / "troubleshooting.md"
SOURCE = ROOT / "src" / "oidkit"

ENTRY = re.compile(r"\*\*`([^`]+)`\*\*", re.DOTALL)
VARIES = "…"


def entries() -> list[str]:
    """Give the sentences of the page, each on one line."""
    return [" ".join(found.split()) for found in ENTRY.findall(PAGE.read_text(encoding="utf-8"))]


def text_of(node: ast.expr) -> str:
    """Give a text as the source has it, with what is filled in as `…`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return VARIES


@cache
def said() -> tuple[str, ...]:
    """Collect every text of the program, but for docstrings and the package for tests."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        if "testing" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        spoken = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        found |= {
            text_of(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in spoken
        }
    systems = {os.strerror(number).lower() for number in errno.errorcode}
    return tuple(found | systems)


def is_said(sentence: str) -> bool:
    """Tell whether the fixed parts of a sentence are in texts of the source.

    A sentence of one text has them all in it, in their order. One that is put together, as of a
    cause and the words of the system, has each of them at an end of a text.
    """
    parts = [part for part in re.split(f"{VARIES}+", sentence) if len(part.strip()) > 1]
    whole = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    if parts and any(whole.search(text) for text in said()):
        return True
    words = [part.strip(" :,;'") for part in parts]
    return len(words) > 1 and all(any(is_end(word, text) for text in said()) for word in words)


def is_end(word: str, text: str) -> bool:
    """Tell whether a text, or a fixed part of it, begins or ends with these words."""
    fixed = [part.strip(" :,;'") for part in text.split(VARIES)]
    return any(part.startswith(word) or part.endswith(word) for part in fixed if part)


@pytest.mark.parametrize("sentence", entries())
def test_a_sentence_of_the_page_is_one_of_the_program(sentence: str) -> None:
    """What the page quotes is what the source says; a sentence that is changed there is missed."""
    assert is_said(sentence)


def test_the_page_has_the_usual_sentences_once_each() -> None:
    """There are enough of them, none stands twice, and each says more than a word or two."""
    found = entries()
    assert len(found) > 60
    assert sorted(found) == sorted(set(found))


@pytest.mark.parametrize(
    "sentence",
    [
        "unknown klass '…'",
        "… is a file, not a directory",
        "cannot write …: no room left on device",
        "the source stopped talking: …",
    ],
)
def test_a_sentence_that_nobody_says_is_noticed(sentence: str) -> None:
    """The look-up tells one word that is wrong."""
    assert not is_said(sentence)
