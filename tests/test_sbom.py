"""The wheel that `make build` makes: with an SBOM of all that the program needs at run time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PLACE = f"oidkit-{PROJECT['version']}.dist-info/sboms/oidkit.cdx.json"


def built(where: Path) -> Path:
    """Build in a copy of the project, as `make build` does, and give the wheel."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    copied = ("src", "requirements", "Makefile", "pyproject.toml", "README.md", "LICENSE")
    for name in copied:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, where / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, where / name)
    # the environment of the tests stands for the one that make would set up
    bin_ = Path(sys.executable).parent
    done = subprocess.run(
        ["make", "build", f"BIN={bin_}", "DEV="],
        cwd=where,
        env={k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (where / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    return built(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def sbom(wheel: Path) -> str:
    """Take the SBOM out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(PLACE).decode()


def test_the_sbom_is_valid(sbom: str) -> None:
    """It keeps the schema of CycloneDX to the letter."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom) is None


def test_the_sbom_names_every_package_of_a_run(sbom: str) -> None:
    """Every requirement of the program and what those need is in it, with version and hashes."""
    found: dict[str, Any] = json.loads(sbom)
    root = found["metadata"]["component"]
    assert (root["name"], root["version"]) == ("oidkit", PROJECT["version"])
    named = {canonicalize_name(each["name"]) for each in found["components"]}
    asked = {canonicalize_name(Requirement(each).name) for each in PROJECT["dependencies"]}
    assert asked <= named
    pins = set()
    for line in (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            wanted = Requirement(line.removesuffix("\\"))
            pins.add((wanted.name, str(wanted.specifier).removeprefix("==")))
    assert {(each["name"], each["version"]) for each in found["components"]} == pins
    for each in found["components"]:
        assert each["purl"].startswith(f"pkg:pypi/{each['name']}@{each['version']}")
        assert each["externalReferences"][0]["hashes"]
        # where it is fetched from is for those who install it to say
        assert "//" not in each["externalReferences"][0]["url"]


def test_the_sbom_is_recorded(wheel: Path) -> None:
    """The wheel's own list of files has it, with a hash, and metadata is as it was."""
    with zipfile.ZipFile(wheel) as archive:
        record = archive.read(f"{PLACE.partition('/')[0]}/RECORD").decode()
    assert f"{PLACE},sha256=" in record


def test_the_same_lock_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Built in another folder at another time, every byte is the same."""
    assert built(tmp_path).read_bytes() == wheel.read_bytes()
