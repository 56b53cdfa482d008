"""A range of a zip that is known: of that very zip, or it does not count."""

from __future__ import annotations

from dataclasses import dataclass

from oidkit.errors import ChangedError
from oidkit.store import Reply, Request, is_strong, same_object
from oidkit.transfer.body import CHANGED, Body, refuse_other_range, refuse_whole

__all__ = ["SpanJob", "ZipSpan"]


@dataclass(frozen=True, slots=True)
class ZipSpan:
    """The half-open range [start, stop) of the zip at `key`, as its index knows it.

    `doubted` says that damage in it may mean another zip, as its identity is not strong.
    """

    key: str
    etag: str | None
    total: int
    start: int
    stop: int
    doubted: bool = False


class SpanJob(Body):
    """What jobs of a `span` have in common: how it is asked for, and what the answer has to be."""

    def __init__(self, span: ZipSpan) -> None:
        super().__init__(span.key)
        self.span = span
        self.most = span.stop - span.start

    def request(self) -> Request:
        span = self.span
        return Request(span.key, start=span.start, stop=span.stop, if_match=span.etag)

    def begin(self, reply: Reply) -> None:
        span = self.span
        if reply.status in CHANGED:
            raise ChangedError(self.name)
        refuse_whole(reply, self.name)
        alike = same_object(reply.etag, span.etag)
        if not alike or (reply.total != span.total and not is_strong(span.etag)):
            raise ChangedError(self.name)
        refuse_other_range(reply, self.name, start=span.start, stop=span.stop, total=span.total)
        super().begin(reply)
