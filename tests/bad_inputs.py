"""What the tests of bad input share: a sound mirror to damage, a dataset that stands, the command.

Everything is asked for in the validation split, of which the mirror has enough rows that a single
bad one stays below the 1 % that a file may have.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit.testing import PerSplit, ReleaseSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SPEC = ReleaseSpec(
    seed=5,
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(4, 130, 4),
    boxes=PerSplit(12, 400, 12),
    masks=PerSplit(4, 110, 4),
    image_level_classes=0,
    long_side=96,
)
BOXES = "openimages/v5/validation-annotations-bbox.csv"
MASKS = "openimages/v5/validation-annotations-object-segmentation.csv"
IMAGES = "openimages/2018_04/validation/validation-images-with-rotation.csv"
CLASSES = "openimages/v7/oidv7-class-descriptions-boxable.csv"
ASKED = ("Handgun", "Person", "--split", "validation")
"""What the tests ask for; the dataset that stands there before has the second class alone."""
_LOCK = ".oid/lock"


def zip_key(shard: str) -> str:
    """Name one of the mask zips of the split."""
    return f"openimages/v5/validation-masks/validation-masks-{shard}.zip"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """Give the one sentence that the command ended with, after making sure that it is one."""
        lines = [line for line in self.err.splitlines() if line.startswith("oid: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err, self.err
        assert "unexpected" not in self.err, self.err
        cause, _, remedy = lines[0].removeprefix("oid: ").partition("; ")
        assert len(cause.split()) >= 2, lines[0]
        assert len(remedy.split()) >= 2, f"no remedy in: {lines[0]}"
        return lines[0]


def environment() -> dict[str, str]:
    """Give the environment of a command: this one's, without settings of oid or of proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OID_", "COLUMNS")) and not name.lower().endswith("_proxy")
    }
    return kept | {"PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")}


def run_oid(
    *arguments: str | Path,
    before: Sequence[str] = (),
    timeout: float = 120.0,
    more: Mapping[str, str] | None = None,
) -> Ended:
    """Run the real command in a process of its own; *before* are the words before it."""
    words = [*before, sys.executable, "-m", "oidkit", *map(str, arguments)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        env=environment() | dict(more or {}),
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def tree(folder: Path, *, records: bool = False) -> dict[str, bytes]:
    """Read every file of a dataset by its path; with *records* what is in `.oid` too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != _LOCK and (records or not name.startswith(".oid/")):
            found[name] = path.read_bytes()
    return found


def objects(found: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    """Pick the images, or the masks, of a tree."""
    return {name: data for name, data in found.items() if name.startswith(f"{kind}/")}


def nothing_lost(before: Mapping[str, bytes], folder: Path) -> None:
    """Make sure that all of a tree is still there: files whole, tables with all of their rows.

    Rows may have been added to a table, as another selection adds to a folder.
    """
    after = tree(folder)
    for name, data in before.items():
        assert name in after, f"{name} is gone"
        if name.startswith(("images/", "masks/")):
            assert after[name] == data, f"{name} has changed"
        else:
            lines = set(data.splitlines())
            if name == "ATTRIBUTION.md":
                # Its head counts the images, which may be more by now.
                lines = {line for line in lines if re.match(rb"- [0-9a-f]{16}: ", line)}
            lost = lines - set(after[name].splitlines())
            assert not lost, f"{name} has lost {lost}"
    partial = [name for name in after if ".oid-tmp-" in name]
    assert not partial


class Bench:
    """A mirror that may be damaged, and a folder where a dataset of one class stands before."""

    def __init__(self, mirror: Path, out: Path, cache: Path, main: Callable[..., Ended]) -> None:
        self.mirror, self.out, self.cache, self._main = mirror, out, cache, main
        self.before = tree(out)

    def download(self, *flags: str | Path, source: str | None = None) -> Ended:
        """Ask for both classes, and make sure that nothing that was there is lost."""
        where = ("--source", source or self.mirror, "--cache", self.cache, "--out", self.out)
        ended = self._main("download", *ASKED, "--quiet", *where, *flags)
        nothing_lost(self.before, self.out)
        return ended

    def refused(self, *flags: str | Path, source: str | None = None) -> Ended:
        """Ask for both classes, and make sure that the folder is just as it was."""
        ended = self.download(*flags, source=source)
        assert tree(self.out) == self.before
        return ended

    def path(self, key: str) -> Path:
        """Give the file of an object, to damage it."""
        return self.mirror / key

    def rejects(self) -> list[list[str]]:
        """Give the rows that were set aside: line, reason, text."""
        found = []
        for path in self.cache.rglob("rejects.csv"):
            with path.open(encoding="utf-8", newline="") as file:
                found += list(csv.reader(file))[1:]
        return found
