"""Where bytes come from: a source is parsed once, then read through a `Transfer`.

This package is the only place that knows the HTTP client (libcurl, by pycurl).
"""

from oidkit.store.model import (
    Arrived,
    Checksums,
    Ended,
    Reply,
    Request,
    Transfer,
    is_strong,
    same_object,
)
from oidkit.store.source import Source, parse_source

__all__ = [
    "Arrived",
    "Checksums",
    "Ended",
    "Reply",
    "Request",
    "Source",
    "Transfer",
    "is_strong",
    "parse_source",
    "same_object",
]
