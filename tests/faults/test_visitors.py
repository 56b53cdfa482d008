"""Row 37: whoever else can reach a server on loopback gets nothing, and learns nothing."""

from __future__ import annotations

import contextlib
import email
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import psutil
import pytest

from faults.runs import OID, kill_group
from mirrors import environment
from oidkit.testing import MirrorServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECRET = b"the canary that nobody may read"
INSIDE = b"an object of the mirror"
KEY = "/openimages/a.csv"
PATIENCE = 60.0
pytestmark = pytest.mark.row(37)


@dataclass(frozen=True)
class Said:
    """All that came back on one connection, and its first answer."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return self.raw.count(b"HTTP/1.1 ")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MirrorServer]:
    """Serve a mirror that lies beside a secret, with links to it."""
    root = tmp_path / "mirror"
    (root / "openimages").mkdir(parents=True)
    (root / KEY[1:]).write_bytes(INSIDE)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(SECRET)
    (tmp_path / "mirror-secret").mkdir()
    (tmp_path / "mirror-secret" / "file").write_bytes(SECRET)
    with contextlib.suppress(OSError):  # no links on this system: then the paths are not there
        (root / "link").symlink_to(secret / "file")
        (root / "folder").symlink_to(secret, target_is_directory=True)
        (root / "beside").symlink_to(tmp_path / "mirror-secret", target_is_directory=True)
    with MirrorServer(root) as running:
        yield running


class Listening(Protocol):
    """Whatever listens on a port of loopback."""

    @property
    def port(self) -> int:
        """Give the port."""
        ...


def say(server: Listening, head: str | bytes, *, end: bytes = b"\r\n\r\n") -> Said:
    """Send a head as it is, and read until the server is silent or closes."""
    sent = head.encode("latin-1") if isinstance(head, str) else head
    raw = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent + end)
        client.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := client.recv(65536):
                raw += piece
    assert SECRET not in raw
    if not raw:
        return Said(0, {}, raw)
    first, _, rest = raw.partition(b"\r\n")
    told = email.message_from_bytes(rest.partition(b"\r\n\r\n")[0])
    return Said(int(first.split()[1]), {k.lower(): v for k, v in told.items()}, raw)


def get(server: MirrorServer, path: str = KEY, **headers: str) -> Said:
    """Ask for an object, with `Connection: close` and a Host of loopback where none is given."""
    told = {"Host": f"127.0.0.1:{server.port}"} | headers
    lines = "".join(f"\r\n{name}: {value}" for name, value in told.items())
    return say(server, f"GET {path} HTTP/1.1{lines}\r\nConnection: close")


def guarded(said: Said) -> None:
    """Check the headers that every answer has to have."""
    assert said.headers["x-content-type-options"] == "nosniff"
    policy = said.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not [name for name in said.headers if name.startswith("access-control-")]


# -- where it listens ------------------------------------------------------------------------------


def _listening(process: subprocess.Popen[bytes]) -> set[tuple[str, int]]:
    """Wait until a process listens, and tell all the places where it does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(psutil.Error):
            places = {
                (one.laddr.ip, one.laddr.port)
                for one in psutil.Process(process.pid).net_connections(kind="inet")
                if one.status == psutil.CONN_LISTEN
            }
            if places:
                return places
        time.sleep(0.02)
    pytest.fail("it never listened")


@pytest.mark.parametrize("which", ["serve", "demo"])
def test_the_command_listens_on_loopback_alone(which: str, tmp_path: Path) -> None:
    """`oid demo` and the server of a mirror open one socket, on 127.0.0.1, and nobody else's."""
    (tmp_path / "mirror").mkdir()
    commands = {
        "serve": [sys.executable, "-m", "oidkit.testing", "serve", str(tmp_path / "mirror")],
        "demo": [str(OID), "demo", "--out", str(tmp_path / "out")],
    }
    process = subprocess.Popen(
        commands[which],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        places = _listening(process)
    finally:
        kill_group(process)
    assert {ip for ip, _ in places} == {"127.0.0.1"}
    assert len(places) == 1


def test_no_other_address_of_the_machine_answers(server: MirrorServer) -> None:
    """The address by which others reach this machine refuses the port."""
    others = {
        one.address
        for each in psutil.net_if_addrs().values()
        for one in each
        if one.family == socket.AF_INET and not one.address.startswith("127.")
    }
    if not others:
        pytest.skip("this machine has no address but loopback")
    for address in others:
        with pytest.raises(OSError, match=r".*"):
            socket.create_connection((address, server.port), timeout=3).close()


# -- Host and Origin -------------------------------------------------------------------------------

FOREIGN = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example",
    "localhost.evil.example:{port}",
    "evil.example#127.0.0.1",
    "127.0.0.1@evil.example",
    "evil.example@127.0.0.1",
    "127.0.0.1:{port}, evil.example",
    "0.0.0.0:{port}",
    "[::]:{port}",
    "169.254.169.254",
    "10.0.0.1:{port}",
    "2130706433",
    "0x7f.1",
    "127.1:{port}",
    "[::1",
    "127.0.0.1:port",
    "127.0.0.1:99999",
    "/",
    "",
    "null",
    "xn--localhost-.example",
    "l\u00f6calhost",
)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_refused(host: str, server: MirrorServer) -> None:
    """A name that was made to resolve to loopback gets 403, and not a byte of an object."""
    said = get(server, Host=host.format(port=server.port))
    assert said.status == 403
    assert INSIDE not in said.raw
    assert said.answers == 1
    guarded(said)
    assert server.requests == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.1:9"]
)
def test_a_loopback_host_is_answered(host: str, server: MirrorServer) -> None:
    """Names and addresses of loopback get the object, whatever port a proxy has in between."""
    said = get(server, Host=host.format(port=server.port))
    assert said.status == 200
    assert said.raw.endswith(INSIDE)
    guarded(said)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1.evil.example",
        "null",
        "file://",
        "http://",
        "http://evil.example:80/127.0.0.1",
        "chrome-extension://localhost",
        "http://localhost@evil.example",
        "",
    ],
)
def test_a_foreign_origin_is_refused(origin: str, server: MirrorServer) -> None:
    """A page of another origin gets 403, and no header that would let it read anything."""
    said = get(server, Origin=origin)
    assert said.status == 403
    assert INSIDE not in said.raw
    guarded(said)


def test_a_loopback_origin_is_answered(server: MirrorServer) -> None:
    """A page of this machine may ask; other pages still cannot read along."""
    said = get(server, Origin=f"http://localhost:{server.port}")
    assert said.status == 200
    guarded(said)


def test_a_host_that_was_let_in_by_name_is_answered(server: MirrorServer) -> None:
    """A test that stands for a public server names the host that it stands for."""
    server.hosts = ("storage.invalid",)
    assert get(server, Host="storage.invalid").status == 200
    assert get(server, Host="other.invalid").status == 403


# -- paths -----------------------------------------------------------------------------------------

CLIMBING = (
    "/../secret/file",
    "/openimages/../../secret/file",
    "/%2e%2e/secret/file",
    "/%2E%2e/secret/file",
    "/.%2e/secret/file",
    "/..%2fsecret%2ffile",
    "/..%5csecret%5cfile",
    "/..\\secret\\file",
    "/%252e%252e/secret/file",
    "/%c0%ae%c0%ae/secret/file",
    "/%e0%80%ae%e0%80%ae/secret/file",
    "/openimages/a.csv%00.png",
    "/%00",
    "//secret/file",
    "///etc/passwd",
    "//etc/passwd",
    "/%2fetc%2fpasswd",
    "/etc/passwd",
    "/C:/windows/win.ini",
    "/C:%5cwindows%5cwin.ini",
    "/link",
    "/folder/file",
    "/beside/file",
    "/folder/../folder/file",
    "/./openimages/a.csv",
    "/openimages//a.csv",
    "/openimages/a.csv/",
    "/openimages",
    "/",
    "/?x=../secret/file",
    "/;/../secret/file",
    "/..;/secret/file",
    "/" + "../" * 300 + "etc/passwd",
    "/" + "a/" * 2000,
    "/" + "a" * 5000,
    "/../mirror-secret/file",
    "/%ff%fe",
)


@pytest.mark.parametrize("path", CLIMBING)
def test_no_path_leads_out(path: str, server: MirrorServer) -> None:
    """Dots, escapes, backslashes, NULs, absolute paths and links out of the folder are 404."""
    said = get(server, path)
    assert said.status in {400, 404}
    assert INSIDE not in said.raw
    guarded(said)


# -- requests that are not quite requests ----------------------------------------------------------

GET = f"GET {KEY} HTTP/1.1\r\nHost: localhost\r\n"
SMUGGLED = f"GET {KEY} HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: 1\r\n\r\n"
ODD = {
    "two lengths": GET + "Content-Length: 0\r\nContent-Length: 9",
    "a length and chunks": GET + "Content-Length: 4\r\nTransfer-Encoding: chunked",
    "chunks": GET + "Transfer-Encoding: chunked\r\n\r\n0",
    "odd chunks": GET + "Transfer-Encoding: xchunked",
    "a space before the colon": GET + "Content-Length : 5",
    "a folded header": GET + "X-A: 1\r\n Content-Length: 5",
    "a negative length": GET + "Content-Length: -1",
    "a signed length": GET + "Content-Length: +0",
    "a body that is a request": GET + f"Content-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
    "two hosts": GET + "Host: evil.example",
    "two origins": GET + "Origin: http://localhost\r\nOrigin: http://evil.example",
    "no host": f"GET {KEY} HTTP/1.1\r\nAccept: */*",
    "no name": GET + ": nothing",
    "an absolute target": f"GET http://127.0.0.1{KEY} HTTP/1.1\r\nHost: localhost",
    "a foreign absolute target": f"GET http://evil.example{KEY} HTTP/1.1\r\nHost: localhost",
    "another version": f"GET {KEY} HTTP/9.9\r\nHost: localhost",
    "no version": f"GET {KEY}\r\nHost: localhost",
    "a word too many": f"GET {KEY} x HTTP/1.1\r\nHost: localhost",
    "a start of TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "the start of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM",
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_request_is_refused_and_the_connection_ends(what: str, server: MirrorServer) -> None:
    """What two readers could take for different things gets one 400, and nothing after it."""
    said = say(server, ODD[what])
    assert said.status == 400
    assert said.answers == 1
    assert INSIDE not in said.raw
    guarded(said)
    assert server.requests == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_nothing_can_be_written_or_asked_in_another_way(method: str, server: MirrorServer) -> None:
    """Other methods are 405, without a word to a page that asks whether it may."""
    said = say(
        server,
        f"{method} {KEY} HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: GET",
    )
    assert said.status == 405
    guarded(said)
    assert b"X-Smuggled" not in said.raw


@pytest.mark.parametrize("size", [10_000, 70_000, 1_000_000])
@pytest.mark.parametrize("where", ["target", "header", "headers", "endless"])
def test_a_long_head_is_refused(size: int, where: str, server: MirrorServer) -> None:
    """A head of 10 kB and more gets 431 or a closed connection; the next client is served."""
    heads = {
        "target": f"GET /{'a' * size} HTTP/1.1\r\nHost: localhost",
        "header": GET + f"X-A: {'a' * size}",
        "headers": GET + "X-A: b\r\n" * (size // 8),
        "endless": "a" * size,
    }
    said = say(server, heads[where], end=b"" if where == "endless" else b"\r\n\r\n")
    assert said.status in {0, 431}
    if said.status:
        guarded(said)
    assert get(server).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-" + "9" * 5000},
        {"Range": "bytes=-" + "9" * 5000},
        {"Range": "bytes=" + "0-1," * 1500},
        {"If-Modified-Since": "Mon, 01 Jan 0001 00:00:00 -0000"},
        {"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 -9999"},
        {"If-Modified-Since": "9" * 5000},
        {"If-Range": "Sat, 99 Foo 0000 99:99:99 GMT", "Range": "bytes=0-1"},
        {"If-None-Match": ",".join('"a"' for _ in range(1500))},
        {"Range": "bytes=\xb2-\xb3"},
    ],
)
def test_hostile_conditions_are_answered(headers: dict[str, str], server: MirrorServer) -> None:
    """Numbers of thousands of digits and dates of no calendar are ignored or refused."""
    said = get(server, **headers)
    assert said.status in {200, 206, 304, 412, 416}
    guarded(said)


def test_slow_visitors_hold_nobody_up(server: MirrorServer) -> None:
    """With 150 heads that never end, an object still comes at once."""
    with contextlib.ExitStack() as slow:
        for _ in range(150):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            slow.enter_context(client)
            client.sendall(b"GET / HTTP/1.1\r\nX-A: ")
        begun = time.monotonic()
        assert get(server).status == 200
        assert time.monotonic() - begun < 5
