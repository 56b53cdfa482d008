"""A line of a given rate and delay on loopback, the same for whoever measures through it.

A process of its own passes TCP on to a server. All that comes back goes through one bucket, however
many connections there are, as over one line; what is sent there arrives later by the delay, and a
connection takes the delay once before it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

__all__ = ["DELAY", "MEGABITS", "Link"]

MEGABITS, DELAY = 100, 0.02
"""The line that the issue names, and the seconds of a round trip over it."""
_PIECE = 16 << 10
_STARTED_WITHIN = 30.0


class Link:
    """A line to the server at *port* of this machine; use it as a context, and ask for `url`.

    It is as fast as the machine until `shaped` is set.
    """

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._rate: Synchronized[float] = context.Value("d", 0.0)
        self._here, there = context.Pipe()
        arguments = (port, self._rate, there)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._process.start()
        if not self._here.poll(_STARTED_WITHIN):
            raise RuntimeError("the line was not there in time")
        self.url = f"http://127.0.0.1:{self._here.recv()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    @property
    def shaped(self) -> bool:
        """Whether the line has the rate and the delay."""
        return bool(self._rate.value)

    @shaped.setter
    def shaped(self, on: bool) -> None:
        self._rate.value = MEGABITS * 1e6 / 8 if on else 0.0


class _Line:
    def __init__(self, port: int, rate: Synchronized[float]) -> None:
        self._port, self._rate = port, rate
        self._free = 0.0
        # The loop itself holds its tasks by weak references alone.
        self._open: set[asyncio.Task[None] | None] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        try:
            await self._pass(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._rate.value:
            await asyncio.sleep(DELAY)
        with contextlib.suppress(OSError):
            out, back = await asyncio.open_connection("127.0.0.1", self._port)
            both = (
                asyncio.create_task(self._there(reader, back)),
                asyncio.create_task(self._back(out, writer)),
            )
            with contextlib.suppress(OSError):
                await asyncio.gather(*both)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            back.close()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            if self._rate.value:
                await asyncio.sleep(DELAY)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            if rate := self._rate.value:
                # Each piece is through when all before it are, and it itself.
                self._free = max(self._free, time.monotonic()) + len(data) / rate
                await asyncio.sleep(self._free - time.monotonic())
            writer.write(data)
            await writer.drain()


def _serve(port: int, rate: Synchronized[float], told: Any) -> None:
    async def main() -> None:
        line = _Line(port, rate)
        server = await asyncio.start_server(line.connect, "127.0.0.1", 0, limit=4 * _PIECE)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())
