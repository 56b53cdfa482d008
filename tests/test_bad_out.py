"""Output folders that cannot be written, or are not ours, and disks that fill up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bad_inputs import ASKED, Ended, run_oid, tree
from oidkit.testing import MirrorServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bad_inputs import Bench

pytest_plugins = ["bad_fixtures"]

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something at *folder* for a while, or skip the test where that is not permitted."""
    if not ROOT or sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("a file system can be mounted by root on Linux only")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", *options, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Give a disk of *size* at *folder*, and a function that makes it another size."""

    def resize(new: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={new}", str(folder)], check=True)

    with mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "oid-test"):
        yield resize


def as_nobody(*arguments: str | Path, home: Path) -> Ended:
    """Run the real command as a user who may write nowhere but in the temporary folder."""
    if not ROOT:
        return run_oid(*arguments)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not there to give root's permissions up")
    ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return run_oid(*arguments, before=("setpriv", *ids, "--"), more={"HOME": str(home)})


def readable_by_all(folder: Path) -> None:
    """Let everybody pass through the folders above *folder*, which pytest keeps to itself."""
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.geteuid() and above.parent != above:
            above.chmod(above.stat().st_mode | 0o055)


# -- not a folder, not ours ----------------------------------------------------------------------


def test_a_file_in_the_place_of_the_folder_is_left_as_it_is(bench: Bench, tmp_path: Path) -> None:
    """The real command names the file, asks for nothing, and does not touch it."""
    (tmp_path / "notes").write_bytes(b"mine")
    with MirrorServer(bench.mirror) as server:
        where = ("--source", server.url, "--cache", bench.cache, "--out", tmp_path / "notes")
        ended = run_oid("download", *ASKED, *where)
        assert server.requests == 0
    assert ended.code == 2, ended.err
    assert str(tmp_path / "notes") in ended.sentence
    assert "file" in ended.sentence
    assert (tmp_path / "notes").read_bytes() == b"mine"


def test_a_file_above_the_folder_is_named(bench: Bench, tmp_path: Path) -> None:
    """A path that leads through a file cannot be made: exit 5 before the first request."""
    (tmp_path / "notes").write_bytes(b"mine")
    with MirrorServer(bench.mirror) as server:
        ended = bench.download("--out", tmp_path / "notes" / "deep" / "down", source=server.url)
        assert server.requests == 0
    assert ended.code == 5, ended.err
    assert str(tmp_path / "notes") in ended.sentence
    assert (tmp_path / "notes").read_bytes() == b"mine"


def test_a_folder_of_other_things_is_left_as_it_is(bench: Bench, tmp_path: Path) -> None:
    """A folder that holds something else is refused with exit 2 and the name of what it holds."""
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_bytes(b"mine")
    with MirrorServer(bench.mirror) as server:
        ended = bench.download("--out", other, source=server.url)
        assert server.requests == 0
    assert ended.code == 2, ended.err
    assert str(other) in ended.sentence
    assert "chapter.tex" in ended.sentence
    assert tree(other, records=True) == {"chapter.tex": b"mine"}


def test_a_dataset_of_another_release_is_left_as_it_is(bench: Bench) -> None:
    """Releases are not mixed in a folder: exit 2, and both ways out are named."""
    records = tree(bench.out, records=True)
    ended = bench.refused("--release", "v5")
    assert ended.code == 2, ended.err
    assert "release v7, not v5" in ended.sentence
    assert "--release v7" in ended.sentence
    assert tree(bench.out, records=True) == records


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 99}', b"\xff"]
)
def test_a_dataset_whose_description_cannot_be_read_is_left_as_it_is(
    content: bytes, bench: Bench
) -> None:
    """A description that is broken, or of a later version, is exit 2 and stays as it is."""
    (bench.out / ".oid" / "dataset.json").write_bytes(content)
    ended = bench.refused()
    assert ended.code == 2, ended.err
    assert str(bench.out) in ended.sentence
    assert (bench.out / ".oid" / "dataset.json").read_bytes() == content


# -- read-only -----------------------------------------------------------------------------------


def test_a_folder_without_permission_is_found_out_before_the_first_request(
    bench: Bench, tmp_path: Path
) -> None:
    """As another user: exit 5 that names the folder, nothing asked for, nothing changed."""
    readable_by_all(tmp_path)
    for path in bench.out.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    bench.out.chmod(0o555)
    bench.cache.mkdir(mode=0o777)
    bench.cache.chmod(0o777)
    with MirrorServer(bench.mirror) as server:
        where = ("--source", server.url, "--cache", bench.cache, "--out", bench.out)
        ended = as_nobody("download", *ASKED, *where, home=tmp_path)
        assert server.requests == 0
    for path in (bench.out, *bench.out.rglob("*")):
        path.chmod(path.stat().st_mode | 0o700)
    assert ended.code == 5, ended.err
    assert f"cannot write {bench.out}" in ended.sentence
    assert "permission" in ended.sentence
    assert tree(bench.out) == bench.before


def test_a_place_where_no_folder_can_be_made_is_found_out_before_the_first_request(
    bench: Bench, tmp_path: Path
) -> None:
    """The folder is not there, and the one above it may not be written: exit 5, no request."""
    readable_by_all(tmp_path)
    above = tmp_path / "theirs"
    above.mkdir()
    above.chmod(0o555)
    with MirrorServer(bench.mirror) as server:
        where = ("--source", server.url, "--cache", bench.cache, "--out", above / "new")
        ended = as_nobody("download", *ASKED, *where, home=tmp_path)
        assert server.requests == 0
    above.chmod(0o755)
    assert ended.code == 5, ended.err
    assert str(above) in ended.sentence
    assert not list(above.iterdir())


def test_a_disk_that_is_read_only_is_found_out_before_the_first_request(bench: Bench) -> None:
    """Even root cannot write there: exit 5 that names the folder, no request."""
    with (
        mounted(bench.out, "--bind", "-o", "ro", str(bench.out)),
        MirrorServer(bench.mirror) as server,
    ):
        where = ("--source", server.url, "--cache", bench.cache, "--out", bench.out)
        ended = run_oid("download", *ASKED, *where)
        assert server.requests == 0
    assert ended.code == 5, ended.err
    assert f"cannot write {bench.out}" in ended.sentence
    assert "read-only" in ended.sentence
    assert tree(bench.out) == bench.before


def test_a_cache_that_is_read_only_is_named(bench: Bench, tmp_path: Path) -> None:
    """The folder that cannot be written is the cache, and the sentence says so."""
    bench.cache.mkdir()
    with mounted(bench.cache, "--bind", "-o", "ro", str(bench.cache)):
        ended = bench.refused()
    assert ended.code == 5, ended.err
    assert str(bench.cache) in ended.sentence


# -- full ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["100k", "180k", "300k"])
def test_a_full_disk_is_named_and_more_room_mends_it(
    size: str, bench: Bench, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    """Exit 5 names the path; with more room the same command ends with the undisturbed tree."""
    disk = tmp_path / "disk"
    with small_disk(disk, size) as resize:
        out = disk / "out"
        command = ("download", *ASKED, "--source", bench.mirror, "--cache", bench.cache)
        ended = run_oid(*command, "--out", out)
        assert ended.code == 5, ended.err
        assert str(disk) in ended.sentence
        assert "no space left" in ended.sentence
        assert "free some space" in ended.sentence
        there = tree(out)
        for name, data in there.items():
            if name.startswith(("images/", "masks/")):
                assert undisturbed[name] == data, f"{name} is not whole"
        resize("16m")
        again = run_oid(*command, "--out", out)
        assert again.code == 0, again.err
        assert tree(out) == undisturbed


def test_a_disk_that_fills_up_loses_nothing_of_what_stood_there(
    bench: Bench, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    """A dataset that fills the disk to the brim is whole after a run that had no room."""
    disk = tmp_path / "disk"
    with small_disk(disk, "16m") as resize:
        shutil.copytree(bench.out, disk / "out")
        used = shutil.disk_usage(disk).used
        resize(f"{used // 1024 + 8}k")
        bench.out = disk / "out"
        ended = bench.download()
        assert ended.code == 5, ended.err
        assert str(disk) in ended.sentence
        resize("16m")
        assert bench.download().code == 0
        assert tree(bench.out) == undisturbed


@pytest.mark.parametrize("size", ["24k", "60k", "120k"])
def test_a_full_cache_is_named_and_more_room_mends_it(
    size: str, bench: Bench, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    """The disk of the cache is another one: exit 5 names it, and what is half built is built."""
    disk = tmp_path / "disk"
    with small_disk(disk, size) as resize:
        bench.cache = disk / "cache"
        ended = bench.download()
        assert ended.code == 5, ended.err
        assert str(disk) in ended.sentence
        assert "no space left" in ended.sentence
        resize("64m")
        again = bench.download()
        assert again.code == 0, again.err
        assert tree(bench.out) == undisturbed
