"""Formats and label types have their place everywhere; what fails here names the file without it.

CONTRIBUTING.md, "A first change", leads through them in this order.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import label_oracle
from oidkit import catalog
from oidkit.formats.registry import FORMATS
from oidkit.rotation import row_turner
from oidkit.schema import BY_NAME, SCHEMAS, files_of, header_of
from oidkit.tables.gathering import COUNTED, SHOWN
from oidkit.testing import ReleaseSpec, make_release

if TYPE_CHECKING:
    from oidkit.catalog import Label
    from oidkit.schema import Schema

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "oidkit"
GUIDES = ROOT / "docs" / "guides"


def text_of(path: Path) -> str:
    """Read a file of the project."""
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release of a handful of images, with every label type."""
    return make_release(tmp_path_factory.mktemp("made"), ReleaseSpec.tiny()).root


# -- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_in_the_guide(name: str) -> None:
    """The guide to exports has a section of it or leads to its page, and a command shows it."""
    guide = text_of(GUIDES / "export.md")
    told = f"\n## {name}\n" in guide or f"(formats/{name}.md)" in guide
    assert told, (
        f"docs/guides/export.md has no section '## {name}' and no link to formats/{name}.md"
    )
    pages = [text_of(path) for path in GUIDES.rglob("*.md")]
    assert any(re.search(rf"--(format|export) {name}\b", page) for page in pages)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_test_of_its_own(name: str) -> None:
    """A file of tests exports it, and looks at what was written."""
    tests = [text_of(path) for path in (ROOT / "tests").glob("**/test_export*.py")]
    calls = rf'export\([^)]*"{name}"|"--(format|export)", "{name}"'
    assert any(re.search(calls, text) for text in tests), f"no tests/test_export_{name}.py"


# -- label types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("label", catalog.LABELS)
def test_a_label_type_has_rules(label: Label) -> None:
    """`schema.SCHEMAS` says what the columns mean, a schema for each file that a split has."""
    assert label in SCHEMAS, f"schema.SCHEMAS lacks {label}"
    for release in catalog.releases_with(label):
        files = catalog.tables(release, label, "validation")
        assert len(files) == len(SCHEMAS[label])


def coordinates_of(schema: Schema) -> list[str]:
    """Name the columns that hold a place on the image."""
    return [name for name, kind in schema.rules.items() if kind == "unit" and name != "Confidence"]


@pytest.mark.parametrize("name", [name for name in BY_NAME if coordinates_of(BY_NAME[name])])
def test_coordinates_of_a_label_type_turn(name: str) -> None:
    """`--upright` turns each coordinate: `rotation.row_turner` knows its column by name."""
    columns = coordinates_of(BY_NAME[name])
    row = ["0.3" if "Max" in column else "0.1" for column in columns]
    turn = row_turner(columns)
    turned = turn(row, 180) if turn else row
    stayed = [
        column for column, *pair in zip(columns, row, turned, strict=True) if len({*pair}) < 2
    ]
    assert not stayed, f"rotation.py does not turn {', '.join(stayed)} of {name}"


@pytest.mark.parametrize("label", catalog.LABELS)
def test_a_label_type_is_in_a_made_release(label: Label, release: Path) -> None:
    """`testing.labels` writes each file of the latest release, with its columns and a row."""
    for split in catalog.SPLITS:
        for file, schema in files_of("v7", label, split):
            path = release / file.key
            assert path.is_file(), f"testing/labels.py does not write {label}"
            if not schema.lines:
                with path.open(encoding="utf-8", newline="") as opened:
                    header, first, *_ = csv.reader(opened)
                assert len(header_of(schema, header, file=file.key)) == len(first)


def test_the_oracle_knows_the_label_types() -> None:
    """What downloads are compared with has each type, in the releases that publish it."""
    published = {name: catalog.labels_of(name) for name in catalog.RELEASES}
    assert label_oracle.LABELS == catalog.LABELS, "LABELS of tests/label_oracle.py is another list"
    assert published == label_oracle.HAVING, "HAVING of tests/label_oracle.py says otherwise"


def test_every_label_type_is_counted_and_shown() -> None:
    """`oid stats`, `report` and `view` read the rows of each type: `tables.gathering`."""
    read = tuple(COUNTED) == tuple(SHOWN) == catalog.LABELS
    assert read, "COUNTED of tables/gathering.py has other label types"


@pytest.mark.parametrize("label", catalog.LABELS)
def test_a_label_type_is_listed_in_the_explorer(label: Label) -> None:
    """The page has a section for the annotations of each type."""
    page = SOURCE / "explorer" / "static" / "annotations.js"
    word = "labels" if label == "image-labels" else label
    assert f'"{word}"' in text_of(page), f"{page} has no section for {label}"


@pytest.mark.parametrize("label", catalog.LABELS)
def test_a_label_type_is_in_the_guides(label: Label) -> None:
    """The guide has a row on how to ask for it, the page of concepts one on what it says."""
    assert f"| `{label}` |" in text_of(GUIDES / "label-types.md")
    assert f"| {label.replace('-', ' ')} |" in text_of(
        ROOT / "docs" / "concepts" / "label-types.md"
    )
