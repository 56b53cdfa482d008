"""The server of a mirror: what HTTP, S3 and GCS promise, and what can be made to go wrong."""

from __future__ import annotations

import base64
import gc
import hashlib
import http.client
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import formatdate
from typing import TYPE_CHECKING

import google_crc32c
import pytest

from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 40
LARGE = bytes(range(251)) * 8_000
CSV = "/openimages/v5/a.csv"
JPEG = "/open-images-dataset/train/0000.jpg"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Lay out a mirror of a table, an image, an empty object and one of 2 MB."""
    root = tmp_path / "mirror"
    objects = {CSV: CONTENT, JPEG: CONTENT[:99], "/openimages/empty": b"", "/openimages/big": LARGE}
    for key, content in objects.items():
        path = root / key[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret").write_text("secret")
    return root


@pytest.fixture
def server(mirror: Path) -> Iterator[MirrorServer]:
    """Serve the mirror."""
    with MirrorServer(mirror) as running:
        yield running


class Got:
    """One answer as `http.client` understood it."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()


def ask(
    server: MirrorServer, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> Got:
    """Make one request on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request(method, path, headers=headers or {})
        return Got(connection.getresponse())


def test_a_whole_object_comes_with_its_length_and_checksums(server: MirrorServer) -> None:
    """A GET gives the bytes, and the ETag and x-goog-hash that fit them."""
    got = ask(server, CSV)
    md5 = hashlib.md5(CONTENT, usedforsecurity=False)
    crc = google_crc32c.value(CONTENT).to_bytes(4, "big")
    assert got.status == 200
    assert got.body == CONTENT
    assert got.headers["content-length"] == str(len(CONTENT))
    assert got.headers["etag"] == f'"{md5.hexdigest()}"'
    assert got.headers["x-goog-hash"] == (
        f"crc32c={base64.b64encode(crc).decode()},md5={base64.b64encode(md5.digest()).decode()}"
    )
    assert got.headers["accept-ranges"] == "bytes"


def test_the_image_bucket_has_no_goog_hash(server: MirrorServer) -> None:
    """Images lie on S3, which knows no x-goog-hash."""
    got = ask(server, JPEG)
    assert "x-goog-hash" not in got.headers
    md5 = hashlib.md5(CONTENT[:99], usedforsecurity=False)
    assert got.headers["etag"] == f'"{md5.hexdigest()}"'


def test_head_says_what_get_would_and_sends_nothing(server: MirrorServer) -> None:
    """A HEAD has the headers of a GET and no body, which the counters agree with."""
    got = ask(server, CSV, method="HEAD")
    assert got.status == 200
    assert got.headers["content-length"] == str(len(CONTENT))
    assert got.body == b""
    assert server.bytes_sent == 0


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10239-", 10239, None),
        ("bytes=-7", len(CONTENT) - 7, None),
        ("bytes=-999999", 0, None),
        ("bytes=10000-99999999", 10000, None),
    ],
)
def test_a_range_is_exactly_what_was_asked(
    server: MirrorServer, asked: str, start: int, stop: int | None
) -> None:
    """Closed, open and suffix ranges give the bytes of a slice, and name them."""
    got = ask(server, CSV, headers={"Range": asked})
    wanted = CONTENT[start:stop]
    assert got.status == 206
    assert got.body == wanted
    last = start + len(wanted) - 1
    assert got.headers["content-range"] == f"bytes {start}-{last}/{len(CONTENT)}"


def test_a_range_beyond_the_end_is_refused(server: MirrorServer) -> None:
    """416 names the length, also for an object that is empty."""
    got = ask(server, CSV, headers={"Range": "bytes=20000-20001"})
    assert (got.status, got.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert ask(server, "/openimages/empty", headers={"Range": "bytes=-5"}).status == 416


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=-", "lines=1-2", "bytes=0-1,4-5", "bytes"])
def test_a_range_that_is_none_is_ignored(server: MirrorServer, asked: str) -> None:
    """What is no single range of bytes gets the whole object, as RFC 9110 has it."""
    got = ask(server, CSV, headers={"Range": asked})
    assert (got.status, len(got.body)) == (200, len(CONTENT))


def test_conditions_hold_for_the_version_that_is_there(server: MirrorServer) -> None:
    """If-Match, If-None-Match, If-Range and dates are judged by the object's own facts."""
    first = ask(server, CSV)
    etag, date = first.headers["etag"], first.headers["last-modified"]
    part = {"Range": "bytes=0-3"}
    cases: list[tuple[dict[str, str], int]] = [
        ({"If-Match": etag}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"x", {etag}'}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": formatdate(0, usegmt=True)}, 200),
        ({"If-Unmodified-Since": formatdate(0, usegmt=True)}, 412),
        ({"If-Range": etag, **part}, 206),
        ({"If-Range": '"other"', **part}, 200),
        ({"If-Range": date, **part}, 206),
        ({"If-Range": formatdate(0, usegmt=True), **part}, 200),
    ]
    assert [ask(server, CSV, headers=headers).status for headers, _ in cases] == [
        status for _, status in cases
    ]


def test_a_changed_file_has_another_etag(server: MirrorServer, mirror: Path) -> None:
    """Checksums are kept, but not beyond a change of the file."""
    before = ask(server, CSV).headers["etag"]
    time.sleep(0.02)
    (mirror / CSV[1:]).write_bytes(CONTENT[::-1])
    got = ask(server, CSV)
    assert got.headers["etag"] != before
    assert got.body == CONTENT[::-1]


def test_a_file_above_the_limit_is_not_read_for_its_etag(mirror: Path) -> None:
    """Beyond the limit an ETag cannot be taken for an MD5, and no hash is claimed."""
    with MirrorServer(mirror, hash_limit=1000) as server:
        headers = ask(server, CSV).headers
    assert "-" in headers["etag"]
    assert "x-goog-hash" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/openimages/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/..%5csecret",
        "//secret",
        "/openimages",
        "/openimages/",
        "/openimages/nothing",
        "/openimages/a%00b",
    ],
)
def test_nothing_outside_the_folder_is_served(server: MirrorServer, path: str) -> None:
    """Whatever is no object of the mirror is a 404 with S3's error in XML."""
    got = ask(server, path)
    assert got.status == 404
    assert b"<Code>NoSuchKey</Code>" in got.body


def test_a_link_out_of_the_folder_is_no_object(server: MirrorServer, mirror: Path) -> None:
    """A symbolic link cannot be used to read what lies elsewhere."""
    try:
        (mirror / "openimages" / "link").symlink_to(mirror.parent / "secret")
    except OSError:
        pytest.skip("no symbolic links on this system")
    assert ask(server, "/openimages/link").status == 404


def test_one_connection_serves_many_requests(server: MirrorServer) -> None:
    """Keep-alive holds over hits, misses and heads, and every request is in the log."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        seen = []
        for method, path in (("GET", CSV), ("GET", "/none"), ("HEAD", CSV), ("GET", JPEG)) * 5:
            connection.request(method, path)
            seen.append(Got(connection.getresponse()).status)
    assert seen == [200, 404, 200, 200] * 5
    assert (server.requests, server.connections) == (20, 1)
    assert [(each.method, each.path, each.status) for each in server.log[:2]] == [
        ("GET", CSV[1:], 200),
        ("GET", "none", 404),
    ]


def test_counters_say_what_was_sent(server: MirrorServer) -> None:
    """Bytes are those of bodies, each request has its own, and reset forgets them."""
    ask(server, "/openimages/big")
    ask(server, CSV, headers={"Range": "bytes=5-9"})
    assert server.bytes_sent == len(LARGE) + 5
    assert [(each.range, each.sent) for each in server.log] == [
        (None, len(LARGE)),
        ("bytes=5-9", 5),
    ]
    server.reset()
    assert (server.requests, server.bytes_sent, server.log) == (0, 0, [])


def test_many_clients_at_once_are_counted_right(server: MirrorServer) -> None:
    """Sixteen threads get what they ask for, the sums are exact, and the peak is seen."""
    server.delay = 0.05
    with ThreadPoolExecutor(16) as pool:
        bodies = list(pool.map(lambda _: ask(server, "/openimages/big").body, range(32)))
    assert all(body == LARGE for body in bodies)
    assert (server.requests, server.bytes_sent) == (32, 32 * len(LARGE))
    assert 8 <= server.peak <= 16


def test_delay_and_bandwidth_slow_it_down(server: MirrorServer) -> None:
    """A delay comes before each answer, and a body takes its size over the bandwidth."""
    server.delay = 0.1
    started = time.perf_counter()
    ask(server, JPEG)
    assert time.perf_counter() - started >= 0.1
    server.delay, server.bandwidth = 0.0, 40_000.0
    started = time.perf_counter()
    assert ask(server, CSV).body == CONTENT
    assert 0.2 <= time.perf_counter() - started < 2


def test_a_hook_sees_number_and_attempt(server: MirrorServer) -> None:
    """A fault can be scripted for the first try of one object alone."""
    seen: list[RequestInfo] = []

    def hook(info: RequestInfo) -> Fault | None:
        seen.append(info)
        return Fault.answer(503) if info.path == CSV[1:] and info.attempt == 1 else None

    server.hook = hook
    assert [ask(server, path).status for path in (JPEG, CSV, CSV)] == [200, 503, 200]
    assert [(each.number, each.attempt) for each in seen] == [(1, 1), (2, 1), (3, 2)]


def test_faults_that_answer_something_else(server: MirrorServer) -> None:
    """Status, web page, redirect, ETag and Content-Range are as the fault says."""
    server.hook = lambda _: Fault.answer(429, retry_after="7")
    got = ask(server, CSV)
    assert (got.status, got.headers["retry-after"]) == (429, "7")
    server.hook = lambda _: Fault.html()
    got = ask(server, CSV)
    assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert got.body.startswith(b"<!DOCTYPE html>")
    server.hook = lambda _: Fault.redirect("http://127.0.0.1:1/x")
    got = ask(server, CSV)
    assert (got.status, got.headers["location"], got.body) == (302, "http://127.0.0.1:1/x", b"")
    server.hook = lambda _: Fault.other_etag('"0123"')
    got = ask(server, CSV)
    assert (got.headers["etag"], "x-goog-hash" in got.headers) == ('"0123"', False)
    server.hook = lambda _: Fault.wrong_range("bytes 7-9/10240")
    got = ask(server, CSV, headers={"Range": "bytes=0-2"})
    assert (got.status, got.headers["content-range"]) == (206, "bytes 7-9/10240")
    assert got.body == CONTENT[:3]


def test_ignored_ranges_get_the_whole_object(server: MirrorServer) -> None:
    """A server that knows no ranges answers 200 and everything."""
    server.hook = lambda _: Fault(ignore_range=True)
    got = ask(server, CSV, headers={"Range": "bytes=0-2"})
    assert (got.status, got.body) == (200, CONTENT)


@pytest.mark.parametrize("path", [CSV, "/openimages/big"])
def test_a_cut_body_is_short_by_as_much(server: MirrorServer, path: str) -> None:
    """The client is told the whole length and gets less, which the counters admit."""
    server.hook = lambda _: Fault(cut=5000)
    with pytest.raises(http.client.IncompleteRead) as short:
        ask(server, path)
    assert len(short.value.partial) == 5000
    assert server.bytes_sent == 5000


@pytest.mark.parametrize("cut", [None, 0, 5000])
def test_a_reset_ends_the_connection(server: MirrorServer, cut: int | None) -> None:
    """RST comes in place of the answer, or after so many bytes of it."""
    server.hook = lambda _: Fault(reset=True, cut=cut)
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        ask(server, CSV)
    assert server.log[0].status == (0 if cut is None else 200)
    assert server.bytes_sent == (cut or 0)


@pytest.mark.parametrize("path", [CSV, "/openimages/big"])
@pytest.mark.parametrize("at", [0, 1234, -1])
def test_a_flipped_bit_is_the_only_difference(server: MirrorServer, path: str, at: int) -> None:
    """One bit of one byte differs; length and ETag claim that all is well."""
    honest = ask(server, path)
    server.hook = lambda _: Fault(flip=at)
    got = ask(server, path)
    wrong = [
        nth for nth, pair in enumerate(zip(honest.body, got.body, strict=True)) if len({*pair}) > 1
    ]
    assert wrong == [at % len(honest.body)]
    assert got.headers["etag"] == honest.headers["etag"]


def test_without_content_length_the_connection_ends_the_body(server: MirrorServer) -> None:
    """The body is whole and its length is nowhere said."""
    server.hook = lambda _: Fault(no_length=True)
    got = ask(server, CSV)
    assert "content-length" not in got.headers
    assert got.body == CONTENT


@pytest.mark.parametrize("path", [CSV, "/openimages/big"])
def test_a_stall_holds_the_body_up_in_the_middle(server: MirrorServer, path: str) -> None:
    """What comes before the stall comes at once, the rest after it."""
    server.hook = lambda _: Fault(stall=0.4, stall_at=4000)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        started = time.perf_counter()
        answer.read(4000)
        before = time.perf_counter() - started
        answer.read()
        whole = time.perf_counter() - started
    assert before < 0.3
    assert whole >= 0.35


def test_it_stops_at_once_while_clients_wait(mirror: Path) -> None:
    """A stalled answer and an idle connection hold nothing up when the server ends."""
    before = threading.active_count()
    with (
        closing(socket.socket()) as idle,
        closing(socket.socket()) as stalled,
        MirrorServer(mirror, hook=lambda _: Fault(stall=60)) as server,
    ):
        idle.connect(("127.0.0.1", server.port))
        stalled.connect(("127.0.0.1", server.port))
        stalled.sendall(f"GET {CSV} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        stalled.recv(10)
        started = time.perf_counter()
        server.stop()
        assert time.perf_counter() - started < 2
    assert threading.active_count() == before


def test_a_server_can_start_again(mirror: Path) -> None:
    """After a stop the same server serves again, at the same port."""
    server = MirrorServer(mirror)
    for _ in range(2):
        with server:
            assert ask(server, JPEG).status == 200
    server.stop()
    with server, pytest.raises(RuntimeError):
        server.start()


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_what_is_not_http_gets_400(server: MirrorServer, sent: bytes) -> None:
    """A line that is no request is refused and the connection ended."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
        client.sendall(sent)
        received = b""
        while piece := client.recv(4096):
            received += piece
    assert received.startswith(b"HTTP/1.1 400 ")


def test_writing_is_not_allowed(server: MirrorServer, mirror: Path) -> None:
    """A DELETE is refused and changes nothing."""
    assert ask(server, CSV, method="DELETE").status == 405
    assert (mirror / CSV[1:]).read_bytes() == CONTENT


@pytest.mark.filterwarnings("error")
def test_a_connection_made_just_before_the_end_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops leaves no socket open, not even one that it has just accepted."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: lost.append(each.exc_value))
    for _ in range(60):
        with MirrorServer(tmp_path) as server:
            made = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
        for each in made:
            each.close()
        gc.collect()
    assert lost == []
