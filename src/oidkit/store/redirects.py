"""Where a redirect leads: pure decisions about addresses that somebody else has chosen."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

__all__ = ["on_same_host", "shown"]

_PORTS = {"http": 80, "https": 443}
_LONGEST = 200


def on_same_host(url: str, location: str | None) -> str | None:
    """Give the address that a redirect from *url* leads to; None if it is not of the same host.

    Scheme, host and port have to be the same. The name and password of *url* go along; an address
    that comes with others is of nobody that was asked.
    """
    if not location:
        return None
    ours = urlsplit(url)
    try:
        theirs = urlsplit(urljoin(url, location))
        same = _place(theirs) == _place(ours)
    except ValueError:  # an address that cannot be read
        return None
    if not same or _user(theirs) not in ("", _user(ours)):
        return None
    return urlunsplit(theirs._replace(netloc=ours.netloc))


def shown(location: str | None) -> str:
    """Show an address in a sentence: no control characters, no password, no end of it."""
    text = "".join(sign for sign in location or "nowhere" if sign.isprintable())
    scheme, slashes, rest = text.partition("//")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"[:_LONGEST]


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _user(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[0]
