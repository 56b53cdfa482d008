"""A mirror on loopback, served by a process of its own: nginx, or else our server for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["served"]

_PATIENCE = 30.0
# Debian puts daemons where the PATH of a plain user does not look.
_DAEMONS = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/sbin"))
_CONFIG = """
daemon off;
master_process off;
pid "{home}/nginx.pid";
error_log "{home}/error.log";
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    server {{ listen 127.0.0.1:{port}; location / {{ root "{root}"; }} }}
}}
"""


@contextlib.contextmanager
def served(root: Path, home: Path) -> Iterator[str]:
    """Serve the folder *root* while the context lasts, and give the URL; *home* is for logs.

    Raises:
        RuntimeError: the server does not answer.

    """
    home.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = _command(root, home, port)
    with (home / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _command(root: Path, home: Path, port: int) -> list[str]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path=_DAEMONS)
    if nginx is None:
        return [sys.executable, "-m", "oidkit.testing", "serve", str(root), "--port", str(port)]
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(home=home, root=root, port=port), encoding="utf-8")
    return [nginx, "-p", str(home), "-c", str(config), "-e", str(home / "error.log")]


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < _PATIENCE and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"no server came up on port {port}")
