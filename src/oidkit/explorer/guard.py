"""Who may ask the explorer: the page that it gave out, and nobody else on this machine or the web.

A page of a stranger can send requests to 127.0.0.1. What it cannot do is know the token in the
address; nor forge `Host`, which keeps the stranger's name where that was made to resolve to
loopback (DNS rebinding), nor `Origin`. Every answer carries the policy that keeps the page to what
comes from here.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADERS", "Guard"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer; without a referrer the token does not leave with a link."""


_LONGEST_HEAD = 8192
"""Bytes of headers and address; an address of the page may name 200 classes, of 10 bytes each."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets requests to ``/TOKEN/...`` pass to the app as ``/...``, if they come from here."""

    app: ASGIApp
    token: str
    hosts: frozenset[str]
    """What `Host` may be: the loopback names with the port."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if (refused := self._refusal(scope)) is not None:
            await PlainTextResponse(refused[1], refused[0])(scope, receive, dressed)
            return
        root = f"/{self.token}"
        await self.app({**scope, "root_path": root}, receive, dressed)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        if head + len(scope.get("raw_path", b"")) + len(scope["query_string"]) > _LONGEST_HEAD:
            return 431, "This request is longer than any that the page sends."
        hosts = headers.getlist("host")
        if len(hosts) > 1 or not self.hosts.issuperset(hosts):
            return 403, "This server answers to its own loopback address alone."
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            return 403, "This server answers no page of another origin."
        given, _, rest = scope["path"].removeprefix("/").partition("/")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return 404, "There is nothing here; use the whole address that oid view printed."
        if not rest and not scope["path"].endswith("/"):
            return 404, "There is nothing here; the address ends with a slash."
        return None
