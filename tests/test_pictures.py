"""The pictures of the documentation: each is made by the script, as the program draws it now."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageChops, ImageStat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = DOCS / "pictures"
SHOWN = re.compile(r"!\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """Load the script that makes the pictures."""
    spec = importlib.util.spec_from_file_location("pictures_of_docs", DOCS / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_picture_is_made_by_the_script(script: ModuleType) -> None:
    """There is no picture but those that the script draws, and each of those is there."""
    assert {path.name for path in PICTURES.iterdir()} == set(script.PICTURES)


def test_every_picture_is_small_and_shown_with_words() -> None:
    """A picture has less than 100 kB, and a page shows it and says what is on it."""
    found = [
        ((page.parent / each["target"]).resolve(), each["words"])
        for page in DOCS.rglob("*.md")
        for each in SHOWN.finditer(page.read_text(encoding="utf-8"))
    ]
    assert {path for path, _ in found} == set(PICTURES.iterdir())
    assert [path.name for path, words in found if len(words.split()) < 4] == []
    assert [path.name for path in PICTURES.iterdir() if path.stat().st_size >= 100_000] == []


def test_a_picture_that_is_made_again_is_the_same(script: ModuleType, tmp_path: Path) -> None:
    """Those drawn from a dataset and from an export come out as they stand in the pages.

    Not byte for byte: another version of Pillow may encode, or set type, a little differently.
    """
    studio = script.Studio(tmp_path)
    for name in ("handgun-mask.jpg", "yolo-outlines.jpg"):
        made = script.write(name, studio, tmp_path)
        with Image.open(made) as again, Image.open(PICTURES / name) as there:
            assert again.size == there.size
            apart = ImageStat.Stat(ImageChops.difference(again, there)).mean
        assert max(apart) < 2, f"{name}: run make pictures"
        assert studio.folder in made.parents


def test_a_picture_whose_program_is_absent_stays(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a picture needs beside the package is looked for, and its absence is no failure."""
    never = script.Picture(script.handgun_mask, needs=("no-such-browser",))
    monkeypatch.setattr(script, "PICTURES", {"never.jpg": never})
    assert script.main(["never.jpg"]) == 0
    assert "no-such-browser is not there" in capsys.readouterr().out
    assert not (PICTURES / "never.jpg").exists()
