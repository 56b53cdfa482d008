"""The manifest says what stands in a dataset, however the dataset came about."""

from __future__ import annotations

import csv
import dataclasses
import errno
import hashlib
import io
import json
import time
import zlib
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mirrors
from oidkit.api import Settings, download
from oidkit.disk import Record, write_atomically
from oidkit.selection import Selection
from oidkit.tables import Manifest, journal
from oidkit.tables import manifest as manifest_module
from oidkit.tables.journal import line_of, row_of
from oidkit.testing import MirrorServer, ReleaseSpec, make_release
from oracle import Asked, Mirror, differences, expected, tree_of

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["path", "kind", "key", "status", "bytes", "width", "height", "check", "reason"]
PERSON, HANDGUN = "/m/01g317", "/m/0gxl3"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Make a small release of which some images are missing."""
    spec = dataclasses.replace(ReleaseSpec.tiny(), releases=("v7",), seed=8, jpegs=0.8)
    return Mirror(make_release(tmp_path_factory.mktemp("mirror"), spec).root)


cache = pytest.fixture(scope="module")(mirrors.kept_tables)


@pytest.fixture
def plain(mirror: Mirror, cache: Path) -> Settings:
    """Read from the folder."""
    return Settings(source=str(mirror.root), cache=cache)


def rows(out: Path) -> list[dict[str, str]]:
    """Read the manifest with the csv module."""
    text = (out / ".oid/manifest.csv").read_text(encoding="utf-8")
    header, *found = csv.reader(io.StringIO(text, newline=""))
    assert header == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in found]


def records(folder: Path) -> list[Record]:
    """Open a manifest and give all it knows."""
    return list(Manifest(folder).records())


# -- of a dataset -------------------------------------------------------------------------------


def test_every_file_has_one_row_with_its_size_and_checksum(
    mirror: Mirror, plain: Settings, tmp_path: Path
) -> None:
    """The rows are the files, in the order of paths, and the checks are those of their bytes."""
    download((PERSON, HANDGUN), tmp_path, settings=plain)
    want = expected(mirror, Asked((PERSON, HANDGUN)))
    found = rows(tmp_path)
    assert [row["path"] for row in found] == sorted(row["path"] for row in found)
    there = {row["path"]: row for row in found if row["status"] == "ok"}
    want.tree["ATTRIBUTION.md"] = (tmp_path / "ATTRIBUTION.md").read_bytes()
    assert there.keys() == want.tree.keys()
    assert len(there) + sum(row["status"] == "missing" for row in found) == len(found)
    for path, data in want.tree.items():
        row = there[path]
        kind, _, value = row["check"].partition(":")
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert value == {"md5": md5, "crc32": f"{zlib.crc32(data):08x}"}[kind]
        assert (int(row["bytes"]), row["reason"]) == (len(data), "")
        kinds = {"images": "image", "masks": "mask"}
        assert row["kind"] == kinds.get(path.split("/")[0], "annotations")


def test_missing_images_have_a_row_for_each_of_their_places(
    mirror: Mirror, plain: Settings, tmp_path: Path
) -> None:
    """A 404 is written down where the file would stand, with its key and the reason."""
    download((PERSON, HANDGUN), tmp_path, settings=plain)
    gone = [row for row in rows(tmp_path) if row["status"] == "missing"]
    want = expected(mirror, Asked((PERSON, HANDGUN)))
    assert {row["key"] for row in gone} == {
        f"open-images-dataset/{each}.jpg" for each in want.missing
    }
    for row in gone:
        assert "404" in row["reason"]
        assert row["path"].startswith("images/")
        assert (row["bytes"], row["check"]) == ("0", "")
        assert not (tmp_path / row["path"]).exists()


def test_the_same_dataset_has_the_same_manifest_however_it_came_about(
    mirror: Mirror, plain: Settings, cache: Path, tmp_path: Path
) -> None:
    """At once, class by class, split by split or over HTTP: the manifest is the same bytes."""
    both = (PERSON, HANDGUN)
    download(both, tmp_path / "once", settings=plain)
    for mid in both:
        download(mid, tmp_path / "classes", settings=plain)
    for split in ("test", "train", "validation"):
        download(Selection(both, splits=(split,)), tmp_path / "splits", settings=plain)
    download(Selection(both), tmp_path / "splits", settings=plain)
    with MirrorServer(mirror.root) as server:
        web = Settings(source=server.url, cache=cache, workers=7)
        download(both, tmp_path / "web", settings=web)
    want = (tmp_path / "once/.oid/manifest.csv").read_bytes()
    for way in ("classes", "splits", "web"):
        assert (tmp_path / way / ".oid/manifest.csv").read_bytes() == want, way
        assert not list((tmp_path / way / ".oid").glob("journal*"))


def test_a_lost_manifest_is_made_again_without_fetching_images(
    mirror: Mirror, cache: Path, tmp_path: Path
) -> None:
    """Without its manifest a dataset is looked at: whole images stay, masks come once more."""
    with MirrorServer(mirror.root) as server:
        web = Settings(source=server.url, cache=cache)
        first = download(PERSON, tmp_path, settings=web)
        manifest = tmp_path / ".oid/manifest.csv"
        kept = manifest.read_bytes()
        for damage in (None, b"", b"no manifest\n", kept[: len(kept) // 2], bytes(100)):
            manifest.unlink() if damage is None else manifest.write_bytes(damage)
            server.reset()
            again = download(PERSON, tmp_path, settings=web)
            assert manifest.read_bytes() == kept
            assert again.images.present == first.images.fetched
            asked = [each for each in server.log if each.path.startswith("open-images-dataset/")]
            assert len(asked) == first.images.missing
    assert differences(tree_of(tmp_path), expected(mirror, Asked((PERSON,))).tree) == []


# -- of its own ---------------------------------------------------------------------------------


def record(at: int, **changed: object) -> Record:
    """Make a record of a mask."""
    check = f"crc32:{zlib.crc32(bytes(at)):08x}"
    plain = Record(f"masks/train/{at:04d}.png", "mask", "a.zip", "ok", at, check)
    return dataclasses.replace(plain, **changed)  # type: ignore[arg-type]


def test_the_last_word_on_a_file_counts(tmp_path: Path) -> None:
    """A later row for the same path replaces the earlier one, in a run and across runs."""
    first = Manifest(tmp_path)
    first.add(record(2, status="failed", reason="it was cut"))
    first.add(record(1))
    first.add(record(2))
    first.close()
    assert records(tmp_path) == [record(1), record(2)]
    second = Manifest(tmp_path)
    second.add(record(1, status="missing", bytes=0, check="", reason="gone"))
    second.close()
    assert [each.status for each in records(tmp_path)] == ["missing", "ok"]


@pytest.mark.parametrize("cut", [0, 1, 10, 30])
def test_the_journal_of_a_killed_run_counts_up_to_its_last_whole_row(
    tmp_path: Path, cut: int
) -> None:
    """Rows that a killed run wrote are merged by the next one; a row cut in two is not."""
    folder = tmp_path / ".oid"
    folder.mkdir()
    first = Manifest(folder)
    for at in range(5):
        first.add(record(at))
    first.close()
    for at in range(10):
        place = tmp_path / record(at).path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(record(at).bytes))
    before = (folder / "manifest.csv").read_bytes()
    killed = Manifest(folder)
    for at in range(5, 10):
        killed.add(record(at))
    # The journal of a process that is no more.
    (alive,) = folder.glob("journal*")
    journal = folder / f"journal-{'0' * 12}.jsonl"
    data = alive.read_bytes()
    killed._journal._file.close()  # type: ignore[union-attr]
    alive.unlink()
    journal.write_bytes(data[: len(data) - cut])
    (folder / "manifest.csv").write_bytes(before)
    whole = 5 + data[: len(data) - cut].count(b"\n")
    assert records(folder) == [record(at) for at in range(whole)]
    assert not journal.exists()
    assert records(folder) == [record(at) for at in range(whole)]


def test_a_row_of_a_journal_with_a_flipped_bit_counts_as_never_written(tmp_path: Path) -> None:
    """Its CRC-32 tells, though it may be read; the rows before and behind it count."""
    folder = tmp_path / ".oid"
    folder.mkdir()
    for at in range(3):
        place = tmp_path / record(at).path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(record(at).bytes))
    first, second, third = (line_of(row_of(record(at))) for at in range(3))
    flipped = second.replace(b'"a.zip"', b'"c.zip"')
    assert flipped != second
    (folder / f"journal-{'0' * 12}.jsonl").write_bytes(first + flipped + third)
    assert records(folder) == [record(0), record(2)]


@pytest.mark.parametrize("sure", [0, 3, 5])
def test_rows_of_files_that_may_be_lost_are_looked_at(tmp_path: Path, sure: int) -> None:
    """Of a killed run, a file of the right size with other bytes counts only where it was synced.

    The row keeps the check: no other content is then taken for the file.
    """
    folder = tmp_path / ".oid"
    folder.mkdir()
    fields = [[str(getattr(record(at), name)) for name in COLUMNS] for at in range(1, 6)]
    fields.insert(sure, ["", "synced", "", "ok", str(sure), "0", "0", "", ""])
    with (folder / "journal.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(fields)
    for at in range(1, 6):
        place = tmp_path / record(at).path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x" * at)
    found = Manifest(folder)
    names = [f"{at:04d}.png" for at in range(1, 6)]
    assert list(found.sizes("masks/train")) == names[:sure]
    checks = {f"{at:04d}.png": record(at).check for at in range(sure + 1, 6)}
    assert found.lost_checks("masks/train") == checks
    assert [each.status for each in records(folder)] == ["ok"] * sure + ["failed"] * (5 - sure)


def test_a_run_under_way_notes_what_will_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From time to time all is synced, and a row says for how many rows; the end syncs too."""
    synced: list[list[Path]] = []
    monkeypatch.setattr(journal, "_MOST_BYTES", 10)
    monkeypatch.setattr(journal, "make_lasting", lambda _, files: synced.append(files))
    folder = tmp_path / ".oid"
    folder.mkdir()
    manifest = Manifest(folder)
    for at in range(1, 40):
        manifest.add(record(at))
        time.sleep(0.002)
    (path,) = folder.glob("journal-*.jsonl")
    found = [json.loads(line.partition(" ")[2]) for line in path.read_text().splitlines()]
    noted = [int(row[4]) for row in found if row[1] == "synced"]
    # Each sync is of the journal, and of the files of all rows since the one before.
    files = [*accumulate(len(each) - 1 for each in synced)]
    assert noted
    assert noted == files[: len(noted)]
    before = len(synced)
    manifest.close()
    assert len(synced) > before
    assert records(folder) == [record(at) for at in range(1, 40)]


def test_nothing_lasts_for_sure_after_a_sync_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system tells of lost pages once: a later sync that succeeds is no proof, and none is asked.

    The next run looks at the files themselves.
    """
    calls: list[Path] = []

    def failing(root: Path, _: object) -> None:
        calls.append(root)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(journal, "_MOST_BYTES", 1)
    monkeypatch.setattr(journal, "make_lasting", failing)
    folder = tmp_path / ".oid"
    folder.mkdir()
    manifest = Manifest(folder)
    manifest.add(record(1))
    while not (failed := manifest._journal._under_way) or not failed.done():  # type: ignore[union-attr]
        time.sleep(0.002)
    with pytest.raises(OSError, match="Input/output"):
        manifest.add(record(2))
    for at in range(3, 6):
        manifest.add(record(at))
    manifest.close()
    assert calls == [tmp_path]
    assert {each.status for each in records(folder)} == {"failed"}


def test_a_manifest_that_another_run_has_written_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading and the replacing nothing of another run's gets lost."""
    folder = tmp_path / ".oid"
    folder.mkdir()
    other = Manifest(folder)
    for at in (1, 2):
        other.add(record(at))
    other.close()
    theirs = {path.name: path.read_bytes() for path in folder.glob("manifest*")}
    for path in folder.glob("manifest*"):
        path.unlink()
    ours = Manifest(folder)
    ours.add(record(3))
    written: list[Path] = []

    def late(path: Path, data: bytes, *, lasting: bool = False) -> None:
        write_atomically(path, data, lasting=lasting)
        if not written:
            written.append(path)
            for name, content in theirs.items():
                (folder / name).write_bytes(content)

    monkeypatch.setattr(manifest_module, "write_atomically", late)
    ours.close()
    assert written
    assert records(folder) == [record(at) for at in (1, 2, 3)]


def test_a_manifest_is_asked_by_folder(tmp_path: Path) -> None:
    """A folder's records are those of the files right in it, and folders are found by files."""
    manifest = Manifest(tmp_path)
    one, two = f"{1:016x}.jpg", f"{2:016x}.jpg"
    paths = [f"images/train/a/{one}", f"images/train/b/{one}", f"images/train/{two}", "top.csv"]
    paths += [f"images/test/a/{one}", f"images/trainer/{one}"]
    for path in paths:
        manifest.add(Record(path, "image", "k", "ok", 3, "md5:0"))
    manifest.add(Record(f"images/train/c/{one}", "image", "k", "missing"))
    manifest.merge()
    assert list(manifest.sizes("images/train")) == [two]
    assert list(manifest.sizes("")) == ["top.csv"]
    assert list(manifest.sizes("images/train/a")) == [one]
    assert manifest.sizes("images/validation") == {}
    folders = {
        each: manifest.folders_of(np.array(each, dtype=np.uint64), below="images/train")
        for each in [(1,), (2, 9), ()]
    }
    assert folders[1,] == ["images/train/a", "images/train/b"]
    assert folders[2, 9] == ["images/train"]
    assert folders[()] == []
    manifest.close()


SOUND = "masks/train/1.png,mask,k,ok,1,0,0,,"
SENSELESS = [
    "../outside.png,mask,k,ok,1,0,0,,",
    "masks/../../outside.png,mask,k,ok,1,0,0,,",
    "/etc/passwd,mask,k,ok,1,0,0,,",
    "C:\\x.png,mask,k,ok,1,0,0,,",
    "masks/a.png,mask,k,splendid,1,0,0,,",
    "masks/a.png,mask,k,ok,-1,0,0,,",
    "masks/a.png,mask,k,ok,1,wide,0,,",
    "masks/a.png,mask,k,ok",
    "masks/a.png,mask,k,ok,1,0,0,,,,",
]


@pytest.mark.parametrize("row", SENSELESS)
def test_a_manifest_that_is_none_of_ours_counts_as_empty(tmp_path: Path, row: str) -> None:
    """A path that leads out of the dataset, or a row that makes no sense, is never believed."""
    found = {}
    for name, rows in (("sound", [SOUND]), ("senseless", [SOUND, row])):
        folder = tmp_path / name
        folder.mkdir()
        text = "".join(f"{line}\n" for line in (",".join(COLUMNS), *rows))
        (folder / "manifest.csv").write_text(text, encoding="utf-8")
        manifest = Manifest(folder)
        found[name] = (manifest.damaged, [each.path for each in manifest.records()])
        manifest.close()
    assert found == {"sound": (False, ["masks/train/1.png"]), "senseless": (True, [])}


@pytest.mark.parametrize("row", SENSELESS)
def test_a_row_of_a_journal_that_makes_no_sense_is_left_out(tmp_path: Path, row: str) -> None:
    """However well it was written; the other rows count."""
    folder = tmp_path / ".oid"
    folder.mkdir()
    lines = b"".join(line_of(each.split(",")) for each in (row, SOUND))
    (folder / f"journal-{'0' * 12}.jsonl").write_bytes(lines)
    assert [each.path for each in records(folder)] == ["masks/train/1.png"]


_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(reasons=st.lists(_text, max_size=8))
def test_any_reason_survives(tmp_path_factory: pytest.TempPathFactory, reasons: list[str]) -> None:
    """Whatever an error says, with commas, quotes or line ends, its row is read back as it was."""
    folder = tmp_path_factory.mktemp("manifest")
    wrong = [record(at, status="failed", reason=text) for at, text in enumerate(reasons)]
    manifest = Manifest(folder)
    for each in wrong:
        manifest.add(each)
    manifest.close()
    assert records(folder) == wrong
