"""The frame of the project: what its files may name, its locks, its version, its public names."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import oidkit

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Joined here, so that this file does not name them itself.
HOSTS = (
    "pypi" + ".org",
    "pypi.python" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "yarnpkg" + ".com",
    "deb.debian" + ".org",
    "security.debian" + ".org",
    "archive.ubuntu" + ".com",
    "proxy.golang" + ".org",
)
PLACES = tuple(f"/{place}/" for place in ("work", "root", "tmp/v", "opt/wheels", "opt/pypi"))

# Left by tools, never committed: what .gitignore names, for a tree that is no checkout.
LEFT_BY_TOOLS = {".git", ".venv", "build", "dist", "__pycache__", ".hypothesis"}


def project_files() -> list[Path]:
    """List the files of the project: those git knows or would take, or all where git is absent."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if listing.returncode == 0:
            names = os.fsdecode(listing.stdout).split("\0")
            return [path for name in names if name and (path := ROOT / name).is_file()]
    files: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in LEFT_BY_TOOLS and not f.endswith("_cache")]
        files += [Path(folder, name) for name in names]
    return files


def logical_lines(lock: Path) -> list[str]:
    """Join the continued lines of a requirements file, one entry for each requirement."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pins(lock: Path) -> set[str]:
    """Give the `name==version` of each requirement, with its marker."""
    return {line.split("--hash", 1)[0].strip() for line in logical_lines(lock)}


def test_no_file_names_a_registry_or_a_place_of_one_machine() -> None:
    """What is committed works with any package index, on any machine."""
    files = project_files()
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in files
        for text in [path.read_text(encoding="utf-8", errors="replace")]
        for word in (*HOSTS, *PLACES)
        if re.search(rf"(?<![\w.>]){word}" if word in PLACES else re.escape(word), text)
    ]
    assert Path(__file__) in files
    assert found == []


def test_locks_are_there() -> None:
    """Locks for the build, axe, a cluster, what reads exports, the tests, and of ours alone."""
    assert [lock.name for lock in LOCKS] == [
        "axe.txt",
        "base.txt",
        "cluster.txt",
        "consumers.txt",
        "dev.txt",
        "run.txt",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_a_version_and_hashes(lock: Path) -> None:
    """A lock is names, versions, markers and hashes: no option, no address, no range."""
    pin = r"[a-z0-9][a-z0-9.-]*==[\w.+!]+( *; [^#]+?)?"
    entry = re.compile(rf"{pin}( +--hash=sha256:[0-9a-f]{{64}})+")
    lines = logical_lines(lock)
    assert [line for line in lines if not entry.fullmatch(line)] == []
    assert len(lines) > 10 or lock.name == "axe.txt"
    assert "//" not in lock.read_text(encoding="utf-8")


def test_what_is_run_is_what_is_tested() -> None:
    """The program's locks hold the same versions as that of the tests."""
    run, base, dev = (
        pins(ROOT / "requirements" / f"{name}.txt") for name in ("run", "base", "dev")
    )
    assert run < base <= dev


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        (
            "base.txt",
            PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["build"],
        ),
        (
            "cluster.txt",
            [w for w in PYPROJECT["dependency-groups"]["cluster"] if isinstance(w, str)],
        ),
        (
            "consumers.txt",
            [w for w in PYPROJECT["dependency-groups"]["consumers"] if isinstance(w, str)],
        ),
        ("run.txt", PYPROJECT["project"]["dependencies"]),
        ("axe.txt", PYPROJECT["dependency-groups"]["axe"]),
        ("dev.txt", [w for w in PYPROJECT["dependency-groups"]["dev"] if isinstance(w, str)]),
    ],
)
def test_every_dependency_is_locked(lock: str, asked: list[str]) -> None:
    """A dependency that was added without a new lock would be missing on a fresh machine."""
    locked = {re.split(r"[=\[]", pin, maxsplit=1)[0] for pin in pins(ROOT / "requirements" / lock)}
    names = {re.split(r"[^A-Za-z0-9._-]", want, maxsplit=1)[0].lower() for want in asked}
    assert names - locked == set()


def test_the_environment_is_that_of_the_lock() -> None:
    """The tests run on the locked versions, not on what an old environment still holds."""
    wrong = []
    for pin in pins(ROOT / "requirements" / "dev.txt"):
        requirement, _, marker = pin.partition(";")
        name, _, version = requirement.strip().partition("==")
        if not marker:
            installed = importlib.metadata.version(name)
            wrong += [f"{name} {installed}, locked {version}"] if installed != version else []
    if wrong and os.environ.get("CI") is None:
        pytest.skip(f"not the locked environment: {', '.join(wrong)}")
    assert wrong == []


def test_the_version_is_said_once() -> None:
    """The package, its metadata and pyproject.toml agree on the version."""
    version = PYPROJECT["project"]["version"]
    assert importlib.metadata.version("oidkit") == version
    assert oidkit.__version__ == version


def public_modules() -> list[Path]:
    """List the modules of the package of whose path no part begins with an underscore."""
    source = ROOT / "src" / "oidkit"
    modules = (path.relative_to(source) for path in source.rglob("*.py"))
    return sorted(
        source / module
        for module in modules
        if not any(re.match(r"_(?!_init__)", part) for part in module.parts)
    )


@pytest.mark.parametrize(
    "module", public_modules(), ids=lambda path: path.relative_to(ROOT / "src").as_posix()
)
def test_public_modules_say_what_they_export(module: Path) -> None:
    """Every public module has a docstring and an `__all__` of sorted names that it defines."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    exports = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]
    assert ast.get_docstring(tree), "no docstring"
    assert len(exports) == 1, "no __all__"
    assert len(set(exports[0])) == len(exports[0])


def test_the_readme_shows_the_two_commands_first() -> None:
    """The first code block of the README has `make demo` and `make test`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split("```")[1]
    assert "make demo" in block
    assert "make test" in block


def test_the_command_is_installed() -> None:
    """`oid` stands beside the interpreter that runs the tests, and starts."""
    command = shutil.which("oid", path=str(Path(sys.executable).parent))
    assert command
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_package_data_is_installed_with_the_code() -> None:
    """Each data file in src is taken into a wheel: the type marker among them."""
    builder = pytest.importorskip("hatchling.builders.wheel")
    taken = {
        Path(file.distribution_path).as_posix()
        for file in builder.WheelBuilder(str(ROOT)).recurse_included_files()
    }
    source = ROOT / "src"
    there = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "oidkit/py.typed" in taken
    assert there - taken == set()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")
def test_an_interpreter_that_will_not_do_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """`make` with a Python that is too old, or none at all, says so and makes nothing."""
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for python in (old, tmp_path / "none"):
        done = subprocess.run(
            ["make", "-s", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", "demo"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert "oidkit needs Python 3.11 or later" in done.stderr
        assert not (tmp_path / "venv").exists()
