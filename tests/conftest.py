"""What every test may ask for."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# Else pytest says what an assert compared in the files of tests alone, not in what they share.
pytest.register_assert_rewrite(
    *(
        ".".join(path.relative_to(HERE).with_suffix("").parts)
        for path in HERE.rglob("*.py")
        if path.name != "conftest.py" and not path.name.startswith("test_")
    )
)

# A law is no measure of time: on a busy machine an example may take a while. Tests of consumers and
# of a cluster run where hypothesis is not.
if find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("patient", settings(), deadline=None)
    settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of faults be asked for as a whole, and for their book (tests/faults)."""
    text = "run every test of a fault, not only the quick part"
    parser.addoption("--whole", action="store_true", help=text)
    parser.addoption("--outcome", metavar="FILE", help="write down what became of each fault")


@pytest.fixture(scope="session")
def sample() -> Path:
    """Give the mirror made of real files, or skip where it does not lie beside the project."""
    folder = ROOT.parent / "shared" / "openimages-sample"
    if not (folder / "openimages").is_dir():
        pytest.skip(f"the mirror of real files is not there: {folder}")
    return folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset folder of three classes, of real files where they are there."""
    from export_oracle import downloaded

    return downloaded(tmp_path_factory, ROOT)


@pytest.fixture
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset of two classes that share images, with masks; a few images are missing."""
    from export_datasets import downloaded

    return downloaded(tmp_path_factory, "two")


@pytest.fixture
def copied(two_classes: Path, tmp_path: Path) -> Path:
    """Give a copy of that dataset, which a test may change."""
    return Path(shutil.copytree(two_classes, tmp_path / "copied"))
