"""How a file is written: what the system is asked for, and what is left when it refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from oidkit.disk import link, write_atomically
from oidkit.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path

_FILES = 200
_WRITES = """
import sys
from pathlib import Path
from oidkit.disk import write_atomically
for number in range(int(sys.argv[2])):
    write_atomically(Path(sys.argv[1], f"{number}.jpg"), b"x" * 300_000)
"""


def test_a_file_that_is_taken_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system may take less than it is given; the rest is given again."""
    take = os.write
    monkeypatch.setattr(os, "write", lambda number, data: take(number, data[:1_000]))
    body = bytes(range(256)) * 20
    write_atomically(tmp_path / "a.jpg", body)
    assert (tmp_path / "a.jpg").read_bytes() == body
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_write_that_fails_leaves_nothing_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs neither the old file nor a trace beside it."""
    place = tmp_path / "a.jpg"
    place.write_bytes(b"old")

    def full(number: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_atomically(place, b"new")
    assert raised.value.filename == str(place)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
    assert place.read_bytes() == b"old"


def test_a_copy_that_fails_names_the_place_and_not_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links do not work and the disk is full, the user has to look at the copy's disk."""
    source, place = tmp_path / "source.jpg", tmp_path / "place.jpg"
    source.write_bytes(b"picture")

    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    def full(present: Path, fresh: Path) -> None:
        raise OSError(28, "No space left on device", str(present), None, str(fresh))

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space") as raised:
        link(source, place)
    assert str(DiskError.from_os(raised.value, path="?")).startswith(f"cannot write {place}: no")
    with pytest.raises(OSError, match="No space") as raised:
        shutil.copyfile(source, place)
    assert str(DiskError.from_os(raised.value, path="?")).startswith(f"cannot write {place}: no")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_file_costs_four_calls_of_the_system(tmp_path: Path) -> None:
    """It is made, written, closed and renamed; nothing is asked twice, nothing removed."""
    counts = []
    for files in (0, _FILES):
        log = tmp_path / f"{files}.log"
        calls = "trace=%file,%desc"
        traced = ["strace", "-f", "-o", str(log), "-e", calls, sys.executable, "-c", _WRITES]
        ended = subprocess.run(
            [*traced, str(tmp_path), str(files)], capture_output=True, check=False
        )
        if ended.returncode:
            pytest.skip("strace may not trace here")
        lines = log.read_text(encoding="utf-8").splitlines()
        names = [line.split(maxsplit=1)[-1].partition("(")[0] for line in lines]
        counts.append(Counter(names))
    more = counts[1] - counts[0]
    assert {name for name, count in more.items() if count >= _FILES // 2} <= {
        "openat",
        "write",
        "close",
        "rename",
    }
    # Some tens are the system's own, and differ from start to start.
    assert sum(more.values()) <= 4 * _FILES + 60
