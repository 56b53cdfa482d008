"""The directories of mask zips: read whole, or looked up by ranges where they are sorted."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from oidkit.errors import (
    ChangedError,
    IntegrityError,
    MalformedError,
    OidError,
    SourceError,
    UsageError,
)
from oidkit.events import Fetched
from oidkit.store import Reply, Request, is_strong, same_object
from oidkit.transfer.body import CHANGED, Body, refuse_other_range, refuse_whole
from oidkit.transfer.zipspan import SpanJob, ZipSpan
from oidkit.zipindex import DirectoryReader
from oidkit.zipsearch import NameSearch, pays

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oidkit.disk import Record
    from oidkit.zipindex import ZipIndex

__all__ = ["DirectoryJob", "ProbeJob"]


class DirectoryJob(Body):
    """The directory of a mask zip, read from its end in as few ranges as it takes.

    *keep* is given the index and the ETag of the zip, on another thread; it is not called for the
    very zip that has the ETag *known*. Where looking for *names* costs less than the directory,
    and its end is sorted, the job ends with that: `search` is what they are looked for with, and
    `go_on` reads the rest should that fail.
    """

    def __init__(
        self,
        key: str,
        keep: Callable[[ZipIndex, str | None], None],
        *,
        known: str | None = None,
        names: Sequence[str] = (),
    ) -> None:
        super().__init__(key)
        self._keep, self._known, self._names = keep, known, names
        self.search: NameSearch | None = None
        self._unchanged = self._streams = False
        self.etag: str | None = None
        self.total = 0
        self.error: OidError | None = None
        self._reader = DirectoryReader(name=key)
        self._asked = Request(key)

    def request(self) -> Request | None:
        need = self._reader.need()
        if need is None:
            return None
        if need.suffix is not None:
            self.most = need.suffix
            self._asked = Request(self.name, suffix=need.suffix, if_none_match=self._known)
        else:
            start, stop = need.start or 0, need.stop or 0
            self.most = stop - start
            self._asked = Request(self.name, start=start, stop=stop, if_match=self.etag)
        return self._asked

    def begin(self, reply: Reply) -> None:
        asked = self._asked
        if reply.status == HTTPStatus.NOT_MODIFIED and asked.if_none_match is not None:
            self._unchanged = True
            return
        if asked.suffix is None and (
            reply.status in CHANGED or not same_object(self.etag, reply.etag)
        ):
            self._restart()
            raise SourceError(
                f"{self.name} changed on the source while it was read",
                remedy="run the same command again",
            )
        most = asked.suffix or 0
        # Some servers answer a range that holds the whole object with the whole object.
        whole = reply.status == HTTPStatus.OK and reply.total is not None and reply.total <= most
        if reply.status not in CHANGED and not whole:
            refuse_whole(reply, self.name)
            total = (reply.total or 0) if asked.suffix else self.total
            first = max(0, total - most) if asked.suffix else asked.start or 0
            stop = total if asked.suffix else asked.stop or 0
            refuse_other_range(reply, self.name, start=first, stop=stop, total=total)
        super().begin(reply)
        self.etag, self.total = reply.etag, reply.total or 0
        self._streams = self._reader.ends is not None and reply.status == HTTPStatus.PARTIAL_CONTENT

    def write(self, data: bytes) -> None:
        if not self._streams:
            super().write(data)
            return
        try:
            # What has come is kept if the request breaks, and the next one asks for the rest.
            self._reader.go_on(data)
        except IntegrityError:
            self._restart()
            raise

    def go_on(self) -> None:
        """Read the rest, as a search has not found the names."""
        self.search, self._names = None, ()

    def _restart(self) -> None:
        self._reader, self.etag = DirectoryReader(name=self.name), None
        self._streams = False

    def settle(self) -> Sequence[Record] | None:
        if self._unchanged:
            return ()
        try:
            self._take()
            if self._reader.need() is not None:
                return () if self._is_sorted() else None
            index = self._reader.index()
        except IntegrityError:
            self._restart()
            raise
        self._keep(index, self.etag)
        return ()

    def _take(self) -> None:
        if self._streams:
            self._streams = False
            if self._reader.need() is not None:
                raise SourceError(
                    f"the directory of {self.name} was cut short",
                    remedy="run the same command again",
                )
        elif self._reader.need() is not None:
            self._reader.feed(self._body(), start=self._reply.start, total=self.total)

    def _is_sorted(self) -> bool:
        """Begin to look for the names, if that is worth it and the end of the directory is sorted.

        Every range has to be of the same zip, so it takes a strong ETag.
        """
        ends = self._reader.ends
        if ends is None or not self._names or not is_strong(self.etag):
            return False
        if not pays(len(self._names), ends.size):
            return False
        search = NameSearch(ends, self._names, self.name)
        tail, start = self._reader.tail
        search.feed(tail, start=start)
        self.search = None if search.fallback else search
        return self.search is not None

    def told(self) -> Fetched | None:
        """Tell of a directory that has been read, or need not be."""
        return Fetched(self.name, self.total) if self.search is None else None

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, UsageError):
            raise error
        if isinstance(error, ChangedError) and self.etag is None:
            error = MalformedError(
                f"{self.name} is empty, so it is no zip", remedy="check the copy at --source"
            )
        self.error = error
        return ()


class ProbeJob(SpanJob):
    """A range of a zip's directory: `data` is what came, `error` what is left after all tries."""

    def __init__(self, span: ZipSpan) -> None:
        super().__init__(span)
        self.data = b""
        self.error: OidError | None = None

    def settle(self) -> Sequence[Record]:
        self.data = self._body()
        return ()

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, UsageError):
            raise error
        self.error = error
        return ()
