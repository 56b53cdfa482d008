"""`python -m oidkit.testing make DIR` and `serve DIR`: a release and its server by hand."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from oidkit.catalog import SPLITS
from oidkit.errors import OidError
from oidkit.testing.release import make_release
from oidkit.testing.server import MirrorServer
from oidkit.testing.spec import PRESETS, PerSplit, ReleaseSpec, preset

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m oidkit.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make a release in an empty folder")
    make.add_argument("folder", type=Path, metavar="DIR")
    make.add_argument("--preset", choices=PRESETS, default="small")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--images", type=int, help="train images")
    make.add_argument("--boxes", type=int, help="rows of the train box file")
    make.add_argument("--members-per-zip", type=int, help="masks in each of the 16 train zips")
    make.add_argument("--jpegs", type=int, help="images of each split that the bucket has")
    make.add_argument("--jpeg-bytes", type=int, help="exact size of every JPEG")
    serve = commands.add_parser("serve", help="serve a folder until interrupted")
    serve.add_argument("folder", type=Path, metavar="DIR")
    serve.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    serve.add_argument("--delay", type=float, default=0.0, metavar="MS", help="before each answer")
    serve.add_argument("--bandwidth", type=float, metavar="BYTES", help="a second and connection")
    return parser


def _spec(options: argparse.Namespace) -> ReleaseSpec:
    """Give the preset with the numbers of train that were given; the rest stays as it is."""
    spec = preset(options.preset, seed=options.seed)
    if options.images is not None:
        spec = replace(spec, images=spec.images._replace(train=options.images), boxes=None)
    if options.members_per_zip is not None:
        others = spec.members_per_zip or PerSplit(0, 0, 0)
        members = others._replace(train=options.members_per_zip)
        spec = replace(spec, masks=None, members_per_zip=members)
    if options.boxes is not None:
        usual = PerSplit(*(spec.boxes_of(split) for split in SPLITS))
        spec = replace(spec, boxes=usual._replace(train=options.boxes))
    if options.jpegs is not None:
        spec = replace(spec, jpegs=options.jpegs)
    return replace(spec, jpeg_bytes=options.jpeg_bytes)


def _make(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    made = make_release(
        options.folder, _spec(options), on_file=lambda name: _say(name, to=sys.stderr)
    )
    seconds = time.perf_counter() - started
    _say(f"{made.root}: {sum(made.jpegs.values())} JPEGs, {len(made.rows)} files, {seconds:.1f} s")
    return 0


def _serve(options: argparse.Namespace) -> int:
    if not options.folder.is_dir():
        _say(f"{options.folder} is not a folder", to=sys.stderr)
        return 2
    server = MirrorServer(
        options.folder,
        port=options.port,
        delay=options.delay / 1000,
        bandwidth=options.bandwidth,
    )
    with server:
        _say(server.url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            _say(f"{server.requests} requests, {server.bytes_sent} bytes", to=sys.stderr)
    return 0


def _say(text: object, *, to: TextIO | None = None) -> None:
    stream = to or sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; give its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _make(options) if options.command == "make" else _serve(options)
    except OidError as error:
        _say(error, to=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
