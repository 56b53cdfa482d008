"""The explorer on a port of loopback, until somebody stops it."""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
import threading
from typing import TYPE_CHECKING, Self

import uvicorn

from oidkit.errors import OidError, UsageError
from oidkit.explorer.app import create_app

if TYPE_CHECKING:
    from oidkit.explorer.viewer import Viewer

__all__ = ["Explorer"]

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_TOKEN_BYTES = 24
_PATIENCE = 20.0
_LONGEST_HEAD = 8192


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
        app = create_app(viewer, token=token, hosts=(f"{name}:{self.port}" for name in _NAMES))
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
        self._server = uvicorn.Server(config)
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
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_PATIENCE)
            if self._thread.is_alive():
                raise OidError("the explorer does not stop", remedy="end this process")
        self._socket.close()


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
