"""Who may ask a server on loopback: programs of this machine, and no page of a stranger's.

A page in a browser can send requests to 127.0.0.1. Two headers that it cannot forge tell of it:
`Host`, which keeps the stranger's name where that name was made to resolve to loopback (DNS
rebinding), and `Origin`. Pure: headers in, an answer out.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from oidkit.testing.answers import Answer, error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["is_loopback", "refusal"]


def refusal(
    headers: Mapping[str, str], *, version: str, hosts: Collection[str] = ()
) -> Answer | None:
    """Give the answer to a request that nobody on this machine would send, or None.

    *headers* have lower-case names. *hosts* are names that the server answers to besides loopback.
    A request with a body is refused as well: nobody reads it, so that it would be taken for the
    next request.
    """
    host, origin = headers.get("host"), headers.get("origin")
    # HTTP/1.0 has no Host, and no browser speaks it.
    if host is None and version != "HTTP/1.0":
        return error(400, "MissingHost", "The request names no host.")
    if host is not None and not _is_known(host, hosts):
        return error(403, "ForeignHost", "This server answers to loopback names alone.")
    if origin is not None and not _is_known(_host_of(origin), hosts):
        return error(403, "ForeignOrigin", "This server answers no page of another origin.")
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return error(400, "UnexpectedContent", "The request should have no body.")
    return None


def is_loopback(name: str) -> bool:
    """Whether a name or address, without its port, means this machine and no other."""
    bare = name.removesuffix(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _is_known(authority: str, hosts: Collection[str]) -> bool:
    """Whether `host[:port]` is loopback or one of *hosts*, and nothing else stands in it."""
    if not authority or not authority.isascii() or set(authority) & set("/\\?#@, \t"):
        return False
    try:
        place = urlsplit(f"//{authority}")
        name, _ = place.hostname, place.port
    except ValueError:
        return False
    return bool(name) and (is_loopback(str(name)) or name in hosts)


def _host_of(origin: str) -> str:
    """Give the authority of an origin; nothing for `null` and whatever is no web origin."""
    scheme, mark, authority = origin.partition("://")
    return authority if mark and scheme in {"http", "https"} else ""
