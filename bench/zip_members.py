"""How others take members out of a zip that lies elsewhere, as a script of their own libraries.

    python bench/zip_members.py remotezip|fsspec URL NAMES FOLDER

NAMES is a file with a member's name a line. Runs with the peers' Python (`make peers`).

- remotezip: `RemoteZip(url)`, then `read` of each name: one request a member, one after the other.
- fsspec: its zip file system over its HTTP file system, with the block cache that it has by
  default, then `cat` of each name, in the order of their places, which costs it least.
"""

from __future__ import annotations

import sys
from pathlib import Path


def remotezip(url: str, names: list[str], folder: Path) -> None:
    """Take them out with remotezip."""
    from remotezip import RemoteZip

    with RemoteZip(url) as archive:
        for name in names:
            (folder / name).write_bytes(archive.read(name))


def fsspec(url: str, names: list[str], folder: Path) -> None:
    """Take them out with fsspec."""
    import fsspec as library

    with library.open(url, "rb") as file:
        archive = library.filesystem("zip", fo=file)
        places = {info.filename: info.header_offset for info in archive.zip.infolist()}
        for name in sorted(names, key=places.__getitem__):
            (folder / name).write_bytes(archive.cat(name))


def main() -> None:
    """Run one of the ways."""
    way, url, names, folder = sys.argv[1:]
    wanted = Path(names).read_text(encoding="ascii").split()
    Path(folder).mkdir(parents=True)
    {"remotezip": remotezip, "fsspec": fsspec}[way](url, wanted, Path(folder))


if __name__ == "__main__":
    main()
