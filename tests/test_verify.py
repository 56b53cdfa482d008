"""`oid verify`: every damage is found, and mended by fetching what is damaged alone."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import mirrors
from mirrors import CLASSES, run, tree
from oidkit.api import Settings, download, verify
from oidkit.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from oidkit.testing import MirrorServer

COMPLETE_BUT_MISSING = 3


server = pytest.fixture(scope="module")(mirrors.served)
settings = pytest.fixture(scope="module")(mirrors.read_from)


@pytest.fixture(scope="module")
def whole(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download once; nobody may change it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert download(CLASSES, out, settings=settings).exit_code == COMPLETE_BUT_MISSING
    return out


@pytest.fixture
def out(whole: Path, tmp_path: Path, server: MirrorServer) -> Path:
    """Copy the dataset, to be damaged."""
    shutil.copytree(whole, tmp_path / "out")
    server.reset()
    return tmp_path / "out"


def flip(path: Path) -> None:
    """Flip one bit in the middle; size and time stay."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Take the second half away."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lengthen(path: Path) -> None:
    """Add a byte at the end."""
    path.write_bytes(path.read_bytes() + b"\n")


def remove(path: Path) -> None:
    """Take the file away."""
    path.unlink()


DAMAGES = [flip, cut, lengthen]
KINDS = {
    "image": "images/train/handgun_m0gxl3/*.jpg",
    "mask": "masks/train/*.png",
    "rows": "csv/m0gxl3_train_boxes.csv",
    "class list": "csv/class-descriptions-boxable.csv",
    "list of ids": "downloader_IDs_for_m0gxl3_train.txt",
    "attribution": "attribution.csv",
}


def victim(out: Path, kind: str) -> Path:
    """Choose a file of a kind."""
    return min(out.glob(KINDS[kind]))


def test_whole_dataset(out: Path, server: MirrorServer) -> None:
    """Nothing is wrong with a fresh dataset but what the source lacks, and nobody is asked."""
    report = verify(out)
    files = [name for name in tree(out) if not name.startswith(".oid/")]
    assert report.checked == len(files)
    assert (report.damaged, report.absent, report.foreign) == ([], [], [])
    assert len(report.missing) > 0
    assert report.exit_code == COMPLETE_BUT_MISSING
    assert server.requests == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: str(damage.__name__))
def test_damage_is_found(out: Path, kind: str, damage: Callable[[Path], None]) -> None:
    """A flipped bit, a cut and a byte too many are found in every kind of file: exit 6."""
    path = victim(out, kind)
    damage(path)
    before = tree(out)
    report = verify(out)
    assert report.damaged == [path.relative_to(out).as_posix()]
    assert (report.absent, report.exit_code) == ([], 6)
    assert tree(out) == before, "a check changed something"


@pytest.mark.parametrize("kind", KINDS)
def test_absence_is_found(out: Path, kind: str) -> None:
    """A file that was taken away is absent: exit 4, as a rerun mends it."""
    path = victim(out, kind)
    path.unlink()
    report = verify(out)
    assert report.absent == [path.relative_to(out).as_posix()]
    assert (report.damaged, report.exit_code) == ([], 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", [flip, cut, remove], ids=lambda damage: str(damage.__name__))
def test_repair(
    out: Path,
    whole: Path,
    server: MirrorServer,
    settings: Settings,
    kind: str,
    damage: Callable[[Path], None],
) -> None:
    """A repair brings the undamaged tree back, and fetches what was damaged and nothing else."""
    path = victim(out, kind)
    damage(path)
    report = verify(out, repair=True, settings=settings)
    assert report.repaired == 1
    assert (report.damaged, report.absent) == ([], [])
    assert report.exit_code == COMPLETE_BUT_MISSING
    assert tree(out) == tree(whole)
    asked = [request.path for request in server.log if request.sent]
    if kind == "image":
        assert asked in ([], [f"open-images-dataset/train/{path.name}"])
    elif kind == "mask":
        assert Counter(name.rpartition(".")[2] for name in asked) == {"zip": 1}
    else:
        assert asked == []


def test_image_that_is_whole_elsewhere(
    out: Path, whole: Path, server: MirrorServer, settings: Settings
) -> None:
    """An image of two classes that is gone from one of its folders is linked, not fetched."""
    folders = [out / "images" / "train" / name for name in ("handgun_m0gxl3", "person_m01g317")]
    both = set.intersection(*({path.name for path in each.iterdir()} for each in folders))
    (folders[0] / min(both)).unlink()
    assert verify(out, repair=True, settings=settings).repaired == 1
    assert server.requests == 0
    assert tree(out) == tree(whole)


def test_repair_of_many(out: Path, whole: Path, server: MirrorServer, settings: Settings) -> None:
    """Every second image and mask damaged, and the rows gone: one repair mends all of it."""
    images = sorted(out.glob("images/*/person_m01g317/*.jpg"))[::2]
    masks = sorted(out.glob("masks/*/*.png"))[::2]
    for path in [*images, *masks]:
        # a hard link has two names: both are damaged
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-20])
    for path in (out / "csv").iterdir():
        path.unlink()
    report = verify(out, repair=True, settings=settings)
    assert (report.damaged, report.absent) == ([], [])
    assert tree(out) == tree(whole)
    asked = Counter(r.path for r in server.log if r.path.startswith("open-images-dataset/"))
    assert {name.rpartition("/")[2] for name in asked} <= {path.name for path in images}
    assert set(asked.values()) == {1}


def test_foreign_files_are_listed_and_stay(out: Path, settings: Settings) -> None:
    """Files that no run made are listed, are no error, and survive a repair."""
    mine = {
        "images/train/handgun_m0gxl3/cat.jpg": b"cat",
        "masks/train/a.png": b"a",
        "csv/x.csv": b"",
    }
    for name, data in mine.items():
        (out / name).write_bytes(data)
    flip(victim(out, "mask"))
    report = verify(out)
    assert sorted(report.foreign) == sorted(mine)
    after = verify(out, repair=True, settings=settings)
    assert after.exit_code == COMPLETE_BUT_MISSING
    assert sorted(after.foreign) == sorted(mine)
    assert {name: (out / name).read_bytes() for name in mine} == mine


def test_link_to_elsewhere_is_no_file_of_ours(
    out: Path, whole: Path, settings: Settings, tmp_path: Path
) -> None:
    """A link in a file's place counts as absent, and its target is never written through."""
    path = victim(out, "mask")
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    path.unlink()
    path.symlink_to(target)
    assert verify(out).absent == [path.relative_to(out).as_posix()]
    verify(out, repair=True, settings=settings)
    assert target.read_bytes() == b"mine"
    assert tree(out) == tree(whole)


def test_repair_from_a_source_that_is_gone(out: Path, tmp_path: Path) -> None:
    """A repair whose source is not there is refused, and nothing is touched."""
    flip(victim(out, "mask"))
    before = tree(out)
    nowhere = Settings(source=str(tmp_path / "nowhere"), cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="nowhere"):
        verify(out, repair=True, settings=nowhere)
    assert tree(out) == before


def test_folder_that_is_no_dataset(tmp_path: Path) -> None:
    """A folder without a manifest is refused and left as it is."""
    with pytest.raises(UsageError, match="no dataset"):
        verify(tmp_path)
    with pytest.raises(UsageError, match="no dataset"):
        verify(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def _garbage(data: bytes) -> bytes:
    return b"\x00\xffgarbage\n" + data[:10]


def _cut_in_a_row(data: bytes) -> bytes:
    return data[: data.rindex(b",", 0, len(data) * 2 // 3)]


def _other_header(data: bytes) -> bytes:
    return data.replace(b"path,", b"file,", 1)


def _path_outside(data: bytes) -> bytes:
    return data + b"../../outside,image,k,ok,1,md5:0,\n"


def _no_size(data: bytes) -> bytes:
    return data.replace(b",ok,", b",ok,x", 1)


def _empty(data: bytes) -> bytes:
    return data[:0]


@pytest.mark.parametrize(
    "spoil", [_garbage, _cut_in_a_row, _other_header, _path_outside, _no_size, _empty]
)
def test_broken_manifest(
    out: Path,
    whole: Path,
    server: MirrorServer,
    settings: Settings,
    spoil: Callable[[bytes], bytes],
) -> None:
    """A broken manifest is never trusted: `verify` says so, a download makes it anew from disk.

    Whole images are not fetched again.
    """
    manifest = out / ".oid" / "manifest.csv"
    manifest.write_bytes(spoil(manifest.read_bytes()))
    with pytest.raises(IntegrityError, match=r"manifest\.csv") as caught:
        verify(out)
    assert caught.value.exit_code == 6
    assert download(CLASSES, out, settings=settings).exit_code == COMPLETE_BUT_MISSING
    fetched = [r for r in server.log if r.path.startswith("open-images-dataset/") and r.sent]
    assert {request.status for request in fetched} <= {404}
    assert tree(out) == tree(whole)


def test_cut_between_rows(out: Path, whole: Path, settings: Settings, server: MirrorServer) -> None:
    """A manifest that lacks its last rows is not believed, and a download makes it again."""
    manifest = out / ".oid" / "manifest.csv"
    rows = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(rows[: len(rows) // 2]))
    with pytest.raises(IntegrityError, match=r"manifest\.csv"):
        verify(out)
    download(CLASSES, out, settings=settings)
    assert tree(out) == tree(whole)


def test_command(out: Path, settings: Settings) -> None:
    """The command lists what is wrong, mends it when told, and ends with the contract's codes."""
    places = ["--source", str(settings.source), "--cache", str(settings.cache), "--quiet"]
    path = victim(out, "mask").relative_to(out).as_posix()
    flip(out / path)
    found = run("verify", out, "--quiet")
    assert found.returncode == 6, found.stderr
    assert f"damaged  {path}".encode() in found.stdout
    assert b"--repair" in found.stderr
    told = run("verify", out, "--json", "--quiet")
    assert json.loads(told.stdout)["damaged"] == [path]
    mended = run("verify", out, "--repair", *places)
    assert mended.returncode == COMPLETE_BUT_MISSING, mended.stderr
    assert b"1 repaired" in mended.stdout
    assert run("verify", out / "csv").returncode == 2
