"""The folder of an export: replaced as a whole or left as it was, whatever ends the run."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import oidkit
from cli_runs import sentence
from mirrors import environment, start, tree
from oidkit.cli import main
from oidkit.errors import DiskError, InterruptedRunError, UsageError
from oidkit.events import Fetched
from oidkit.formats.folder import MARKER, replacing
from oidkit.formats.making import Making

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.events import Event

LEFT = ".oid-tmp-export-*"


# -- the folder of the export --------------------------------------------------------------------


def test_the_same_dataset_makes_the_same_bytes(two_classes: Path, tmp_path: Path) -> None:
    """One process or two, here or there: every file of the export is the same."""
    for name, workers in (("one", 1), ("two", 2)):
        oidkit.export(two_classes, tmp_path / name, "csv", image_size=64, workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_an_earlier_export_is_replaced_as_a_whole(two_classes: Path, tmp_path: Path) -> None:
    """No file of the old one is left, and nothing is left beside the new one."""
    out = tmp_path / "out"
    oidkit.export(two_classes, out, "csv")
    (out / "cache of a trainer").write_text("x")
    oidkit.export(two_classes, out, "oidv4")
    assert not (out / "boxes.csv").exists()
    assert not (out / "cache of a trainer").exists()
    assert json.loads((out / MARKER).read_text())["format"] == "oidv4"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_somebody_else_is_not_replaced(two_classes: Path, tmp_path: Path) -> None:
    """A folder with files that are no export, a file, and the dataset's own place are refused."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    for out in (other, other / "thesis.tex", two_classes, two_classes.parent):
        before = sorted(path.name for path in two_classes.iterdir())
        with pytest.raises(UsageError, match="choose another --out"):
            oidkit.export(two_classes, out, "csv")
        assert sorted(path.name for path in two_classes.iterdir()) == before
    assert (other / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("place", ["images", "images/out", "masks/train/out", "csv/out", ".oid/x"])
def test_the_datasets_own_folders_take_no_export(
    copied: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a download looks through holds no export: exit code 2, one sentence, nothing changed."""
    before = tree(copied)
    out = str(copied / place)
    assert main(["export", str(copied), "--format", "csv", "--out", out, "--quiet"]) == 2
    assert "belongs to the dataset itself; choose another --out" in sentence(capsys)
    assert tree(copied) == before


def test_the_dataset_is_not_changed_by_an_export(copied: Path, tmp_path: Path) -> None:
    """Files of the dataset have the bytes that they had, though the export links them."""
    before = tree(copied)
    for name in ("csv", "openimages", "oidv4"):
        oidkit.export(copied, tmp_path / "out", name)
        oidkit.export(copied, tmp_path / "out", name, image_size=40, resize="letterbox")
    assert tree(copied) == before


def test_an_error_half_way_leaves_the_old_export(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong, the earlier export stands as it was and nothing is left beside it."""
    out = tmp_path / "out"
    oidkit.export(two_classes, out, "csv")
    before = tree(out)

    def fail(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Making, "make", fail)
        with pytest.raises(DiskError, match="no space left"):
            oidkit.export(two_classes, out, "csv")

    def interrupt(event: Event) -> None:
        if isinstance(event, Fetched):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        oidkit.export(two_classes, out, "csv", on_event=interrupt)
    with pytest.raises(InterruptedRunError) as caught:
        oidkit.export(two_classes, out, "csv", on_event=interrupt, workers=2)
    # Not only when nobody holds the error any more.
    assert caught.value.exit_code == 130
    assert multiprocessing.active_children() == []
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_folders_change_places_without_a_moment_between(
    two_classes: Path, tmp_path: Path
) -> None:
    """Whoever looks at the export while it is replaced finds an export, each time."""
    out = tmp_path / "out"
    seen = []
    for text in ("old", "new"):
        with replacing(out, dataset=two_classes, marker={"n": text}) as fresh:
            (fresh / "a").write_text(text)
            seen.append((out / "a").read_text() if out.exists() else "")
    assert seen == ["", "old"]
    assert (out / "a").read_text() == "new"


def test_what_a_killed_run_left_is_swept_and_a_run_under_way_is_not(
    two_classes: Path, tmp_path: Path
) -> None:
    """Leftovers are nobody's by their names; an old export that was put aside comes back."""
    out = tmp_path / "out"
    left = tmp_path / f".oid-tmp-export-out-{'a' * 32}"
    aside = tmp_path / f"{left.name}.old"
    for folder in (left, aside):
        folder.mkdir()
        (folder / MARKER).write_text(folder.name)
    with replacing(out, dataset=two_classes, marker={}) as fresh:
        assert (out / MARKER).read_text() == aside.name
        assert not left.exists()
        oidkit.export(two_classes, out, "csv")
        assert fresh.is_dir()
    assert (out / MARKER).read_text() == "{}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# -- kill and interrupt --------------------------------------------------------------------------


def command(dataset: Path, out: Path) -> list[str]:
    """Give the arguments of an export that takes a while, in two processes."""
    flags = ("--image-size", "900", "--processes", "2", "--quiet")
    return ["export", str(dataset), "--format", "csv", "--out", str(out), *flags]


def at_work(tmp_path: Path, process: subprocess.Popen[bytes]) -> Iterator[Path]:
    """Wait until the export has written pictures, and give its folder."""
    while process.poll() is None:
        for folder in tmp_path.glob(LEFT):
            if folder.is_dir() and any(folder.rglob("*.jpg")):
                yield folder
                return
        time.sleep(0.005)


def wait_for_group(number: int) -> None:
    """Wait until no process of a group is left; the workers are of their parent's."""
    for _ in range(2_000):
        try:
            os.killpg(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail("a worker outlives its parent")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills a process as POSIX does")
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_export_leaves_the_old_one_and_no_process(
    two_classes: Path, tmp_path: Path, way: signal.Signals
) -> None:
    """The old export stands, the workers end, and the next run makes the same bytes as ever."""
    out = tmp_path / "out"
    oidkit.export(two_classes, out, "csv")
    before = tree(out)
    for _ in range(20):
        process = start(*command(two_classes, out))
        at_work_once = list(at_work(tmp_path, process))
        # Ctrl-C reaches every process of the group, a kill the one that is named.
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if way == signal.SIGINT else os.kill)(process.pid, way)
        _, said = process.communicate(timeout=60)
        wait_for_group(process.pid)
        # Told apart here: on a busy machine a run may be over before it is hit.
        stands = tree(out) == before
        if at_work_once and stands and process.returncode != 0:
            break
        oidkit.export(two_classes, out, "csv")
    assert stands
    if way == signal.SIGKILL:
        assert list(tmp_path.glob(LEFT))
    else:
        assert process.returncode == 130, said
        assert b"interrupted" in said
        assert said.count(b"\n") == 1
        assert not list(tmp_path.glob(LEFT))
    assert main(command(two_classes, out)) == 0
    assert not list(tmp_path.glob(LEFT))
    oidkit.export(two_classes, tmp_path / "again", "csv", image_size=900)
    assert tree(out) == tree(tmp_path / "again")


def test_a_script_without_a_guard_is_told_what_to_do(two_classes: Path, tmp_path: Path) -> None:
    """A pool that cannot start, as the script would start itself again, is one clear error."""
    script = tmp_path / "script.py"
    script.write_text(
        "import oidkit\n"
        f"oidkit.export({str(two_classes)!r}, {str(tmp_path / 'out')!r}, 'csv', workers=2)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode, ran.stderr
    assert "if __name__ == '__main__'" in ran.stderr
    assert not (tmp_path / "out").exists()
