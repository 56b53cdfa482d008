"""What is not the same on Linux, macOS and Windows has a fallback, and each is tried here."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pytest

import mirrors
from mirrors import CLASSES, environment, run, tree
from oidkit.api import Settings, download, verify
from oidkit.catalog import RELEASES, class_file
from oidkit.errors import DiskError
from oidkit.taxonomy import folder_name, parse_class_file

if TYPE_CHECKING:
    from oidkit.testing import MirrorServer

COMPLETE_BUT_MISSING = 3


server = pytest.fixture(scope="module")(mirrors.served)
settings = pytest.fixture(scope="module")(mirrors.read_from)


@pytest.fixture(scope="module")
def usual(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the tree of a run in which nothing is odd."""
    out = tmp_path_factory.mktemp("usual")
    download(CLASSES, out, settings=settings)
    return tree(out)


def check(out: Path, settings: Settings, usual: dict[str, bytes]) -> None:
    """Download into *out*, and compare with the usual tree."""
    assert download(CLASSES, out, settings=settings).exit_code == COMPLETE_BUT_MISSING
    assert tree(out) == usual


# -- links, locks, signals ---------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(1, "no links here"), NotImplementedError("no links")])
def test_without_hard_links(
    settings: Settings,
    usual: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """Where files cannot be linked, an image of two classes is copied: two files, same bytes."""

    def refuse(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(os, "link", refuse)
    check(tmp_path, settings, usual)
    assert not [path for path in tmp_path.rglob("*.jpg") if path.stat().st_nlink != 1]


def test_with_hard_links(settings: Settings, usual: dict[str, bytes], tmp_path: Path) -> None:
    """Where files can be linked, an image of two classes takes its place on the disk once."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"")
    try:
        os.link(probe, tmp_path / "other")
    except OSError:
        pytest.skip("this file system has no hard links")
    check(tmp_path / "out", settings, usual)
    images = list((tmp_path / "out").rglob("*.jpg"))
    names = {path.name for path in images}
    assert len({path.stat().st_ino for path in images}) == len(names) < len(images)


def test_without_locks(
    settings: Settings, usual: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that knows no locks is worked on without one."""

    def refuse(*args: Any, **options: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.BaseFileLock, "acquire", refuse)
    check(tmp_path / "out", Settings(settings.source, tmp_path / "cache"), usual)


def test_outside_the_main_thread(
    settings: Settings, usual: dict[str, bytes], tmp_path: Path
) -> None:
    """Where no signal handler can be installed, the work is done without."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            check(tmp_path, settings, usual)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_signals_are_given_back(settings: Settings, tmp_path: Path) -> None:
    """After a call the caller's own handlers are in place again."""

    def mine(number: int, frame: object) -> None:
        raise AssertionError(number)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        download("Handgun", tmp_path, settings=settings)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


# -- names -------------------------------------------------------------------------------------

FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def test_no_name_that_windows_forbids(settings: Settings, tmp_path: Path) -> None:
    """No file or folder of a dataset or the cache has a name that Windows would refuse."""
    download(CLASSES, tmp_path / "out", settings=settings)
    cache = Path(str(settings.cache))
    for root in (tmp_path / "out", cache):
        names = {part for path in root.rglob("*") for part in path.relative_to(root).parts}
        assert names
        assert not [name for name in names if FORBIDDEN.search(name) or RESERVED.fullmatch(name)]
        # below the 260 characters of Windows, with room for a root of 100
        assert max(len(str(path.relative_to(root))) for path in root.rglob("*")) < 160


def test_no_two_classes_share_a_folder(sample: Path) -> None:
    """Names of folders differ by more than case, and in every form of Unicode, in each release."""
    import unicodedata

    for release in RELEASES:
        file = class_file(release)
        names = parse_class_file((sample / file.key).read_bytes(), name=file.key)
        folders = {
            unicodedata.normalize("NFD", folder_name(n, m)).casefold() for m, n in names.items()
        }
        assert len(folders) == len(names) > 500
        assert not [name for name in folders if FORBIDDEN.search(name) or RESERVED.fullmatch(name)]


@pytest.mark.parametrize(
    "name",
    [
        "with spaces and 'quotes'",
        "Bilder-äöü-画像-🖼",
        "a%20b#c&d",
        "[brackets] {braces} *" if os.name != "nt" else "[b]",
    ],
)
def test_odd_paths(
    server: MirrorServer, usual: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    """Spaces, quotes, other alphabets and signs of URLs and globs are fine in --out and --cache."""
    settings = Settings(server.url, tmp_path / name / "cache")
    check(tmp_path / name / "out", settings, usual)
    assert verify(tmp_path / name / "out").exit_code == COMPLETE_BUT_MISSING


def test_odd_path_of_a_mirror(
    usual: dict[str, bytes], tmp_path: Path, server: MirrorServer
) -> None:
    """The mirror may lie at such a path as well, as a folder and as a file:// URL."""
    mirror = tmp_path / "Spiegel äöü 100%"
    shutil.copytree(server.objects.root, mirror)
    for nth, source in enumerate((str(mirror), mirror.as_uri())):
        out = tmp_path / f"out{nth}"
        download(CLASSES, out, settings=Settings(source, tmp_path / "cache"))
        found = tree(out)
        assert found.keys() == usual.keys()
        differ = {path for path, data in found.items() if data != usual[path]}
        assert differ <= {".oid/dataset.json", ".oid/manifest.csv"}


def test_long_path(settings: Settings, usual: dict[str, bytes], tmp_path: Path) -> None:
    """A path far beyond the 260 characters of old Windows is fine where the system allows it."""
    deep = tmp_path.joinpath(*["a" * 100] * 6)
    try:
        deep.mkdir(parents=True)
    except OSError:
        pytest.skip("this system has no long paths")
    check(deep / "out", settings, usual)


# -- what stands in the way --------------------------------------------------------------------


def can_link(tmp_path: Path) -> bool:
    """Tell whether this user may make symbolic links."""
    with contextlib.suppress(OSError, NotImplementedError):
        (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "link").unlink()
        return True
    return False


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Make a folder that is none of our business, or skip where links cannot be made."""
    if not can_link(tmp_path):
        pytest.skip("this user may not make symbolic links")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


def test_out_that_is_a_link(
    settings: Settings, usual: dict[str, bytes], tmp_path: Path, elsewhere: Path
) -> None:
    """The dataset folder itself may be a link: large disks are mounted so."""
    (elsewhere / "mine.txt").unlink()
    (tmp_path / "out").symlink_to(elsewhere, target_is_directory=True)
    check(tmp_path / "out", settings, usual)
    assert tree(elsewhere) == usual


@pytest.mark.parametrize(
    "place",
    [".oid", "csv", "images", "images/train", "images/train/handgun_m0gxl3", "masks", "masks/test"],
)
def test_planted_link(settings: Settings, tmp_path: Path, elsewhere: Path, place: str) -> None:
    """A link to elsewhere inside the dataset is refused by its name; its target stays untouched."""
    out = tmp_path / "out"
    download("Person", out, settings=settings)
    path = out / place
    if path.exists():
        shutil.rmtree(path)
    path.symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(DiskError, match=re.escape(str(path))) as caught:
        download(CLASSES, out, settings=settings)
    assert caught.value.exit_code == 5
    assert "link" in str(caught.value)
    assert caught.value.remedy
    assert tree(elsewhere) == {"mine.txt": b"mine"}
    # what was refused may be mended, and the same command then works
    path.unlink()
    assert download(CLASSES, out, settings=settings).exit_code == COMPLETE_BUT_MISSING


def test_planted_link_of_a_file(
    settings: Settings, usual: dict[str, bytes], tmp_path: Path, elsewhere: Path
) -> None:
    """A link in a file's place is replaced by the file, and never written through."""
    out = tmp_path / "out"
    download(CLASSES, out, settings=settings)
    places = ["images/train/handgun_m0gxl3/*.jpg", "masks/train/*.png", "csv/m0gxl3_train_*.csv"]
    for pattern in [*places, "attribution.csv"]:
        path = min(out.glob(pattern))
        path.unlink()
        path.symlink_to(elsewhere / "mine.txt")
    download(CLASSES, out, settings=settings)
    assert tree(elsewhere) == {"mine.txt": b"mine"}
    links = [path.name for path in out.rglob("*") if path.is_symlink()]
    assert links == []
    images = {name: data for name, data in usual.items() if not name.endswith(".csv")}
    found = tree(out)
    assert {name: found[name] for name in images} == images


@pytest.mark.parametrize("place", ["images", "images/train", "masks", "csv", ".oid"])
def test_file_in_the_way(settings: Settings, tmp_path: Path, place: str) -> None:
    """A read-only file where a folder belongs is named, kept, and ends the run with 5."""
    out = tmp_path / "out"
    (out / ".oid").mkdir(parents=True)
    path = out / place
    if place == ".oid":
        path.rmdir()
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    path.chmod(stat.S_IREAD)
    with pytest.raises(DiskError, match=re.escape(str(path))) as caught:
        download("Handgun", out, settings=settings)
    assert caught.value.exit_code == 5
    assert path.read_text() == "mine"


def test_read_only_files_of_ours(
    settings: Settings, usual: dict[str, bytes], tmp_path: Path
) -> None:
    """Files made read-only are left alone when they are whole, and replaced when they are not."""
    out = tmp_path / "out"
    download(CLASSES, out, settings=settings)
    broken = min(out.glob("masks/train/*.png"))
    broken.write_bytes(b"")
    for path in out.rglob("*.*"):
        if path.is_file() and path.parent.name != ".oid":
            path.chmod(stat.S_IREAD)
    try:
        if os.name == "nt":
            # Windows does not replace a read-only file: the sentence has to name it.
            with pytest.raises(DiskError, match=re.escape(broken.name)):
                download(CLASSES, out, settings=settings)
        else:
            check(out, settings, usual)
    finally:
        for path in out.rglob("*.*"):
            path.chmod(stat.S_IREAD | stat.S_IWRITE)


# -- consoles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings_of_console",
    [
        {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "20"},
        {"PYTHONIOENCODING": "cp1252", "TERM": "dumb", "NO_COLOR": "1"},
        {"PYTHONIOENCODING": "utf-16", "COLUMNS": "0"},
        {"COLUMNS": "a", "LINES": "-1", "TERM": ""},
    ],
    ids=["ascii", "cp1252", "utf-16", "nonsense"],
)
def test_any_console(
    server: MirrorServer, tmp_path: Path, settings_of_console: dict[str, str]
) -> None:
    """Narrow, dumb and legacy consoles get their lines, and no traceback."""
    env = environment(**settings_of_console)
    out = tmp_path / "Bilder-äöü-画像"
    places = ["--source", server.url, "--cache", tmp_path / "cache"]
    done = run("download", "Handgun", "--split", "test", "--out", out, *places, env=env)
    assert done.returncode in {0, COMPLETE_BUT_MISSING}, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout
    drawn = run("classes", "--tree", *places, env=env)
    assert drawn.returncode == 0, drawn.stderr
    assert len(drawn.stdout.splitlines()) > 10


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("term", ["dumb", "xterm-256color", "unknown-terminal"])
@pytest.mark.parametrize("columns", [20, 200])
def test_terminal(server: MirrorServer, tmp_path: Path, term: str, columns: int) -> None:
    """On a terminal of any kind and width the progress is drawn and the run ends well."""
    import fcntl
    import pty
    import struct
    import subprocess
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, columns, 0, 0))
    places = ["--source", server.url, "--cache", str(tmp_path / "cache")]
    command = ["download", "Handgun", "--split", "test", "--out", str(tmp_path / "out"), *places]
    said = bytearray()

    def listen() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(master, 65_536):
                said.extend(data)

    listener = threading.Thread(target=listen)
    process = subprocess.Popen(
        [sys.executable, "-m", "oidkit", *command],
        env=environment(TERM=term),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    listener.start()
    code = process.wait(timeout=60)
    listener.join(timeout=10)
    os.close(master)
    assert code in {0, COMPLETE_BUT_MISSING}, said.decode(errors="replace")
    assert b"Traceback" not in said
    assert b"images" in said
    if term == "dumb":
        assert b"\x1b[" not in said
