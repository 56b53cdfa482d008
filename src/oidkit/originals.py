"""Images outside the bucket: their addresses, what is known of them, and what a loss looks like.

Everything here is pure. The addresses come out of a published list, which is not to be trusted: it
could name a machine of the user's own network, or a file.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LARGEST",
    "USUAL_BYTES",
    "Original",
    "address_fault",
    "is_local",
    "is_placeholder",
    "lane_of",
    "original_of",
    "picture_kind",
    "spelled",
]

LARGEST = 100 << 20
"""Bytes after which an original of unknown size is cut off; the largest known one has 16 MB."""
USUAL_BYTES = 2_500_000
"""Mean bytes of an original: OriginalSize of 2,745 rows of the train list."""

_REMOVED = "photo_unavailable"
# Second-level names under which a country's domains are given out, as in example.co.uk.
_SHARED = frozenset({"ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"})
_COUNTRY_LETTERS = 2
_MD5_BYTES = 16
_MOST_DIGITS = 15
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"RIFF": "WebP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}


@dataclass(frozen=True, slots=True)
class Original:
    """An image at its own source: the address as published, its size in bytes, its MD5 (hex).

    `size` and `md5` are None where the list does not tell them.
    """

    url: str
    size: int | None = None
    md5: str | None = None

    @property
    def most(self) -> int:
        """The largest body in bytes that is ever read; a little over the size for what it says."""
        return LARGEST if self.size is None else self.size + (64 << 10)


def original_of(row: Mapping[str, str]) -> Original:
    """Read the columns OriginalURL, OriginalSize and OriginalMD5 (base64) of an image list.

    About 1 row in 200 of the train list has none of them. What is not a number, or not an MD5, is
    as good as not told.
    """
    size, md5 = row["OriginalSize"].strip(), row["OriginalMD5"].strip()
    try:
        raw = base64.b64decode(md5, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    known = int(size) if size.isascii() and size.isdigit() and len(size) <= _MOST_DIGITS else None
    whole = len(raw) == _MD5_BYTES
    return Original(row["OriginalURL"].strip(), known, raw.hex() if whole else None)


def address_fault(url: str, *, local: bool) -> str | None:
    """Say why an address of a list, or one that it redirects to, is not asked for; None if it is.

    Only http and https are, and without a name or a password. Unless *local*, which stands for a
    list that lies in a private network itself, neither are addresses of this machine or of a
    private network; a name that stands for one is found out when it is connected to.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme not in ("http", "https"):
        return f"it is no web address but one of '{parts.scheme[:20]}'"
    if not host:
        return "it names no host"
    if "@" in parts.netloc:
        return "it holds a user name"
    if not local and is_local(host):
        return "it is in a private network"
    return None


def is_local(host: str) -> bool:
    """Tell whether a host's name, or its address, is of this machine or of a private network.

    Also true of every other address that is not a public one, such as those of multicast. Of a name
    only `localhost` and names below it are known without asking for its address.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        # The resolver takes 127.1 and 0x7f000001 for addresses too.
        return name.replace(".", "").isdigit() or name.startswith("0x")
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global or address.is_multicast


def lane_of(url: str) -> str:
    """Name whom a request burdens: the domain that a host's name belongs to, or its address.

    That is the last two parts of the name, and three where the last is a country's and the one
    before it is shared, as in example.co.uk: farm1.staticflickr.com and c3.staticflickr.com are
    one domain.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    parts = host.split(".")
    if ":" in host or parts[-1].isdigit():
        return host
    *_, second, top = ["", *parts]
    shared = len(top) == _COUNTRY_LETTERS and second in _SHARED
    return ".".join(parts[-3:] if shared else parts[-2:])


def is_placeholder(url: str) -> bool:
    """Tell whether a redirect leads to the picture that stands for a removed photo.

    Flickr answers 302 to ``…/photo_unavailable.png`` (openimages/dataset, issue 9); sizes of it
    have letters behind the name.
    """
    return urlsplit(url).path.rpartition("/")[2].lower().startswith(_REMOVED)


def picture_kind(data: bytes) -> str | None:
    """Name what kind of picture begins with these bytes where it is one, but no JPEG."""
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)


def spelled(url: str) -> str:
    """Spell an address in ASCII: what must not stand in one is escaped, the rest stays."""
    return quote(url, safe="%/:=&?~#+!$,;'@()*[]")
