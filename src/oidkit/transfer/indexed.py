"""Objects of a shared index: as a whole, checked by SHA-256, or a range of one."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from oidkit.disk import naming
from oidkit.errors import (
    IntegrityError,
    MissingObjectError,
    OidError,
    RefusedError,
    SourceError,
    UsageError,
)
from oidkit.store import Reply, Request
from oidkit.transfer.body import CHANGED, Body, refuse_other_range, refuse_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from oidkit.disk import Record
    from oidkit.events import Fetched
    from oidkit.indexfile import Stored

__all__ = ["IndexFileJob", "IndexJob", "IndexRangeJob"]

_AGAIN = "push it again, or fill the cache without it: oid index build"
_NETWORK = "check the address and the network, then run the same command again"
_LARGEST = 64 << 20


class _OfIndex(Body):
    """What both have: errors that name the place, and `error` where one is left after all tries."""

    def __init__(self, name: str, *, place: str) -> None:
        super().__init__(name)
        self._place = place
        self._listed = True
        self.error: OidError | None = None

    def fail(self, error: OidError) -> Sequence[Record]:
        self.error = error
        if isinstance(error, MissingObjectError):
            bucket = error.cause.partition(": the bucket ")[2]
            if bucket:
                cause = f"{self._place}: the bucket {bucket}"
                remedy = "check the address and the variables of its store"
                self.error = UsageError(cause, remedy=remedy)
            elif self._listed:
                cause = f"the index at {self._place} is damaged: it lacks {self.name}"
                self.error = IntegrityError(cause, remedy=_AGAIN)
        elif isinstance(error, RefusedError):
            self.error = UsageError(
                f"there is no permission to read {self._place}",
                remedy="check the address, and your credentials for it",
            )
        elif isinstance(error, IntegrityError):
            self.error = IntegrityError(
                f"the index at {self._place} is damaged: {error.cause}", remedy=_AGAIN
            )
        elif isinstance(error, SourceError):
            self.error = SourceError(f"{self._place}: {error.cause}", remedy=_NETWORK)
        return ()


class IndexJob(_OfIndex):
    """A whole object; `keep` is given its bytes, on another thread, when they have been checked.

    One that is not `stored` yet, the first file, is checked by whoever reads it.
    """

    def __init__(
        self,
        stored: Stored | str,
        keep: Callable[[bytes], None],
        *,
        place: str,
        told: Fetched | None = None,
    ) -> None:
        super().__init__(stored if isinstance(stored, str) else stored.object, place=place)
        self._stored = None if isinstance(stored, str) else stored
        self._keep, self._told = keep, told
        self._listed = self._stored is not None
        if self._stored is not None:
            self.most = min(self._stored.size, _LARGEST)

    def request(self) -> Request:
        return Request(self.name)

    def begin(self, reply: Reply) -> None:
        refuse_part(reply, self.name)
        super().begin(reply)

    def settle(self) -> Sequence[Record]:
        data = self._body()
        if self._stored is not None and not self._stored.matches(data):
            raise IntegrityError(f"{self.name} does not match its checksum")
        self._keep(data)
        return ()

    def told(self) -> Fetched | None:
        """Tell of what has come, where that is worth it."""
        return self._told


class IndexFileJob(_OfIndex):
    """A whole object of any size, which is written to *path* as it comes.

    It stands there when it has been checked. Nobody else may write in the folder of *path*.
    """

    def __init__(self, stored: Stored, path: Path, *, place: str) -> None:
        super().__init__(stored.object, place=place)
        self._stored, self._path = stored, path
        self._fresh = path.with_name(f"{path.name}.part")
        self._file: BinaryIO | None = None
        self._sha256 = hashlib.sha256()

    def request(self) -> Request:
        return Request(self.name)

    def begin(self, reply: Reply) -> None:
        refuse_part(reply, self.name)
        self._close()
        self._held, self._sha256 = 0, hashlib.sha256()
        with naming(self._fresh):
            self._file = self._fresh.open("wb")

    def write(self, data: bytes) -> None:
        self._held += len(data)
        if self._file is None or self._held > self._stored.size:
            raise IntegrityError(f"{self.name} is longer than it was")
        self._sha256.update(data)
        with naming(self._fresh):
            self._file.write(data)

    def settle(self) -> Sequence[Record]:
        self._close()
        if self._held < self._stored.size:
            raise SourceError(
                f"{self.name} was cut short: {self._held} of {self._stored.size} bytes"
            )
        if self._sha256.hexdigest() != self._stored.sha256:
            raise IntegrityError(f"{self.name} does not match its checksum")
        with naming(self._path):
            self._fresh.replace(self._path)
        return ()

    def fail(self, error: OidError) -> Sequence[Record]:
        self._close()
        return super().fail(error)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with naming(self._fresh):
                file.close()


class IndexRangeJob(_OfIndex):
    """Bytes [start, stop) of an object of `total` bytes; `keep` checks them, on another thread."""

    def __init__(
        self,
        name: str,
        span: tuple[int, int, int],
        keep: Callable[[bytes], None],
        *,
        place: str,
    ) -> None:
        super().__init__(name, place=place)
        self._start, self._stop, self._total = span
        self.most = self._stop - self._start
        self._keep = keep

    def request(self) -> Request:
        return Request(self.name, start=self._start, stop=self._stop)

    def begin(self, reply: Reply) -> None:
        if reply.status in CHANGED:
            raise IntegrityError(f"{self.name} is shorter than it was")
        if reply.status != HTTPStatus.PARTIAL_CONTENT:
            raise UsageError(
                f"the server of {self._place} refuses byte ranges",
                remedy="use one that honours Range, or take all of the index: oid index pull URL",
            )
        refuse_other_range(reply, self.name, start=self._start, stop=self._stop, total=self._total)
        super().begin(reply)

    def settle(self) -> Sequence[Record]:
        self._keep(self._body())
        return ()
