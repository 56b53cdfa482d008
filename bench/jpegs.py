"""nginx with the images of the benchmark, at once and after a delay, and a count of what it sent.

20,000 addresses stand for 64 made JPEGs, which stay in the machine's memory, so that no disk is
measured on the side of the server. The ETag of each is its MD5, as the bucket has it: whoever
checks content has something to check.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.measure import Scale

__all__ = ["DELAYS", "SPOILT", "Sent", "Server", "image_ids", "lacking", "serving"]

DELAYS = (0, 50)
"""Milliseconds for which an answer waits."""
SPOILT = "train/00000000000000ff"
"""An image whose ETag is the MD5 of another one."""
_BODIES = 64
_BUCKET = "open-images-dataset"
_DAEMONS = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/sbin"))
_LUA = ("ndk_http_module.so", "ngx_http_lua_module.so")
_PATIENCE = 20.0
_FLUSHED = 0.3

# The last two digits of an image name its body.
_CONFIG = """
{modules}
{user}
daemon off;
worker_processes 2;
pid "{home}/nginx.pid";
error_log "{home}/error.log";
events {{ worker_connections 2048; }}
http {{
    log_format sent "$request_method $status $body_bytes_sent";
    access_log "{home}/access.log" sent buffer=64k flush=100ms;
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    open_file_cache max=256 inactive=600s;
    types {{ image/jpeg jpg; }}
    map $body $tag {{
{tags}
    }}
    {servers}
}}
"""
_SERVER = """
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location ~ "^/{bucket}/[a-z]+/[0-9a-f]{{14}}(?<body>[0-9a-f]{{2}})\\.jpg$" {{
            alias "{bodies}/$body.jpg";
            etag off;
            add_header ETag $tag;
            {delay}
        }}
        # s5cmd asks for the bucket first, to learn of its region.
        location ~ "^/{bucket}/?$" {{ return 200; }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server was asked and gave: requests, those of them that were a GET, and bytes."""

    requests: int
    gets: int
    bytes: int


@dataclass(slots=True)
class Server:
    """The running server: its address for each delay, and its log."""

    urls: dict[int, str]
    log: Path
    _read: int = 0

    def sent(self) -> Sent:
        """Give what was sent since the last time."""
        time.sleep(_FLUSHED)
        with self.log.open("rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        self._read += sum(map(len, lines))
        rows = [line.split() for line in lines]
        gets = [int(size) for method, _, size in rows if method == b"GET"]
        return Sent(len(rows), len(gets), sum(gets))


def image_ids(count: int) -> list[str]:
    """Name the first images, as `train/<ImageID>`."""
    return [f"train/{number:014x}{number % _BODIES:02x}" for number in range(1, count + 1)]


def lacking() -> str:
    """Say what is not on this machine that the server needs; "" where all is."""
    return "" if _nginx() else "was not measured: apt-get install nginx"


@contextlib.contextmanager
def serving(scale: Scale) -> Iterator[Server]:
    """Serve the images; without nginx's Lua module there is no address with a delay."""
    bodies = _bodies(scale)
    home = scale.place / "nginx"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    modules = _modules()
    ports = {delay: _free_port() for delay in DELAYS if not delay or modules}
    config = home / "nginx.conf"
    config.write_text(_configured(home, bodies, ports, modules), encoding="utf-8")
    command = [_nginx(), "-p", str(home), "-c", str(config), "-e", str(home / "error.log")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(process, ports[0], home / "error.log")
            urls = {delay: f"http://127.0.0.1:{port}" for delay, port in ports.items()}
            yield Server(urls, home / "access.log")
        finally:
            process.terminate()


def _bodies(scale: Scale) -> Path:
    """Make the JPEGs, named by two digits, if they are not there."""
    folder = scale.made / "jpegs"
    if folder.exists():
        return folder
    root = scale.made / "jpeg-release"
    size = 300_000 if scale.full else 30_000
    tiny = ReleaseSpec.tiny()
    counts = PerSplit(_BODIES, 1, 1)
    made = replace(
        tiny, releases=("v7",), labels=("boxes",), images=counts, jpegs=1.0, jpeg_bytes=size
    )
    make_release(root, made)
    fresh = scale.made / "jpegs.new"
    fresh.mkdir(exist_ok=True)
    for number, path in enumerate(sorted((root / _BUCKET / "train").glob("*.jpg"))):
        shutil.copyfile(path, fresh / f"{number:02x}.jpg")
    shutil.copyfile(fresh / "00.jpg", fresh / "ff.jpg")
    shutil.rmtree(root)
    fresh.rename(folder)
    return folder


def _configured(home: Path, bodies: Path, ports: dict[int, int], modules: list[Path]) -> str:
    tags = [
        f"        {path.stem} '\"{hashlib.md5(path.read_bytes()).hexdigest()}\"';"  # noqa: S324 - what an ETag is
        for path in sorted(bodies.glob("*.jpg"))
        if path.stem != "ff"
    ]
    tags.append(tags[1].replace(" 01 ", " ff "))
    servers = [
        _SERVER.format(
            port=port,
            bucket=_BUCKET,
            bodies=bodies,
            delay=f"access_by_lua_block {{ ngx.sleep({delay / 1000}) }}" if delay else "",
        )
        for delay, port in ports.items()
    ]
    return _CONFIG.format(
        home=home,
        modules="\n".join(f'load_module "{path}";' for path in modules),
        # Else nginx, started by root, reads as somebody who may not.
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        tags="\n".join(tags),
        servers="".join(servers),
    )


def _nginx() -> str:
    return shutil.which("nginx") or shutil.which("nginx", path=_DAEMONS) or ""


def _modules() -> list[Path]:
    """Find the Lua module, and what it needs, where this nginx keeps its modules."""
    said = subprocess.run([_nginx(), "-V"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"--modules-path=(\S+)", said)
    places = [Path(found[1], name) for name in _LUA] if found else []
    return places if places and all(path.exists() for path in places) else []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx does not answer: {log.read_text(errors='replace')[-1000:]}")
