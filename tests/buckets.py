"""A bucket that datasets lie in, for tests: an S3-compatible server behind a proxy that notes all.

What stands in the bucket is read by boto3, and not by what is tested.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from mirrors import CLASSES, environment
from oidkit.testing import PerSplit, ReleaseSpec
from servers import s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from oidkit.testing import MirrorServer
    from oracle import Tree

SPEC = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    images=PerSplit(40, 10, 14),
    jpegs=0.9,
    jpeg_bytes=4_000,
)
"""A release of some images, of which a tenth is missing."""
BUCKET = "our-data"
KEYS = {"AWS_ACCESS_KEY_ID": "ours-alone", "AWS_SECRET_ACCESS_KEY": "not-for-the-source"}
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the bucket; `path` is decoded and begins with the bucket's name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Store:
    """A bucket on loopback. `refuse` may give the status that a request is answered with."""

    endpoint: str
    behind: str
    log: list[Asked] = field(default_factory=list)
    refuse: Callable[[Asked], int | None] = lambda _: None

    @property
    def environment(self) -> dict[str, str]:
        """Give what a user has set to reach it."""
        return {"AWS_ENDPOINT_URL": self.endpoint} | KEYS

    def client(self) -> Any:
        """Give an S3 client that goes to the server itself, and so is not noted."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.behind,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def keys(self, prefix: str = "") -> list[str]:
        """Give the whole keys below a prefix."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        rows = itertools.chain.from_iterable(page.get("Contents", []) for page in pages)
        return [row["Key"] for row in rows if row["Key"].startswith(prefix)]

    def tree(self, prefix: str) -> Tree:
        """Read all objects of a dataset but the lock, by their names below its prefix."""
        client, front = self.client(), f"{prefix}/" if prefix else ""
        found = {
            key.removeprefix(front): client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in self.keys(front)
        }
        found.pop(".oid/lock", None)
        return found

    def put(self, key: str, data: bytes) -> None:
        """Write an object, as somebody else would."""
        self.client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def remove(self, key: str) -> None:
        """Remove an object, or all below a prefix that ends in a slash."""
        client = self.client()
        for each in self.keys(key) if key.endswith("/") else [key]:
            client.delete_object(Bucket=BUCKET, Key=each)

    def puts(self, part: str = "") -> list[str]:
        """Give the paths of what was written, whose path has a part."""
        return [each.path for each in self.log if each.method == "PUT" and part in each.path]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Store]:
    """Serve an empty bucket."""
    pytest.importorskip("obstore", reason="buckets need the extra oidkit[cloud]")
    (folder / "empty").mkdir(parents=True)
    with s3(folder / "empty", folder / "server", bucket=BUCKET, prefix="none") as behind:
        server = _Front(("127.0.0.1", 0), _Handler)
        store = Store(f"http://127.0.0.1:{server.server_port}", behind)
        server.store = store
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def ours(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Have the keys for a bucket in this process, and begin its books anew."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    store.log.clear()
    store.refuse = lambda _: None
    return store


def user_of(store: Store, home: Path, **more: str) -> dict[str, str]:
    """Give the environment of a process whose home is an empty folder."""
    home.mkdir(parents=True, exist_ok=True)
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(home))
    return environment(**store.environment, **places, **more)


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    store: Store


class _Handler(BaseHTTPRequestHandler):
    server: _Front
    protocol_version = "HTTP/1.1"
    # Or an answer's body waits for the client to acknowledge its head.
    disable_nagle_algorithm = True
    _behind: http.client.HTTPConnection | None = None

    def _pass_on(self) -> None:
        store, parts = self.server.store, urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        asked = Asked(self.command, unquote(parts.path).strip("/"), parts.query, headers)
        store.log.append(asked)
        status = store.refuse(asked)
        if status is not None:
            text = b"<Error><Code>AccessDenied</Code></Error>" if status == 403 else b""
            self._say(status, {}, text)
            return
        if self._behind is None:
            host, _, port = store.behind.rpartition("/")[2].partition(":")
            self._behind = http.client.HTTPConnection(host, int(port), timeout=60)
        self._behind.request(self.command, self.path, body=body, headers=headers)
        reply = self._behind.getresponse()
        told = {name: value for name, value in reply.getheaders() if name.lower() not in _HOP}
        if self.command == "HEAD":
            told["Content-Length"] = reply.getheader("Content-Length", "0")
        self._say(reply.status, told, reply.read())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - their names there

    def _say(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def finish(self) -> None:
        super().finish()
        if self._behind is not None:
            self._behind.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def command_of(server: MirrorServer, place: str, cache: Path) -> list[str]:
    """Give the arguments of a download of both classes."""
    command = ["download", *CLASSES, "--source", server.url, "--cache", str(cache)]
    return [*command, "--out", place, "--quiet"]


def images_asked(server: MirrorServer) -> list[str]:
    """Give the images that the source was asked for."""
    return [each.path for each in server.log if each.path.startswith("open-images-dataset/")]
