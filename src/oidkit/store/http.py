"""Many HTTP requests in flight on one thread: libcurl's multi interface under a selector.

libcurl is driven by `socket_action`, so a request costs work only when its socket is ready. The
callbacks for headers and bodies are methods of plain lists: no Python code runs inside libcurl
that a signal could break off.
"""

from __future__ import annotations

import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

import pycurl

from oidkit.store.model import Arrived, Ended, Reply, Request, reply_of
from oidkit.store.redirects import on_same_host, shown
from oidkit.store.surroundings import certificates, is_here, proxied

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HttpTransfer"]

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_CONNECT_SECONDS = 15
# A transfer that brings less than this many bytes a second for this long is given up: a server
# that drips one byte now and then would hold it for ever otherwise.
_LOW_SPEED_BYTES, _LOW_SPEED_SECONDS = 1024, 20
# And one that stays above that, but is not done in this time, by its announced size: 60 s for an
# image, six days for the largest annotation file.
_DEADLINE_SECONDS, _DEADLINE_BYTES = 60.0, 4096
_LOOK_SECONDS = 1.0
_READ_AT_ONCE = 16
_BUFFER = 256 * 1024
# Errors that no retry mends: the address is wrong, or TLS says that the peer is not to be trusted.
_LASTING = {
    pycurl.E_URL_MALFORMAT,
    pycurl.E_UNSUPPORTED_PROTOCOL,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CERTPROBLEM,
}
_UNTRUSTED = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE}
_TRUST = (
    "certificates are always checked: set SSL_CERT_FILE to the file of the authority that signs "
    "those of your network, or ask who runs the server"
)
_PROXY_DENIES = 407
_NAME_FOR_PROXY = "put them into its address, as in https_proxy=http://NAME:PASSWORD@host:port"


@dataclass(slots=True)
class _Flight:
    token: object
    url: str
    headers: list[str]
    redirects: int = 0
    again: bool = False
    lines: list[bytes] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    reply: Reply | None = None
    heard: int = 0
    barred: str = ""
    alive: float = field(default_factory=time.monotonic)
    begun: float = field(default_factory=time.monotonic)
    received: int = 0


class HttpTransfer:
    """GETs against the URL that `locate` gives for a key; redirects stay on its host.

    With *bars* nothing is connected to of whose address it is true, and redirects are handed on as
    the replies that they are. Behind a proxy it is the proxy that connects.
    """

    def __init__(
        self, locate: Callable[[str], str], *, bars: Callable[[str], bool] | None = None
    ) -> None:
        self._locate, self._bars = locate, bars
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, 512)
        self._selector = selectors.DefaultSelector()
        self._due: float | None = None
        self._flights: dict[pycurl.Curl, _Flight] = {}
        self._idle: list[pycurl.Curl] = []
        self._looked = time.monotonic()

    @cached_property
    def _roots(self) -> str | None:
        return certificates()

    def start(self, token: object, request: Request) -> None:
        """Begin the request; the first bytes go out with the next `poll`."""
        headers = [f"{name}: {value}" for name, value in request.headers().items()]
        url = self._locate(quote(request.key))
        self._launch(_Flight(token, url, headers, again=request.again))

    def poll(self, timeout: float) -> list[Arrived | Ended]:
        """Wait up to *timeout* seconds for something to happen, and tell it."""
        if self._due is not None:
            timeout = min(timeout, max(0.0, self._due - time.monotonic()))
        ready = self._select(timeout)
        # The others are ready at the next poll. What came is then checked and written while the
        # rest is read, not after all of it.
        for descriptor, events in ready[:_READ_AT_ONCE]:
            self._multi.socket_action(descriptor, events)
        if self._due is not None and time.monotonic() >= self._due:
            self._due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        happened = self._arrivals()
        self._endings(happened)
        self._silences(happened)
        return happened

    def abort(self, token: object) -> None:
        """Drop the request and its connection."""
        for curl, flight in list(self._flights.items()):
            if flight.token is token:
                del self._flights[curl]
                self._multi.remove_handle(curl)
                curl.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for curl in list(self._flights):
            self._multi.remove_handle(curl)
            curl.close()
        self._flights.clear()
        for curl in self._idle:
            curl.close()
        self._idle.clear()
        self._multi.close()
        self._selector.close()

    def _select(self, timeout: float) -> list[tuple[int, int]]:
        if not self._selector.get_map():
            # Some platforms refuse to wait on no socket at all.
            time.sleep(min(timeout, 0.05) if self._flights else timeout)
            return []
        found = []
        for key, mask in self._selector.select(timeout):
            events = pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0
            events |= pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0
            found.append((key.fd, events))
        return found

    def _arrivals(self) -> list[Arrived | Ended]:
        happened: list[Arrived | Ended] = []
        for flight in self._flights.values():
            if not flight.chunks:
                continue
            if flight.reply is None:
                flight.reply = _reply(flight.lines)
            # libcurl hands a body over in pieces of 16 KiB, each of which costs as much as all.
            data = b"".join(flight.chunks)
            if flight.reply.status not in _REDIRECTS:
                happened.append(Arrived(flight.token, flight.reply, data))
            flight.received += len(data)
            flight.chunks.clear()
            flight.alive = time.monotonic()
        return happened

    def _silences(self, happened: list[Arrived | Ended]) -> None:
        """Give up requests of which nothing is heard at all, and those that take too long.

        libcurl looks at the speed of a transfer when something happens to it. With several in
        flight it may set no timer for one that has sent its request and gets no answer.
        """
        now = time.monotonic()
        away = now - self._looked
        if away < _LOOK_SECONDS:
            return
        self._looked = now
        for flight in list(self._flights.values()):
            text = None
            if away > 2 * _LOOK_SECONDS:
                # Nobody polled for so long: what has come meanwhile may not be read yet.
                flight.heard, flight.alive = len(flight.lines), now
                flight.begun += away
            elif now - flight.begun > _deadline(flight):
                text = f"the server was too slow: {flight.received:,} bytes "
                text += f"in {now - flight.begun:.0f} seconds"
            elif len(flight.lines) != flight.heard:
                flight.heard, flight.alive = len(flight.lines), now
            elif now - flight.alive > _LOW_SPEED_SECONDS:
                text = pycurl_reason(pycurl.E_OPERATION_TIMEDOUT)
            if text is not None:
                self.abort(flight.token)
                happened.append(Ended(flight.token, flight.reply, text, slow=True))

    def _endings(self, happened: list[Arrived | Ended]) -> None:
        while True:
            queued, fine, failed = self._multi.info_read()
            for curl in fine:
                self._land(curl, happened, error=None)
            for curl, code, text in failed:
                self._land(curl, happened, error=(code, text))
            if not queued:
                return

    def _land(
        self, curl: pycurl.Curl, happened: list[Arrived | Ended], *, error: tuple[int, str] | None
    ) -> None:
        flight = self._flights.pop(curl)
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        reply = flight.reply or _reply(flight.lines)
        if _PROXY_DENIES in (curl.getinfo(pycurl.HTTP_CONNECTCODE), reply.status):
            text = "the proxy asks for a name and a password (407)"
            ended = Ended(flight.token, None, text, lasting=True, remedy=_NAME_FOR_PROXY)
            happened.append(ended)
        elif error is not None:
            happened.append(_failure(flight, curl, error))
        elif reply.status not in _REDIRECTS or self._bars is not None:
            happened.append(Ended(flight.token, reply))
        elif isinstance(target := _same_host(flight, reply), Ended):
            happened.append(target)
        else:
            self._launch(_Flight(flight.token, target, flight.headers, flight.redirects + 1))

    def _launch(self, flight: _Flight) -> None:
        curl = self._idle.pop() if self._idle else _handle()
        curl.setopt(pycurl.URL, flight.url)
        if flight.url.startswith("https:") and self._roots:
            curl.setopt(pycurl.CAINFO, self._roots)
        if is_here("/".join(flight.url.split("/", 3)[:3])):
            # A proxy that the environment names is on its way to the network, not to this machine.
            curl.setopt(pycurl.PROXY, "")
        else:
            curl.unsetopt(pycurl.PROXY)
        if self._bars is not None and not proxied(flight.url):
            curl.setopt(pycurl.OPENSOCKETFUNCTION, partial(_open_socket, flight, self._bars))
        else:
            curl.unsetopt(pycurl.OPENSOCKETFUNCTION)
        # libcurl itself asks again, five times over, where a kept connection brings no answer.
        curl.setopt(pycurl.FRESH_CONNECT, int(flight.again))
        curl.setopt(pycurl.HTTPHEADER, flight.headers)
        curl.setopt(pycurl.HEADERFUNCTION, flight.lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, flight.chunks.append)
        self._flights[curl] = flight
        self._multi.add_handle(curl)

    def _on_socket(self, what: int, descriptor: int, multi: object, data: object) -> None:
        del multi, data
        if what == pycurl.POLL_REMOVE:
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            return
        events = selectors.EVENT_READ if what & pycurl.POLL_IN else 0
        events |= selectors.EVENT_WRITE if what & pycurl.POLL_OUT else 0
        if descriptor in self._selector.get_map():
            self._selector.modify(descriptor, events)
        else:
            self._selector.register(descriptor, events)

    def _on_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


def _handle() -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.USERAGENT, "oidkit")
    curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
    curl.setopt(pycurl.LOW_SPEED_LIMIT, _LOW_SPEED_BYTES)
    curl.setopt(pycurl.LOW_SPEED_TIME, _LOW_SPEED_SECONDS)
    curl.setopt(pycurl.BUFFERSIZE, _BUFFER)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    if sys.platform in ("win32", "darwin"):
        curl.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
    return curl


class _Opened:
    """A socket that is handed to libcurl, which takes a copy of it and lets go of this one."""

    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened

    def fileno(self) -> int:
        return self._opened.fileno()

    def __del__(self) -> None:
        self._opened.close()


def _open_socket(
    flight: _Flight,
    bars: Callable[[str], bool],
    purpose: int,
    address: tuple[int, int, int, tuple[object, ...]],
) -> _Opened | int:
    """Open the socket of a connection, unless its address is barred: names are resolved by now."""
    del purpose
    family, kind, protocol, place = address
    if bars(str(place[0])):
        flight.barred = f"its host has an address of a private network ({place[0]})"
        return int(pycurl.SOCKET_BAD)
    return _Opened(socket.socket(family, kind, protocol))


def pycurl_reason(code: int) -> str:
    """Say what an error of libcurl means where libcurl itself has no words for it."""
    reasons = {
        pycurl.E_COULDNT_RESOLVE_HOST: "the host name does not resolve",
        pycurl.E_COULDNT_CONNECT: "nothing answers at this address",
        pycurl.E_PARTIAL_FILE: "the body was cut short",
        pycurl.E_OPERATION_TIMEDOUT: "the server was too slow",
        pycurl.E_GOT_NOTHING: "the server closed the connection without an answer",
    }
    return reasons.get(code, f"libcurl error {code}")


def _deadline(flight: _Flight) -> float:
    """Give the seconds that a request may take, by the size of its body as far as it is known."""
    announced = flight.reply.length if flight.reply is not None else None
    size = flight.received if announced is None else announced
    return _DEADLINE_SECONDS + size / _DEADLINE_BYTES


def _reply(lines: list[bytes]) -> Reply:
    """Read the last block of header lines: an interim answer (100) may stand before it."""
    status, headers = 0, dict[str, str]()
    for line in b"".join(lines).decode("latin-1").split("\n"):
        name, colon, value = line.partition(":")
        if line.startswith("HTTP/"):
            words = line.split(None, 2)
            status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            headers = {}
        elif colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return reply_of(status, headers)


def _failure(flight: _Flight, curl: pycurl.Curl, error: tuple[int, str]) -> Ended:
    """Say how a request has failed; libcurl's own words may hold the password of a proxy."""
    code, said = error
    text = flight.barred or re.sub(r"'.*@", "'", said) or pycurl_reason(code)
    reply = flight.reply or (_reply(flight.lines) if flight.lines else None)
    if code in _UNTRUSTED:
        text = f"the certificate of {urlsplit(flight.url).hostname} is not trusted ({text})"
        return Ended(flight.token, reply, text, lasting=True, remedy=_TRUST)
    if flight.barred or code in _LASTING:
        return Ended(flight.token, reply, text, lasting=True)
    slow = code == pycurl.E_OPERATION_TIMEDOUT
    # Nothing of the request has gone out.
    away = not curl.getinfo(pycurl.REQUEST_SIZE)
    cut = reply is None and not slow and not away
    return Ended(flight.token, reply, text, slow=slow, away=away, cut=cut)


def _same_host(flight: _Flight, reply: Reply) -> str | Ended:
    """Give the address that a redirect leads to, if it is on the same host; or refuse it."""
    if flight.redirects >= _MOST_REDIRECTS:
        text = f"it redirects again and again, {flight.redirects} times so far"
    elif target := on_same_host(flight.url, reply.location):
        return target
    else:
        text = f"it redirects to {shown(reply.location)}, which is not the source"
    return Ended(flight.token, None, text, lasting=True)
