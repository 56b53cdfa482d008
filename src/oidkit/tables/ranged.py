"""Parts of a table that lie elsewhere, of which only what is asked for comes here.

A part is cut into tiles: its row groups, and its end with the footer. Each tile has a checksum.
Here lies a file as long as the part, with holes where nothing was asked for yet. Whether a tile is
there is told by its checksum alone, so a run that was killed leaves nothing that could be taken for
it, and several runs may fill the same file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.errors import IntegrityError
from oidkit.parquetfooter import row_groups
from oidkit.tables.table import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from oidkit.tables.table import Need

__all__ = ["RangedParts", "Tile", "TiledPart", "Want", "tiles_of"]
_MOST_AT_ONCE = 8 << 20
"""Bytes of a request that takes several tiles."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The bytes [`start`, `stop`) of a part, and their `rows`; its end with the footer has none."""

    rows: int
    start: int
    stop: int
    check: str


@dataclass(frozen=True, slots=True)
class TiledPart:
    """A part by its file `name` here and its `object` elsewhere, cut into `tiles` without gaps."""

    name: str
    object: str
    tiles: tuple[Tile, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole part."""
        return self.tiles[-1].stop

    def holding(self, first: int, count: int | None) -> Iterator[Tile]:
        """Give the tiles that are read for some rows: those that hold them, and the end."""
        stops = accumulate(tile.rows for tile in self.tiles)
        last = first + count if count is not None else None
        for tile, stop in zip(self.tiles, stops, strict=True):
            begins = stop - tile.rows
            if not tile.rows or (first < stop and (last is None or begins < last)):
                yield tile


@dataclass(frozen=True, slots=True)
class Want:
    """Bytes [`start`, `stop`) of an object of `total` bytes; `keep` checks them and puts them down.

    `keep` raises `IntegrityError` where they are not what they should be. It may be called on any
    thread.
    """

    object: str
    start: int
    stop: int
    total: int
    keep: Callable[[bytes], None]


@dataclass(slots=True)
class RangedParts:
    """The parts of one table below `folder`; `fetch` has the bytes that are wanted brought."""

    folder: Path
    parts: Sequence[TiledPart]
    fetch: Callable[[Sequence[Want]], None]
    _sure: set[tuple[int, int]] = field(default_factory=set)

    def lay_out(self) -> None:
        """Make the files, as long as they will be; those that are there stay.

        Raises:
            DiskError: they cannot be made.

        """
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for part in self.parts:
                path = self.folder / part.name
                if not path.exists() or path.stat().st_size != part.size:
                    with path.open("ab") as file:
                        file.truncate(part.size)

    def bring(self, needs: Iterable[Need]) -> None:
        """Have the tiles here that hold some rows, with the ends of their parts.

        Raises:
            OidError: they could not be had, or could not be written.

        """
        wanted: dict[int, set[Tile]] = {}
        for number, first, count in needs:
            wanted.setdefault(number, set()).update(self.parts[number].holding(first, count))
        wants: list[Want] = []
        for number, tiles in sorted(wanted.items()):
            lacking = [tile for tile in tiles if (number, tile.start) not in self._sure]
            if lacking:
                lacking = self._not_there(number, sorted(lacking, key=lambda tile: tile.start))
                wants += self._joined(number, lacking)
        if wants:
            self.fetch(wants)

    def _not_there(self, number: int, tiles: Sequence[Tile]) -> list[Tile]:
        """Leave out the tiles that are here by their checksums."""
        path = self.folder / self.parts[number].name
        found = []
        with disk_errors(path), path.open("rb") as file:
            for tile in tiles:
                file.seek(tile.start)
                if _check(file.read(tile.stop - tile.start)) == tile.check:
                    self._sure.add((number, tile.start))
                else:
                    found.append(tile)
        return found

    def _joined(self, number: int, tiles: Sequence[Tile]) -> Iterator[Want]:
        """Ask for tiles that lie side by side in one request, as far as it stays small."""
        part = self.parts[number]
        runs: list[list[Tile]] = []
        for tile in tiles:
            beside = bool(runs) and runs[-1][-1].stop == tile.start
            if beside and tile.stop - runs[-1][0].start <= _MOST_AT_ONCE:
                runs[-1].append(tile)
            else:
                runs.append([tile])
        for run in runs:
            keep = partial(self._put, number, run)
            yield Want(part.object, run[0].start, run[-1].stop, part.size, keep)

    def _put(self, number: int, tiles: Sequence[Tile], data: bytes) -> None:
        part = self.parts[number]
        first = tiles[0].start
        for tile in tiles:
            if _check(data[tile.start - first : tile.stop - first]) != tile.check:
                raise IntegrityError(f"{part.object} does not match its checksum")
        path = self.folder / part.name
        # Written where it belongs: another run that does the same writes the same.
        with disk_errors(path), path.open("r+b") as file:
            file.seek(first)
            file.write(data)
        self._sure.update((number, tile.start) for tile in tiles)


def tiles_of(data: bytes) -> tuple[Tile, ...]:
    """Cut a Parquet file into tiles, each with its checksum.

    Raises:
        MalformedError: it is no Parquet file.

    """
    groups = row_groups(data)
    stops = [group.start for group in groups[1:]] + ([groups[-1].stop] if groups else [])
    bounds = [0, *stops, len(data)]
    rows = [*(group.rows for group in groups), 0]
    return tuple(
        Tile(count, start, stop, _check(data[start:stop]))
        for count, (start, stop) in zip(rows, pairwise(bounds), strict=True)
    )


def _check(data: bytes) -> str:
    return f"{google_crc32c.value(data):08x}"
