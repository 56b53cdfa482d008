"""What all jobs share: a reply, its body in memory, and what an answer has to be."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from oidkit.errors import (
    ChangedError,
    IntegrityError,
    MalformedError,
    MissingObjectError,
    RefusedError,
    SourceError,
    UsageError,
)
from oidkit.store import Reply
from oidkit.transfer.retry import GONE

if TYPE_CHECKING:
    from oidkit.errors import OidError
    from oidkit.events import Fetched
    from oidkit.store import Ended

__all__ = [
    "CHANGED",
    "Body",
    "answer_error",
    "broken_error",
    "refuse_encoded",
    "refuse_endless",
    "refuse_other_range",
    "refuse_page",
    "refuse_part",
    "refuse_whole",
]

CHANGED = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
"""What a source answers where the object is no longer the one that is known."""
_REMEDY = "check --source and the network, then run the same command again"
_LOG_IN = "check --source, and whether the network wants you to log in"
_BEFORE_A_PAGE = b"\xef\xbb\xbf \t\r\n"


_MOST = 64 << 20
"""Bytes of the largest body that is held in memory, some ten times the largest image's."""


class Body:
    """What every job has: the reply, and its body in memory, up to `most` bytes of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.most = _MOST
        self._pieces: list[bytes] = []
        self._held = 0
        self._reply = Reply(0)

    def begin(self, reply: Reply) -> None:
        """Take a reply that has been found to fit what was asked."""
        if reply.status in CHANGED:
            raise ChangedError(self.name)
        self._pieces, self._held, self._reply = [], 0, reply
        # Of what is said to be too long nothing need come.
        self._refuse_beyond(reply.length or 0)

    def write(self, data: bytes) -> None:
        self._held += len(data)
        self._refuse_beyond(self._held)
        self._pieces.append(data)

    def _refuse_beyond(self, count: int) -> None:
        if count > self.most:
            self._pieces = []
            raise MalformedError(
                f"{self.name} is refused: it has {count:,} bytes or more, of which {self.most:,}"
                " may be",
                remedy="check the copy at --source",
            )

    def cancel(self) -> None:
        """Do nothing: what is under way takes a moment."""

    def told(self) -> Fetched | None:
        """Say nothing: the records tell it."""
        return None

    def _body(self) -> bytes:
        body, self._pieces = b"".join(self._pieces), []
        length = self._reply.length
        if length is not None and len(body) != length:
            raise SourceError(
                f"{self.name} was cut short: {len(body)} of {length} bytes",
                remedy="run the same command again",
            )
        return body


def answer_error(name: str, status: int) -> OidError:
    """Say what an answer means that brings no object."""
    if status in GONE:
        return MissingObjectError(
            f"the source does not have {name} ({status})", remedy="check --source and --release"
        )
    known = {403: "refuses it (403)", 429: "asks for fewer requests (429)", 503: "is busy (503)"}
    what = known.get(status, f"answers {status}")
    kind = RefusedError if status == HTTPStatus.FORBIDDEN else SourceError
    return kind(
        f"{name}: the source {what}", remedy="check --source, or run the same command again later"
    )


def broken_error(name: str, ended: Ended) -> OidError:
    """Say what it means that a request has ended without an answer, or within one."""
    if ended.gone:
        return MissingObjectError(f"{name}: {ended.error}")
    return SourceError(f"{name} could not be read: {ended.error}", remedy=ended.remedy or _REMEDY)


def refuse_encoded(reply: Reply, name: str) -> None:
    """Refuse a compressed body: checksums and ranges are those of the object as it is."""
    if reply.encoding.lower() not in ("", "identity"):
        raise SourceError(
            f"{name}: the source sends it as {reply.encoding}, though it was asked for as it is",
            remedy="switch the compression off on the server or the proxy",
        )


def refuse_whole(reply: Reply, name: str) -> None:
    """Refuse the whole file where a range was asked for, or a page that says 200."""
    if reply.status != HTTPStatus.PARTIAL_CONTENT:
        if "html" in reply.kind or "xml" in reply.kind:
            raise IntegrityError(f"a web page came in place of {name}", remedy=_LOG_IN)
        raise UsageError(
            f"the source refuses byte ranges: it answered one of {name} with the whole file",
            remedy="use a server that honours Range, or leave out masks with --labels boxes",
        )


def refuse_other_range(reply: Reply, name: str, *, start: int, stop: int, total: int) -> None:
    """Refuse a 206 of another range than [start, stop) of *total* bytes, by what it says."""
    said = (reply.start, reply.stop, reply.total, reply.length)
    if said != (start, stop, total, stop - start):
        raise SourceError(
            f"{name}: the source sends another range than was asked for",
            remedy="check the server, or a proxy before it",
        )


def refuse_part(reply: Reply, name: str, *, known: bool = False) -> None:
    """Refuse an answer that only fits a request with a range, or of an object that is *known*."""
    unasked = reply.status == HTTPStatus.NOT_MODIFIED and not known
    if reply.status == HTTPStatus.PARTIAL_CONTENT or unasked:
        raise SourceError(
            f"{name}: the source answers {reply.status} to a request for the whole of it",
            remedy="check the server, or a proxy before it",
        )


def refuse_endless(reply: Reply, name: str, *, checked: bool) -> None:
    """Refuse a body of which nobody could tell that it was cut short: it would pass for whole."""
    if reply.status == HTTPStatus.OK and reply.length is None and not (reply.chunked or checked):
        raise UsageError(
            f"the source tells neither the length of {name} nor a checksum",
            remedy="use a server that sends Content-Length, so that a cut file is noticed",
        )


def refuse_page(data: bytes, name: str) -> None:
    """Refuse what begins as HTML or XML does: a log-in page, or an error that says 200."""
    head = data[:64].lstrip(_BEFORE_A_PAGE)
    if head.startswith(b"<"):
        shown = head[:20].decode("ascii", "replace").split("\n")[0]
        raise IntegrityError(
            f"a web page came in place of {name} ('{shown}…')",
            remedy=_LOG_IN,
        )
