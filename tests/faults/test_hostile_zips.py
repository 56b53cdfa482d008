"""Row 25: hostile zips in place of a mask zip of the source."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import random
import shutil
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from faults.hostile_zips import CASES
from faults.runs import Folder
from made_zips import read
from oidkit.api import Settings, download
from oidkit.errors import IntegrityError
from oidkit.selection import Selection
from oidkit.testing import MirrorServer
from oidkit.transfer import retry
from oidkit.zipindex import extract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from faults.hostile_zips import Case
    from faults.runs import Undisturbed

pytestmark = pytest.mark.row(25)
CLASSES = ("Handgun", "Person")
# zipfile takes the last signature in a comment for the end record, though the comment that it tells
# of does not reach to the end of the file. By APPNOTE 4.3.16 it is none, and the honest one counts.
BETTER_THAN_ZIPFILE = {"a comment that is an end record", "a comment of signatures"}


@dataclass(frozen=True)
class Target:
    """A mask zip of a mirror that may be changed, and a server of it."""

    server: MirrorServer
    zip: Path
    members: Mapping[str, bytes]
    wanted: tuple[str, ...]
    undisturbed: Undisturbed

    def put(self, data: bytes) -> None:
        """Serve another zip in its place; the honest mirror shares no file with it."""
        fresh = self.zip.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(self.zip)


@pytest.fixture(scope="module")
def target(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Copy the mirror by links, and choose the zip of train with most of the wanted masks."""
    root = tmp_path_factory.mktemp("hostile") / "mirror"
    shutil.copytree(undisturbed.mirror, root, copy_function=os.link)
    wanted = {
        path.rpartition("/")[2] for path in undisturbed.tree if path.startswith("masks/train")
    }
    counts: Counter[Path] = Counter()
    for path in root.glob("openimages/v5/train-masks/*.zip"):
        with zipfile.ZipFile(path) as archive:
            counts[path] = len(wanted & {*archive.namelist()})
    path = max(sorted(counts), key=lambda each: counts[each])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    ours = sorted(wanted & {*members})
    assert len(ours) >= 3
    ordered = {name: members[name] for name in [*ours, *sorted({*members} - wanted)]}
    with MirrorServer(root) as server:
        yield Target(server, path, ordered, tuple(ours), undisturbed)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come soon."""
    monkeypatch.setattr(retry, "_SHORTEST", 0.001)
    monkeypatch.setattr(retry, "_LONGEST", 0.01)


def as_zipfile_reads(data: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read the members that the zipfile module can read without an objection."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            archive = zipfile.ZipFile(io.BytesIO(data))
        except Exception:  # noqa: BLE001 - it raises half a dozen kinds, all of them mean no
            return {}
        for name in names:
            try:
                if archive.getinfo(name).file_size <= 16 << 20:
                    found[name] = archive.read(name)
            except Exception:  # noqa: BLE001, S112 - likewise
                continue
    return found


def statuses(out: Path) -> dict[str, str]:
    """Read what the manifest says of each mask."""
    with (out / ".oid" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["path"].rpartition("/")[2]: row["status"] for row in rows if row["kind"] == "mask"}


def judged(what: str, case: Case, target: Target, out: Path, data: bytes) -> int:
    """Check the masks, the images and the place; give the exit code that fits what is there."""
    kept = {path.name: path.read_bytes() for path in (out / "masks" / "train").glob("*")}
    reference = as_zipfile_reads(data, target.wanted)
    told = statuses(out)
    first, others = target.wanted[0], target.wanted[1:]
    for name in target.wanted:
        fate = case.victim if name == first else case.others
        if fate == "read":
            assert told[name] == "ok", (what, name)
            right = target.members if what in BETTER_THAN_ZIPFILE else reference
            assert kept[name] == right[name], (what, name)
        else:
            assert name not in kept, (what, name)
            assert told[name] == {"refused": "damaged", "missing": "missing"}[fate]
    assert len(others) >= 2
    _rest_is_whole(target, out, kept)
    fates = {case.victim, case.others}
    return 6 if "refused" in fates else 3 if "missing" in fates else 0


def _rest_is_whole(target: Target, out: Path, kept: Mapping[str, bytes]) -> None:
    """Check every image, every mask of the other zips, and that nothing is anywhere else."""
    whole = target.undisturbed.tree
    images = {path for path in whole if path.startswith("images/train/")}
    assert {p.relative_to(out).as_posix() for p in (out / "images").rglob("*.jpg")} == images
    assert not [path for path in images if (out / path).read_bytes() != whole[path]]
    for path in whole:
        name = path.rpartition("/")[2]
        if path.startswith("masks/train/") and name not in target.members:
            assert kept[name] == whole[path]
    assert {*kept} <= {path.rpartition("/")[2] for path in whole}
    assert not [path for path in out.rglob("*") if path.is_symlink()]
    assert {path.name for path in out.parent.iterdir()} <= {"out", "cache"}
    assert not list(out.parent.rglob("*evil*"))


@pytest.mark.parametrize("what", CASES)
@pytest.mark.parametrize("tail", [22, 65_536])
def test_the_reader_meets_a_hostile_zip(what: str, tail: int, target: Target) -> None:
    """Fed with ranges alone, the reader gives what zipfile gives, or an error that says why."""
    case = CASES[what]
    data = case.make(target.members)
    found: dict[str, bytes] = {}
    # of an object of no bytes nothing can be asked
    with contextlib.suppress(IntegrityError) if data else pytest.raises(AssertionError):
        index, _ = read(data, tail=tail)
        rows = index.rows()
        for name in target.wanted:
            if (row := rows.get(name)) is not None:
                with contextlib.suppress(IntegrityError):
                    member = index.member(row)
                    span = data[member.offset : member.stop]
                    found[name] = extract(member, span, start=member.offset)
    reference = as_zipfile_reads(data, target.wanted)
    right = target.members if what in BETTER_THAN_ZIPFILE else reference
    first, *others = target.wanted
    wanted = [first] * (case.victim == "read") + others * (case.others == "read")
    assert found == {name: right[name] for name in wanted}


def by_call(what: str, target: Target, root: Path) -> None:
    """Download with a hostile zip in place of one of the mirror's."""
    case = CASES[what]
    data = case.make(target.members)
    target.put(data)
    settings = Settings(target.server.url, root / "cache", workers=4)
    summary = download(Selection(CLASSES, splits=("train",)), root / "out", settings=settings)
    assert summary.exit_code == judged(what, case, target, root / "out", data)


SEEDED = random.Random(25).sample(sorted(CASES), 16)
REST = sorted({*CASES} - {*SEEDED})


@pytest.mark.parametrize("what", SEEDED[4:])
def test_a_hostile_zip_is_read_as_zipfile_reads_it_or_refused(
    what: str, target: Target, tmp_path: Path, short_pauses: None
) -> None:
    """No wrong byte, no file elsewhere, every image and every other zip's masks whole."""
    by_call(what, target, tmp_path)


@pytest.mark.whole
@pytest.mark.parametrize("what", REST)
def test_every_hostile_zip_is_read_as_zipfile_reads_it_or_refused(
    what: str, target: Target, tmp_path: Path, short_pauses: None
) -> None:
    """The same for all of the others."""
    by_call(what, target, tmp_path)


def by_command(what: str, target: Target, root: Path) -> None:
    """Do the same with the installed command: exit code, one sentence, no traceback."""
    case = CASES[what]
    data = case.make(target.members)
    target.put(data)
    folder = Folder(root, target.undisturbed, source=target.server.url)
    places = ("--out", folder.out, "--cache", folder.cache, "--source", folder.url)
    done = folder.run("download", *CLASSES, "--split", "train", *places, "--json", "--quiet")
    assert done.code == judged(what, case, target, folder.out, data), done.err
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err
    assert done.summary["images"]["failed"] == 0
    folder.check_no_temporary()


@pytest.mark.parametrize("what", SEEDED[:4])
def test_the_command_meets_a_hostile_zip(what: str, target: Target, tmp_path: Path) -> None:
    """The installed command in its own process, for a seeded few of the cases."""
    by_command(what, target, tmp_path)


@pytest.mark.whole
@pytest.mark.parametrize("what", [*SEEDED[4:], *REST])
def test_the_command_meets_every_hostile_zip(what: str, target: Target, tmp_path: Path) -> None:
    """The installed command in its own process, for all of the others."""
    by_command(what, target, tmp_path)
