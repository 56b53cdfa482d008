"""The notebook of the documentation runs, and what it shows is there to be seen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from mirrors import environment
from oidkit import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder, and let Jupyter keep its own files in another."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        (folder := tmp_path / "jupyter" / name.lower()).mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    (tmp_path / "desk").mkdir()
    return tmp_path / "desk"


def run(notebook: Path, folder: Path) -> Any:
    """Run every cell in a kernel of its own; a cell that raises fails the test."""
    book: Any = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=environment())


def shown(book: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each code cell with what it shows, by its media type."""
    for cell in book.cells:
        if cell.cell_type == "code":
            assert [each for each in cell.outputs if each.output_type == "stream"] == []
            data = {kind: text for each in cell.outputs for kind, text in each.data.items()}
            yield cell.source, data


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook: Path, desk: Path) -> None:
    """Values show themselves as tables, images as pictures; the library prints nothing."""
    cells = dict(shown(run(notebook, desk)))
    tables = {code.splitlines()[-1] for code, data in cells.items() if "text/html" in data}
    assert {"selection", "summary", "handguns"} <= tables
    assert any(line.startswith("oidkit.plan(") for line in tables)
    drawings = [
        data for code, data in cells.items() if code.splitlines()[-1].startswith("oidkit.draw")
    ]
    assert len(drawings) == 2
    assert all(data["image/png"] for data in drawings)
    folder = next(data["text/html"] for code, data in cells.items() if code.endswith("\nhandguns"))
    assert folder.count("data:image/jpeg;base64,") == 6
    assert all(f">{split}<" in folder for split in catalog.SPLITS)
    assert (desk / "first-look/handguns/report.html").is_file()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_stored_as_it_was_written(notebook: Path) -> None:
    """No output, no count of runs, no path of a machine; it is valid, and there is one at all."""
    text = notebook.read_text(encoding="utf-8")
    book = json.loads(text)
    nbformat.validate(book)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert re.findall(r"/(?:home|root|tmp|work|Users)/|[A-Z]:\\\\", text) == []


def test_there_is_a_notebook() -> None:
    """The notebooks are looked for where they are."""
    assert [path.name for path in NOTEBOOKS] == ["first-look.ipynb"]
