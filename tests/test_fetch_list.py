"""`oid fetch`: the official downloader's list and flat result, with the promises of `download`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import mirrors
from mirrors import run
from oidkit.api import Settings, fetch, verify
from oidkit.errors import UsageError
from oidkit.testing import Fault, MirrorServer

if TYPE_CHECKING:
    from pathlib import Path

GONE = "train/ffffffffffffffff"


mirror = pytest.fixture(mirrors.made_mirror)
server = pytest.fixture(mirrors.served)


@pytest.fixture
def settings(server: MirrorServer, tmp_path: Path) -> Settings:
    """Read from the server, with an empty cache."""
    return Settings(source=server.url, cache=tmp_path / "cache")


@pytest.fixture
def wanted(mirror: Path) -> dict[str, bytes]:
    """Choose ten images of train and three of validation: line of the list -> content."""
    found: dict[str, bytes] = {}
    for split, count in (("train", 10), ("validation", 3)):
        paths = sorted((mirror / "open-images-dataset" / split).iterdir())
        found |= {f"{split}/{path.stem}": path.read_bytes() for path in paths[:count]}
    return found


@pytest.fixture
def ids(tmp_path: Path, wanted: dict[str, bytes]) -> Path:
    """Write the list, a line an image."""
    path = tmp_path / "ids.txt"
    path.write_text("".join(f"{line}\n" for line in wanted))
    return path


def flat(folder: Path) -> dict[str, bytes]:
    """Read the JPEGs of a folder by id."""
    return {path.stem: path.read_bytes() for path in folder.glob("*.jpg")}


def by_id(wanted: dict[str, bytes]) -> dict[str, bytes]:
    """Key the content by image id alone."""
    return {line.partition("/")[2]: data for line, data in wanted.items()}


def test_flat_folder(
    server: MirrorServer, settings: Settings, ids: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """Every image of the list stands in one folder, byte for byte, for one request each."""
    summary = fetch(ids, tmp_path / "out", settings=settings)
    assert flat(tmp_path / "out") == by_id(wanted)
    assert (summary.exit_code, summary.images.fetched) == (0, len(wanted))
    assert server.requests == summary.requests == len(wanted)
    assert summary.images.bytes == sum(map(len, wanted.values())) == summary.received_bytes


def test_again_and_resumed(
    server: MirrorServer, settings: Settings, ids: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """A second run asks for nothing, and a third for the one image that was taken away."""
    out = tmp_path / "out"
    fetch(ids, out, settings=settings)
    server.reset()
    assert fetch(ids, out, settings=settings).images.present == len(wanted)
    assert server.requests == 0
    gone = next(iter(by_id(wanted)))
    (out / f"{gone}.jpg").unlink()
    fetch(ids, out, settings=settings)
    assert [request.path for request in server.log] == [f"open-images-dataset/train/{gone}.jpg"]
    assert flat(out) == by_id(wanted)


def test_images_of_the_official_script_are_kept(
    server: MirrorServer, settings: Settings, ids: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """A folder half filled by another tool is gone on with: whole images stay, a cut one is mended.

    What the manifest then says of every image is where it came from, split and all.
    """
    out = tmp_path / "out"
    out.mkdir()
    there = list(by_id(wanted).items())
    for name, data in there[:5]:
        (out / f"{name}.jpg").write_bytes(data)
    cut = there[5][0]
    (out / f"{cut}.jpg").write_bytes(there[5][1][:500])
    summary = fetch(ids, out, settings=settings)
    assert summary.images.present == 5
    assert server.requests == len(wanted) - 5
    assert flat(out) == by_id(wanted)
    (out / f"{there[0][0]}.jpg").unlink()
    report = verify(out, repair=True, settings=settings)
    assert (report.exit_code, report.repaired) == (0, 1)
    assert flat(out) == by_id(wanted)


def test_foreign_files_stay(
    settings: Settings, ids: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """A folder that holds other things is fine, and they stay as they are."""
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    mine = {"notes.txt": b"mine", "cat.jpg": b"not a JPEG", "images/a.jpg": b"b", "x.jpg": b""}
    for name, data in mine.items():
        (out / name).write_bytes(data)
    assert fetch(ids, out, settings=settings).exit_code == 0
    assert {name: (out / name).read_bytes() for name in mine} == mine


def test_missing_images_are_listed(
    settings: Settings, ids: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """An image that the source does not have costs exit 3 and is named; the rest comes."""
    with ids.open("a") as file:
        file.write(f"{GONE}\n")
    summary = fetch(ids, tmp_path / "out", settings=settings)
    assert (summary.exit_code, summary.missing, summary.images.missing) == (3, [GONE], 1)
    assert flat(tmp_path / "out") == by_id(wanted)


@pytest.mark.parametrize(
    "line",
    [
        "train/xyz",
        "000a1249af2bc5f0",
        "train/../../etc/passwd",
        "train\\000a1249af2bc5f0",
        "val/000a1249af2bc5f0",
        "train/000A1249AF2BC5F0",
        "ImageID,x",
    ],
)
def test_bad_line(
    server: MirrorServer, settings: Settings, ids: Path, tmp_path: Path, line: str
) -> None:
    """A line that is no image is named with its number, and nothing is fetched."""
    ids.write_text(ids.read_text() + f"{line}\n")
    with pytest.raises(UsageError, match="line 14 of"):
        fetch(ids, tmp_path / "out", settings=settings)
    assert server.requests == 0
    assert not (tmp_path / "out").exists()


def test_forms_of_a_list(settings: Settings, wanted: dict[str, bytes], tmp_path: Path) -> None:
    """CRLF, a byte-order mark, blank lines, `.jpg` at the end and lines said twice are all fine."""
    first, second, *_ = wanted
    ids = tmp_path / "ids.txt"
    ids.write_bytes(f"\ufeff{first}.jpg\r\n\r\n  {second}  \r\n{first}".encode())
    summary = fetch(ids, tmp_path / "out", settings=settings)
    assert (summary.images.asked, summary.images.fetched) == (2, 2)
    assert set(flat(tmp_path / "out")) == {line.partition("/")[2] for line in (first, second)}


def test_empty_list(server: MirrorServer, settings: Settings, tmp_path: Path) -> None:
    """An empty list is no error, and asks for nothing."""
    (tmp_path / "ids.txt").write_text("")
    assert fetch(tmp_path / "ids.txt", tmp_path / "out", settings=settings).exit_code == 0
    assert server.requests == 0


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00train"])
def test_list_that_cannot_be_read(
    settings: Settings, tmp_path: Path, content: bytes | None
) -> None:
    """A list that is not there, or is not text, is refused by its name."""
    path = tmp_path / "ids.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"ids\.txt"):
        fetch(path, tmp_path / "out", settings=settings)


def test_faults_on_the_way(
    server: MirrorServer, settings: Settings, ids: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """503, a reset, a cut and a flipped byte on the first try of each image do no harm."""
    faults = [Fault.answer(503), Fault(reset=True), Fault(cut=100), Fault(flip=300)]
    server.hook = lambda asked: faults[asked.number % 4] if asked.attempt == 1 else None
    assert fetch(ids, tmp_path / "out", settings=settings).exit_code == 0
    assert flat(tmp_path / "out") == by_id(wanted)


@pytest.mark.parametrize(
    "form", ["--download_folder={} --num_processes=3", "--download-folder {} --num-processes 3"]
)
def test_command(
    server: MirrorServer, ids: Path, wanted: dict[str, bytes], tmp_path: Path, form: str
) -> None:
    """The official script's command line works, with underscores and with dashes."""
    server.delay = 0.01
    flags = form.format(tmp_path / "out").split()
    done = run("fetch", ids, *flags, "--source", server.url, "--json", "--quiet")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["images"]["fetched"] == len(wanted)
    assert flat(tmp_path / "out") == by_id(wanted)
    assert server.peak <= 3


def test_command_with_a_bad_line(server: MirrorServer, ids: Path, tmp_path: Path) -> None:
    """A bad line ends the command with 2 and one sentence that names it."""
    ids.write_text("train/xyz\n")
    done = run("fetch", ids, "--download_folder", tmp_path / "out", "--source", server.url)
    assert done.returncode == 2, done.stderr
    assert b"line 1 of" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert server.requests == 0
