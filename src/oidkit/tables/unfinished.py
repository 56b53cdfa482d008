"""How far the building of a table has come: written down after each block, read by the next run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.disk import write_atomically
from oidkit.store import Checksums, is_strong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.tables.holding import Held

__all__ = ["Unfinished"]

_NOTHING_KNOWN = Checksums()
_NOTE = "state.json"


@dataclass(slots=True)
class Unfinished:
    """The blocks that were put down, and what has to be known to go on after them.

    `held` and `beside` say how the columns are held, None for a table of text; `bounds` are the
    first keys of all buckets but the first, and `cuts` where in a file of rows each bucket begins
    and ends.
    """

    etag: str | None = None
    known: Checksums = _NOTHING_KNOWN
    columns: tuple[str, ...] = ()
    held: dict[str, Held] | None = None
    beside: dict[str, str] = field(default_factory=dict)
    bounds: tuple[str | int, ...] = ()
    offset: int = 0
    lines: int = 0
    crc: int = 0
    blocks: int = 0
    rows: int = 0
    rejects: int = 0
    # The CRC-32C of each file that the work consists of: none is synced, and a loss of power may
    # leave the state that tells of them, and not them.
    pieces: dict[str, int] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def load(cls, work: Path) -> Unfinished:
        """Read what a run has left, or begin anew where that is nothing, or not whole."""
        try:
            found = json.loads((work / _NOTE).read_bytes())
            found["columns"], found["bounds"] = tuple(found["columns"]), tuple(found["bounds"])
            found["known"] = Checksums(**found["known"])
            found["cuts"] = dict(found["cuts"])  # an earlier version had none
            state = cls(**found)
            if not is_strong(state.etag) or (state.known.md5 and state.known.crc32c is None):
                # An MD5 cannot be carried over from one run to the next, as a CRC can.
                return cls()
            for name, crc in state.pieces.items():
                if google_crc32c.value((work / name).read_bytes()) != crc:
                    return cls()
        except (OSError, ValueError, TypeError, KeyError):
            return cls()
        for path in work.glob("*-*.*"):
            # The block that was under way when the last run ended is read again as a whole.
            number = path.stem.rpartition("-")[2]
            if number.isdigit() and int(number) >= state.blocks:
                path.unlink()
        return state

    def save(self, work: Path) -> None:
        """Write it down."""
        write_atomically(work / _NOTE, json.dumps(asdict(self)).encode())

    def add(self, path: Path) -> None:
        """Take a file that was written into the work."""
        self.pieces[path.name] = google_crc32c.value(path.read_bytes())

    def words(self, work: Path) -> Iterator[list[str]]:
        """Give the words that each of the blocks brought, in their order."""
        for name in sorted(name for name in self.pieces if name.startswith("words-")):
            yield json.loads((work / name).read_bytes())

    def add_words(self, work: Path, words: list[str]) -> None:
        """Put down the new words of the block at hand."""
        path = work / f"words-{self.blocks:06d}.json"
        path.write_text(json.dumps(words), encoding="utf-8")
        self.add(path)
