"""One connection of the server: reads requests, one after another, and sends their answers."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oidkit.testing.answers import CONDITIONS, Answer, answer_to, error, falsified, head_of
from oidkit.testing.faults import Fault, Hook
from oidkit.testing.objects import Objects, key_of
from oidkit.testing.visitors import refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from oidkit.testing.ledger import Entry, Ledger

__all__ = ["Connection", "Serving"]

_PIECE = 256 * 1024
_PIECES_A_SECOND = 20
_HONEST = Fault()
_METHODS = {"GET", "HEAD"}
# Those that mean something else when they stand twice.
_ONCE = {"host", "origin", "content-length", "transfer-encoding"}
_LINGER_ZERO = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Serving(Protocol):
    """What a connection asks its server for, anew with every request."""

    delay: float
    bandwidth: float | None
    hook: Hook | None
    hosts: Collection[str]
    objects: Objects
    ledger: Ledger


class Connection:
    """Answers everything that one client asks until either side has had enough."""

    def __init__(
        self, server: Serving, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def run(self) -> None:
        """Serve until the connection ends; never raises but when it is cancelled."""
        try:
            while await self._serve_one():
                pass
            self._writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # the client has gone, or does not speak HTTP: there is nobody to tell
        finally:
            if not self._writer.is_closing():
                self._writer.transport.abort()

    async def _serve_one(self) -> bool:
        """Read one request and answer it; tell whether the connection goes on."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return self._refuse(error(431, "HeadTooLarge", "The head of the request is too long."))
        try:
            method, target, version, headers = _parsed(head)
        except ValueError:
            return self._refuse(Answer(400))
        refused = refusal(headers, version=version, hosts=self._server.hosts)
        if refused is not None:
            return self._refuse(refused)
        ledger = self._server.ledger
        key = key_of(target)
        entry = ledger.arrived(method, key if key is not None else target, headers)
        try:
            hook = self._server.hook
            fault = (hook(entry.info) if hook else None) or _HONEST
            if pause := self._server.delay + fault.delay:
                await asyncio.sleep(pause)
            answer = falsified(await self._honest(method, key, headers, fault), fault)
            close = version != "HTTP/1.1" or headers.get("connection", "").lower() == "close"
            close = close or method not in _METHODS
            return await self._send(entry, answer, fault, close=close)
        finally:
            ledger.ended()

    def _refuse(self, answer: Answer) -> bool:
        """Answer what is no request of ours, which counts nowhere, and end the connection."""
        head = head_of(answer, length=answer.length, close=True)
        self._writer.write(head + answer.body)
        return False

    async def _honest(
        self, method: str, key: str | None, headers: Mapping[str, str], fault: Fault
    ) -> Answer:
        if method not in _METHODS:
            return error(405, "MethodNotAllowed", "Objects can be read and nothing else.")
        objects = self._server.objects
        if key is None:
            found = None
        elif objects.costly(key):
            found = await asyncio.to_thread(objects.find, key)
        else:
            found = objects.find(key)
        if fault.ignore_conditions:
            headers = {name: value for name, value in headers.items() if name not in CONDITIONS}
        return answer_to(headers, found, ignore_range=fault.ignore_range)

    async def _send(self, entry: Entry, answer: Answer, fault: Fault, *, close: bool) -> bool:
        """Send the answer as *fault* has it; tell whether the connection goes on."""
        if fault.reset and fault.cut is None:
            return self._reset()
        entry.status = answer.status
        close = close or fault.no_length
        bodiless = answer.status in {204, 304}
        length = None if bodiless or fault.no_length else answer.length
        answer.headers.setdefault("Date", formatdate(usegmt=True))
        head = head_of(answer, length=length, close=close)
        total = 0 if bodiless or entry.info.method == "HEAD" else answer.length
        stop = total if fault.cut is None else min(total, fault.cut)
        bandwidth = fault.bandwidth or self._server.bandwidth
        if stop <= _PIECE and not bandwidth and not fault.stall:
            # the common case is one system call, so that small objects come fast
            body = _stretch(answer, 0, stop, fault.flip)
            self._server.ledger.sending(entry, stop)
            self._writer.write(head + body)
            await self._writer.drain()
        else:
            self._writer.write(head)
            await self._send_body(entry, answer, fault, stop=stop)
        if fault.reset:
            # what was written must reach the client before the reset discards it
            await self._flushed()
            return self._reset()
        return stop == total and not close

    async def _send_body(self, entry: Entry, answer: Answer, fault: Fault, *, stop: int) -> None:
        bandwidth = fault.bandwidth or self._server.bandwidth
        piece = _PIECE if not bandwidth else max(1, min(_PIECE, int(bandwidth / _PIECES_A_SECOND)))
        file = None if bandwidth or fault.flip is not None else answer.source
        sent, stalled = 0, not fault.stall
        while True:
            if not stalled and sent >= min(fault.stall_at, stop):
                await asyncio.sleep(fault.stall)
                stalled = True
            if sent >= stop:
                return
            until = stop if file is not None else min(sent + piece, stop)
            if not stalled:
                until = min(until, max(fault.stall_at, sent + 1))
            if file is not None:
                await self._send_file(entry, file.path, answer.start + sent, answer.start + until)
            else:
                await self._send_piece(entry, _stretch(answer, sent, until, fault.flip))
            if bandwidth:
                await asyncio.sleep((until - sent) / bandwidth)
            sent = until

    async def _send_piece(self, entry: Entry, body: bytes) -> None:
        ledger = self._server.ledger
        ledger.sending(entry, len(body))
        try:
            self._writer.write(body)
            await self._writer.drain()
        except ConnectionError:
            ledger.sending(entry, -len(body))
            raise

    async def _send_file(self, entry: Entry, path: str, first: int, stop: int) -> None:
        """Send the bytes [*first*, *stop*) of a file without reading them."""
        ledger = self._server.ledger
        loop = asyncio.get_running_loop()
        with Path(path).open("rb") as file:  # noqa: ASYNC230  opening takes no time
            for start in range(first, stop, _PIECE):
                count = min(_PIECE, stop - start)
                ledger.sending(entry, count)
                went = 0
                try:
                    went = await loop.sendfile(self._writer.transport, file, start, count)
                finally:
                    ledger.sending(entry, went - count)
                if went < count:
                    raise ConnectionError(f"{path} has shrunk")

    async def _flushed(self) -> None:
        transport = self._writer.transport
        transport.set_write_buffer_limits(0)
        await self._writer.drain()
        await asyncio.sleep(0.02)

    def _reset(self) -> bool:
        connected = self._writer.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._writer.transport.abort()
        return False


def _parsed(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Give method, target, version and headers with lower-case names; raises ValueError."""
    lines = head.decode("latin-1").split("\r\n")
    method, target, version = lines[0].split(" ")
    if not target.startswith("/") or not version.startswith("HTTP/1."):
        raise ValueError(lines[0])
    headers = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        name = name.lower()
        if name != name.strip() or not name or (name in _ONCE and name in headers):
            raise ValueError(line)
        headers[name] = value.strip()
    return method, target, version, headers


def _stretch(answer: Answer, first: int, stop: int, flip: int | None) -> bytes:
    """Give the bytes [*first*, *stop*) of the body, with one bit flipped at offset *flip*."""
    if answer.source is None:
        body = answer.body[first:stop]
    elif first == stop:
        body = b""
    else:
        with Path(answer.source.path).open("rb") as file:
            file.seek(answer.start + first)
            body = file.read(stop - first)
    if flip is None:
        return body
    at = (flip if flip >= 0 else answer.length + flip) - first
    if not 0 <= at < len(body):
        return body
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
