"""A dataset in a container of Azure is that of a folder, and what goes wrong is one sentence.

The server is azurite. What stands there is read by signed addresses, and not by what is tested.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest

import oidkit
from buckets import images_asked
from cli_runs import sentence
from mirrors import CLASSES, tree
from oidkit.api import Settings, download, export, index_pull, index_push
from oidkit.cli import main
from oidkit.errors import UsageError
from oidkit.objectpath import ObjectPath
from oidkit.selection import Selection
from oidkit.shelf import location_of
from oracle import differences
from servers import azurite, free_port
from team_indexes import bytes_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oidkit.testing import MirrorServer
    from oracle import Tree

pytest_plugins = ["bucket_fixtures"]

USAGE, COMPLETE_BUT_MISSING, AGAIN, DISK, DAMAGED = 2, 3, 4, 5, 6
CONTAINER = "our-data"
ACCOUNT = "ours"
KEY = base64.b64encode(b"for these tests alone").decode()
WRONG = base64.b64encode(b"of somebody else").decode()


@dataclass(frozen=True, slots=True)
class Container:
    """A container on loopback."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """Give what a user has set to reach it."""
        return {
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        }

    def signature(self) -> dict[str, str]:
        """Give the query that allows everything in the account, made as Azure describes it."""
        words = {"sp": "rwdlac", "ss": "b", "srt": "sco", "st": "", "se": "2100-01-01T00:00:00Z"}
        words |= {"sip": "", "spr": "", "sv": "2022-11-02", "ses": ""}
        text = "".join(f"{word}\n" for word in (ACCOUNT, *words.values()))
        digest = hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)
        given = {name: value for name, value in words.items() if value}
        return given | {"sig": base64.b64encode(digest).decode()}

    def ask(self, method: str, key: str, data: bytes | None = None, **query: str) -> bytes:
        """Send a request for the container, or for a blob of it."""
        words = urlencode(query | self.signature())
        url = f"{self.endpoint}/{CONTAINER}{quote(f'/{key}' if key else '')}?{words}"
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
        request = Request(url, data=data, method=method, headers=headers)
        with build_opener(ProxyHandler({})).open(request) as reply:
            return bytes(reply.read())

    def make(self) -> None:
        """Make the container."""
        self.ask("PUT", "", b"", restype="container")

    def keys(self, prefix: str) -> list[str]:
        """Give the whole names of the blobs below a prefix."""
        page = self.ask("GET", "", restype="container", comp="list", prefix=prefix).decode()
        assert "<NextMarker/>" in page
        return [unescape(name) for name in re.findall(r"<Name>(.*?)</Name>", page)]

    def tree(self, prefix: str) -> Tree:
        """Read all blobs of a dataset but the lock, by their names below its prefix."""
        keys = self.keys(f"{prefix}/")
        found = {key.removeprefix(f"{prefix}/"): self.ask("GET", key) for key in keys}
        found.pop(".oid/lock", None)
        return found


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Serve an empty container, and have the key for it."""
    pytest.importorskip("obstore", reason="buckets need the extra oidkit[cloud]")
    with (
        azurite(tmp_path_factory.mktemp("azurite"), account=ACCOUNT, key=KEY) as endpoint,
        pytest.MonkeyPatch.context() as variables,
    ):
        container = Container(endpoint)
        for name, value in container.environment.items():
            variables.setenv(name, value)
        container.make()
        yield container


@pytest.fixture(scope="module")
def dataset(server: MirrorServer, cache: Path, container: Container) -> str:
    """Download them into the container; whoever changes that puts it back."""
    place = f"az://{CONTAINER}/dataset"
    done = download(CLASSES, place, settings=Settings(source=server.url, cache=cache))
    assert (done.exit_code, done.out) == (COMPLETE_BUT_MISSING, place)
    return place


# -- what lies there ----------------------------------------------------------------------------


def test_the_blobs_are_the_files_of_a_folder_and_come_once(
    settings: Settings, server: MirrorServer, container: Container, folder: Path, dataset: str
) -> None:
    """Names and bytes are the same; a second run fetches no image and no mask, and changes none."""
    before = container.tree("dataset")
    assert differences(before, tree(folder)) == []

    server.reset()
    again = download(CLASSES, dataset, settings=settings)
    assert (again.images.fetched, again.masks.fetched) == (0, 0)
    # Those that the source lacks are asked for again.
    there = {path.rpartition("/")[2] for path in before}
    assert there.isdisjoint(path.rpartition("/")[2] for path in images_asked(server))
    assert not [each for each in server.log if each.path.endswith(".zip")]
    assert container.tree("dataset") == before


def test_the_source_never_sees_the_key(
    server: MirrorServer, container: Container, tmp_path: Path
) -> None:
    """Requests for images, masks and tables have no credentials, in whatever form."""
    settings = Settings(source=server.url, cache=tmp_path / "cache")
    server.reset()
    selection = Selection(("Handgun",), splits=("test",))
    download(selection, f"az://{CONTAINER}/apart", settings=settings)
    names = {name.lower() for each in server.log for name in each.headers}
    assert "host" in names
    assert not {name for name in names if "auth" in name or name.startswith("x-ms")}
    assert not [each for each in server.log if "sig=" in each.path or KEY in str(each.headers)]


def test_classes_that_come_one_by_one_copy_what_is_there(
    settings: Settings, server: MirrorServer, container: Container, tmp_path: Path
) -> None:
    """An image of two classes is fetched once, and stands in the place of each."""
    for name in CLASSES:
        server.reset()
        download(name, f"az://{CONTAINER}/one-by-one", settings=settings)
    asked = {path.rpartition("/")[2] for path in images_asked(server)}
    for name in CLASSES:
        download(name, tmp_path / "folder", settings=settings)
    whole = tree(tmp_path / "folder")
    assert differences(container.tree("one-by-one"), whole) == []
    names = [path.rpartition("/")[2] for path in whole if path.endswith(".jpg")]
    both = {name for name in names if names.count(name) > 1}
    assert both
    assert both.isdisjoint(asked)


@pytest.mark.parametrize("prefix", ["100%25/a%20b", "größe/图 a#b?c=d&e+f"])
def test_a_prefix_may_have_any_name(settings: Settings, container: Container, prefix: str) -> None:
    """Blobs stand at the very key that was written, with or without a slash at its end."""
    place = f"az://{CONTAINER}/{prefix}"
    selection = Selection(("Handgun",), splits=("test",))
    download(selection, f"{place}/", settings=settings)
    assert f"{prefix}/.oid/manifest.csv" in container.keys(f"{prefix}/")
    assert download(selection, place, settings=settings).images.fetched == 0
    assert oidkit.verify(place, settings=settings).foreign == []


def test_a_large_object_comes_in_parts(container: Container) -> None:
    """What is too large for one request is there as a whole."""
    place = location_of(f"az://{CONTAINER}/large")
    assert isinstance(place, ObjectPath)
    parts = [bytes([number]) * (6 << 20) for number in range(4)]
    (place / "x").write(iter(parts))
    assert container.ask("GET", "large/x") == b"".join(parts)
    assert (place / "x").stat().st_size == len(parts) * len(parts[0])


# -- what reads it ------------------------------------------------------------------------------


def test_verify_stats_and_export_say_what_they_say_of_a_folder(
    settings: Settings, container: Container, folder: Path, dataset: str, tmp_path: Path
) -> None:
    """Reports, counts and exported files are the same; damage is found, and mended."""
    assert oidkit.verify(dataset, settings=settings) == oidkit.verify(folder, settings=settings)
    one, other = oidkit.stats(dataset).as_dict(), oidkit.stats(folder).as_dict()
    assert {name for name in one if one[name] != other[name]} <= {"folder", "root", "path"}
    for where, out in ((dataset, "one"), (folder, "other")):
        export(where, tmp_path / out / "x", "coco", workers=1)
    assert tree(tmp_path / "one" / "x")
    assert differences(tree(tmp_path / "one" / "x"), tree(tmp_path / "other" / "x")) == []

    whole = container.tree("dataset")
    damaged, absent = sorted(path for path in whole if path.endswith(".jpg"))[:2]
    # Of the same size: an ETag of Azure is no digest, so that the blob has to be read.
    container.ask("PUT", f"dataset/{damaged}", whole[damaged][:-1] + b"?")
    container.ask("DELETE", f"dataset/{absent}")
    found = oidkit.verify(dataset, settings=settings)
    assert (found.damaged, found.absent, found.exit_code) == ([damaged], [absent], DAMAGED)
    assert oidkit.verify(dataset, repair=True, settings=settings).repaired == 2
    assert container.tree("dataset") == whole


def test_shards_come_straight_into_a_container(
    settings: Settings,
    container: Container,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are those that come into a folder."""
    words = ["download", *CLASSES, "--source", str(settings.source), "--export", "webdataset"]
    words += ["--cache", str(settings.cache_folder), "--no-folder", "--shard-size", "10", "--quiet"]
    for out in (str(tmp_path / "x"), f"az://{CONTAINER}/shards"):
        assert main([*words, "--out", out]) == COMPLETE_BUT_MISSING
    assert f"az://{CONTAINER}/shards" in capsys.readouterr().out
    stood, want = container.tree("shards"), tree(tmp_path / "x")
    assert len([name for name in stood if name.endswith(".tar")]) > 1
    for each in (stood, want):
        for name in [name for name in each if name.startswith(".oid")]:
            del each[name]
    assert differences(stood, want) == []


def test_an_index_is_pushed_asked_and_pulled(
    settings: Settings, container: Container, folder: Path, tmp_path: Path
) -> None:
    """A container is as good for a team's index as a folder."""
    url = f"az://{CONTAINER}/index"
    pushed = index_push(url, settings=settings)
    assert pushed.tables
    second = replace(settings, cache=tmp_path / "second", index=url)
    download(CLASSES, tmp_path / "out", settings=second)
    assert differences(tree(tmp_path / "out"), tree(folder)) == []
    third = replace(settings, cache=tmp_path / "third")
    assert index_pull(url, settings=third).tables == pushed.tables
    tables = bytes_below(third.cache_folder, "tables")
    assert tables == bytes_below(settings.cache_folder, "tables")
    assert index_push(url, settings=third).sent == 0


# -- what may go wrong --------------------------------------------------------------------------


@pytest.fixture
def refused(
    container: Container,
    settings: Settings,
    server: MirrorServer,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Give what each of three commands says that ends with a code, before an image is asked for."""

    def said(code: int, container_name: str = CONTAINER) -> str:
        place = f"az://{container_name}/x"
        told = set()
        for words in (["download", "Handgun", "--quiet", "--out", place], ["verify", place]):
            more = ["--source", str(settings.source), "--cache", str(settings.cache_folder)]
            assert main([*words, *more]) == code
            told.add(sentence(capsys))
        assert main(["stats", place]) == code
        told.add(sentence(capsys))
        assert images_asked(server) == []
        (line,) = told
        return line

    return said


def test_a_container_that_is_not_there(refused: Callable[..., str]) -> None:
    """Its name is said, and the variable that says in which account it should be."""
    assert refused(USAGE, "nobody-has-this") == (
        "oid: the bucket 'nobody-has-this' of az://nobody-has-this/x does not exist; "
        "make it first, or check the address and AZURE_STORAGE_ACCOUNT_NAME"
    )


def test_an_index_in_a_container_that_is_not_there(
    settings: Settings, container: Container, tmp_path: Path
) -> None:
    """The container is named by what asks it, and by what pushes to it."""
    url = "az://nobody-has-this/x"
    asking = replace(settings, cache=tmp_path / "cache", index=url)
    for ask in (
        lambda: download("Handgun", tmp_path / "out", settings=asking),
        lambda: index_push(url, settings=settings),
    ):
        with pytest.raises(UsageError, match="the bucket 'nobody-has-this'") as caught:
            ask()
        assert "AWS" not in str(caught.value)


def test_no_permission(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of somebody else is told from a container that is not there."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", WRONG)
    said = refused(DISK)
    assert f"cannot list az://{CONTAINER}/x: permission denied; check your credentials" in said


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("AZURE_STORAGE_ACCOUNT_NAME", "", "Account must be specified"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "no key!", "Invalid Access Key"),
    ],
)
def test_variables_that_make_no_sense(
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    what: str,
) -> None:
    """They are told before anything is asked of anybody."""
    monkeypatch.delenv(variable)
    if value:
        monkeypatch.setenv(variable, value)
    said = refused(USAGE)
    assert f"oid: az://{CONTAINER} cannot be opened: " in said
    assert what in said
    assert said.endswith("check the address and the variables of your credentials")


def test_nobody_listens(
    container: Container, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address is said, and that the same command may be run again."""
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{free_port()}/{ACCOUNT}")
    assert main(["verify", f"az://{CONTAINER}/x"]) == AGAIN
    assert f"oid: az://{CONTAINER}/x could not be reached: " in sentence(capsys)


def test_a_signature_in_place_of_the_key(
    settings: Settings,
    container: Container,
    folder: Path,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has a shared access signature reads with it. azurite removes nothing for one."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", urlencode(container.signature()))
    assert oidkit.verify(dataset, settings=settings) == oidkit.verify(folder, settings=settings)
