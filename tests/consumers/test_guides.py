"""What the guides show of other programs runs: their blocks in ``py``, which `make test` leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oidkit.testing import PerSplit, ReleaseSpec, make_release
from test_docs import BLOCKS, ROOT, name_of, run_page

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [page for page in BLOCKS if any(block.language == "py" for block in BLOCKS[page])]


def test_the_guides_of_formats_are_among_them() -> None:
    """Pages are found by what they show."""
    assert ROOT / "docs" / "guides" / "formats" / "pytorch.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_guide_shows_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands and code run from top to bottom in an empty folder, with a made release."""
    mirror = make_release(
        tmp_path / "mirror", replace(ReleaseSpec.tiny(), images=PerSplit(40, 12, 14))
    )
    monkeypatch.setenv("OID_SOURCE", str(mirror.root))
    monkeypatch.setenv("OID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    if any("torch" in block.text for block in BLOCKS[page] if block.language == "py"):
        pytest.importorskip("torch", reason="PyTorch is not there (TORCH= of the Makefile)")
    run_page(page, mirror.root, python=("py", "python"))
