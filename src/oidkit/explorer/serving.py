"""The explorer on a port of loopback, until somebody stops it."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import sys
import threading
from typing import TYPE_CHECKING, Self

import uvicorn

from oidkit.errors import OidError, UsageError
from oidkit.explorer.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from oidkit.explorer.viewer import Viewer

__all__ = ["Explorer"]

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_USUAL_PORT = 80
_TOKEN_BYTES = 24
_PATIENCE = 20.0
_LONGEST_HEAD = 8192


class _Server(uvicorn.Server):
    """Lets go of what it waits for when it is to end."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def end(self) -> None:
        self._stop()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stop()
        super().handle_exit(sig, frame)


class Explorer:
    """A running explorer: `url` has the token, without which nothing is answered.

    The port is taken as it is made, 0 for any that is free. As a context manager it serves in a
    thread of its own; `run` serves in this one until it is interrupted.

    Raises:
        UsageError: the port is taken, or may not be used.

    """

    def __init__(self, viewer: Viewer, *, port: int = 0) -> None:
        self._socket = _listening(port)
        self.port: int = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.url = f"http://{_ADDRESS}:{self.port}/{token}/"
        app = create_app(viewer, token=token, hosts=_hosts(self.port))
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            http="h11",
            ws="none",
            h11_max_incomplete_event_size=_LONGEST_HEAD,
            timeout_graceful_shutdown=1,
        )
        # What goes wrong is an answer; pictures that are under way at the end are given up.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = _Server(config, viewer.pictures.stop)
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])
        self._socket.close()

    def __enter__(self) -> Self:
        """Serve in a thread of its own, and wait until it listens."""
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        with contextlib.closing(socket.create_connection((_ADDRESS, self.port), _PATIENCE)):
            pass
        return self

    def __exit__(self, *error: object) -> None:
        """Stop serving."""
        self._server.end()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
            if self._thread.is_alive():
                raise OidError("the explorer does not stop", remedy="end this process")
        self._socket.close()


def _hosts(port: int) -> list[str]:
    """Give what `Host` may be; browsers leave out the port that is HTTP's own."""
    named = [f"{name}:{port}" for name in _NAMES]
    return [*named, *_NAMES] if port == _USUAL_PORT else named


def _reason(error: OSError) -> str:
    return (error.strerror or "it cannot be used").lower()


def _listening(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # where it would let another program take the port as well
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((_ADDRESS, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        because = "there is none" if isinstance(error, OverflowError) else _reason(error)
        raise UsageError(
            f"port {port} of {_ADDRESS} cannot be used: {because}",
            remedy="give another --port, or leave it out",
        ) from error
    return found
