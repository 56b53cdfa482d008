"""A source as the user names it: 'official', or the root of a mirror."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from oidkit.errors import UsageError
from oidkit.store.folder import FolderTransfer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oidkit.store.model import Transfer

__all__ = ["Source", "parse_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the buckets lie: below one folder, or at one URL for each of them.

    `name` is what messages and records call it; it never holds a password.
    """

    name: str
    folder: Path | None = None
    root: str | None = None
    buckets: tuple[tuple[str, str], ...] = ()

    @property
    def official(self) -> bool:
        """Whether published sizes and checksums bind this source."""
        return bool(self.buckets)

    @property
    def cache_name(self) -> str:
        """Give a folder name that no other source shares."""
        if self.official:
            return "official"
        where = str(self.folder) if self.folder else str(self.root)
        return hashlib.sha256(where.encode()).hexdigest()[:16]

    def locate(self, key: str) -> str:
        """Give the URL of an object of a source on the network."""
        bucket, _, rest = key.partition("/")
        for name, url in self.buckets:
            if name == bucket:
                return f"{url}/{rest}"
        return f"{self.root}/{key}"

    def open(self) -> Transfer:
        """Open the source for reading; a client is imported only when one is needed."""
        if self.folder is not None:
            return FolderTransfer(self.folder)
        from oidkit.store.http import HttpTransfer

        return HttpTransfer(self.locate)


def parse_source(text: str, *, official: Mapping[str, str]) -> Source:
    """Read 'official' or the root of a mirror; *official* gives the URL of each public bucket.

    A root is a folder, ``file://``, ``http(s)://host[:port][/prefix]``, ``s3://bucket/prefix``
    (at AWS_ENDPOINT_URL where that is set) or ``gs://bucket/prefix``. Requests are anonymous.

    Raises:
        UsageError: the text is none of these, or the folder does not exist.

    """
    if text == "official":
        return Source("official", buckets=tuple(official.items()))
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme in ("http", "https"):
        return _web(text.rstrip("/"))
    if scheme == "s3":
        return Source(text.rstrip("/"), root=_s3_root(text))
    if scheme == "gs":
        return Source(text.rstrip("/"), root="https://storage.googleapis.com/" + _bucket_path(text))
    if scheme == "file":
        from urllib.request import url2pathname

        return _folder(Path(url2pathname(unquote(urlsplit(text).path))), text)
    if scheme:
        raise UsageError(
            f"source '{_shown(text)}' has an address of a kind that is not known here",
            remedy="use a folder, file://, http://, https://, s3://, gs:// or 'official'",
        )
    return _folder(Path(text), text)


def _web(text: str) -> Source:
    parts = urlsplit(text)
    if not parts.hostname:
        raise UsageError(
            f"source '{_shown(text)}' names no host", remedy="write http://host/prefix"
        )
    return Source(_shown(text), root=text)


def _shown(text: str) -> str:
    """Leave out what stands before the host: it may be a password."""
    parts = urlsplit(text)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _folder(path: Path, text: str) -> Source:
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"source '{text}' {what}", remedy="give --source the root of a mirror")
    return Source(str(path.resolve()), folder=path.resolve())


def _bucket_path(text: str) -> str:
    parts = urlsplit(text)
    if not parts.netloc:
        raise UsageError(f"source '{text}' names no bucket", remedy="write s3://bucket/prefix")
    return (parts.netloc + parts.path).rstrip("/")


def _s3_root(text: str) -> str:
    path = _bucket_path(text)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return f"{endpoint.rstrip('/')}/{path}"
    bucket, slash, prefix = path.partition("/")
    # A dot in the bucket's name does not fit the certificate of the virtual host.
    if "." in bucket:
        return f"https://s3.amazonaws.com/{path}"
    return f"https://{bucket}.s3.amazonaws.com{slash}{prefix}"
