"""Parts of objects against a server that misbehaves: tables that break off, ranges of mask zips."""

from __future__ import annotations

import csv
import io
import random
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from bad_inputs import BOXES, tree, zip_key
from oidkit.api import Settings, Summary, download
from oidkit.selection import Selection
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from oidkit.testing import Request

pytest_plugins = ["bad_fixtures"]
pytestmark = pytest.mark.usefixtures("short_pauses")

HANDGUN_BOXES = Selection(
    ("Handgun",), splits=("validation",), labels=("boxes",), images=False, metadata=False
)
HANDGUN_MASKS = Selection(
    ("Handgun",), splits=("validation",), labels=("masks",), images=False, metadata=False
)


# -- tables --------------------------------------------------------------------------------------


def rows_of(csv_text: bytes, mid: str) -> list[list[str]]:
    """Pick the rows of a class out of a CSV with the csv module, sorted by image."""
    rows = list(csv.reader(io.StringIO(csv_text.decode())))[1:]
    return sorted((row for row in rows if row[2] == mid), key=lambda row: row[0])


class Tables:
    """Downloads the boxes of a class from a copy of the mirror, one block of some lines a time."""

    def __init__(self, mirror: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("oidkit.tables.build.BLOCK_BYTES", 4_096)
        self.mirror, self.out = folder / "mirror", folder / "out"
        shutil.copytree(mirror, self.mirror)
        self.path = self.mirror / BOXES
        self.whole = self.path.read_bytes()
        self._cache = folder / "cache"
        self.log: list[Request] = []

    def run(self, hook: Callable[[RequestInfo], Fault | None]) -> Summary:
        """Download with *hook* for the requests of the boxes."""
        with MirrorServer(self.mirror) as server:
            server.hook = lambda request: hook(request) if request.path == BOXES else None
            settings = Settings(server.url, self._cache)
            try:
                return download(HANDGUN_BOXES, self.out, settings=settings)
            finally:
                self.log = [request for request in server.log if request.path == BOXES]

    def rows(self) -> list[list[str]]:
        """Read the rows of the class that were written, sorted by image."""
        path = self.out / "csv" / "m0gxl3_validation_boxes.csv"
        return rows_of(path.read_bytes(), "/m/0gxl3")


@pytest.fixture
def tables(sound_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Give a copy of the mirror whose tables may be cut."""
    return Tables(sound_mirror, tmp_path, monkeypatch)


def test_a_table_that_is_cut_goes_on_where_it_broke(tables: Tables) -> None:
    """The second request carries Range and If-Range, and the first part is not sent again."""
    size = len(tables.whole)
    cut = size * 2 // 3
    summary = tables.run(lambda request: Fault(cut=cut) if request.attempt == 1 else None)
    assert summary.exit_code == 0
    first, second = tables.log
    assert first.range is None
    assert second.range is not None
    begin = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert cut - 4_096 <= begin <= cut
    assert tables.whole[begin - 1 : begin] == b"\n"
    assert second.headers["if-range"].startswith('"')
    assert second.status == 206
    assert second.sent == size - begin
    assert tables.rows() == rows_of(tables.whole, "/m/0gxl3")


def test_a_table_of_a_weak_etag_is_begun_anew(tables: Tables) -> None:
    """Nothing could tell whether the rest is of the very same bytes, so all of it comes again."""
    cut = len(tables.whole) * 2 // 3
    weak = {"ETag": 'W/"same"', "x-goog-hash": ""}
    summary = tables.run(
        lambda request: Fault(headers=weak, cut=cut if request.attempt == 1 else None)
    )
    assert summary.exit_code == 0
    assert [each.range for each in tables.log] == [None, None]
    assert tables.rows() == rows_of(tables.whole, "/m/0gxl3")


def test_a_table_that_is_replaced_half_way_is_never_spliced(tables: Tables) -> None:
    """The object changes between the two requests: all of the new one is read, none of the old."""
    head, *lines = tables.whole.splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    changed = head + b"".join(lines).replace(b",xclick,", b",freeform,")

    def hook(request: RequestInfo) -> Fault | None:
        if request.attempt == 1:
            return Fault(cut=len(tables.whole) // 2)
        if request.attempt == 2:
            tables.path.write_bytes(changed)
        return None

    assert tables.run(hook).exit_code == 0
    assert [request.status for request in tables.log] == [200, 200]
    assert sorted(tables.rows()) == sorted(rows_of(changed, "/m/0gxl3"))


def test_a_server_that_goes_on_with_another_object_is_refused(tables: Tables) -> None:
    """A 206 with another ETag, as from a server that ignores If-Range, is thrown away."""

    def hook(request: RequestInfo) -> Fault | None:
        if request.attempt == 1:
            return Fault(cut=len(tables.whole) // 2)
        return Fault.other_etag('"another"') if request.attempt == 2 else None

    assert tables.run(hook).exit_code == 0
    assert [request.range is None for request in tables.log] == [True, False, True]
    assert tables.rows() == rows_of(tables.whole, "/m/0gxl3")


def test_a_damaged_table_is_read_again_from_its_start(tables: Tables) -> None:
    """A flipped bit that leaves every row well is found by the checksum of the whole."""
    at = tables.whole.index(b",0.", len(tables.whole) // 2) + 4
    summary = tables.run(lambda request: Fault(flip=at) if request.attempt == 1 else None)
    assert summary.exit_code == 0
    assert [request.range for request in tables.log] == [None, None]
    assert tables.rows() == rows_of(tables.whole, "/m/0gxl3")


# -- masks ---------------------------------------------------------------------------------------


def test_another_range_of_a_zip_is_refused(
    sound_server: MirrorServer, sound_mirror: Path, tmp_path: Path
) -> None:
    """A Content-Range that is not what was asked for is no data: exit 4, and no mask of it."""
    key = zip_key("d")
    size = (sound_mirror / key).stat().st_size

    def hook(request: RequestInfo) -> Fault | None:
        if request.path != key or request.range is None or "=-" in request.range:
            return None
        first, last = request.range.removeprefix("bytes=").split("-")
        return Fault.wrong_range(f"bytes {int(first) + 1}-{int(last) + 1}/{size}")

    sound_server.hook = hook
    settings = Settings(sound_server.url, tmp_path / "cache")
    summary = download(HANDGUN_MASKS, tmp_path / "out", settings=settings)
    assert summary.exit_code == 4
    assert 0 < summary.masks.failed < summary.masks.asked
    assert "another range" in summary.first_failure
    assert not list((tmp_path / "out").rglob("masks/validation/d*"))
    sound_server.hook = None
    assert download(HANDGUN_MASKS, tmp_path / "out", settings=settings).exit_code == 0


def test_a_zip_that_is_replaced_has_its_directory_read_again(
    sound_mirror: Path, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    """A mask is never cut out of a zip by the directory of another: If-Match, then a new look."""
    mirror, key = tmp_path / "mirror", zip_key("d")
    shutil.copytree(sound_mirror, mirror)
    with MirrorServer(mirror) as server:
        settings = Settings(server.url, tmp_path / "cache")
        first = Selection(("Person",), splits=("validation",), labels=("masks",), images=False)
        one_more = Selection(("Handgun",), splits=("validation",), labels=("masks",), images=False)
        everything = Selection(
            ("Man", "Clothing", "Handgun"),
            splits=("validation",),
            labels=("masks",),
            images=False,
        )
        assert download(first, tmp_path / "out", settings=settings).exit_code == 0
        assert download(everything, tmp_path / "warm", settings=settings).exit_code == 0
        with zipfile.ZipFile(mirror / key) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(mirror / key, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(content, reverse=True):
                archive.writestr(name, content[name])
        server.reset()
        assert download(one_more, tmp_path / "out", settings=settings).exit_code == 0
        asked = [request for request in server.log if request.path == key]
    assert asked[0].status == 412
    assert not [
        each for each in asked if "=-" not in (each.range or "") and "if-match" not in each.headers
    ]
    masks = {name for name in undisturbed if name.startswith("masks/")}
    after = tree(tmp_path / "out")
    assert {name for name in after if name.startswith("masks/")} == masks
    assert not [name for name in masks if after[name] != undisturbed[name]]
