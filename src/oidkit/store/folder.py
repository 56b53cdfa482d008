"""A mirror in a folder, read with the same requests and replies as one over HTTP."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self

from oidkit.store.model import Arrived, Ended, Reply, Request

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FolderTransfer"]

_CHUNK = 1 << 20


@dataclass(slots=True)
class _Flight:
    token: object
    reply: Reply
    file: BinaryIO | None
    left: int


class FolderTransfer:
    """Requests are answered one after the other: a disk gains nothing from more at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._waiting: deque[tuple[object, Request]] = deque()
        self._flight: _Flight | None = None

    def start(self, token: object, request: Request) -> None:
        """Queue the request."""
        self._waiting.append((token, request))

    def poll(self, timeout: float) -> list[Arrived | Ended]:
        """Read at most one chunk; never waits, so *timeout* has no effect."""
        del timeout
        if self._flight is None and not self._waiting:
            return []
        token = self._flight.token if self._flight else self._waiting[0][0]
        try:
            if self._flight is None:
                self._flight = self._open(*self._waiting.popleft())
            return self._step(self._flight)
        except OSError as error:
            self._close()
            return [Ended(token, None, error=f"{error.strerror or error}")]

    def abort(self, token: object) -> None:
        """Forget the request."""
        if self._flight is not None and self._flight.token is token:
            self._close()
        self._waiting = deque(pair for pair in self._waiting if pair[0] is not token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()
        self._close()

    def _step(self, flight: _Flight) -> list[Arrived | Ended]:
        happened: list[Arrived | Ended] = []
        if flight.file is not None and flight.left:
            data = flight.file.read(min(_CHUNK, flight.left))
            flight.left = flight.left - len(data) if data else 0
            if data:
                happened.append(Arrived(flight.token, flight.reply, data))
        if not flight.left:
            happened.append(Ended(flight.token, flight.reply))
            self._close()
        return happened

    def _open(self, token: object, request: Request) -> _Flight:
        try:
            file = (self._root / request.key).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return _Flight(token, Reply(404), None, 0)
        except PermissionError:
            # Windows answers so for a folder as well, which is no object either.
            status = 404 if (self._root / request.key).is_dir() else 403
            return _Flight(token, Reply(status), None, 0)
        try:
            reply = _answer(request, os.fstat(file.fileno()))
            if reply.status not in (200, 206):
                file.close()
                return _Flight(token, reply, None, 0)
            file.seek(reply.start)
        except BaseException:
            file.close()
            raise
        return _Flight(token, reply, file, reply.length or 0)

    def _close(self) -> None:
        if self._flight is not None and self._flight.file is not None:
            self._flight.file.close()
        self._flight = None


def _answer(request: Request, stat: os.stat_result) -> Reply:
    """Answer as RFC 9110 has it; the identity of a file is its size and time."""
    size = stat.st_size
    etag = f'"{size:x}-{stat.st_mtime_ns:x}"'
    if request.if_match not in (None, etag):
        return Reply(412, etag=etag)
    if request.if_none_match == etag:
        return Reply(304, total=size, etag=etag)
    whole = Reply(200, total=size, length=size, etag=etag)
    if not request.ranged or request.if_range not in (None, etag):
        return whole
    if request.suffix is not None:
        start, stop = max(0, size - request.suffix), size
    else:
        start = request.start or 0
        stop = size if request.stop is None else min(size, request.stop)
    if start >= stop:
        return Reply(416, total=size, etag=etag)
    return Reply(206, total=size, start=start, stop=stop, length=stop - start, etag=etag)
