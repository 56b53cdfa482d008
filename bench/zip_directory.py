"""Reads the directory of one zip in one way, and says what that took, as JSON.

    python bench/zip_directory.py ours|zipfile|remotezip|bytes PATH-OR-URL

Ours takes the bytes from the file in pieces, as they come from a source. "bytes" reads just as many
and throws them away.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

_PIECE = 256 << 10
_TAIL = 65_536


def ours() -> Callable[[str], Sized]:
    """Prepare oidkit's reader."""
    import numpy  # noqa: F401, ICN001 - it would else be imported while the time runs

    from oidkit.zipindex import DirectoryReader

    def read(path: str) -> Sized:
        reader = DirectoryReader(name=path, tail=_TAIL)
        with Path(path).open("rb") as file:
            total = file.seek(0, 2)
            start = file.seek(max(0, total - _TAIL))
            reader.feed(file.read(), start=start, total=total)
            while (need := reader.need()) is not None:
                start = file.seek(need.start or 0)
                reader.go_on(file.read(min(_PIECE, (need.stop or 0) - start)))
        return reader.index()

    return read


def by_zipfile() -> Callable[[str], Sized]:
    """Prepare the standard library's."""
    import zipfile

    return lambda path: zipfile.ZipFile(path).infolist()


def by_remotezip() -> Callable[[str], Sized]:
    """Prepare remotezip's, which is zipfile's over HTTP."""
    from remotezip import RemoteZip

    return lambda url: RemoteZip(url).infolist()


def by_bytes() -> Callable[[str], Sized]:
    """Prepare the floor: find where the directory is, then read it."""
    from oidkit.zipindex import DirectoryReader

    def read(path: str) -> Sized:
        with Path(path).open("rb") as file:
            file.seek(start)
            while file.read(_PIECE):
                pass
        return ()

    reader = DirectoryReader(name="a zip", tail=_TAIL)
    with Path(sys.argv[2]).open("rb") as file:
        total = file.seek(0, 2)
        first = file.seek(max(0, total - _TAIL))
        reader.feed(file.read(), start=first, total=total)
    start = reader.ends.start if reader.ends else 0
    return read


def main() -> None:
    """Measure one way."""
    way, place = sys.argv[1:]
    ways = {"ours": ours, "zipfile": by_zipfile, "remotezip": by_remotezip, "bytes": by_bytes}
    read = ways[way]()
    before, begun, cpu = _peak(), time.perf_counter(), time.process_time()
    found = read(place)
    took, used = time.perf_counter() - begun, time.process_time() - cpu
    peak = _peak()
    said = {"us": int(took * 1e6), "cpu_us": int(used * 1e6), "grown": peak - before}
    print(json.dumps(said | {"peak": peak, "members": len(found)}))


def _peak() -> int:
    """Give the most memory that this process had, in bytes; 0 where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
