"""A made mirror that several test modules share, and the command as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import oidkit
from oidkit import Selection, Settings
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

CLASSES = ("Handgun", "Person")
"""Classes that share images in the mirror, and have masks in every split."""

SPEC = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(120, 30, 40),
    jpegs=0.95,
    jpeg_bytes=12_000,
)


@cache
def _made(base: Path) -> Path:
    return make_release(base / "shared-mirror", SPEC).root


def made_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the mirror of `SPEC`, made once a session; nobody may change it."""
    return _made(tmp_path_factory.getbasetemp())


def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorServer]:
    """Serve that mirror; a file of tests makes a fixture of it, of the scope that it needs."""
    with MirrorServer(made_mirror(tmp_path_factory)) as running:
        yield running


def read_from(server: MirrorServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Read from the fixture `server`, with an empty cache; it is made a fixture, too."""
    return Settings(source=server.url, cache=tmp_path_factory.mktemp("cache"))


def kept_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the tables for all tests that share them; it is made the fixture `cache` of a module."""
    return tmp_path_factory.mktemp("cache")


def downloaded_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download classes twice, so that many boxes stand in two files; nobody may change it."""
    folder = tmp_path_factory.mktemp("twice")
    settings = Settings(str(made_mirror(tmp_path_factory)), folder / "cache")
    every = Selection(("Handgun",), annotations="all")
    oidkit.download(every, folder / "out", settings=settings)
    oidkit.download(("Handgun", "Person"), folder / "out", settings=settings)
    return folder / "out"


def tree(root: Path) -> dict[str, bytes]:
    """Read every file below *root* but the lock, by its path with forward slashes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).as_posix() != ".oid/lock"
    }


def published(mirror: Path) -> dict[str, bytes]:
    """Read every JPEG and every mask of a mirror by its file name."""
    found = {path.name: path.read_bytes() for path in mirror.rglob("*.jpg")}
    for path in mirror.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            found |= {name: archive.read(name) for name in archive.namelist()}
    return found


def environment(**more: str) -> dict[str, str]:
    """Give the environment of a user who has set nothing of ours, and *more*."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OID_")}
    source = str(Path(oidkit.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    return bare | {"PYTHONPATH": path} | more


def start(
    *arguments: object, env: Mapping[str, str] | None = None, stderr: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "oidkit", *map(str, arguments)],
        env=dict(env) if env is not None else environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


def run(
    *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "oidkit", *map(str, arguments)],
        env=dict(env) if env is not None else environment(),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=120,
    )
