"""What a review found: each of these came out wrong once."""

from __future__ import annotations

import shutil
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest

from mirrors import made_mirror, published, tree
from oidkit.api import Settings, download
from oidkit.dataset import Description, open_dataset, save_description
from oidkit.errors import UsageError
from oidkit.selection import Selection
from oidkit.store import Request
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from pathlib import Path

CLASS = "Handgun"


@pytest.fixture
def mirror(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the shared mirror that the test may change."""
    return shutil.copytree(made_mirror(tmp_path_factory), tmp_path / "mirror")


def zips_of(out: Path, mirror: Path) -> dict[Path, list[str]]:
    """Give the train zips that hold masks of the folder, with the names of those masks."""
    found: dict[Path, list[str]] = {}
    for path in sorted((out / "masks" / "train").iterdir()):
        zipped = f"openimages/v5/train-masks/train-masks-{path.name[0]}.zip"
        found.setdefault(mirror / zipped, []).append(path.name)
    return found


def packed_again(path: Path, *, without: str = "") -> None:
    """Write a zip anew, with other bytes before its members and so with another identity."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", b"packed again" + without.encode())
        for name, data in members.items():
            if name != without:
                archive.writestr(name, data)


def test_a_damaged_mask_is_fetched_again_from_a_zip_that_changed(
    tmp_path: Path, mirror: Path
) -> None:
    """That a file of its name stands there does not make it one of those that came."""
    out = tmp_path / "out"
    settings = Settings(source=str(mirror), cache=tmp_path / "cache")
    first = download(CLASS, out, settings=settings)
    before = tree(out)
    zipped, names = next(iter(zips_of(out, mirror).items()))
    packed_again(zipped)
    (out / "masks" / "train" / names[0]).write_bytes(b"x")
    again = download(CLASS, out, settings=settings)
    assert (again.masks.fetched, again.masks.present) == (1, first.masks.asked - 1)
    assert again.exit_code == first.exit_code
    assert tree(out) == before


def test_a_mask_that_a_changed_zip_has_by_now_does_not_count_as_missing(
    tmp_path: Path, mirror: Path
) -> None:
    """Each mask counts once, by what became of it in the end."""
    settings = Settings(source=str(mirror), cache=tmp_path / "cache")
    wanted = Selection((CLASS,), images=False)
    whole = download(wanted, tmp_path / "whole", settings=settings)
    zipped, names = max(zips_of(tmp_path / "whole", mirror).items(), key=lambda pair: len(pair[1]))
    assert len(names) > 1
    original = zipped.read_bytes()
    packed_again(zipped, without=names[0])
    lacking = download(wanted, tmp_path / "lacking", settings=settings)
    assert (lacking.masks.missing, lacking.masks.fetched) == (1, whole.masks.asked - 1)
    assert lacking.missing == [f"train/{names[0]}"]
    zipped.write_bytes(original)
    mended = download(wanted, tmp_path / "mended", settings=settings)
    assert (mended.masks.missing, mended.masks.fetched) == (0, whole.masks.asked)
    assert mended.missing == []
    assert mended.exit_code == 0


def test_a_source_with_weak_etags_gives_its_masks(tmp_path: Path, mirror: Path) -> None:
    """Its server must refuse If-Match with a weak ETag, as no weak one ever fits."""

    def weakly(info: RequestInfo) -> Fault:
        return Fault(headers={"ETag": f'W/"{len(info.path)}"', "x-goog-hash": ""})

    with MirrorServer(mirror, hook=weakly) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        summary = download(CLASS, tmp_path / "out", settings=settings)
    assert summary.masks.fetched == summary.masks.asked > 0
    known = published(mirror)
    masks = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    assert masks == {name: known[name] for name in masks}


@pytest.mark.parametrize("condition", ["if_match", "if_range"])
def test_a_weak_etag_is_no_condition_of_a_range(condition: str) -> None:
    """RFC 9110, 13.1.1 and 13.1.5; whether an object changed may be asked with it."""
    ranged = Request("a/b", start=0, stop=9, **{condition: 'W/"1"'})  # type: ignore[arg-type]
    assert set(ranged.headers()) == {"Accept-Encoding", "Range"}
    assert Request("a/b", if_none_match='W/"1"').headers()["If-None-Match"] == 'W/"1"'


def test_a_run_that_waited_finds_the_dataset_of_another_release(tmp_path: Path) -> None:
    """What it looked at before it waited was an empty folder."""
    out = tmp_path / "out"
    waits = threading.Event()
    refused: list[UsageError] = []

    def second() -> None:
        try:
            with open_dataset(out, release="v5", on_event=lambda _: waits.set()):
                pass
        except UsageError as error:
            refused.append(error)

    with open_dataset(out, release="v7"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        save_description(out, Description("v7", "official"))
    thread.join(30)
    assert len(refused) == 1
    assert "holds a dataset of release v7, not v5" in str(refused[0])
