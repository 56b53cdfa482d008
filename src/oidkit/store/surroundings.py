"""What this machine says of the way to a host: proxies, and whose certificates are trusted."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["certificates", "is_here", "proxied"]

# Where Debian, Fedora and others, and Alpine and the BSDs keep their list of trusted roots.
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@lru_cache(64)
def is_here(origin: str) -> bool:
    """Tell whether a server is on this machine; a run asks it of the same one for every object."""
    return urlsplit(origin).hostname in _LOOPBACK


def proxied(url: str) -> bool:
    """Tell whether the environment sends requests for *url* through a proxy, as libcurl has it."""
    from urllib.request import proxy_bypass

    parts = urlsplit(url)
    # Not HTTP_PROXY: a web server sets that to what a visitor wants, so libcurl does not read it.
    names = [f"{parts.scheme}_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"]
    names = [name for name in names if name != "HTTPS_PROXY" or parts.scheme == "https"]
    if parts.hostname in _LOOPBACK or not any(os.environ.get(name) for name in names):
        return False
    return not proxy_bypass(parts.hostname or "")


def certificates() -> str | None:
    """Find the machine's own list of trusted roots: the wheel's libcurl knows no path of it.

    Windows and macOS keep theirs in a store that libcurl reads itself.
    """
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if path := os.environ.get(name):
            return path
    if sys.platform in ("win32", "darwin"):
        return None
    import ssl

    known = (ssl.get_default_verify_paths().cafile, *_CERTIFICATES)
    return next((path for path in known if path and Path(path).is_file()), None)
