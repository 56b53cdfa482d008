"""Links to elsewhere, planted at every place where something is written."""

from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from faults.datasets import every_third
from faults.runs import tree

if TYPE_CHECKING:
    from pathlib import Path

    from faults.runs import Done, Folder

OUT_FILES = (
    "downloader_IDs_for_m0gxl3_train.txt",
    "csv/class-descriptions-boxable.csv",
    "csv/m0gxl3_train_boxes.csv",
    "csv/images_train.csv",
    "attribution.csv",
    "ATTRIBUTION.md",
    "images/train/handgun_m0gxl3/*.jpg",
    "masks/train/*.png",
    ".oid/manifest.csv",
    ".oid/manifest.md5",
    ".oid/dataset.json",
    ".oid/recipe.toml",
)
OUT_FOLDERS = (
    ".oid",
    "csv",
    "images",
    "images/train",
    "images/train/handgun_m0gxl3",
    "masks",
    "masks/train",
)
CACHE_FILES = ("source.txt", "masks/*.parquet", "files/*", "tables/*/*/table.json")
CACHE_FOLDERS = ("", "tables", "masks", "work", "files", "tables/*", "tables/*/*")


class Canary:
    """A file and a folder that nobody may touch."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "elsewhere"
        self.folder.mkdir()
        self.file = self.folder / "canary"
        self.file.write_bytes(b"sings\n")
        self.file.chmod(0o640)
        self._mode = stat.S_IMODE(self.folder.stat().st_mode)

    def check(self) -> None:
        """Check that they are as they were."""
        assert tree(self.folder) == {"canary": b"sings\n"}
        assert sorted(path.name for path in self.folder.iterdir()) == ["canary"]
        assert stat.S_IMODE(self.file.stat().st_mode) == 0o640
        assert stat.S_IMODE(self.folder.stat().st_mode) == self._mode

    def stand_for(self, path: Path, *, folder: bool = False) -> Path:
        """Put a link to it in the place of a file or folder."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.folder if folder else self.file, target_is_directory=folder)
        return path


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    """Give what the links lead to."""
    return Canary(tmp_path)


def check_refused_or_replaced(folder: Folder, canary: Canary, done: Done, link: Path) -> None:
    """Check that the link was named in one sentence, or is none any more; then all goes well."""
    canary.check()
    assert "Traceback" not in done.err
    if done.code:
        assert done.code in {2, 5}, done.err
        assert str(link) in done.err
        assert done.err.count("\n") == 1
        link.unlink()
        done = folder.run()
    folder.check_complete(done)
    canary.check()


@pytest.mark.row(32)
@pytest.mark.parametrize("name", every_third(OUT_FILES))
def test_in_the_place_of_a_file(whole: Folder, canary: Canary, name: str) -> None:
    """Where a file belongs a file comes to stand; the link is gone, its target as it was."""
    link = canary.stand_for(min(whole.out.glob(name)))
    done = whole.run()
    check_refused_or_replaced(whole, canary, done, link)
    assert not link.is_symlink()


@pytest.mark.row(32)
@pytest.mark.parametrize("name", every_third(OUT_FOLDERS))
def test_in_the_place_of_a_folder(whole: Folder, canary: Canary, name: str) -> None:
    """A link in the place of a folder of the dataset is refused by its name."""
    link = canary.stand_for(whole.out / name, folder=True)
    done = whole.run()
    if name == ".oid":
        assert done.code == 5, done.err
        link.unlink()
        done = whole.run()
    check_refused_or_replaced(whole, canary, done, link)


@pytest.mark.row(32)
@pytest.mark.parametrize("command", ["download", "repair"])
def test_in_the_place_of_the_lock(whole: Folder, canary: Canary, command: str) -> None:
    """The lock is never opened through a link."""
    link = canary.stand_for(whole.out / ".oid" / "lock")
    places = ["--cache", whole.cache, "--source", whole.url]
    repair = ["verify", whole.out, "--repair", *places]
    done = whole.run(*(repair if command == "repair" else []))
    assert done.code == 5, done.err
    check_refused_or_replaced(whole, canary, done, link)


@pytest.mark.row(32)
@pytest.mark.parametrize("name", [".oid/journal.csv", ".oid/journal-000000000000.jsonl"])
def test_in_the_place_of_a_journal(whole: Folder, canary: Canary, name: str) -> None:
    """A journal is never read nor written through a link."""
    link = canary.stand_for(whole.out / name)
    assert whole.run().code == 0
    canary.check()
    link.unlink()
    whole.check_complete(whole.run())


@pytest.mark.row(32)
@pytest.mark.parametrize(
    "name", every_third(["work/<table>", *CACHE_FILES, *CACHE_FOLDERS, "work/*.lock"])
)
def test_in_the_cache(whole: Folder, canary: Canary, name: str) -> None:
    """Of the cache as of the dataset: files are replaced, folders refused or replaced."""
    (source,) = (path for path in whole.cache.iterdir() if path.is_dir())
    if name == "work/<table>":
        lock = min((source / "work").glob("*bbox*.lock"))
        place = lock.with_name(f"{lock.name.removesuffix('.lock')}.0123456789ab")
        shutil.rmtree(source / "tables")
    else:
        place = min(source.glob(name)) if name else source
    kept = min((source / "tables").glob("*")) if name == "tables/*/*" else None
    link = canary.stand_for(place, folder=place.is_dir() or name == "work/<table>")
    done = whole.run()
    check_refused_or_replaced(whole, canary, done, link)
    assert kept is None or kept.is_dir()


@pytest.mark.row(32)
@pytest.mark.parametrize("name", [".oid-tmp-0123456789ab", ".oid-tmp-" + "a" * 32])
def test_under_a_temporary_name(whole: Folder, canary: Canary, name: str) -> None:
    """What has the name of an unfinished file is swept, never followed: files and folders."""
    source = min(path for path in whole.cache.iterdir() if path.is_dir())
    for place in (whole.out, whole.out / "csv", whole.out / ".oid", source, source / "masks"):
        canary.stand_for(place / name)
        canary.stand_for(place / f"{name[:-1]}b", folder=True)
    whole.check_complete(whole.run())
    canary.check()


# -- the other commands --------------------------------------------------------------------------


@pytest.mark.row(32)
@pytest.mark.parametrize(
    "name",
    every_third(
        ["", ".oid-export.json", "boxes.csv", "images", "classes.txt", ".oid-tmp-export-e-"]
    ),
)
def test_in_an_export(whole: Folder, canary: Canary, name: str) -> None:
    """An export takes the place of an earlier one as a whole, with the links in it."""
    place = whole.root / "e"
    command = ["export", whole.out, "--format", "csv", "--out", place, "--quiet"]
    assert whole.run(*command).code == 0
    undisturbed = tree(place)
    if name.startswith(".oid-tmp"):
        for ending in ("0123456789ab", "0123456789ab.old"):
            canary.stand_for(whole.root / f"{name}{ending}", folder=True)
    else:
        path = place / name if name else place
        assert path.exists() or name == ""
        canary.stand_for(path, folder=path.is_dir())
    done = whole.run(*command)
    canary.check()
    assert "Traceback" not in done.err
    if done.code:
        assert done.code in {2, 5}
        assert done.err.count("\n") == 1
        assert str(place) in done.err
    else:
        assert tree(place) == undisturbed


@pytest.mark.row(32)
@pytest.mark.parametrize("force", [False, True])
def test_in_the_files_of_split(whole: Folder, canary: Canary, *, force: bool) -> None:
    """`oid split` refuses a file with other content, and with --force replaces the link."""
    out = whole.root / "split"
    rows = min((whole.undisturbed.mirror / "openimages").rglob("validation-annotations-bbox.csv"))
    names = ("downloader_IDs_for_m0gxl3_validation.txt", "m0gxl3_annotations.csv")
    for name in names:
        canary.stand_for(out / name)
    command = ["split", "--label", "/m/0gxl3", "--subset", "validation", "--input", rows]
    done = whole.run(*command, "--output-dir", out, *(["--force"] if force else []))
    canary.check()
    assert done.code == (0 if force else 2)
    assert any((out / name).is_symlink() for name in names) is not force


@pytest.mark.row(32)
@pytest.mark.parametrize("name", every_third(["images", "csv", "attribution.csv", ".oid"]))
def test_in_the_folder_of_the_demo(whole: Folder, canary: Canary, name: str) -> None:
    """`oid demo` writes as a download does."""
    out = whole.root / "demo"
    folder = "." not in name or name == ".oid"
    link = canary.stand_for(out / name, folder=folder)
    done = whole.run("demo", "--out", out)
    canary.check()
    assert done.code == (5 if folder else 0), done.err
    assert "Traceback" not in done.err
    assert str(link) in done.err or not folder
