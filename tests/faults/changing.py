"""A mirror that changes while it is read, and whose box file takes more than one range.

The box file is long enough here that its first block is put down before it is cut, so that the rest
is asked for as a range. Most of it are rows of classes that nobody asks for: what a run leaves is
the undisturbed tree. Its other version has the wanted rows at the other end, in the same number of
bytes: a splice of the two has none of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from faults.kinds import BOXES
from faults.runs import Folder, Undisturbed
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oidkit.testing.ledger import Request

__all__ = ["BLOCK", "CUT", "Changing", "changing", "cut_first", "put", "versions"]

BLOCK = 16 << 20
CUT = 20_000_000
_ROWS = 300_000


@dataclass(frozen=True)
class Changing:
    """A mirror of its own, whose box file is long and has another version."""

    folder: Folder
    server: MirrorServer
    root: Path
    other: bytes

    def replace_boxes(self) -> None:
        """Put the other version of the box file in its place, as a server's owner would."""
        put(self.root / BOXES, self.other)

    def asked(self, key: str = BOXES) -> list[Request]:
        """Give the requests for an object."""
        return [each for each in self.server.log if each.path == key]


def put(path: Path, data: bytes) -> None:
    """Replace a file at once."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(data)
    beside.replace(path)


@pytest.fixture(scope="module")
def versions(undisturbed: Undisturbed) -> tuple[bytes, bytes]:
    """Make both versions of the box file, of the same rows and size."""
    text = (undisturbed.mirror / BOXES).read_text()
    header, *rows = text.splitlines(keepends=True)
    _, rest = next(row for row in rows if "/m/01g317" not in row and "/m/0gxl3" not in row).split(
        ",", 1
    )
    fields = rest.split(",")
    rest = ",".join([fields[0], "/m/0k65p", *fields[2:]])
    padding = [f"{number:016x},{rest}" for number in range(_ROWS)]
    first = "".join([header, *padding, *rows]).encode()
    second = "".join([header, *rows, *padding]).encode()
    assert len(first) == len(second) > CUT + 1_000_000
    return first, second


@pytest.fixture
def changing(
    tmp_path: Path, undisturbed: Undisturbed, versions: tuple[bytes, bytes]
) -> Iterator[Changing]:
    """Serve a copy of the mirror that a test may change."""
    root = tmp_path / "mirror"
    shutil.copytree(undisturbed.mirror, root)
    first, second = versions
    (root / BOXES).write_bytes(first)
    with MirrorServer(root) as server:
        place = tmp_path / "case"
        folder = Folder(place, replace(undisturbed, server=server, mirror=root))
        yield Changing(folder, server, root, second)


def cut_first(changing: Changing, then: Callable[[RequestInfo], Fault | None]) -> None:
    """Cut the box file in its second block, and answer what is asked of it next with *then*."""

    def hook(request: RequestInfo) -> Fault | None:
        if request.path != BOXES:
            return None
        if request.attempt == 1:
            return replace(then(request) or Fault(), cut=CUT, ignore_range=False)
        return then(request)

    changing.server.hook = hook
