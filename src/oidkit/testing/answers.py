"""What an honest server answers: HTTP's rules of ranges and conditions, without any IO.

The rules are those of RFC 9110, sections 13 (conditions) and 14 (ranges).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oidkit.testing.faults import Fault
    from oidkit.testing.objects import StoredObject

__all__ = ["CONDITIONS", "Answer", "answer_to", "error", "falsified", "head_of", "parse_range"]

CONDITIONS = (
    "if-match",
    "if-unmodified-since",
    "if-none-match",
    "if-modified-since",
    "if-range",
)
"""The headers that make a request conditional."""
# No object has more bytes than 19 digits can say, and int() refuses some thousand digits.
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
# Nothing that is served is a page: a browser that shows it all the same runs and loads nothing.
_GUARDS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers, and a body: `body`, or else the bytes [`start`, `stop`) of `source`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    source: StoredObject | None = None
    start: int = 0
    stop: int = 0

    @property
    def length(self) -> int:
        """Bytes of the body of a GET."""
        return self.stop - self.start if self.source else len(self.body)


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Give the half-open [start, stop) that one Range header asks of *size* bytes.

    None means that the header is to be ignored: no range of bytes, malformed, or several ranges,
    which neither bucket serves. An empty stretch (start == stop) means 416.
    """
    match = _RANGE.fullmatch(value.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    start, stop = int(first), int(last) + 1 if last else size
    if last and stop <= start:
        return None
    return (start, min(stop, size)) if start < size else (size, size)


def error(status: int, code: str, message: str) -> Answer:
    """Give an error as both buckets word theirs, in XML."""
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    ).encode()
    return Answer(status, {"Content-Type": "application/xml; charset=UTF-8"}, body)


def answer_to(
    headers: Mapping[str, str], found: StoredObject | None, *, ignore_range: bool = False
) -> Answer:
    """Give what a GET with these *headers* (lower-case names) gets of the object *found*."""
    if found is None:
        return error(404, "NoSuchKey", "The specified key does not exist.")
    told = {
        "ETag": found.etag,
        "Last-Modified": formatdate(found.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if found.goog_hash:
        told["x-goog-hash"] = found.goog_hash
    status = _condition(headers, found)
    if status == HTTPStatus.NOT_MODIFIED:
        return Answer(status, told)
    if status is not None:
        return error(status, "PreconditionFailed", "At least one precondition did not hold.")
    wanted = None if ignore_range else _wanted(headers, found)
    if wanted is None:
        return Answer(200, told, b"", found, 0, found.size)
    start, stop = wanted
    if start == stop:
        refused = error(416, "InvalidRange", "The requested range cannot be satisfied.")
        refused.headers["Content-Range"] = f"bytes */{found.size}"
        return refused
    told["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size}"
    return Answer(206, told, b"", found, start, stop)


def _wanted(headers: Mapping[str, str], found: StoredObject) -> tuple[int, int] | None:
    asked = headers.get("range")
    if asked is None:
        return None
    if_range = headers.get("if-range")
    if if_range is not None and not _same_version(if_range, found):
        return None
    return parse_range(asked, found.size)


def _same_version(if_range: str, found: StoredObject) -> bool:
    if if_range.startswith(('"', "W/")):
        return if_range == found.etag
    return _seconds(if_range) == found.modified


def _condition(headers: Mapping[str, str], found: StoredObject) -> int | None:
    """Give 412 or 304 where a condition of the request says so, else None."""
    if "if-match" in headers:
        if not _listed(found.etag, headers["if-match"]):
            return 412
    elif "if-unmodified-since" in headers:
        since = _seconds(headers["if-unmodified-since"])
        if since is not None and found.modified > since:
            return 412
    if "if-none-match" in headers:
        return 304 if _listed(found.etag, headers["if-none-match"]) else None
    since = _seconds(headers.get("if-modified-since", ""))
    return 304 if since is not None and found.modified <= since else None


def _listed(etag: str, value: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in value.split(",")}
    return "*" in tags or etag in tags


def _seconds(date: str) -> int | None:
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def falsified(answer: Answer, fault: Fault) -> Answer:
    """Give *answer* with the status, body and headers that *fault* wants in it."""
    told = dict(answer.headers)
    body, source = answer.body, answer.source
    if fault.status is not None:
        scripted = error(fault.status, "Scripted", "This answer was asked for by a test.")
        told, body, source = scripted.headers, scripted.body, None
    if fault.body is not None:
        body, source = fault.body, None
    for name, value in fault.headers.items():
        for same in [each for each in told if each.lower() == name.lower()]:
            del told[same]
        if value:
            told[name] = value
    status = answer.status if fault.status is None else fault.status
    return replace(answer, status=status, headers=told, body=body, source=source)


def head_of(answer: Answer, *, length: int | None, close: bool) -> bytes:
    """Give the status line and the headers, up to and with the empty line.

    Every answer has what tells a browser to run nothing of it and to show it to no other page.
    """
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in (_GUARDS | answer.headers).items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines.append("Connection: close" if close else "Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
