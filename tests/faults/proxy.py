"""A TCP proxy that spoils what goes through it, with the toxics that toxiproxy has.

(toxiproxy itself is a Go program that no package index of Python or Debian has.)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from ssl import SSLContext
    from types import TracebackType

__all__ = ["Proxy", "Toxics"]

_PIECE = 64 * 1024
_FOR_EVER = 3600.0
_TURNS = 5


@dataclass(frozen=True)
class Toxics:
    """What happens to one connection, to what the source sends unless it says otherwise.

    latency: seconds before each piece. bandwidth: bytes a second. slicer: bytes of a slice, and the
    seconds after each. limit_data: the connection is closed after so many bytes. timeout: nothing
    goes through any more after so many bytes, and the connection stays open. reset_peer: ended by
    RST after so many bytes. slow_close: seconds that the end is held back.
    """

    latency: float = 0.0
    bandwidth: float | None = None
    slicer: tuple[int, float] | None = None
    limit_data: int | None = None
    timeout: int | None = None
    reset_peer: int | None = None
    slow_close: float = 0.0


NONE = Toxics()


class Proxy:
    """Listens on loopback and hands everything on to *target*, `host:port` or a URL.

    `choose` says for the connection of a number, from 1, what happens to it; connections that are
    open already stay as they are. `down` refuses new connections and ends the open ones, `up` lets
    them in again, on the same port.
    """

    def __init__(self, target: str, *, tls: SSLContext | None = None) -> None:
        """Listen, with TLS where a context of a server is given."""
        place = urlsplit(target if "//" in target else f"//{target}")
        self._target = place.hostname, place.port
        self._tls = tls
        self.choose: Callable[[int], Toxics] = lambda number: NONE
        self.connections = 0
        self.port = 0
        self.began: list[float] = []
        """When each connection came, by the monotonic clock."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """The source, as seen through the proxy."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def up(self) -> None:
        """Listen, again."""
        self._do(self._listen())

    def down(self) -> None:
        """Refuse new connections, and end those that are open."""
        self._do(self._stop())

    def _do(self, what: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener, ssl=self._tls)

    async def _stop(self) -> None:
        # Before the server closes: a connection that has just been accepted is handed over in the
        # next turns, and a server that is closed by then would drop it with its socket open.
        for listener in self._server.sockets if self._server else ():
            with contextlib.suppress(NotImplementedError):  # not every loop has readers
                self._loop.remove_reader(listener.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
            self._server = None
        # held here: a task that is cancelled before its first step lets go of its writer unclosed
        writers, tasks = list(self._writers), list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        # an aborted transport closes its socket in the next turn of the loop
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.began.append(time.monotonic())
        self._writers.add(writer)
        task = self._loop.create_task(self._carry(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        toxics = self.choose(self.connections)
        back = None
        try:
            source, back = await asyncio.open_connection(*self._target)
            ahead = asyncio.create_task(_copy(reader, back, NONE))
            try:
                await _copy(source, writer, toxics)
            finally:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
        except OSError:
            pass  # either side has gone: so does the other
        finally:
            for each in (writer, back):
                if each is not None:
                    each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toxics: Toxics) -> None:
    sent = 0
    if toxics.reset_peer == 0:
        # the request is let through, so that the reset comes before the header and not the connect
        await reader.read(1)
        _reset(writer)
        return
    while data := await reader.read(_PIECE):
        if toxics.latency:
            await asyncio.sleep(toxics.latency)
        for piece in _sliced(data, toxics):
            until = min((each for each in _ends(toxics) if each is not None), default=None)
            part = piece if until is None else piece[: max(0, until - sent)]
            writer.write(part)
            await writer.drain()
            sent += len(part)
            if until is not None and sent >= until:
                await _end(writer, toxics)
                return
            if toxics.slicer:
                await asyncio.sleep(toxics.slicer[1])
            if toxics.bandwidth:
                await asyncio.sleep(len(part) / toxics.bandwidth)
    await asyncio.sleep(toxics.slow_close)
    with contextlib.suppress(OSError, NotImplementedError):  # TLS has no half of an end
        writer.write_eof()


def _ends(toxics: Toxics) -> tuple[int | None, ...]:
    return toxics.limit_data, toxics.timeout, toxics.reset_peer


async def _end(writer: asyncio.StreamWriter, toxics: Toxics) -> None:
    if toxics.timeout is not None:
        await asyncio.sleep(_FOR_EVER)
    # what was written must reach the client before the end does
    writer.transport.set_write_buffer_limits(0)
    await writer.drain()
    await asyncio.sleep(0.02)
    if toxics.reset_peer is not None:
        _reset(writer)
    else:
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _sliced(data: bytes, toxics: Toxics) -> list[bytes]:
    size = toxics.slicer[0] if toxics.slicer else len(data)
    if toxics.bandwidth:
        size = max(1, min(size, int(toxics.bandwidth / 20)))
    return [data[at : at + size] for at in range(0, len(data), size)]
