"""Originals: which addresses are asked, how many at once for a domain, and where redirects end."""

from __future__ import annotations

import base64
import csv
import hashlib
import time
from typing import TYPE_CHECKING

import pytest

from oidkit.originals import (
    LARGEST,
    Original,
    address_fault,
    is_local,
    is_placeholder,
    lane_of,
    original_of,
    picture_kind,
    spelled,
)
from oidkit.store import Arrived, Ended, Request
from oidkit.store.anywhere import AT_ONCE, AnywhereTransfer, Lane, lies_privately
from oidkit.store.source import Source
from oidkit.testing import Fault, MirrorServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from oidkit.testing import RequestInfo

PUBLIC = "https://farm3.staticflickr.com/5310/5898076654_51085e157c_o.jpg"


@pytest.mark.parametrize(
    ("url", "because"),
    [
        (PUBLIC, None),
        ("http://93.184.216.34/a.jpg", None),
        ("http://[2606:2800:220:1::1]/a.jpg", None),
        ("file:///etc/passwd", "web address"),
        ("ftp://example.org/a.jpg", "web address"),
        ("gopher://example.org/", "web address"),
        ("a.jpg", "web address"),
        ("https:///a.jpg", "no host"),
        ("https://user:secret@example.org/a.jpg", "user name"),
        ("https://@example.org/a.jpg", "user name"),
        ("http://example.org:port/a.jpg", "no address"),
        ("http://[::1/a.jpg", "no address"),
        ("http://127.0.0.1/a.jpg", "private"),
        ("http://localhost:8000/a.jpg", "private"),
        ("http://LOCALHOST./a.jpg", "private"),
        ("http://db.localhost/a.jpg", "private"),
        ("http://10.0.0.8/a.jpg", "private"),
        ("http://172.16.3.4/a.jpg", "private"),
        ("http://192.168.1.1/admin", "private"),
        ("http://169.254.169.254/latest/meta-data/", "private"),
        ("http://100.64.0.1/", "private"),
        ("http://0.0.0.0/", "private"),
        ("http://[::1]/", "private"),
        ("http://[fe80::1]/", "private"),
        ("http://[fd00::1]/", "private"),
        ("http://[::ffff:127.0.0.1]/", "private"),
        ("http://127.1/", "private"),
        ("http://2130706433/", "private"),
        ("http://0x7f000001/", "private"),
        ("http://224.0.0.1/", "private"),
    ],
)
def test_only_public_web_addresses_are_asked(url: str, because: str | None) -> None:
    """No file, no password, no machine of the user's own network; the reason is told."""
    fault = address_fault(url, local=False)
    assert fault is None if because is None else because in (fault or "")


def test_a_private_source_may_name_private_addresses() -> None:
    """A list from the lab's own server may name the lab's machines, but no files of the user."""
    assert address_fault("http://192.168.1.7/a.jpg", local=True) is None
    assert address_fault("file:///etc/passwd", local=True)


def test_a_source_is_private_by_its_addresses(tmp_path: Path) -> None:
    """Loopback is, the official one is not, and neither is a folder: it may come from anywhere."""
    assert lies_privately(Source("here", root="http://127.0.0.1:8000/mirror"))
    assert lies_privately(Source("here", root="http://localhost:8000/mirror"))
    assert not lies_privately(Source("there", root="https://93.184.216.34/mirror"))
    assert not lies_privately(Source("official", buckets=(("openimages", "https://x"),)))
    assert not lies_privately(Source("folder", folder=tmp_path))
    assert not is_local("storage.googleapis.com")


@pytest.mark.parametrize(
    ("url", "lane"),
    [
        (PUBLIC, "staticflickr.com"),
        ("https://c1.staticflickr.com/6/5310/1_z.jpg", "staticflickr.com"),
        ("https://staticflickr.com./a", "staticflickr.com"),
        ("https://photos.example.co.uk/a", "example.co.uk"),
        ("https://a.b.example.de/a", "example.de"),
        ("https://example.co/a", "example.co"),
        ("http://192.0.2.7:8080/a", "192.0.2.7"),
        ("http://[2001:db8::7]/a", "2001:db8::7"),
        ("http://localhost:99/a", "localhost"),
    ],
)
def test_hosts_of_one_domain_are_one(url: str, lane: str) -> None:
    """All farms of Flickr share a limit; an address stands for itself, on any port."""
    assert lane_of(url) == lane


def test_a_row_says_what_is_known_of_the_original() -> None:
    """Size and base64 MD5 are read; what is neither is as good as not told."""
    digest = hashlib.md5(b"photo", usedforsecurity=False)
    row = {
        "OriginalURL": PUBLIC,
        "OriginalSize": "4405052",
        "OriginalMD5": base64.b64encode(digest.digest()).decode("ascii"),
    }
    assert original_of(row) == Original(PUBLIC, 4_405_052, digest.hexdigest())
    bare = {"OriginalURL": "", "OriginalSize": "", "OriginalMD5": ""}
    assert original_of(bare) == Original("")
    odd = {"OriginalURL": PUBLIC, "OriginalSize": "9" * 5000, "OriginalMD5": "d41d8cd98f"}
    assert original_of(odd) == Original(PUBLIC)
    assert Original(PUBLIC).most == LARGEST
    assert 1000 < Original(PUBLIC, 1000).most < 100_000


def test_the_real_lists_name_one_domain_of_public_addresses(sample: Path) -> None:
    """Every published address is asked for, and what lacks an address lacks size and MD5 too."""
    found = 0
    for path in sorted((sample / "openimages" / "2018_04").rglob("*-with-rotation.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for original in map(original_of, csv.DictReader(file)):
                if not original.url:
                    assert original == Original("")
                    continue
                found += 1
                assert original.size
                assert original.md5
                assert address_fault(original.url, local=False) is None
                assert lane_of(original.url) == "staticflickr.com"
    assert found > 1000


def test_placeholders_and_pictures_are_told_by_name_and_first_bytes() -> None:
    """The name of Flickr's picture in any size; PNG and GIF by their signatures, a JPEG is none."""
    assert is_placeholder("https://s.yimg.com/pw/images/en-us/photo_unavailable.png")
    assert is_placeholder("https://www.flickr.com/images/photo_unavailable_l.gif?x=1")
    assert not is_placeholder(PUBLIC + "?photo_unavailable.png")
    assert picture_kind(b"\x89PNG\r\n\x1a\n....") == "PNG"
    assert picture_kind(b"GIF89a....") == "GIF"
    assert picture_kind(b"\xff\xd8\xff\xe0") is None


def test_an_address_cannot_smuggle_a_header() -> None:
    """Line ends, spaces and letters beyond ASCII are escaped, escapes stay as they are."""
    assert spelled("http://h/a b\r\nX: y") == "http://h/a%20b%0D%0AX:%20y"
    assert spelled("http://h/caf\u00e9%20?a=1&b#c") == "http://h/caf%C3%A9%20?a=1&b#c"


def test_a_lane_halves_waits_and_recovers() -> None:
    """429 halves the limit and closes the lane as long as asked; good answers open it up again."""
    lane = Lane()
    assert lane.limit == AT_ONCE
    lane.answered(429, 10.0, asked=5.0)
    lane.answered(429, 10.1)
    assert (lane.limit, lane.opens) == (AT_ONCE // 2, 15.0)
    assert not lane.free(14.9)
    assert lane.free(15.0)
    lane.answered(503, 15.5)
    lane.answered(503, 20.0, asked=60.0)
    assert lane.limit == 1
    assert lane.opens == 80.0
    assert not lane.shut
    for _ in range(100):
        lane.answered(200, 90.0)
    assert lane.limit == AT_ONCE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MirrorServer]:
    """Serve eight files of a thousand bytes."""
    for name in "abcdefgh":
        (tmp_path / name).write_bytes(name.encode() * 1000)
    with MirrorServer(tmp_path) as running:
        yield running


def asked(
    transfer: AnywhereTransfer, urls: Sequence[str], *, seconds: float = 10.0
) -> dict[str, tuple[Ended, bytes]]:
    """Ask for all of them at once and wait for their ends."""
    for url in urls:
        transfer.start(url, Request(url))
    bodies = dict.fromkeys(urls, b"")
    ends: dict[str, tuple[Ended, bytes]] = {}
    deadline = time.monotonic() + seconds
    while len(ends) < len(urls) and time.monotonic() < deadline:
        for each in transfer.poll(0.1):
            token = str(each.token)
            if isinstance(each, Arrived):
                bodies[token] += each.data
            else:
                ends[token] = (each, bodies[token])
    assert len(ends) == len(urls)
    return ends


def test_a_domain_gets_four_requests_at_once(server: MirrorServer) -> None:
    """Forty requests to one host are never more than four in flight, and all are answered."""
    server.delay = 0.02
    urls = [f"{server.url}/{name}?{nth}" for name in "abcdefgh" for nth in range(5)]
    with AnywhereTransfer(local=True) as transfer:
        ends = asked(transfer, urls)
    assert server.peak == AT_ONCE
    assert server.requests == len(urls)
    assert not [
        url for url, (_, body) in ends.items() if body != url.rpartition("/")[2][:1].encode() * 1000
    ]


def test_one_domain_that_wants_a_pause_stops_no_other(server: MirrorServer) -> None:
    """While one waits for its Retry-After, the other is answered; then the first goes on."""
    begun = time.monotonic()
    other = f"http://localhost:{server.port}"
    times: list[tuple[float, str]] = []

    def hook(request: RequestInfo) -> Fault | None:
        times.append((time.monotonic() - begun, request.headers["host"]))
        return Fault.answer(429, retry_after="1") if request.path == "a" else None

    server.hook = hook
    with AnywhereTransfer(local=True) as transfer:
        busy = asked(transfer, [f"{server.url}/a"])[f"{server.url}/a"][0]
        assert busy.reply is not None
        assert busy.reply.status == 429
        asked(transfer, [f"{server.url}/b", f"{server.url}/c", f"{other}/d", f"{other}/e"])
    at = {host: [t for t, h in times[1:] if h.startswith(host)] for host in ("127.", "localhost")}
    assert max(at["localhost"]) < min(at["127."])
    assert min(at["127."]) >= 1.0


def test_a_domain_that_asks_for_an_hour_is_left_alone(server: MirrorServer) -> None:
    """What waits for it fails at once, without a request; other domains are asked as ever."""
    server.hook = lambda request: (
        Fault.answer(429, retry_after="3600") if request.headers["host"][0] == "1" else None
    )
    with AnywhereTransfer(local=True) as transfer:
        asked(transfer, [f"{server.url}/a"])
        server.reset()
        other = f"http://localhost:{server.port}/c"
        ends = asked(transfer, [f"{server.url}/b", other], seconds=3.0)
    assert ends[f"{server.url}/b"][0].lasting
    assert "more than a minute" in (ends[f"{server.url}/b"][0].error or "")
    assert ends[other][1] == b"c" * 1000
    assert server.requests == 1


def test_redirects_are_followed_to_the_end_or_refused(server: MirrorServer) -> None:
    """To another host yes; to a file, with a password or for ever no; to a placeholder is gone."""
    targets = {
        "a": f"http://localhost:{server.port}/b",
        "c": "file:///etc/passwd",
        "d": f"http://me:secret@localhost:{server.port}/b",
        "e": "/e",
        "f": "/images/photo_unavailable.png",
        "g": "h",
    }

    def hook(request: RequestInfo) -> Fault | None:
        target = targets.get(request.path)
        return Fault.redirect(target) if target else None

    server.hook = hook
    urls = {name: f"{server.url}/{name}" for name in "acdefg"}
    with AnywhereTransfer(local=True) as transfer:
        ends = asked(transfer, list(urls.values()))
    assert ends[urls["a"]][1] == b"b" * 1000
    assert ends[urls["g"]][1] == b"h" * 1000
    for name, because in (("c", "'file'"), ("d", "user name"), ("e", "no end")):
        ended = ends[urls[name]][0]
        assert ended.lasting
        assert because in (ended.error or "")
    assert ends[urls["f"]][0].gone
    asked_for = [request.path for request in server.log]
    assert "images/photo_unavailable.png" not in asked_for
    assert asked_for.count("e") <= 6


def test_a_name_that_stands_for_a_private_address_is_not_connected_to(
    server: MirrorServer,
) -> None:
    """The address is looked at when the name has been resolved: no request reaches the machine."""
    url = f"http://localhost:{server.port}/a"
    with AnywhereTransfer() as transfer:
        ended, _ = asked(transfer, [url])[url]
    assert ended.lasting
    assert "private network" in (ended.error or "")
    assert server.connections == 0


def test_requests_are_anonymous_and_carry_no_referrer(server: MirrorServer) -> None:
    """Nothing but host, agent and what any client accepts."""
    with AnywhereTransfer(local=True) as transfer:
        asked(transfer, [f"{server.url}/a"])
    (request,) = server.log
    assert set(request.headers) <= {"host", "user-agent", "accept", "accept-encoding"}
    assert request.headers["user-agent"] == "oidkit"


def test_an_aborted_request_makes_room_for_the_next(server: MirrorServer) -> None:
    """Those in flight and those that wait are forgotten, and the domain is free again."""
    server.delay = 0.3
    with AnywhereTransfer(local=True) as transfer:
        tokens = [f"{server.url}/a?{nth}" for nth in range(6)]
        for token in tokens:
            transfer.start(token, Request(token))
        transfer.poll(0.05)
        for token in tokens:
            transfer.abort(token)
        server.delay = 0.0
        ends = asked(transfer, [f"{server.url}/{name}" for name in "bcdef"], seconds=5.0)
    assert not [ended for ended, _ in ends.values() if ended.error is not None]
