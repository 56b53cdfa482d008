"""What can be made to go wrong with one answer of `MirrorServer`, on purpose and on cue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Fault", "Hook", "RequestInfo"]


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One request, as a hook sees it before it is answered.

    `path` is decoded and has no leading slash: `openimages/v5/classes-segmentation.txt`. `range` is
    the Range header as it came. `number` counts all requests since the last reset from 1, `attempt`
    those for this path. Header names are in lower case.
    """

    method: str
    path: str
    range: str | None
    number: int
    attempt: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """How one answer differs from an honest one; what is not set stays honest.

    Offsets and counts are in bytes of the body that is sent, from 0; times are in seconds.
    """

    status: int | None = None
    """Answer this status, with `body` or a short XML error, whatever is on disk."""
    body: bytes | None = None
    """Send this instead of the content, with a Content-Length that fits it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that replace those of the same name, or come on top; "" takes one out."""
    ignore_range: bool = False
    """Answer 200 and the whole object, as a server does that knows no ranges."""
    ignore_conditions: bool = False
    """Answer as if no If-Match, If-Range or the like had come with the request."""
    no_length: bool = False
    """Send no Content-Length; the end of the connection is the end of the body."""
    flip: int | None = None
    """Flip the lowest bit of the body's byte at this offset (from the end if negative)."""
    cut: int | None = None
    """End the connection after so many bytes of the body."""
    reset: bool = False
    """End by RST: in place of the answer, or where `cut` says."""
    delay: float = 0.0
    """Wait so long before the answer."""
    stall: float = 0.0
    """Wait so long in the middle of the body, then go on."""
    stall_at: int = 0
    """Bytes of the body that are sent before the stall."""
    bandwidth: float | None = None
    """Send the body at so many bytes a second."""

    @classmethod
    def answer(cls, status: int, *, retry_after: str = "") -> Fault:
        """Answer *status*, such as 503; *retry_after* is seconds or an HTTP date."""
        return cls(status=status, headers={"Retry-After": retry_after} if retry_after else {})

    @classmethod
    def html(cls) -> Fault:
        """Answer 200 and a web page, as captive portals and proxies do."""
        page = b"<!DOCTYPE html>\n<html><body><h1>Please log in</h1></body></html>\n"
        return cls(status=200, body=page, headers={"Content-Type": "text/html; charset=utf-8"})

    @classmethod
    def redirect(cls, url: str, *, status: int = 302) -> Fault:
        """Send the client to *url*."""
        return cls(status=status, body=b"", headers={"Location": url})

    @classmethod
    def wrong_range(cls, content_range: str) -> Fault:
        """Name another stretch in Content-Range than the one that is sent."""
        return cls(headers={"Content-Range": content_range})

    @classmethod
    def other_etag(cls, etag: str) -> Fault:
        """Claim another ETag, and no other checksum; *etag* comes with its quotes."""
        return cls(headers={"ETag": etag, "x-goog-hash": ""})


Hook = Callable[[RequestInfo], Fault | None]
