"""Sources and replies: what headers mean, how a source is named, and folders as sources."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from oidkit import catalog
from oidkit.errors import OidError, UsageError
from oidkit.store import Arrived, Ended, Reply, Request, Source, Transfer, http, parse_source
from oidkit.store.folder import FolderTransfer
from oidkit.store.http import HttpTransfer, pycurl_reason
from oidkit.store.model import reply_of
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MD5 = hashlib.md5(b"hello", usedforsecurity=False)
MD5_64 = base64.b64encode(MD5.digest()).decode()
CRC_64 = base64.b64encode(bytes.fromhex("9a71bb4c")).decode()
KEY = "openimages/v5/a b%c+é.csv"
CONTENT = bytes(range(256)) * 1_000


# -- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        f"crc32c={CRC_64},md5={MD5_64}",
        f"crc32c={CRC_64}, md5={MD5_64}",
        f"md5={MD5_64} , crc32c={CRC_64}",
    ],
)
def test_hashes_of_gcs_are_read(value: str) -> None:
    """One header with both, in any order; base64 pads with the sign that stands between."""
    reply = reply_of(200, {"x-goog-hash": value, "etag": '"CNCwnZK7l/0CEAE="'})
    assert reply.crc32c == 0x9A71BB4C
    assert reply.md5 == MD5.hexdigest()


@pytest.mark.parametrize("apart", [True, False])
def test_hashes_in_two_headers_are_read_off_the_wire(apart: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """GCS sends one header for each hash; both are known in the end, whichever way they came."""
    (tmp_path / "openimages").mkdir()
    (tmp_path / "openimages" / "a").write_bytes(b"hello")
    both = (f"crc32c={CRC_64}", f"md5={MD5_64}")
    value = f"{both[0]}\r\nx-goog-hash: {both[1]}" if apart else ",".join(both)
    fault = Fault(headers={"x-goog-hash": value, "ETag": '"CNCw/0CEAE="'})
    with MirrorServer(tmp_path, hook=lambda _: fault) as server:
        reply, body = asked(source_of(server.url), Request("openimages/a"))
    assert body == b"hello"
    assert reply is not None
    assert (reply.crc32c, reply.md5) == (0x9A71BB4C, MD5.hexdigest())


@pytest.mark.parametrize(
    ("etag", "known"),
    [
        (f'"{MD5.hexdigest()}"', True),
        (f'"{MD5.hexdigest()}-12"', False),
        (f'W/"{MD5.hexdigest()}"', False),
        (MD5.hexdigest(), False),
        (f'"{MD5.hexdigest().upper()}"', False),
        ('"5f-18d3a"', False),
        ("", False),
    ],
)
def test_an_etag_is_an_md5_only_where_it_looks_like_one(etag: str, *, known: bool) -> None:
    """Objects of several parts, weak tags and other servers' tags are no checksum."""
    reply = reply_of(200, {"etag": etag})
    assert reply.etag == etag
    assert reply.md5 == (MD5.hexdigest() if known else None)


@pytest.mark.parametrize(
    "value", ["md5=!!!", "md5=", "md5=aGVsbG8=", "crc32c=AAAAAAAA", "md5", ",,"]
)
def test_hashes_of_another_shape_are_as_good_as_none(value: str) -> None:
    """What is not base64 of 16 or 4 bytes checks nothing, and breaks nothing."""
    reply = reply_of(200, {"x-goog-hash": value})
    assert (reply.md5, reply.crc32c) == (None, None)


@pytest.mark.parametrize(
    ("status", "headers", "found"),
    [
        (200, {"content-length": "10"}, (0, 10, 10)),
        (206, {"content-length": "10", "content-range": "bytes 5-14/99"}, (5, 99, 10)),
        (206, {"content-length": "10", "content-range": "bytes 5-14/*"}, (5, None, 10)),
        (416, {"content-length": "0", "content-range": "bytes */99"}, (0, 99, 0)),
        (206, {"content-length": "10"}, (0, None, 10)),
        (206, {"content-range": "bytes x-y/z"}, (0, None, None)),
        (206, {"content-range": "items 1-2/3"}, (0, None, None)),
        (200, {"content-length": "-1"}, (0, None, None)),
        (200, {"content-length": "1e3"}, (0, None, None)),
        (200, {}, (0, None, None)),
    ],
)
def test_ranges_and_lengths_are_read(
    status: int, headers: dict[str, str], found: tuple[int, int | None, int | None]
) -> None:
    """Start in the object, size of the whole object, size of the body."""
    reply = reply_of(status, headers)
    assert (reply.start, reply.total, reply.length) == found


def test_retry_after_is_read_in_both_its_forms() -> None:
    """Seconds, or a date; a date that is past is now, and anything else is nothing."""
    assert reply_of(429, {"retry-after": "7"}).retry_after == 7.0
    assert reply_of(429, {"retry-after": " 0 "}).retry_after == 0.0
    date = formatdate(time.time() + 30, usegmt=True)
    assert 25 < (reply_of(503, {"retry-after": date}).retry_after or 0) <= 31
    past = formatdate(time.time() - 3_000, usegmt=True)
    assert reply_of(503, {"retry-after": past}).retry_after == 0.0
    for odd in ("soon", "", "-5", "1.5", "Fri, 99 Foo 2026", "\u00b2"):
        assert reply_of(503, {"retry-after": odd}).retry_after is None
    assert reply_of(503, {}).retry_after is None


@pytest.mark.parametrize(
    ("request_", "header"),
    [
        (Request("k"), None),
        (Request("k", start=0, stop=10), "bytes=0-9"),
        (Request("k", start=5), "bytes=5-"),
        (Request("k", suffix=7), "bytes=-7"),
    ],
)
def test_half_open_ranges_become_closed_ones(request_: Request, header: str | None) -> None:
    """HTTP counts the last byte in; no body is ever asked for compressed."""
    headers = request_.headers()
    assert headers.get("Range") == header
    assert headers["Accept-Encoding"] == "identity"
    assert request_.ranged == (header is not None)


# -- names of sources ----------------------------------------------------------------------------


def source_of(text: str) -> Source:
    """Parse a source as the commands do."""
    return parse_source(text, official=catalog.OFFICIAL_HOSTS)


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the machine says of S3."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("official", "https://storage.googleapis.com/openimages/v5/x"),
        ("http://host", "http://host/openimages/v5/x"),
        ("http://host:8080/prefix/", "http://host:8080/prefix/openimages/v5/x"),
        ("https://host/a/b", "https://host/a/b/openimages/v5/x"),
        ("s3://bucket", "https://bucket.s3.amazonaws.com/openimages/v5/x"),
        ("s3://bucket/pre/fix/", "https://bucket.s3.amazonaws.com/pre/fix/openimages/v5/x"),
        ("s3://my.bucket/p", "https://s3.amazonaws.com/my.bucket/p/openimages/v5/x"),
        ("gs://bucket/p", "https://storage.googleapis.com/bucket/p/openimages/v5/x"),
    ],
)
def test_every_form_of_a_source_is_located(text: str, url: str) -> None:
    """The key goes behind the root, bucket first; only the official source has three hosts."""
    source = source_of(text)
    assert source.locate("openimages/v5/x") == url
    assert source.official == (text == "official")
    assert source.folder is None


def test_the_official_buckets_have_their_own_hosts() -> None:
    """Images come from S3 by the bucket's own host, narratives from their bucket on GCS."""
    source = source_of("official")
    image = source.locate("open-images-dataset/train/0.jpg")
    assert image == "https://open-images-dataset.s3.amazonaws.com/train/0.jpg"
    told = source.locate("localized-narratives/annotations/x")
    assert told == "https://storage.googleapis.com/localized-narratives/annotations/x"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_s3_is_honoured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an endpoint the bucket is part of the path, as S3-compatible servers have it."""
    monkeypatch.setenv(name, "http://127.0.0.1:9000/")
    source = source_of("s3://bucket/p")
    assert source.locate("openimages/x") == "http://127.0.0.1:9000/bucket/p/openimages/x"


def test_other_settings_of_a_cloud_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, regions and profiles of the user's machine do not change where a request goes."""
    before = [source_of(each).locate("openimages/x") for each in ("official", "s3://b", "gs://b")]
    for setting in ("AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(setting, "else")
    after = [source_of(each).locate("openimages/x") for each in ("official", "s3://b", "gs://b")]
    assert before == after


def test_folders_are_taken_in_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, relative or not, and a file:// address with escapes mean the same folder."""
    folder = tmp_path / "a mirror"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    forms = [str(folder), "a mirror", folder.as_uri()]
    assert [source_of(form).folder for form in forms] == [folder.resolve()] * 3
    assert len({source_of(form).cache_name for form in forms}) == 1


def test_no_two_sources_share_a_cache(tmp_path: Path) -> None:
    """Another host, port, prefix, scheme or folder is another place in the cache."""
    texts = [
        "official",
        "http://h",
        "http://h:81",
        "http://h/p",
        "https://h",
        "s3://h",
        str(tmp_path),
    ]
    names = [source_of(text).cache_name for text in texts]
    assert len(set(names)) == len(names)
    assert not [name for name in names if not name.isalnum()]


@pytest.mark.parametrize(
    "text",
    ["http://", "https:///x", "s3://", "gs:///x", "ftp://h/x", "sftp://h", "/no/such/folder"],
)
def test_what_is_no_source_is_refused(text: str) -> None:
    """The error repeats what was given and says what to do."""
    with pytest.raises(UsageError, match=text) as caught:
        source_of(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text", ["http://ann:s3cr3t@host/p", "https://ann:s3cr3t@host:8443", "http://:s3cr3t@host"]
)
def test_a_password_is_used_and_never_shown(text: str) -> None:
    """It goes into the address of requests, and into nothing that is shown or written down."""
    source = source_of(text)
    assert "s3cr3t" in source.locate("openimages/x")
    assert "s3cr3t" not in source.name
    assert "ann" not in source.name
    assert "host" in source.name
    assert "s3cr3t" not in source.cache_name


@pytest.mark.parametrize("text", ["ftp://ann:s3cr3t@host/p", "http://ann:s3cr3t@", "s3cr3t://ann"])
def test_an_error_does_not_show_a_password(text: str) -> None:
    """An address that is refused is shown without what stands before its host."""
    with pytest.raises(OidError) as caught:
        source_of(text)
    assert ":s3cr3t@" not in str(caught.value)


# -- a folder answers as a server does -----------------------------------------------------------


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Lay out a mirror of one object with an odd name, an empty one, and a folder."""
    root = tmp_path / "mirror"
    (root / KEY).parent.mkdir(parents=True)
    (root / KEY).write_bytes(CONTENT)
    (root / "openimages" / "empty").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"secret")
    return root


@pytest.fixture(params=["folder", "http"])
def source(request: pytest.FixtureRequest, mirror: Path) -> Iterator[Source]:
    """Give the same mirror as a folder, and from a server."""
    if request.param == "folder":
        yield source_of(str(mirror))
    else:
        with MirrorServer(mirror) as server:
            yield source_of(server.url)


def drained(transfer: Transfer, token: object) -> tuple[Reply | None, bytes]:
    """Poll until the request is over: its reply and its body, of an error none."""
    body = b""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        for happened in transfer.poll(0.2):
            assert happened.token is token
            if isinstance(happened, Arrived):
                if happened.reply.status in (200, 206):
                    body += happened.data
                continue
            return happened.reply, body
    raise AssertionError("the request does not end")


def asked(source: Source, request: Request) -> tuple[Reply | None, bytes]:
    """Ask a source one thing."""
    with source.open() as transfer:
        token = object()
        transfer.start(token, request)
        return drained(transfer, token)


SIZE = len(CONTENT)
TABLE: list[tuple[Request, int, bytes]] = [
    (Request(KEY), 200, CONTENT),
    (Request(KEY, start=0), 206, CONTENT),
    (Request(KEY, start=0, stop=1), 206, CONTENT[:1]),
    (Request(KEY, start=1000, stop=70_000), 206, CONTENT[1000:70_000]),
    (Request(KEY, start=SIZE - 1), 206, CONTENT[-1:]),
    (Request(KEY, start=SIZE - 5, stop=SIZE + 99), 206, CONTENT[-5:]),
    (Request(KEY, start=SIZE), 416, b""),
    (Request(KEY, start=SIZE + 5, stop=SIZE + 9), 416, b""),
    (Request(KEY, suffix=10), 206, CONTENT[-10:]),
    (Request(KEY, suffix=SIZE + 10), 206, CONTENT),
    (Request("openimages/empty"), 200, b""),
    (Request("openimages/empty", start=0), 416, b""),
    (Request("openimages/empty", suffix=5), 416, b""),
    (Request("openimages/none"), 404, b""),
    (Request("openimages/none", start=0, stop=5), 404, b""),
    (Request("openimages"), 404, b""),
    (Request(f"{KEY}/below"), 404, b""),
    (Request(KEY, if_match='"other"'), 412, b""),
    (Request(KEY, start=0, stop=5, if_match='"other"'), 412, b""),
    (Request(KEY, start=0, stop=5, if_range='"other"'), 200, CONTENT),
    (Request(KEY, if_none_match='"other"'), 200, CONTENT),
]


@pytest.mark.parametrize(("request_", "status", "body"), TABLE)
def test_a_folder_answers_as_a_server(
    request_: Request, status: int, body: bytes, source: Source
) -> None:
    """Ranges, suffixes, conditions and what is not there have one meaning, whatever the source."""
    reply, found = asked(source, request_)
    assert reply is not None
    assert reply.status == status
    assert found == body
    if status in (200, 206):
        size = 0 if request_.key.endswith("empty") else SIZE
        assert reply.total == size
        assert reply.length == len(body)
        assert reply.etag
        assert reply.start == (size - len(body) if request_.suffix else request_.start or 0) * (
            status == 206
        )
    if status == 416:
        assert reply.total == (0 if request_.key.endswith("empty") else SIZE)


def test_conditions_hold_for_the_object_that_is_known(source: Source) -> None:
    """With the ETag of the object: 304, the range, and the range."""
    known, _ = asked(source, Request(KEY))
    assert known is not None
    etag = known.etag
    same, body = asked(source, Request(KEY, if_none_match=etag))
    assert (same.status if same else 0, body) == (304, b"")
    for request in (
        Request(KEY, start=3, stop=9, if_match=etag),
        Request(KEY, start=3, stop=9, if_range=etag),
    ):
        part, body = asked(source, request)
        assert (part.status if part else 0, body) == (206, CONTENT[3:9])


def test_conditions_notice_that_the_object_was_replaced(source: Source, mirror: Path) -> None:
    """Another content of the same size is another object: 412, the whole, the whole."""
    known, _ = asked(source, Request(KEY))
    assert known is not None
    etag, other = known.etag, CONTENT[::-1]
    (mirror / KEY).write_bytes(other)
    os.utime(mirror / KEY, (1_000_000_000, 1_000_000_000))
    gone, _ = asked(source, Request(KEY, start=3, stop=9, if_match=etag))
    assert (gone.status if gone else 0) == 412
    for request in (
        Request(KEY, start=3, stop=9, if_range=etag),
        Request(KEY, if_none_match=etag),
    ):
        reply, body = asked(source, request)
        assert (reply.status if reply else 0, body) == (200, other)


def test_an_aborted_request_says_nothing_more(source: Source) -> None:
    """What was started next is answered as if the other had never been."""
    with source.open() as transfer:
        first, second = object(), object()
        transfer.start(first, Request(KEY))
        transfer.poll(0.0)
        transfer.abort(first)
        transfer.start(second, Request(KEY, suffix=4))
        reply, body = drained(transfer, second)
    assert (reply.status if reply else 0, body) == (206, CONTENT[-4:])


def test_many_requests_are_told_apart(source: Source) -> None:
    """Forty at once come back each with its own bytes."""
    with source.open() as transfer:
        wanted = {at: Request(KEY, start=at * 10, stop=at * 10 + 10) for at in range(40)}
        for at, request in wanted.items():
            transfer.start(at, request)
        bodies = dict.fromkeys(wanted, b"")
        ended = 0
        while ended < 40:
            for happened in transfer.poll(0.5):
                assert isinstance(happened.token, int)
                if isinstance(happened, Arrived):
                    bodies[happened.token] += happened.data
                else:
                    assert happened.error is None
                    ended += 1
    assert not [at for at in wanted if bodies[at] != CONTENT[at * 10 : at * 10 + 10]]


def test_a_file_that_cannot_be_read_does_not_end_the_run(mirror: Path) -> None:
    """A loop of links is an error of that request; the next one is answered."""
    (mirror / "openimages" / "loop").symlink_to("loop")
    with FolderTransfer(mirror) as transfer:
        transfer.start("loop", Request("openimages/loop"))
        transfer.start("next", Request(KEY, suffix=3))
        ended: list[Ended] = []
        for _ in range(6):
            ended += [each for each in transfer.poll(0.0) if isinstance(each, Ended)]
    assert ended[0].token == "loop"
    assert ended[0].error or (ended[0].reply and ended[0].reply.status in (403, 404))
    assert ended[1].token == "next"
    assert ended[1].error is None


# -- the http client -----------------------------------------------------------------------------


def test_silence_is_given_up_with_many_in_flight(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server thread that never answers does not hold a run, whatever else is in flight."""
    monkeypatch.setattr("oidkit.store.http._LOW_SPEED_SECONDS", 1)

    def hook(request: RequestInfo) -> Fault | None:
        return Fault(delay=60) if request.range == "bytes=0-0" else None

    with MirrorServer(mirror, hook=hook) as server, source_of(server.url).open() as transfer:
        begun = time.monotonic()
        for at in range(8):
            transfer.start(at, Request(KEY, start=at, stop=at + 1))
        ended: dict[object, Ended] = {}
        while len(ended) < 8 and time.monotonic() - begun < 30:
            found = [each for each in transfer.poll(0.5) if isinstance(each, Ended)]
            ended |= {each.token: each for each in found}
    assert time.monotonic() - begun < 8
    assert [at for at in ended if ended[at].error] == [0]
    assert "slow" in (ended[0].error or "")
    assert not ended[0].lasting


def ended_of(transfer: Transfer, seconds: float = 30.0) -> Ended:
    """Wait for the end of the one request that is in flight."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for each in transfer.poll(0.2):
            if isinstance(each, Ended):
                return each
    pytest.fail("the request did not end")


def test_a_transfer_that_is_never_done_is_given_up_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kB a second are above the low-speed limit, but too few for the time that a size gets."""
    monkeypatch.setattr("oidkit.store.http._DEADLINE_SECONDS", 0.5)
    (tmp_path / "image").write_bytes(bytes(16_384))
    with MirrorServer(tmp_path) as server, source_of(server.url).open() as transfer:
        server.bandwidth = 2_000
        begun = time.monotonic()
        transfer.start("slow", Request("image"))
        ended = ended_of(transfer)
        # half a second, and four for 16 kB at 4 kB a second; it would take eight
        assert 4.4 <= time.monotonic() - begun < 7.5
        assert (ended.slow, ended.lasting, ended.away) == (True, False, False)
        assert "too slow" in (ended.error or "")
        assert ended.reply
        assert ended.reply.length == 16_384
        server.bandwidth = 8_000
        transfer.start("well", Request("image"))
        assert ended_of(transfer).error is None


def test_the_time_of_a_large_file_is_that_of_a_slow_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An annotation file of 2.2 GB may take days, an image a minute and some seconds."""
    flight = http._Flight(None, "", [], reply=Reply(200, length=2_200_000_000))
    assert http._deadline(flight) > 6 * 86_400
    flight.reply = Reply(200, length=300_000)
    assert 120 < http._deadline(flight) < 150
    flight.reply = None
    assert http._deadline(flight) == 60


def test_what_was_never_asked_differs_from_what_was_never_answered(tmp_path: Path) -> None:
    """A refused connection is away, one that ends unanswered is cut, and a later one neither."""
    faults = {
        "before": Fault(reset=True),
        "half": Fault(cut=100),
        "header": Fault(cut=0),
    }
    for name in faults:
        (tmp_path / name).write_bytes(bytes(1_000))
    with MirrorServer(tmp_path, hook=lambda each: faults[each.path]) as server:
        with source_of(server.url).open() as transfer:
            found = {}
            for name in faults:
                transfer.start(name, Request(name))
                found[name] = ended_of(transfer)
        url = server.url
    with source_of(url).open() as transfer:
        transfer.start("refused", Request("before"))
        found["refused"] = ended_of(transfer)
    assert not [each for each in found.values() if not (each.error and not each.lasting)]
    assert [name for name in found if found[name].away] == ["refused"]
    assert [name for name in found if found[name].cut] == ["before"]
    assert [name for name in found if found[name].reply] == ["half", "header"]


def test_numbers_of_a_hostile_header_end_nothing() -> None:
    """A header of thousands of digits is no number; as Retry-After it is a very long time."""
    digits = "9" * 5_000
    assert reply_of(200, {"content-length": digits}).length is None
    assert reply_of(206, {"content-range": f"bytes {digits}-{digits}/{digits}"}).total is None
    assert (reply_of(429, {"retry-after": digits}).retry_after or 0) > 1e9


def test_a_date_is_one_of_the_source_s_clock() -> None:
    """Retry-After as a date counts from the Date of the answer, whatever our clock says."""
    for ahead in (-86_400, 0, 86_400):
        now = time.time() + ahead
        told = {"date": formatdate(now, usegmt=True)}
        told["retry-after"] = formatdate(now + 30, usegmt=True)
        assert reply_of(503, told).retry_after == pytest.approx(30, abs=1)


def test_a_port_where_nobody_listens_is_an_error_in_words() -> None:
    """It is worth another try, and says that nobody answers."""
    with HttpTransfer(lambda key: f"http://127.0.0.1:1/{key}") as transfer:
        token = object()
        transfer.start(token, Request("x"))
        happened: list[Arrived | Ended] = []
        while not happened:
            happened = transfer.poll(0.5)
    (ended,) = happened
    assert isinstance(ended, Ended)
    assert ended.error
    assert not ended.lasting


def test_an_error_of_the_client_without_words_has_a_number() -> None:
    """Nothing is ever reported as an empty sentence."""
    assert pycurl_reason(9999) == "libcurl error 9999"
