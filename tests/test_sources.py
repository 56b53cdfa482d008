"""The same download from every kind of source, and what happens where a source is none."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from oidkit.api import Settings, download
from oidkit.errors import NotAMirrorError, OidError, SourceError, UsageError
from oidkit.selection import Selection
from oidkit.testing import MirrorServer, ReleaseSpec, make_release
from oracle import Asked, Expected, Mirror, Tree, differences, expected, tree_of
from servers import free_port, nginx, s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLASSES = ("Handgun", "Person", "Chopsticks")
BUCKET, PREFIX = "mirror-of-ours", "open/images"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small mirror of which a tenth of the images is not there."""
    spec = dataclasses.replace(ReleaseSpec.tiny(), seed=21, jpegs=0.9, releases=("v7",))
    return make_release(tmp_path_factory.mktemp("mirror"), spec).root


@pytest.fixture(scope="module")
def want(root: Path) -> Expected:
    """Work out what every source has to come to."""
    return expected(Mirror(root), Asked(CLASSES))


@pytest.fixture(scope="module")
def from_folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Download from the folder itself; the manifest is kept too."""
    return _download(str(root), tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def nginx_url(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the mirror by nginx."""
    with nginx(root, tmp_path_factory.mktemp("nginx")) as url:
        yield url


@pytest.fixture(scope="module")
def endpoint(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the mirror by an S3-compatible server."""
    with s3(root, tmp_path_factory.mktemp("s3"), bucket=BUCKET, prefix=PREFIX) as url:
        yield url


@pytest.fixture
def hostile(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what the machine of a user of AWS might have, none of it right for public buckets."""
    broken = tmp_path / "aws-config"
    broken.write_text("[default]\nregion = de-eu\nrequest_payer = nobody\n", encoding="utf-8")
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "de-eu",
        "AWS_DEFAULT_REGION": "de-eu",
        "AWS_PROFILE": "nope",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "bogus",
        "AWS_SESSION_TOKEN": "bogus",
        "AWS_CONFIG_FILE": str(broken),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def _download(source: str, folder: Path) -> Tree:
    """Download into an empty folder with an empty cache; give the files and the manifest."""
    out = folder / "out"
    settings = Settings(source=source, cache=folder / "cache")
    summary = download(Selection(CLASSES), out, settings=settings)
    assert summary.exit_code == 3
    return tree_of(out) | {"manifest": (out / ".oid/manifest.csv").read_bytes()}


def _same(found: Tree, from_folder: Tree, want: Expected) -> None:
    """Compare with the oracle, and the manifest with that of the folder source."""
    assert differences(found, want.tree | {"manifest": from_folder["manifest"]}) == []


def test_a_file_url_is_the_folder(
    root: Path, tmp_path: Path, want: Expected, from_folder: Tree
) -> None:
    """A file:// URL, with a blank in its path, gives what the oracle gives."""
    linked = tmp_path / "a mirror"
    linked.symlink_to(root, target_is_directory=True)
    _same(_download(linked.as_uri(), tmp_path), from_folder, want)


def test_nginx_gives_the_same(
    nginx_url: str, tmp_path: Path, want: Expected, from_folder: Tree
) -> None:
    """A real web server, whose ETags are no checksums, gives what the oracle gives."""
    _same(_download(nginx_url, tmp_path), from_folder, want)


def test_nginx_is_asked_only_whether_tables_changed(nginx_url: str, tmp_path: Path) -> None:
    """A second run against nginx receives bodies of nothing but the images it lacks."""
    out, settings = tmp_path / "out", Settings(source=nginx_url, cache=tmp_path / "cache")
    first = download(Selection(CLASSES), out, settings=settings)
    before = tree_of(out)
    again = download(Selection(CLASSES), out, settings=settings)
    assert (again.images.fetched, again.masks.fetched) == (0, 0)
    assert again.images.present == first.images.fetched
    # What nginx says of a missing image is all that has a body.
    assert again.received_bytes <= 400 * first.images.missing
    assert tree_of(out) == before


def test_a_proxy_of_the_environment_is_not_asked_about_loopback(
    nginx_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, want: Expected
) -> None:
    """A proxy that the environment names does not stand between us and this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    found = _download(nginx_url, tmp_path)
    del found["manifest"]
    assert differences(found, want.tree) == []


def test_s3_gives_the_same_whatever_the_environment_says(
    hostile: None, tmp_path: Path, want: Expected, from_folder: Tree
) -> None:
    """An S3-compatible server is read anonymously: keys, region and profile change nothing."""
    _same(_download(f"s3://{BUCKET}/{PREFIX}", tmp_path), from_folder, want)


def test_requests_to_s3_carry_no_name_and_no_signature(
    hostile: None,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    want: Expected,
) -> None:
    """What goes over the wire has no credential in it, whatever the environment holds."""
    shutil.copytree(root, tmp_path / "served" / "a.bucket" / "prefix")
    with MirrorServer(tmp_path / "served") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        found = _download("s3://a.bucket/prefix", tmp_path)
        sent = {name for each in server.log for name in each.headers}
        paths = {each.path.split("/")[:2] == ["a.bucket", "prefix"] for each in server.log}
    assert paths == {True}
    assert not {name for name in sent if name == "authorization" or name.startswith("x-amz")}
    del found["manifest"]
    assert differences(found, want.tree) == []


def test_the_s3_endpoint_of_its_own_comes_first(
    hostile: None,
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    want: Expected,
) -> None:
    """AWS_ENDPOINT_URL_S3 is stronger than AWS_ENDPOINT_URL, and a final slash does not matter."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint + "/")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    found = _download(f"s3://{BUCKET}/{PREFIX}/", tmp_path)
    del found["manifest"]
    assert differences(found, want.tree) == []


def test_the_command_reads_from_s3_in_a_hostile_environment(
    hostile: None, tmp_path: Path, want: Expected
) -> None:
    """`oid download --source s3://…` in a process of its own comes to the same, with exit 3."""
    command = [sys.executable, "-m", "oidkit", "download", *CLASSES, "--quiet"]
    command += ["--source", f"s3://{BUCKET}/{PREFIX}", "--cache", str(tmp_path / "cache")]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3, done.stderr
    assert differences(tree_of(tmp_path / "out"), want.tree) == []


def test_a_prefix_that_is_not_there_is_no_mirror(hostile: None, tmp_path: Path) -> None:
    """A bucket without the prefix ends before anything is written, and names the source."""
    settings = Settings(source=f"s3://{BUCKET}/elsewhere", cache=tmp_path / "cache")
    with pytest.raises(NotAMirrorError, match=f"s3://{BUCKET}/elsewhere") as caught:
        download(Selection(CLASSES), tmp_path / "out", settings=settings)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("ftp://host/mirror", "kind that is not known"),
        ("http://", "names no host"),
        ("https:///mirror", "names no host"),
        ("s3://", "names no bucket"),
        ("gs:///openimages", "names no bucket"),
        ("file:///no/such/folder", "does not exist"),
        ("no-such-folder", "does not exist"),
    ],
)
def test_a_source_that_cannot_be_one_is_refused(source: str, says: str, tmp_path: Path) -> None:
    """The error says what is wrong with the name and what a source may be, and nothing is made."""
    settings = Settings(source=source, cache=tmp_path / "cache")
    with pytest.raises(UsageError, match=says) as caught:
        download(Selection(("Handgun",)), tmp_path / "out", settings=settings)
    assert caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_source(tmp_path: Path) -> None:
    """A source that is a file is refused as such."""
    (tmp_path / "mirror").write_text("no folder", encoding="utf-8")
    settings = Settings(source=str(tmp_path / "mirror"), cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="is not a folder"):
        download(Selection(("Handgun",)), tmp_path / "out", settings=settings)


def test_a_folder_that_is_no_mirror_is_refused(tmp_path: Path) -> None:
    """A folder without openimages/ is named, with the file that it lacks."""
    (tmp_path / "photos").mkdir()
    settings = Settings(source=str(tmp_path / "photos"), cache=tmp_path / "cache")
    with pytest.raises(NotAMirrorError, match="it has no openimages/v7/oidv7-class") as caught:
        download(Selection(("Handgun",)), tmp_path / "out", settings=settings)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_source_where_nobody_listens_is_an_error_that_a_rerun_may_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection ends with exit code 4 and nothing in the folder."""
    monkeypatch.setattr("oidkit.transfer.retry.Backoff.next", lambda *_, **__: None)
    settings = Settings(source=f"http://127.0.0.1:{free_port()}", cache=tmp_path / "cache")
    with pytest.raises(SourceError) as caught:
        download(Selection(("Handgun",)), tmp_path / "out", settings=settings)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()


def test_a_password_in_a_source_is_never_written_down(nginx_url: str, tmp_path: Path) -> None:
    """Neither the dataset nor the cache keeps the password of a source's URL."""
    secret = "hunter2secret"
    source = nginx_url.replace("http://", f"http://someone:{secret}@")
    settings = Settings(source=source, cache=tmp_path / "cache")
    try:
        download(Selection(("Handgun",), splits=("test",)), tmp_path / "out", settings=settings)
    except OidError as error:
        pytest.fail(str(error))
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
