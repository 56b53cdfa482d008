"""Object stores that are asked with the user's own credentials: S3, GCS and Azure.

The client is obstore, of the extra ``oidkit[cloud]``, which `oidkit.store.bucket` uses as well. Its
calls are the blocking ones, in threads: those of its event loop may abort when a process ends. Only
shared indexes come this way; a source is always read anonymously, by `oidkit.store.http`.
"""

from __future__ import annotations

import configparser
import os
import queue
import re
import threading
from collections import deque
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from oidkit.errors import UsageError
from oidkit.store.model import Arrived, Ended, Reply, Request

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from oidkit.store.address import Address

__all__ = [
    "ObjectTransfer",
    "is_denied",
    "lacks_bucket",
    "no_bucket",
    "opened",
    "sentence_of",
]

_THREADS = 16
_CHUNK = 1 << 20
_WAITING_CHUNKS = 64
_KEYS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_MASTER_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_USE_AZURE_CLI",
        "AZURE_STORAGE_USE_EMULATOR",
    ),
}
"""Variables of which any says that there are credentials; the client reads them itself."""
_ELSEWHERE = {
    "s3": "AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME",
}
"""What else, beside the address, says which bucket is meant."""
_GOOGLE_FILE = "~/.config/gcloud/application_default_credentials.json"
_SHOWN = 200


class ObjectTransfer:
    """GETs from a bucket, with the same requests and replies as a source has.

    Without any credentials of the user's the requests are anonymous.
    """

    def __init__(self, address: Address) -> None:
        self._store = opened(address, writes=False)
        self._bucket = address.bucket
        self._todo: deque[tuple[object, Request]] = deque()
        self._happened: queue.Queue[Arrived | Ended] = queue.Queue(_WAITING_CHUNKS)
        self._dropped: set[int] = set()
        self._ready = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._over = False

    def start(self, token: object, request: Request) -> None:
        """Begin the request, on a thread of its own where none is idle."""
        with self._ready:
            self._dropped.discard(id(token))
            self._todo.append((token, request))
            if self._idle < len(self._todo) and len(self._threads) < _THREADS:
                self._threads.append(threading.Thread(target=self._work, name="oidkit-object"))
                self._threads[-1].start()
            self._ready.notify()

    def poll(self, timeout: float) -> list[Arrived | Ended]:
        """Wait up to *timeout* seconds for something to happen, and tell it."""
        found: list[Arrived | Ended] = []
        with suppress(queue.Empty):
            found.append(self._happened.get(timeout=timeout))
            while True:
                found.append(self._happened.get_nowait())
        return [each for each in found if id(each.token) not in self._dropped]

    def abort(self, token: object) -> None:
        """Forget the request."""
        with self._ready:
            self._dropped.add(id(token))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._ready:
            self._over = True
            self._ready.notify_all()
        for thread in self._threads:
            while thread.is_alive():
                # One that waits to hand on what came may have to be heard out.
                self.poll(0.05)
                thread.join(0)

    def _work(self) -> None:
        while True:
            with self._ready:
                self._idle += 1
                self._ready.wait_for(lambda: self._todo or self._over)
                self._idle -= 1
                if self._over:
                    return
                token, request = self._todo.popleft()
            self._happened.put(self._answered(token, request))

    def _answered(self, token: object, request: Request) -> Ended:
        import obstore

        options: Any = {}
        if request.ranged:
            stop = request.stop if request.stop is not None else 1 << 62
            options["range"] = (request.start or 0, stop)
        try:
            found = obstore.get(self._store, request.key, options=options)
            start, stop = found.range
            status = HTTPStatus.PARTIAL_CONTENT if request.ranged else HTTPStatus.OK
            total, etag = found.meta["size"], found.meta["e_tag"]
            reply = Reply(status, total, start, stop, stop - start, etag=etag)
            for chunk in found.stream(min_chunk_size=_CHUNK):
                if self._over or id(token) in self._dropped:
                    break
                self._happened.put(Arrived(token, reply, bytes(chunk)))
        except Exception as error:  # noqa: BLE001 - some are of its own, some are Python's
            return self._failed(token, error)
        return Ended(token, reply)

    def _failed(self, token: object, error: Exception) -> Ended:
        if lacks_bucket(error):
            said = f"the bucket '{self._bucket}' does not exist"
            return Ended(token, None, said, gone=True)
        if isinstance(error, FileNotFoundError):
            return Ended(token, Reply(HTTPStatus.NOT_FOUND))
        if is_denied(error):
            return Ended(token, Reply(HTTPStatus.FORBIDDEN))
        return Ended(token, None, sentence_of(error))


def opened(address: Address, *, writes: bool, patient: bool = True) -> ObjectStore:
    """Open a bucket; one that is only read is so anonymously where the user has no credentials.

    One that is not *patient* waits some seconds for an answer, and asks twice at most.

    Raises:
        UsageError: the library is not installed, or the address or a variable makes no sense.

    """
    try:
        from obstore import store
    except ImportError as error:
        raise UsageError(
            f"{address.scheme}:// needs the library obstore",
            remedy='install it: pip install "oidkit[cloud]"',
        ) from error
    kinds: dict[str, Any] = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
    try:
        found: ObjectStore = kinds[address.scheme](
            address.bucket,
            prefix=address.prefix or None,
            config=_config(address.scheme, writes=writes),
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=15 if patient else 5),
                "timeout": timedelta(seconds=300 if patient else 10),  # of a whole request
            },
            # What is read is asked for again by the loop that asks for everything.
            retry_config={
                "max_retries": (3 if patient else 1) if writes else 0,
                "retry_timeout": timedelta(seconds=60 if patient else 10),
            },
        )
    except Exception as error:
        raise UsageError(
            f"{address.scheme}://{address.bucket} cannot be opened: {sentence_of(error)}",
            remedy="check the address and the variables of your credentials",
        ) from error
    return found


def _config(scheme: str, *, writes: bool) -> dict[str, Any]:
    """Give what the client does not find itself; without any keys what is read is not signed."""
    config: dict[str, Any] = _profile() if scheme == "s3" else {}
    if not (config or _has_keys(scheme) or writes):
        config["skip_signature"] = True
    if scheme == "s3":
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        config["region"] = region or "us-east-1"
        if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            config |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    return config


def _has_keys(scheme: str) -> bool:
    """Tell whether the environment or a file in its usual place has credentials of the user's."""
    if any(os.environ.get(name) for name in _KEYS[scheme]):
        return True
    return scheme == "gs" and Path(_GOOGLE_FILE).expanduser().is_file()


def _profile() -> dict[str, Any]:
    """Read the keys of the user's profile, where no variable names others."""
    if any(os.environ.get(name) for name in _KEYS["s3"]):
        return {}
    place = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    file = configparser.RawConfigParser()
    with suppress(OSError, configparser.Error, UnicodeDecodeError, RuntimeError):
        file.read(Path(place).expanduser(), encoding="utf-8")
    name = os.environ.get("AWS_PROFILE") or "default"
    if not file.has_section(name):
        return {}
    names = ("access_key_id", "secret_access_key", "session_token")
    found = {each: file.get(name, f"aws_{each}", fallback="") for each in names}
    return {each: value for each, value in found.items() if value}


def lacks_bucket(error: Exception) -> bool:
    """Tell whether an error says that the bucket is not there."""
    return any(f">{code}<" in str(error) for code in ("NoSuchBucket", "ContainerNotFound"))


def no_bucket(address: Address) -> UsageError:
    """Say that the bucket of an address is not there."""
    variable = _ELSEWHERE[address.scheme]
    return UsageError(
        f"the bucket '{address.bucket}' of {address.name} does not exist",
        remedy=f"make it first, or check the address and {variable}",
    )


def is_denied(error: Exception) -> bool:
    """Tell whether an error says that the user may not do that."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    kinds = (PermissionDeniedError, UnauthenticatedError, PermissionError)
    return isinstance(error, kinds) or "status code: 403" in str(error).split("\n", 1)[0]


def sentence_of(error: Exception) -> str:
    """Shorten what the client says: it gives the request, all causes, and how often it tried."""
    text = str(error).split("\n", 1)[0]
    text = re.sub(r"^Generic \w+ error: (Error performing [\w ]+ request: )?", "", text)
    text = re.sub(r"( in [\d.]+[mµn]?s)?(, after \d+ retries.*?)?(?= - )", "", text)
    return re.sub(r"//[^/@\s]*@", "//", text)[:_SHOWN].rstrip(" :")
