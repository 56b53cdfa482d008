"""A server for a mirror folder: real HTTP/1.1 on loopback, with counters and faults on cue."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Self

from oidkit.testing.connection import Connection
from oidkit.testing.ledger import Ledger, Request
from oidkit.testing.objects import Objects

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from types import TracebackType

    from oidkit.testing.faults import Hook

__all__ = ["MirrorServer"]

_HEAD_LIMIT = 8 * 1024  # as nginx and S3 have it
_TURNS = 5
_BACKLOG = 512


class MirrorServer:
    """Serves the folder *root* at `url`, from a background thread, as long as the context lasts.

    GET and HEAD with keep-alive, single byte ranges, If-Range, If-Match, If-None-Match,
    If-Modified-Since. `ETag` is the quoted hex MD5 of the content, and `x-goog-hash` comes with the
    buckets that have it. A file above *hash_limit* bytes has an ETag with a `-` and no hash, so
    that nobody waits until gigabytes are read.

    It listens on 127.0.0.1 alone and answers requests that name a loopback host; others get 403,
    unless they name one of the attribute `hosts`, as does what a web page of another origin asks
    for. A head of more than 8 kB gets 431, a request with a body 400. None of these counts.

    *delay* is seconds before each answer, *bandwidth* body bytes a second for each connection, and
    *hook* is asked about every request, on the server's thread, and may return a `Fault`. All three
    are attributes too and may be changed between requests.

    `requests`, `bytes_sent` (of bodies), `connections`, `peak` (most requests in flight at once)
    and `log` say what has happened since the last `reset`. A byte is counted before it is handed to
    the socket: when a client has an answer, the counters know of it.
    """

    def __init__(
        self,
        root: os.PathLike[str] | str,
        *,
        port: int = 0,
        delay: float = 0.0,
        bandwidth: float | None = None,
        hook: Hook | None = None,
        hash_limit: int = 64 * 1024 * 1024,
    ) -> None:
        self.port = port
        self.delay = delay
        self.bandwidth = bandwidth
        self.hook = hook
        self.hosts: Collection[str] = ()
        self.objects = Objects(root, hash_limit=hash_limit)
        self.ledger = Ledger()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """Give `http://127.0.0.1:<port>`, the root of the mirror."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> int:
        """Give how many requests have arrived."""
        return self.ledger.requests

    @property
    def bytes_sent(self) -> int:
        """Give the bytes of all bodies sent."""
        return self.ledger.bytes_sent

    @property
    def connections(self) -> int:
        """Give how many connections were opened."""
        return self.ledger.connections

    @property
    def peak(self) -> int:
        """Give the largest number of requests that were in flight at the same time."""
        return self.ledger.peak

    @property
    def log(self) -> list[Request]:
        """Give a copy of the log: the last 100,000 requests, oldest first."""
        return self.ledger.log()

    def reset(self) -> None:
        """Set every counter to zero and forget the log."""
        self.ledger.reset()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on `port`, or on a free one where it is 0.

        Raises OSError if the port is taken, RuntimeError if the server runs already.
        """
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        listener = socket.create_server(("127.0.0.1", self.port), backlog=_BACKLOG)
        self.port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)),
            name=f"mirror-server-{self.port}",
            daemon=True,
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """End every connection at once, and the thread; does nothing if that is done."""
        if self._thread is None or self._loop is None or self._stopped is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._thread = self._loop = self._stopped = None

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._accept, sock=listener, limit=_HEAD_LIMIT)
        ready.set()
        await self._stopped.wait()
        # Before the server closes: a connection that has just been accepted is handed over in the
        # next turns, and a server that is closed by then would drop it with its socket open.
        with contextlib.suppress(NotImplementedError):  # not every loop has readers
            self._loop.remove_reader(listener)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        server.close()
        # held here: a task that is cancelled before its first step lets go of its writer unclosed
        writers = list(self._writers)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # one that was closed with bytes still to send would wait for its client for ever
        for writer in writers:
            writer.transport.abort()
        # an aborted transport closes its socket in the next turn of the loop
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ledger.connected()
        self._writers.add(writer)
        task = asyncio.get_running_loop().create_task(Connection(self, reader, writer).run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
