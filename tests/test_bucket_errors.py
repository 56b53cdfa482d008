"""A bucket that is not what it should be: one sentence, and no image is asked of the source."""

from __future__ import annotations

import itertools
import json
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import oidkit
from buckets import BUCKET, SPEC, Asked, Store, ours, served, user_of
from cli_runs import sentence
from mirrors import environment, run
from oidkit.api import download
from oidkit.cli import main
from oidkit.errors import BucketError, UsageError
from oidkit.selection import Selection
from oidkit.shelf import location_of
from oidkit.testing import MirrorServer, make_release
from servers import free_port
from team_indexes import without_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USAGE, AGAIN, DISK, COMPLETE_BUT_MISSING = 2, 4, 5, 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorServer]:
    """Serve a made release."""
    with MirrorServer(make_release(tmp_path_factory.mktemp("mirror"), SPEC).root) as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Serve a bucket."""
    with served(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def store(
    running: Store, server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """Have the keys for the bucket, and be a user in an empty folder."""
    server.reset()
    monkeypatch.setenv("OID_SOURCE", server.url)
    monkeypatch.setenv("OID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OID_RELEASE", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return ours(running, monkeypatch)


@pytest.fixture
def refused(server: MirrorServer, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Give what a command says that ends with a code before any image or mask is asked for."""

    def said(code: int, *command: str) -> str:
        assert main([*command]) == code
        assert not [each for each in server.log if each.path.startswith("open-images-dataset")]
        assert not [each for each in server.log if each.path.endswith(".zip")]
        assert list(Path.cwd().iterdir()) == []
        return sentence(capsys)

    return said


def into(place: str) -> list[str]:
    """Give the arguments of a download."""
    return ["download", "Handgun", "--quiet", "--out", place]


# -- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        into("{}"),
        ["verify", "{}"],
        ["stats", "{}"],
        ["export", "{}", "--format", "coco", "--out", "x"],
    ],
    ids=lambda command: command[0],
)
def test_a_bucket_that_is_not_there(
    store: Store, refused: Callable[..., str], command: list[str]
) -> None:
    """Its name is said, by whatever would write or read there."""
    said = refused(USAGE, *(each.format("s3://nobody-has-this/x") for each in command))
    assert said.startswith("oid: the bucket 'nobody-has-this' of s3://nobody-has-this/x does not")
    assert "make it first" in said


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("http://127.0.0.1/x", "no dataset can lie at http://127.0.0.1/x"),
        ("ftp://host/x", "'ftp://host/x' is no address that is known"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3:/bucket/x", "'s3:/bucket/x' is no address of a bucket"),
        ("s3://our data/x", "'our data' in 's3://our data/x' is no name of a bucket"),
        ("s3://our[data/x", "is no name of a bucket"),
        ("s3://our-data/a//b", "has an empty part"),
        ("gs://our-data/a/../b", "has an empty part, '.', '..'"),
        ("az://our-data/a\nb", "a control character"),
    ],
)
def test_an_address_that_is_none(
    store: Store, refused: Callable[..., str], place: str, what: str
) -> None:
    """Each is refused before anything is asked, of anybody."""
    assert what in refused(USAGE, *into(place)).replace("\\n", "\n")
    assert store.log == []


def test_keys_in_an_address_are_not_shown(store: Store, refused: Callable[..., str]) -> None:
    """They are refused, and are in no message."""
    said = refused(USAGE, *into("s3://me:secret@our-data/x"))
    assert "credentials do not belong in an address of" in said
    assert "secret" not in said


def test_an_address_as_a_path_is_refused(store: Store) -> None:
    """A `Path` has lost one of the slashes; no folder of that name is made."""
    with pytest.raises(UsageError, match="in Python as a text"):
        download("Handgun", Path("s3://our-data/x"))


@pytest.mark.parametrize(
    "command",
    [
        ["report", "{}"],
        ["view", "{}", "--no-browser"],
        ["review", "{}"],
        ["fetch", "ids.txt", "--download_folder", "{}"],
        ["demo", "--out", "{}"],
        ["export", "{}", "--format", "coco", "--out", "{}-coco"],
        [*into("{}"), "--export", "coco"],
        [*into("{}"), "--export", "coco", "--export-out", "{}-coco"],
    ],
    ids=lambda command: " ".join(command[:: len(command) - 1]),
)
def test_what_needs_a_folder(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    """Commands that work with folders alone say so, and read and write nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("train/0000000000000000\n")
    assert main([each.format(f"s3://{BUCKET}/x") for each in command]) == USAGE
    assert "needs a folder" in sentence(capsys)
    assert not store.puts()


def test_a_drawing_needs_a_folder(store: Store) -> None:
    """In Python, too."""
    with pytest.raises(UsageError, match="a drawing needs a folder"):
        oidkit.draw(f"s3://{BUCKET}/x", "0000000000000000")
    assert store.log == []


def test_buckets_need_an_extra(
    store: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library the command says how to install it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    said = refused(USAGE, *into(f"s3://{BUCKET}/x"))
    assert said == 'oid: s3:// needs the library obstore; install it: pip install "oidkit[cloud]"'


# -- what is there already ----------------------------------------------------------------------


def test_what_belongs_to_something_else(store: Store, refused: Callable[..., str]) -> None:
    """Objects of others are named and left alone."""
    store.put("others/readme.txt", b"theirs")
    said = refused(USAGE, *into(f"s3://{BUCKET}/others"))
    assert "is not empty and belongs to something else (it holds readme.txt)" in said
    assert store.tree("others") == {"readme.txt": b"theirs"}


def test_an_object_in_the_place_of_the_folder(store: Store, refused: Callable[..., str]) -> None:
    """It is seen, as a file is on a disk, and stays alone; an empty one may stand for a folder."""
    store.put("archive.tar", b"theirs")
    said = refused(USAGE, *into(f"s3://{BUCKET}/archive.tar"))
    assert f"s3://{BUCKET}/archive.tar is an object, not a folder; choose another --out" in said
    assert store.keys("archive.tar") == ["archive.tar"]
    store.put("marked", b"")
    assert main([*into(f"s3://{BUCKET}/marked"), "--no-images", "--labels", "boxes"]) == 0


@pytest.mark.parametrize("command", ["verify", "stats", "export"])
def test_where_no_dataset_is(store: Store, refused: Callable[..., str], command: str) -> None:
    """What reads a dataset says that there is none."""
    more = ["--format", "coco", "--out", "x"] if command == "export" else []
    said = refused(USAGE, command, f"s3://{BUCKET}/none", *more)
    assert f"s3://{BUCKET}/none is no dataset of oidkit" in said


def test_another_dataset(
    store: Store,
    server: MirrorServer,
    refused: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One of another release, one whose images are not turned, or of a newer oidkit is refused."""
    place = f"s3://{BUCKET}/taken"
    assert main([*into(place), "--no-images", "--labels", "boxes"]) == 0
    capsys.readouterr()
    server.reset()
    before = store.tree("taken")
    said = refused(USAGE, *into(place), "--release", "v6")
    assert "holds a dataset of release v7, not v6" in said
    assert "as published, not as asked for" in refused(USAGE, *into(place), "--upright")
    for data, what in ((b"{}", "cannot be read"), (b'{"format": 99}', "by a newer oidkit")):
        store.put("taken/.oid/dataset.json", data)
        assert what in refused(USAGE, *into(place))
    store.put("taken/.oid/dataset.json", before[".oid/dataset.json"])
    assert store.tree("taken") == before


# -- permissions --------------------------------------------------------------------------------


def test_no_permission_to_write(
    store: Store, server: MirrorServer, refused: Callable[..., str]
) -> None:
    """The address is named before a table is built."""
    store.refuse = lambda asked: 403 if asked.method == "PUT" else None
    said = refused(DISK, *into(f"s3://{BUCKET}/locked"))
    assert f"cannot write s3://{BUCKET}/locked/.oid/lock: permission denied; check your" in said
    assert not [each for each in server.log if "bbox" in each.path]


def test_no_permission_to_list(store: Store, refused: Callable[..., str]) -> None:
    """What may not be listed cannot be read either: it is said for all that read."""
    store.refuse = lambda _: 403
    for command in (into(f"s3://{BUCKET}/x"), ["verify", f"s3://{BUCKET}/x"]):
        said = refused(DISK, *command)
        assert f"cannot list s3://{BUCKET}/x: permission denied; check your credentials" in said


def test_no_permission_to_read(store: Store, refused: Callable[..., str]) -> None:
    """A bucket that may be listed and not read is no broken dataset."""
    store.refuse = lambda asked: 403 if asked.method == "GET" and not asked.query else None
    for command in (into(f"s3://{BUCKET}/x"), ["verify", f"s3://{BUCKET}/x"]):
        said = refused(DISK, *command)
        assert f"cannot read s3://{BUCKET}/x/.oid/dataset.json: permission denied" in said


def test_no_permission_to_delete(store: Store, server: MirrorServer, tmp_path: Path) -> None:
    """What is to be kept is complete all the same: journals stay, and are merged once more."""
    store.refuse = lambda asked: (
        403 if asked.method == "DELETE" or asked.query.startswith("delete") else None
    )
    words = [*into(f"s3://{BUCKET}/kept"), "--json"]
    env = environment(**store.environment, OID_CACHE=str(tmp_path / "c"), OID_SOURCE=server.url)
    codes = []
    for _ in range(2):
        done = run(*words, env=env)
        codes.append(done.returncode)
        found = store.tree("kept")
        assert [name for name in found if "journal" in name]
    assert codes in ([0, 0], [3, 3]), done.stderr
    assert json.loads(done.stdout)["images"]["fetched"] == 0
    assert found[".oid/manifest.csv"].count(b"image,") > 1


def test_no_credentials(
    store: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who has none is told so soon."""
    without_keys(monkeypatch, tmp_path)
    # Where a machine of AWS asks for its role, nobody answers here.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    begun = time.monotonic()
    said = refused(AGAIN, *into(f"s3://{BUCKET}/x"))
    assert time.monotonic() - begun < 20
    assert f"s3://{BUCKET}/x could not be reached" in said


# -- a store that is down -----------------------------------------------------------------------


def test_nobody_listens(
    store: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at once, with the address, by what writes and by what reads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for command in (into(f"s3://{BUCKET}/x"), ["verify", f"s3://{BUCKET}/x"]):
        begun = time.monotonic()
        said = refused(AGAIN, *command)
        assert f"oid: s3://{BUCKET}/x could not be reached: " in said
        assert time.monotonic() - begun < 15


def test_one_who_never_answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the request and says nothing is given up after some seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(BucketError, match="could not be reached"):
            location_of(f"s3://{BUCKET}/x")
        assert time.monotonic() - begun < 30


def test_a_store_that_stumbles_is_asked_again(store: Store, server: MirrorServer) -> None:
    """One refusal of each object is nothing that anybody notices."""
    seen: set[str] = set()

    def refuse(asked: Asked) -> int | None:
        first = asked.path not in seen
        seen.add(asked.path)
        return 503 if first and asked.method == "PUT" and "/images/" in asked.path else None

    store.refuse = refuse
    selection = Selection(("Handgun",), splits=("test",))
    summary = download(selection, f"s3://{BUCKET}/stumbling")
    assert summary.images.fetched
    assert summary.images.failed == 0


def test_a_bucket_that_goes_away(store: Store, server: MirrorServer) -> None:
    """Losing the right to write in the middle of a run is exit 5, and names the object."""
    writes = itertools.count()
    store.refuse = lambda asked: (
        403 if asked.method == "PUT" and "/images/" in asked.path and next(writes) > 3 else None
    )
    with pytest.raises(oidkit.OidError, match="permission denied") as caught:
        download("Handgun", f"s3://{BUCKET}/withdrawn")
    assert caught.value.exit_code == DISK
    assert f"s3://{BUCKET}/withdrawn/images/" in str(caught.value)


# -- what is printed ----------------------------------------------------------------------------


def test_the_end_of_a_download_names_what_reads_a_bucket(
    store: Store, server: MirrorServer, tmp_path: Path
) -> None:
    """A bucket is called one, and the command that is named works there."""
    env = user_of(store, tmp_path / "home", OID_CACHE=str(tmp_path / "cache"))
    env |= {"OID_SOURCE": server.url}
    planned = run(*into(f"s3://{BUCKET}/told"), "--dry-run", env=env).stdout.decode().splitlines()
    assert [line.split("  ")[0] for line in planned[-2:]] == ["to store", "bucket"]
    done = run(*into(f"s3://{BUCKET}/told"), env=env)
    assert done.returncode == COMPLETE_BUT_MISSING
    *_, place, command = done.stdout.decode().splitlines()
    assert place == f"bucket    s3://{BUCKET}/told"
    assert command == f"next      oid stats s3://{BUCKET}/told"
    assert run(*command.split()[2:], env=env).returncode == 0
    verified = run("verify", f"s3://{BUCKET}/told", "--quiet", env=env)
    assert b"0 absent from the bucket" in verified.stdout
