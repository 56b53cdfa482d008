"""Requests and replies as values, and the smallest protocol that carries them."""

from __future__ import annotations

import base64
import binascii
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = [
    "Arrived",
    "Checksums",
    "Ended",
    "Reply",
    "Request",
    "Transfer",
    "is_strong",
    "reply_of",
    "same_object",
]

# A server without ETags still says when an object changed; that then stands for its identity.
_TIME = "modified "
# A weak ETag never fits If-Match and is not allowed in If-Range (RFC 9110, 13.1.1 and 13.1.5). Who
# asks for a range compares the ETag of the answer anyway.
_WEAK = "W/"
# More digits than any size has, and few enough for `int`, which refuses thousands of them.
_DIGITS = 18
# A time tells two versions apart only if the second it names was over when the answer was made; the
# minute leaves room for clocks that differ (RFC 9110, 8.8.2.2).
_SETTLED_SECONDS = 60.0
_MD5 = re.compile(r'"([0-9a-f]{32})"')
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Request:
    """One GET of the object at `key` (bucket first), or of the half-open range [start, stop).

    `suffix` asks for the last bytes instead. A range of which the object is known carries
    `if_match` (412 when it changed) or `if_range` (the whole object when it changed).
    `if_none_match` asks for the body only when the object is not the one already known (304).
    One that is sent `again` gets a connection of its own: the last one may have been the trouble.
    """

    key: str
    start: int | None = None
    stop: int | None = None
    suffix: int | None = None
    if_match: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None
    again: bool = False

    @property
    def ranged(self) -> bool:
        """Whether the request asks for less than the whole object."""
        return self.start is not None or self.suffix is not None

    def headers(self) -> dict[str, str]:
        """Give the HTTP headers of the request; a body is only ever asked for as it is."""
        found = {"Accept-Encoding": "identity"}
        if self.suffix is not None:
            found["Range"] = f"bytes=-{self.suffix}"
        elif self.start is not None:
            last = "" if self.stop is None else self.stop - 1
            found["Range"] = f"bytes={self.start}-{last}"
        for name, by_time, value in (
            ("If-Match", "If-Unmodified-Since", self.if_match),
            ("If-Range", "If-Range", self.if_range),
            ("If-None-Match", "If-Modified-Since", self.if_none_match),
        ):
            if value is None or value.startswith(_WEAK + _TIME):
                continue
            if value.startswith(_TIME):
                found[by_time] = value.removeprefix(_TIME)
            elif name == "If-None-Match" or not value.startswith(_WEAK):
                found[name] = value
        return found


@dataclass(frozen=True, slots=True)
class Reply:
    """What the source says of an object, before its body.

    `total` is the size of the whole object in bytes, [`start`, `stop`) the part of it that the body
    of a 206 is said to be, `length` the announced size of the body. `chunked` bodies have an end of
    their own; one with neither is as long as the connection lasts. `etag` identifies the object as
    it is now; where the source gives none it is made of the time of its last change (see
    `is_strong`). `md5` (hex) and `crc32c` are of the whole object, where the source tells them:
    `x-goog-hash`, or an ETag that is an MD5.
    """

    status: int
    total: int | None = None
    start: int = 0
    stop: int | None = None
    length: int | None = None
    chunked: bool = False
    etag: str | None = None
    md5: str | None = None
    crc32c: int | None = None
    kind: str = ""
    encoding: str = ""
    location: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Checksums:
    """What is known of a whole object beforehand: its size in bytes, MD5 (hex) and CRC-32C."""

    size: int | None = None
    md5: str | None = None
    crc32c: int | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """Some bytes of the body of the request that was started as `token`."""

    token: object
    reply: Reply
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The request is over: with a `reply`, or with an `error`.

    No retry mends a `lasting` error; a `slow` one says that the source did not keep up, a `gone`
    one that it no longer has the object, an `away` one that no connection could be made, a `cut`
    one that the connection ended before any answer. Others have the `reply` that had begun to come.
    `remedy` is what to do, where the error itself knows.
    """

    token: object
    reply: Reply | None
    error: str | None = None
    lasting: bool = False
    slow: bool = False
    gone: bool = False
    away: bool = False
    cut: bool = False
    remedy: str = ""


class Transfer(Protocol):
    """Many requests in flight at once, driven by the caller's thread.

    `start` never blocks. `poll` waits up to `timeout` seconds and gives what happened since: the
    chunks of bodies in order, then the end of each request. `abort` forgets a request.
    """

    def start(self, token: object, request: Request) -> None: ...

    def poll(self, timeout: float) -> list[Arrived | Ended]: ...

    def abort(self, token: object) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def reply_of(status: int, headers: Mapping[str, str]) -> Reply:
    """Read a reply out of HTTP headers (names in lower case, repeated ones joined by a comma)."""
    length = _number(headers.get("content-length"))
    start, stop, total = 0, None, None
    if status == HTTPStatus.OK:
        total = length
    elif found := _CONTENT_RANGE.fullmatch(headers.get("content-range", "")):
        start = int(found[1] or 0)
        stop = int(found[2]) + 1 if found[2] else None
        total = _number(found[3])
    if length is None and stop is not None:
        length = stop - start
    etag = headers.get("etag")
    if etag is None and "last-modified" in headers:
        etag = _time(headers["last-modified"], answered=headers.get("date", ""))
    goog = dict(
        part.strip().split("=", 1)
        for part in headers.get("x-goog-hash", "").split(",")
        if "=" in part
    )
    md5 = _MD5.fullmatch(etag or "")
    return Reply(
        status=status,
        total=total,
        start=start,
        stop=stop,
        length=length,
        chunked="chunked" in headers.get("transfer-encoding", "").lower(),
        etag=etag,
        md5=_unpacked(goog.get("md5"), 16) or (md5[1] if md5 else None),
        crc32c=int(crc, 16) if (crc := _unpacked(goog.get("crc32c"), 4)) else None,
        kind=headers.get("content-type", ""),
        encoding=headers.get("content-encoding", ""),
        location=headers.get("location"),
        retry_after=_seconds(headers.get("retry-after"), headers.get("date")),
    )


def is_strong(etag: str | None) -> bool:
    """Tell whether an identity is of these very bytes, so that a part of them may be added to.

    That of a weak ETag is not, nor that of a time which was not over yet.
    """
    return etag is not None and not etag.startswith(_WEAK)


def same_object(one: str | None, other: str | None) -> bool:
    """Tell whether two identities are alike, whether or not they are strong."""
    return (one or "").removeprefix(_WEAK) == (other or "").removeprefix(_WEAK)


def _time(modified: str, *, answered: str) -> str:
    from email.utils import parsedate_to_datetime

    try:
        age = parsedate_to_datetime(answered) - parsedate_to_datetime(modified)
        settled = age.total_seconds() >= _SETTLED_SECONDS
    except (ValueError, TypeError):
        settled = False
    return _TIME + modified if settled else _WEAK + _TIME + modified


def _number(text: str | None) -> int | None:
    well = text is not None and text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if text is not None and well else None


def _unpacked(text: str | None, size: int) -> str | None:
    """Turn base64 into hex; anything that is not `size` bytes is as good as not told."""
    try:
        raw = base64.b64decode(text or "", validate=True)
    except binascii.Error:
        return None
    return raw.hex() if len(raw) == size else None


def _seconds(text: str | None, date: str | None) -> float | None:
    """Read Retry-After in both its forms, a number of seconds or a date (RFC 9110, 10.2.3).

    A date is that of the source's clock, so it is compared with the *date* of its answer.
    """
    if text is None:
        return None
    if text.isascii() and text.strip().isdigit():
        return float(_number(text.strip()[:_DIGITS]) or 0)
    until, now = _moment(text), _moment(date)
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _moment(date: str | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
