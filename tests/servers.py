"""Servers that are not ours, on loopback: nginx, an S3-compatible one, and azurite.

Each is a process of its own on a free port, and is ended by its own handle.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, Request, build_opener

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATIENCE = 30.0
# Debian puts daemons where the PATH of a plain user does not look.
_DAEMONS = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/sbin"))

_AZURITE = Path(__file__).resolve().parents[1] / "build" / "azurite"  # where make puts it

_NGINX = """
daemon off;
master_process off;
pid "{home}/nginx.pid";
error_log "{home}/error.log";
events {{ worker_connections 256; }}
http {{
    access_log "{home}/access.log";
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    {http}
    server {{
        listen 127.0.0.1:{port};
        {server}
        location / {{ root "{root}"; {location} }}
    }}
}}
"""


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def nginx(
    root: Path, home: Path, *, http: str = "", server: str = "", location: str = ""
) -> Iterator[str]:
    """Serve the folder *root*, with nginx's own files in *home*, and give the URL.

    *http*, *server* and *location* are more lines of its configuration, for all, for the server and
    for the objects.
    """
    binary = shutil.which("nginx") or shutil.which("nginx", path=_DAEMONS)
    if binary is None:
        pytest.skip("nginx is not installed (apt-get install nginx)")
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = home / "nginx.conf"
    more = {"http": http, "server": server, "location": location}
    config.write_text(_NGINX.format(home=home, root=root, port=port, **more), encoding="utf-8")
    command = [binary, "-p", str(home), "-c", str(config), "-e", str(home / "error.log")]
    with _running(command, port, home / "output.txt"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def s3(root: Path, home: Path, *, bucket: str, prefix: str) -> Iterator[str]:
    """Put all files below *root* into a bucket that everybody may read; give the endpoint."""
    for name in ("moto", "boto3", "flask", "flask_cors"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"the S3-compatible server needs {name}, a requirement of the tests")
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, home / "output.txt", env=dict(os.environ) | _KEYS):
        upload(root, f"{endpoint}/{bucket}", prefix)
        yield endpoint


@contextlib.contextmanager
def azurite(home: Path, *, account: str, key: str) -> Iterator[str]:
    """Serve the blobs of an account of Azure, of which there are none; give its endpoint."""
    program = _AZURITE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    node = shutil.which("node")
    if node is None or not program.is_file():
        pytest.skip("azurite is not installed (make azurite, which needs npm)")
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [node, str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
    # It knows versions of the protocol by name, and refuses the newest of the client's.
    command += ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    env = dict(os.environ) | {"AZURITE_ACCOUNTS": f"{account}:{key}"}
    with _running(command, port, home / "output.txt", env=env):
        yield f"http://127.0.0.1:{port}/{account}"


_KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def upload(root: Path, url: str, prefix: str) -> None:
    """Make the bucket at *url*, and put every file into it with the ACL public-read."""
    opener = build_opener(ProxyHandler({}))
    # The server takes any signature; without one it would store for nobody.
    signed = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, "
        "SignedHeaders=host, Signature=0"
    }
    opener.open(Request(url, data=b"", method="PUT", headers=signed)).close()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(root).as_posix()}"
            headers = signed | {"x-amz-acl": "public-read", "Content-Type": "binary/octet-stream"}
            request = Request(f"{url}/{key}", data=path.read_bytes(), method="PUT", headers=headers)
            opener.open(request).close()


@contextlib.contextmanager
def _running(
    command: list[str], port: int, output: Path, *, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server until it answers, and end it when the context ends."""
    with (
        output.open("wb") as file,
        subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=env) as process,
    ):
        try:
            _wait_for(process, port, output)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1),
        ):
            return
        time.sleep(0.05)
    said = output.read_text(encoding="utf-8", errors="replace")
    pytest.fail(f"{process.args!r} does not listen on {port}: {said[-2000:]}")
