"""Row 37 for the explorer: without its token, or from elsewhere, nothing is answered."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

import oidkit
from faults.test_visitors import CLIMBING, FOREIGN, SECRET, Said, guarded, say
from mirrors import environment, made_mirror
from oidkit import Settings
from oidkit.explorer import Explorer, explore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.row(37)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset beside a secret, with a class name and a title that are programs."""
    folder = tmp_path_factory.mktemp("visited")
    settings = Settings(str(made_mirror(tmp_path_factory)), folder / "cache")
    oidkit.download(oidkit.Selection(("Handgun",), limit=3), folder / "out", settings=settings)
    (folder / "secret").write_bytes(SECRET)
    with contextlib.suppress(OSError):
        (folder / "out" / "images" / "train" / "link").symlink_to(folder / "secret")
    return folder / "out"


@pytest.fixture(scope="module")
def explorer(root: Path) -> Iterator[Explorer]:
    """Serve it."""
    with explore(root, settings=Settings(cache=root.parent / "cache")) as running:
        yield running


def get(explorer: Explorer, path: str = "", *, token: bool = True, **headers: str) -> Said:
    """Ask for something below the token, or for a path as it is."""
    told = {"Host": f"127.0.0.1:{explorer.port}"} | headers
    lines = "".join(f"\r\n{name}: {value}" for name, value in told.items())
    place = urlsplit(explorer.url).path + path if token else path
    return say(explorer, f"GET {place} HTTP/1.1{lines}\r\nConnection: close")


def test_the_page_comes_with_its_policy(explorer: Explorer) -> None:
    """What is asked for with the token is answered; the policy lets nothing in from elsewhere."""
    said = get(explorer)
    assert said.status == 200
    guarded(said)
    policy = said.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert said.headers["referrer-policy"] == "no-referrer"
    assert get(explorer, Host=f"localhost:{explorer.port}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/api/about",
        "/static/main.js",
        "/x/",
        "/x/api/about",
        "/index.html",
        "/favicon.ico",
    ],
)
def test_without_the_token_there_is_nothing(path: str, explorer: Explorer) -> None:
    """Neither the page nor a part of it, and not a word of which token it would be."""
    said = get(explorer, path or "/", token=False)
    assert said.status == 404
    guarded(said)
    assert urlsplit(explorer.url).path.strip("/").encode() not in said.raw


def test_a_part_of_the_token_is_none(explorer: Explorer) -> None:
    """Nor is one in another case, or with something behind it; each explorer has its own."""
    token = urlsplit(explorer.url).path.strip("/")
    assert len(token) >= 32
    for wrong in (token[:-1], token.swapcase(), token + "x", token + "%00", "." + token):
        assert get(explorer, f"/{wrong}/api/about", token=False).status in {400, 404}


@pytest.mark.parametrize("host", [*FOREIGN, "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"])
def test_a_foreign_host_is_refused(host: str, explorer: Explorer) -> None:
    """A name that was made to resolve to loopback gets 403 or 400, even with the token."""
    said = get(explorer, "api/about", Host=host.format(port=explorer.port))
    assert said.status in {400, 403}
    assert b"classes" not in said.raw


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "file://", "http://127.0.0.1", "http://localhost:1", ""],
)
def test_a_foreign_origin_is_refused(origin: str, explorer: Explorer) -> None:
    """A page of another origin gets 403, and no header that would let it read anything."""
    said = get(explorer, "api/about", Origin=origin)
    assert said.status == 403
    guarded(said)
    assert get(explorer, Origin=f"http://127.0.0.1:{explorer.port}").status == 200


@pytest.mark.parametrize("path", CLIMBING)
@pytest.mark.parametrize("front", ["", "static", "image/train", "thumb/train", "mask/train"])
def test_no_path_leads_out(path: str, front: str, explorer: Explorer) -> None:
    """Dots, escapes, backslashes, NULs and links come to nothing, or to the page itself."""
    said = get(explorer, front + path)
    assert said.status in {200, 400, 404}
    if said.status == 200:
        assert b"<!doctype html>" in said.raw.lower()
    assert b"root:" not in said.raw


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_nothing_is_written_in_another_way(method: str, explorer: Explorer, root: Path) -> None:
    """Other methods are refused; a verdict needs JSON, the token and no foreign origin."""
    place = urlsplit(explorer.url).path
    head = f"{method} {place}api/about HTTP/1.1\r\nHost: 127.0.0.1:{explorer.port}"
    assert say(explorer, f"{head}\r\nContent-Length: 0\r\nConnection: close").status == 405
    body = json.dumps({"image": "train/0000000000000001", "verdict": "bad"})
    said = say(
        explorer,
        f"POST {place}api/review HTTP/1.1\r\nHost: 127.0.0.1:{explorer.port}\r\n"
        f"Origin: http://evil.example\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}",
    )
    assert said.status == 403
    assert not (root / ".oid" / "review.csv").exists()


@pytest.mark.parametrize("size", [10_000, 70_000, 1_000_000])
def test_a_long_head_is_refused(size: int, explorer: Explorer) -> None:
    """A head of 10 kB and more is refused or cut off; the next visitor is served."""
    host = f"Host: 127.0.0.1:{explorer.port}"
    place = urlsplit(explorer.url).path
    for head in (
        f"GET {place}{'a' * size} HTTP/1.1\r\n{host}\r\nConnection: close",
        f"GET {place} HTTP/1.1\r\n{host}\r\nX-A: {'a' * size}\r\nConnection: close",
    ):
        assert say(explorer, head).status in {0, 400, 404, 414, 431}
    assert get(explorer).status == 200


def test_the_command_listens_on_loopback_alone(root: Path) -> None:
    """`oid view` opens one socket, on 127.0.0.1."""
    process = subprocess.Popen(
        [sys.executable, "-m", "oidkit", "view", str(root), "--no-browser"],
        env=environment(OID_CACHE=str(root.parent / "cache")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        places = {
            one.laddr
            for one in psutil.Process(process.pid).net_connections(kind="inet")
            if one.status == psutil.CONN_LISTEN
        }
        process.kill()
    assert {place.ip for place in places} == {"127.0.0.1"}
    assert len(places) == 1
