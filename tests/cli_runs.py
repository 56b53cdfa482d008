"""Runs the command `oid` for tests: its own settings, a mirror, a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from oidkit.testing import MirrorServer, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, with no setting of whoever runs the tests."""
    for name in ("OID_SOURCE", "OID_RELEASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def made_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a mirror of a handful of images."""
    return make_release(tmp_path_factory.mktemp("mirror"), ReleaseSpec.tiny()).root


def served_mirror(mirror: Path) -> Iterator[MirrorServer]:
    """Serve the mirror on loopback."""
    with MirrorServer(mirror) as server:
        yield server


def oid(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "oidkit", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",  # what another encoding wrote is told apart by the test
        check=False,
    )


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """Give the one line that stands on stderr, while stdout is empty."""
    printed = capsys.readouterr()
    assert printed.out == "", printed.err
    assert printed.err.count("\n") == 1, printed.err
    return printed.err.strip()
