"""A forward proxy as companies have it: it notes who wants what, and may ask for a password."""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ForwardProxy"]

_PIECE = 64 * 1024


class ForwardProxy:
    """Listens on loopback, and brings requests for any host to a port of this machine.

    *ports* maps `host` to where plain HTTP goes, and `host:port` of a CONNECT to where its tunnel
    ends. Every other host does not resolve. `asked` has the first line of each request, `heads` the
    bytes of its head. With *user*, `name:password`, all others get 407.
    """

    def __init__(self, ports: Mapping[str, int], *, user: str = "") -> None:
        self.ports = ports
        self.user = base64.b64encode(user.encode()).decode()
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The address of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256
    proxy: ForwardProxy


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._handle()

    def _handle(self) -> None:
        proxy, head = self.server.proxy, b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        first, _, rest = head.partition(b"\r\n")
        proxy.asked.append(first.decode())
        proxy.heads.append(head)
        if proxy.user and f"Basic {proxy.user}".encode() not in head:
            self.wfile.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n"
                b'Proxy-Authenticate: Basic realm="the proxy"\r\nContent-Length: 0\r\n\r\n'
            )
            return
        method, target, _ = first.decode().split(" ")
        tunnel = method == "CONNECT"
        host = target if tunnel else target.split("/")[2]
        if host not in proxy.ports:
            self.wfile.write(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", proxy.ports[host])) as back:
            if tunnel:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                own = [
                    each for each in rest.split(b"\r\n") if not each.lower().startswith(b"proxy-")
                ]
                path = "/" + target.split("/", 3)[3]
                back.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode())
                back.sendall(b"\r\n".join(own))
            _join(self.connection, back)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until either side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                data = source.recv(_PIECE)
                if not data:
                    return
                key.data.sendall(data)
