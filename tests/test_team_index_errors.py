"""What a team's index may be in place of what it should be: a sentence, and nothing fetched."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from oidkit.api import Settings, download, index_pull, index_push
from oidkit.cli import main
from oidkit.errors import (
    DiskError,
    IntegrityError,
    MalformedError,
    OidError,
    SourceError,
    UsageError,
)
from oidkit.indexfile import FORMAT, MANIFEST, Contents, Item, Manifest, is_ours, merged, stored
from oidkit.shelf import parse_place
from oidkit.testing import Fault, MirrorServer
from servers import free_port
from team_indexes import another, bucket, built, bytes_below, copied, without_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def first(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give the settings of the one who has built everything."""
    return built(tmp_path_factory)


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Give an index in a folder that may be changed."""
    return copied(tmp_path_factory, tmp_path / "index")


def refused(
    settings: Settings, folder: Path, index: str, kind: type[OidError] = UsageError
) -> list[str]:
    """Say what a pull and a download by an index end with; neither may fetch anything."""
    said = []
    for name in ("pull", "download"):
        second = another(settings, folder / f"cache-{name}", index=index)
        calls: dict[str, Callable[[], object]] = {
            "pull": lambda: index_pull(index, settings=second),  # noqa: B023 - called at once
            "download": lambda: download("Handgun", folder / "out", settings=second),  # noqa: B023
        }
        with pytest.raises(kind) as caught:
            calls[name]()
        said.append(str(caught.value))
        assert not list(folder.rglob("*.jpg"))
        assert caught.value.remedy
    return said


def rewritten(index: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the list of an index, and let its checksum fit."""
    path = index / MANIFEST
    found = json.loads(path.read_bytes())
    found.pop("sha256")
    change(found)
    found["sha256"] = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    path.write_bytes(json.dumps(found).encode())


# -- the list -----------------------------------------------------------------------------------


def test_no_index(first: Settings, tmp_path: Path) -> None:
    """An empty place is named, and how an index comes there."""
    for said in refused(first, tmp_path, str(tmp_path / "nothing")):
        assert "there is no index at" in said
        assert "oid index push" in said


def test_a_newer_format(first: Settings, index: Path, tmp_path: Path) -> None:
    """What a later oidkit has pushed is not guessed at, nor pushed over."""
    rewritten(index, lambda found: found.update(format=FORMAT + 1))
    for said in refused(first, tmp_path, str(index)):
        assert f"has format {FORMAT + 1}" in said
        assert "update oidkit" in said
    with pytest.raises(UsageError, match="has format"):
        index_push(str(index), settings=first)


def test_another_release(first: Settings, index: Path, tmp_path: Path) -> None:
    """Both releases are named, for those who read and for one who would push over it."""
    other = replace(first, release="v6")
    for said in refused(other, tmp_path, str(index)):
        assert "is of release v7, and not of v6" in said
    with pytest.raises(UsageError, match="is of release v7"):
        index_push(str(index), settings=other)


def test_another_source(first: Settings, index: Path, tmp_path: Path) -> None:
    """Both sources are named."""
    other = replace(first, source="official")
    for said in refused(other, tmp_path, str(index)):
        assert f"is of the source {first.source}, and not of official" in said
    with MirrorServer(str(first.source)) as server:
        said = refused(replace(first, source=server.url), tmp_path / "more", str(index))[0]
        assert f"add --source {first.source}" in said


@pytest.mark.parametrize("content", [b"", b"[]", b"<html>no</html>", b'{"format": 1}', b"\xff"])
def test_a_list_of_something_else(
    first: Settings, index: Path, tmp_path: Path, content: bytes
) -> None:
    """A file of the same name that is not ours is left alone."""
    (index / MANIFEST).write_bytes(content)
    for said in refused(first, tmp_path, str(index)):
        assert "not of oidkit" in said
    with pytest.raises(UsageError, match="not of oidkit"):
        index_push(str(index), settings=first)
    assert (index / MANIFEST).read_bytes() == content


def test_a_damaged_list(first: Settings, index: Path, tmp_path: Path) -> None:
    """A byte that has changed, and a list that was cut, are told as damage."""
    path = index / MANIFEST
    whole = path.read_bytes()
    for number, data in enumerate((whole.replace(b'"count": ', b'"count": 1', 1), whole[:-100])):
        path.write_bytes(data)
        said = refused(first, tmp_path / str(number), str(index), IntegrityError)[0]
        assert "is damaged" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["tables"].update({"../../x": next(iter(found["tables"].values()))}),
        lambda found: next(iter(found["tables"].values())).update(id="../x"),
        lambda found: next(iter(found["tables"].values()))["stored"].update(object="../../x"),
        lambda found: next(iter(found["masks"].values()))["stored"].update(size=-1),
        lambda found: found.update(files=[]),
    ],
)
def test_a_hostile_list_leads_nowhere(
    first: Settings, index: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """Names that lead out of the cache are refused with the whole list."""
    rewritten(index, change)
    assert "is damaged" in refused(first, tmp_path, str(index), IntegrityError)[0]


# -- objects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tables/*bbox*/*/part-", "tables/*/*/contents", "files/o"])
def test_a_damaged_object(first: Settings, index: Path, tmp_path: Path, kind: str) -> None:
    """A flipped byte is found, whatever it is in; a cut or lacking object too."""
    for path in index.glob(f"{kind}*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    for said in refused(first, tmp_path / "flipped", str(index), IntegrityError):
        assert "is damaged" in said
    for path in index.glob(f"{kind}*"):
        path.unlink()
    for said in refused(first, tmp_path / "gone", str(index), IntegrityError):
        assert "is damaged: it lacks" in said


def test_a_damaged_object_is_asked_for_again(first: Settings, index: Path, tmp_path: Path) -> None:
    """Damage on the way is mended by another try."""
    once: set[str] = set()

    def hook(request: Any) -> Fault | None:
        if request.path in once or "part-" not in request.path:
            return None
        once.add(request.path)
        return Fault(flip=100)

    with MirrorServer(index, hook=hook) as server:
        second = another(first, tmp_path / "second")
        assert index_pull(server.url, settings=second).tables == 9
    assert once
    assert bytes_below(tmp_path / "second", "tables") == bytes_below(first.cache_folder, "tables")


def test_a_server_without_ranges(first: Settings, index: Path, tmp_path: Path) -> None:
    """A query cannot be asked of it, and a pull can."""
    with MirrorServer(index, hook=lambda request: Fault(ignore_range=True)) as server:
        second = another(first, tmp_path / "second", index=server.url)
        with pytest.raises(UsageError, match="refuses byte ranges"):
            download("Handgun", tmp_path / "out", settings=second)
        assert index_pull(server.url, settings=second).tables == 9


def test_damage_in_the_cache_is_not_pushed(first: Settings, tmp_path: Path) -> None:
    """What does not match its checksum goes nowhere."""
    import shutil

    shutil.copytree(first.cache_folder, tmp_path / "cache")
    path = next((tmp_path / "cache").rglob("part-0000.parquet"))
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="is damaged; build it again"):
        index_push(str(tmp_path / "index"), settings=replace(first, cache=tmp_path / "cache"))
    assert not (tmp_path / "index" / MANIFEST).exists()


# -- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://host/x", "is no address that is known"),
        ("s3://", "names no bucket"),
        ("http://", "names no host"),
    ],
)
def test_an_address_that_is_none(first: Settings, tmp_path: Path, address: str, said: str) -> None:
    """Each is refused before anything is asked."""
    assert not [each for each in refused(first, tmp_path, address) if said not in each]
    with pytest.raises(UsageError, match=said):
        index_push(address, settings=first)


def test_a_web_server_cannot_be_pushed_to(first: Settings) -> None:
    """HTTP is for reading."""
    with pytest.raises(UsageError, match="can be read and not written"):
        index_push("http://127.0.0.1:1/x", settings=first)


def test_a_place_that_holds_something_else(first: Settings, tmp_path: Path) -> None:
    """A folder of somebody's pictures is left as it is."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"holds something else: a\.jpg"):
        index_push(str(tmp_path / "pictures"), settings=first)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["a.jpg"]


def test_an_empty_cache_has_nothing_to_push(first: Settings, tmp_path: Path) -> None:
    """The command that fills it is named."""
    with pytest.raises(UsageError, match=r"has no table .* oid index build"):
        index_push(str(tmp_path / "index"), settings=another(first, tmp_path / "cache"))


def test_a_server_that_is_not_there(first: Settings, tmp_path: Path) -> None:
    """Another try may mend it: exit 4."""
    place = f"http://127.0.0.1:{free_port()}/index"
    for said in refused(first, tmp_path, place, SourceError):
        assert place in said


def test_a_server_that_refuses(first: Settings, index: Path, tmp_path: Path) -> None:
    """403 is a matter of credentials."""
    with MirrorServer(index, hook=lambda request: Fault(status=403)) as server:
        for said in refused(first, tmp_path, server.url):
            assert "there is no permission to read" in said


@pytest.mark.skipif(
    os.name != "posix" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="root may write everywhere",
)
def test_a_folder_that_may_not_be_written(first: Settings, tmp_path: Path) -> None:
    """The path is named: exit 5."""
    (tmp_path / "mine").mkdir(mode=0o500)
    with pytest.raises(DiskError, match="mine"):
        index_push(str(tmp_path / "mine" / "index"), settings=first)


def test_buckets_need_an_extra(
    first: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library the command says how to install it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    for said in refused(first, tmp_path, "s3://bucket/x"):
        assert 'pip install "oidkit[cloud]"' in said


def test_a_bucket_that_is_not_there(
    first: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a push nor those who read make one."""
    with bucket(tmp_path / "s3", monkeypatch):
        for said in refused(first, tmp_path, "s3://nobody-has-this/x"):
            assert "the bucket 'nobody-has-this' does not exist" in said
        with pytest.raises(UsageError, match="the bucket 'nobody-has-this'"):
            index_push("s3://nobody-has-this/x", settings=first)


def test_a_bucket_without_keys(
    first: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private bucket is asked anonymously where there are no keys, and that is said."""
    with bucket(tmp_path / "s3", monkeypatch) as url:
        index_push(url, settings=first)
        without_keys(monkeypatch, tmp_path)
        for said in refused(first, tmp_path, url):
            assert "there is no permission to read" in said
            assert "credentials" in said


class _Refusing(BaseHTTPRequestHandler):
    """A bucket that may be listed and read, in which nothing is, and not written."""

    def do_GET(self) -> None:
        listing = (
            b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            b"<IsTruncated>false</IsTruncated></ListBucketResult>"
        )
        self._say(200 if "list-type" in self.path else 404, listing)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(403, b"<Error><Code>AccessDenied</Code></Error>")

    do_POST = do_PUT  # noqa: N815 - its name there

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def test_a_bucket_that_may_not_be_written(first: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place is named, and that it is a matter of permission: exit 5, as for a folder."""
    pytest.importorskip("obstore")
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        try:
            with pytest.raises(DiskError, match=r"cannot write s3://ours/x/\S+: permission denied"):
                index_push("s3://ours/x", settings=first)
        finally:
            server.shutdown()


def test_the_command_says_it_in_one_sentence(
    first: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`oid index pull` of nothing ends with exit 2 and one line; `--index ''` stands for none."""
    common = ["--source", str(first.source), "--cache", str(tmp_path / "cache")]
    assert main(["index", "pull", str(tmp_path / "nothing"), *common]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert main(["classes", "gun", "--index", "", *common]) == 0


# -- values -------------------------------------------------------------------------------------


def test_a_list_comes_back_as_it_was() -> None:
    """What is written is read again, whatever is in it."""
    item = Item("0123456789abcdef", 7, 3, stored("tables/a~b.csv/x/contents.json", b"{}"))
    one = Manifest("official", "v7", "0.1.0", tables={"a/b.csv": item}, offsets={"train": item})
    assert Manifest.parse(one.as_json(), place="here") == one
    empty = Contents(())
    assert Contents.parse(empty.as_json()) == empty


def test_of_each_item_the_last_one_counts() -> None:
    """A push does not take the place of what was made after it."""
    old, new = (Item("", made, 1, stored("files/x.csv", b"%d" % made)) for made in (1, 2))
    one = Manifest("official", "v7", "1", masks={"a": new, "b": old})
    other = Manifest("official", "v7", "1", masks={"a": old, "b": new, "c": old})
    assert merged(None, one) == one
    assert merged(one, other).masks == {"a": new, "b": new, "c": old}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("tables/openimages~v5~x.csv/0123456789abcdef/part-0000.0123456789abcdef.parquet", True),
        ("files/openimages~v7~x.csv.0123456789abcdef.csv", True),
        ("tables/../../x.0123456789abcdef.csv", False),
        ("/tables/x.0123456789abcdef.csv", False),
        ("pictures/x.0123456789abcdef.csv", False),
        ("tables/x.csv", False),
    ],
)
def test_names_of_objects(name: str, *, ours: bool) -> None:
    """Only names that a push gives are taken for an index's."""
    assert is_ours(name) == ours


def test_a_password_in_an_address_is_not_shown() -> None:
    """It is in no message, and so in no log."""
    assert "secret" not in parse_place("https://me:secret@example.org/x").name
    assert MalformedError.exit_code == 6
