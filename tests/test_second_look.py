"""What a second look found: changed zips, datasets that may only be read, files in the way."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from mirrors import made_mirror, tree
from oidkit.api import Settings, download, fetch, plan, split, verify
from oidkit.errors import IntegrityError, UnknownClassError
from oidkit.events import Event, Rejected, Warned
from oidkit.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.catalog import Label

CLASS = "Handgun"
TRAIN = Selection((CLASS,), splits=("train",))


@pytest.fixture
def mirror(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the shared mirror that the test may change."""
    return shutil.copytree(made_mirror(tmp_path_factory), tmp_path / "mirror")


@pytest.fixture
def settings(tmp_path: Path, mirror: Path) -> Settings:
    """Read from the mirror, with a cache of the test's own."""
    return Settings(source=str(mirror), cache=tmp_path / "cache")


def test_a_mask_that_its_zip_got_later_is_fetched(
    tmp_path: Path, mirror: Path, settings: Settings
) -> None:
    """A directory in the cache that lacks a wanted mask is read again, if the zip has changed."""
    whole = download(TRAIN, tmp_path / "whole", settings=settings)
    name = min(path.name for path in (tmp_path / "whole/masks/train").iterdir())
    zipped = mirror / f"openimages/v5/train-masks/train-masks-{name[0]}.zip"
    original = zipped.read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        members = {each: archive.read(each) for each in archive.namelist() if each != name}
    with zipfile.ZipFile(zipped, "w") as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    fresh = Settings(source=str(mirror), cache=tmp_path / "fresh")
    lacking = download(TRAIN, tmp_path / "out", settings=fresh)
    assert (lacking.masks.missing, lacking.exit_code) == (1, 3)
    again = download(TRAIN, tmp_path / "out", settings=fresh)
    assert (again.masks.missing, again.masks.fetched) == (1, 0)
    zipped.write_bytes(original)
    mended = download(TRAIN, tmp_path / "out", settings=fresh)
    assert (mended.masks.missing, mended.masks.fetched) == (0, 1)
    assert mended.masks.asked == whole.masks.asked
    assert tree(tmp_path / "out/masks") == tree(tmp_path / "whole/masks")


def test_a_relative_source_is_found_from_anywhere(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dataset remembers where its mirror lies, not what was typed."""
    monkeypatch.chdir(mirror.parent)
    settings = Settings(source=mirror.name, cache=tmp_path / "cache")
    download(TRAIN, tmp_path / "out", settings=settings)
    image = min((tmp_path / "out/images").rglob("*.jpg"))
    image.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    report = verify(tmp_path / "out", repair=True, settings=Settings(cache=tmp_path / "cache"))
    assert (report.repaired, report.absent) == (1, [])
    assert image.is_file()


def test_verify_does_not_pass_a_dataset_without_a_manifest(
    tmp_path: Path, settings: Settings
) -> None:
    """No file checked is not the same as no file wrong."""
    download(TRAIN, tmp_path / "out", settings=settings)
    (tmp_path / "out/.oid/manifest.csv").unlink()
    with pytest.raises(IntegrityError, match=r"manifest\.csv is not there"):
        verify(tmp_path / "out")
    assert not (tmp_path / "out/.oid/manifest.csv").exists()


def test_looking_at_a_dataset_writes_nothing(tmp_path: Path, settings: Settings) -> None:
    """Neither `verify` nor `plan` changes a byte, even where there is something to take in."""
    out = tmp_path / "out"
    download(TRAIN, out, settings=settings)
    records = out / ".oid" / "manifest.csv"
    lines = records.read_text(encoding="utf-8").splitlines(keepends=True)
    records.write_text("".join(line for line in lines if ",image," not in line), encoding="utf-8")
    # rows that are not there, as after a run whose last rows were lost; no checksum says otherwise
    records.with_suffix(".md5").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    content = tree(out)
    assert plan(TRAIN, out, settings=settings).images[0].to_fetch == len(
        [line for line in lines if ",image," in line and ",missing," in line]
    )
    assert verify(out).damaged == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert tree(out) == content


def test_rows_with_columns_of_the_users_own_are_kept_aside(
    tmp_path: Path, settings: Settings
) -> None:
    """A file that cannot be merged is renamed, and the user is told."""
    out = tmp_path / "out"
    download(TRAIN, out, settings=settings)
    boxes = out / "csv/m0gxl3_train_boxes.csv"
    published = boxes.read_bytes()
    mine = b"mine," + published.replace(b"\n", b"\n1,").removesuffix(b"1,")
    boxes.write_bytes(mine)
    told: list[Event] = []
    download(TRAIN, out, settings=settings, on_event=told.append)
    assert boxes.read_bytes() == published
    assert (out / "csv/m0gxl3_train_boxes.csv.old").read_bytes() == mine
    assert any(isinstance(event, Warned) and "kept as" in event.text for event in told)


@pytest.mark.parametrize("left", [b"", bytes(5000)])
def test_files_that_a_loss_of_power_emptied_are_written_anew(
    tmp_path: Path, settings: Settings, left: bytes
) -> None:
    """A file whose bytes never reached the disk is nobody's, so it is not kept aside."""
    out = tmp_path / "out"
    download(TRAIN, out, settings=settings)
    whole = tree(out)
    for path in (*out.glob("*.txt"), *out.glob("csv/*"), *out.glob("attribution.csv")):
        path.write_bytes(left)
    download(TRAIN, out, settings=settings)
    assert tree(out) == whole


def test_every_run_tells_of_rows_that_were_set_aside(
    tmp_path: Path, mirror: Path, settings: Settings
) -> None:
    """The run that builds a table is not the only one whose user wants to know."""
    path = mirror / "openimages/v6/oidv6-train-annotations-bbox.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b",", b";")
    path.write_bytes(b"".join(lines))
    for _ in range(2):
        told: list[Event] = []
        download(TRAIN, tmp_path / "out", settings=settings, on_event=told.append)
        assert [event.rows for event in told if isinstance(event, Rejected)] == [1]


def test_a_list_and_a_split_inside_the_folder_are_in_nobodys_way(
    tmp_path: Path, mirror: Path, settings: Settings
) -> None:
    """The manual workflow and the one command fit into the same folder."""
    out = tmp_path / "out"
    source = mirror / "openimages/v5/train-annotations-object-segmentation.csv"
    split("/m/0gxl3", source, subset="train", out=out)
    folder = out / "images/train/handgun_m0gxl3"
    fetch(out / "downloader_IDs_for_m0gxl3_train.txt", folder, settings=settings)
    there = len(list(folder.glob("*.jpg")))
    summary = download(TRAIN, out, settings=settings)
    assert summary.images.present >= there > 0
    assert verify(out).foreign == []


def test_a_mid_cut_short_is_refused_by_split(
    tmp_path: Path, mirror: Path, settings: Settings
) -> None:
    """A label without a row that is no class at all is a slip; nothing is written."""
    source = mirror / "openimages/v5/train-annotations-object-segmentation.csv"
    with pytest.raises(UnknownClassError, match=r"/m/0gxl3 \(Handgun\)"):
        split("/m/0gxl", source, subset="train", out=tmp_path / "out", settings=settings)
    assert list((tmp_path / "out").iterdir()) == []


def test_split_takes_mids_and_names_of_image_labels_together(
    tmp_path: Path, mirror: Path, settings: Settings
) -> None:
    """A MID stands for itself, and a name may be one of the 20,000."""
    full = mirror / "openimages/v7/oidv7-class-descriptions.csv"
    boxable = mirror / "openimages/v7/oidv7-class-descriptions-boxable.csv"
    with full.open(encoding="utf-8", newline="") as file:
        names = {row["LabelName"]: row["DisplayName"] for row in csv.DictReader(file)}
    known = boxable.read_text(encoding="utf-8")
    mid, name = next(pair for pair in names.items() if pair[0] not in known)
    labels = tmp_path / "labels.csv"
    labels.write_text(f"ImageID,LabelName\n{'0' * 16},{mid}\n{'1' * 16},/m/0gxl3\n")
    found = split([name, "/m/0gxl3"], labels, subset="test", out=tmp_path, settings=settings)
    assert [(each.mid, each.rows) for each in found] == [(mid, 1), ("/m/0gxl3", 1)]


def test_the_order_of_labels_and_splits_says_nothing(tmp_path: Path, settings: Settings) -> None:
    """The summary reads the same however they were asked for."""
    orders: tuple[tuple[Label, ...], ...] = (("masks", "boxes"), ("boxes", "masks"))
    said = [
        json.dumps(
            download(
                Selection((CLASS,), splits=("test", "train", "test"), labels=labels, images=False),
                tmp_path / labels[0],
                settings=settings,
            ).annotations
        )
        for labels in orders
    ]
    assert said[0] == said[1]
    assert list(json.loads(said[0])) == ["boxes", "masks"]
