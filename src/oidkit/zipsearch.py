"""A few names in the directory of a large zip, found without reading all of it.

Where the entries stand in the order of their image ids, a small range of the directory tells what
lies before and behind it, as in a telephone book. Ids are hashes, so where one should stand is
told by its value: a few ranges find any name. Nothing here touches a network or a disk: `need()`
says which ranges would help, `feed()` takes them.

What is found is certain: its entry, and the one behind it, which says where its span stops. That a
name is absent, that the zip is sorted after all, that no other entry has the name: this only the
whole directory tells. So a name that is not where it should be, and whatever is out of order or
not as in a plain mask zip, makes `fallback` say why the directory has to be read whole.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from oidkit.errors import IntegrityError
from oidkit.zipentries import ENTRY_SIZE, MASK_NAME, Ends, Fields, entry_starts, reaches
from oidkit.zipmember import LOCAL_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from oidkit.zipentries import Numbers

__all__ = ["SMALLEST_DIRECTORY", "Entries", "NameSearch", "pays", "search_bytes"]

SMALLEST_DIRECTORY: Final = 1 << 20
"""A smaller directory comes whole, in the time of a few requests."""
LARGEST_PROBE: Final = 64 << 10
"""Bytes of the largest range that is asked for."""

_SMALLEST_PROBE: Final = 4 << 10
_REQUEST_COST: Final = 16 << 10
"""Bytes that pass in the time of a request, as for the ranges of members (`oidkit.planning`)."""
_FOUND_BYTES: Final = 48 << 10
_SCATTER_BYTES: Final = 47
"""What names take: so much each, or so often the root of their number and the directory's bytes."""
_SPREAD: Final = 1.5
"""How much wider than that of single entries the scatter is: those of an image stand together."""
_APART: Final = 6
"""Ranges of one round lie so many of their lengths apart: what one tells moves its neighbours."""
_MOST_ROUNDS: Final = 40
_LONGEST_EXTRA: Final = 64
_LONGEST_ENTRY: Final = ENTRY_SIZE + 64 + _LONGEST_EXTRA
_SIGNATURE: Final = b"PK\x01\x02"
_ID_DIGITS: Final = 16
_BEYOND: Final = 1 << 64


def pays(names: int, directory: int) -> bool:
    """Tell whether so many names are found for less than a directory of so many bytes costs."""
    cost = search_bytes(names, directory) + names * _REQUEST_COST
    return directory >= SMALLEST_DIRECTORY and cost <= directory


def search_bytes(names: int, directory: int) -> int:
    """Estimate the bytes of a sorted directory that are received for so many names.

    Where a name stands is known the better the more of its neighbours are.
    """
    scattered = int(_SCATTER_BYTES * (names * directory) ** 0.5)
    return LARGEST_PROBE + min(names * _FOUND_BYTES, scattered)


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Some entries of a directory, in its order: columns of equal length.

    `at` and `after` say where the entry begins and ends, in bytes of the zip. `stop` is where the
    span of the member stops, and 0 where the entry behind is not known.
    """

    name: NDArray[np.str_] | Sequence[str]
    at: Numbers
    after: Numbers
    offset: Numbers
    stop: Numbers
    csize: Numbers
    usize: Numbers
    crc32: Numbers
    method: Numbers
    flags: Numbers


class _OddError(Exception):
    """The directory is not that of a plain, sorted mask zip."""


@dataclass(slots=True, eq=False)
class _Run:
    """Entries without a gap between them: bytes [start, stop) of the zip."""

    start: int
    stop: int
    names: list[str]
    columns: dict[str, Numbers]
    first: int
    last: int
    """The image ids at either end; of an end that is that of the directory, what lies beyond."""


@dataclass(slots=True)
class NameSearch:
    """Looks for names in the directory of a zip that is *total* bytes long.

    Ask `need()`, fetch the ranges in any order, `feed()` them, until there is none. Then either
    `fallback` says why the directory has to be read whole, or all names are among `entries()`.
    """

    ends: Ends
    names: Iterable[str]
    zip_name: str = "the zip"
    fallback: str = ""
    received: int = 0
    """Bytes that were fed, to be compared with those of the directory."""
    _wanted: list[tuple[int, str]] = field(default_factory=list)
    _runs: list[_Run] = field(default_factory=list)
    _rounds: int = 0

    def __post_init__(self) -> None:
        """Sort the names; those of one image stand together. Of a mask's name no other can be."""
        masks = (name for name in set(self.names) if MASK_NAME.fullmatch(name))
        self._wanted = sorted((_id(name), name) for name in masks)
        if self.ends.size > self.ends.entries * _LONGEST_ENTRY:
            self.fallback = "its directory is longer than that of masks alone"

    # -- what is known --------------------------------------------------------------------------

    def feed(self, data: bytes, *, start: int) -> None:
        """Take bytes of the zip from *start* on, of the directory or reaching over its ends."""
        if self.fallback:
            return
        self.received += len(data)
        try:
            self._take(bytes(data), start)
        except _OddError as odd:
            self.fallback = str(odd)
        except IntegrityError as error:
            self.fallback = error.cause

    def know(self, entries: Entries) -> None:
        """Take what an earlier search of the very same zip has found."""
        import numpy as np

        at, after = np.asarray(entries.at), np.asarray(entries.after)
        breaks = (np.flatnonzero(at[1:] != after[:-1]) + 1).tolist()
        columns = {key: np.asarray(getattr(entries, key)) for key in _COLUMNS}
        names = list(entries.name)
        for first, last in zip([0, *breaks], [*breaks, len(names)], strict=True):
            if first < last:
                part = {key: column[first:last] for key, column in columns.items()}
                self._insert(self._run(names[first:last], part))

    def _take(self, data: bytes, start: int) -> None:
        ends = self.ends
        low, high = max(start, ends.start), min(start + len(data), ends.stop)
        # What is known already is not looked at again.
        for run in self._runs:
            if run.start <= low < run.stop:
                low = run.stop
            if run.start < high <= run.stop:
                high = run.start
        if low >= high:
            return
        data = data[low - start : high - start]
        known = low == ends.start or any(run.stop == low for run in self._runs)
        begin = 0 if known else _first_entry(data)
        starts, after = entry_starts(data, begin)
        cut = data[after : after + len(_SIGNATURE)]
        exact = high == ends.stop or any(run.start == high for run in self._runs)
        if exact and after != len(data):
            raise _OddError("an entry of its directory does not end where the next begins")
        if not starts or not _SIGNATURE.startswith(cut):
            raise _OddError("a range of its directory holds no whole entry")
        self._insert(self._run(*self._read(data, starts, after, low)))

    def _read(
        self, data: bytes, starts: list[int], after: int, low: int
    ) -> tuple[list[str], dict[str, Numbers]]:
        import numpy as np

        fields = Fields.read(data, starts, self.zip_name)
        if not all(fields.names):
            raise _OddError("its directory holds members that are no masks")
        if fields.comment_length.any() or (fields.extra_length > _LONGEST_EXTRA).any():
            raise _OddError("its directory holds comments, or long extra fields")
        edges = np.array([*starts, after], dtype=np.uint64) + np.uint64(low)
        if (fields.offset > self.ends.start).any() or (fields.csize > self.ends.start).any():
            raise _OddError("its members lie outside of it")
        columns: dict[str, Numbers] = {
            "at": edges[:-1],
            "after": edges[1:],
        }
        for key in _COLUMNS[2:]:
            columns[key] = getattr(fields, key)
        return [name.decode("ascii") for name in fields.names], columns

    def _run(self, names: list[str], columns: dict[str, Numbers]) -> _Run:
        """Check that the entries are in order, and that their members lie so too."""
        ids = [name[:_ID_DIGITS] for name in names]
        if ids != sorted(ids):
            raise _OddError("its directory is not sorted by image")
        begin, used = _used(names, columns)
        if (begin[:-1] + used[:-1] > begin[1:]).any() or int(
            begin[-1] + used[-1]
        ) > self.ends.start:
            raise _OddError("its members do not lie in the order of its directory")
        start, stop = int(columns["at"][0]), int(columns["after"][-1])
        first = -1 if start == self.ends.start else _id(names[0])
        last = _BEYOND if stop == self.ends.stop else _id(names[-1])
        return _Run(start, stop, names, columns, first, last)

    def _insert(self, run: _Run) -> None:
        place = bisect.bisect(self._runs, run.start, key=attrgetter("start"))
        before = self._runs[place - 1 : place]
        behind = self._runs[place : place + 1]
        for one, other in [*((each, run) for each in before), *((run, each) for each in behind)]:
            if _id(one.names[-1]) > _id(other.names[0]) or one.stop > other.start:
                raise _OddError("its directory is not sorted by image")
            if one.columns["offset"][-1] >= other.columns["offset"][0]:
                raise _OddError("its members do not lie in the order of its directory")
        joined = [
            *(each for each in before if each.stop == run.start),
            run,
            *(each for each in behind if each.start == run.stop),
        ]
        if len(joined) > 1:
            run = self._joined(joined)
        first = place - (joined[0] in before)
        self._runs[first : place + (joined[-1] in behind)] = [run]

    @staticmethod
    def _joined(runs: Sequence[_Run]) -> _Run:
        import numpy as np

        names = [name for run in runs for name in run.names]
        columns = {
            key: np.concatenate([run.columns[key] for run in runs]) for key in runs[0].columns
        }
        return _Run(runs[0].start, runs[-1].stop, names, columns, runs[0].first, runs[-1].last)

    # -- what to ask for ------------------------------------------------------------------------

    def need(self) -> list[tuple[int, int]]:
        """Say which ranges of the zip would help now, each half-open; none when all is known."""
        if self.fallback:
            return []
        try:
            left = self._left()
        except _OddError as odd:
            self.fallback = str(odd)
            return []
        if not left:
            return []
        self._rounds += 1
        if self._rounds > _MOST_ROUNDS or self.received * 4 > self.ends.size * 3:
            self.fallback = "looking for its names costs more than its directory"
            return []
        found: list[tuple[int, int]] = []
        for wanted in left:
            start, stop = self._range(wanted)
            apart = _APART * (stop - start) if found else 0
            if (
                not found
                or start >= found[-1][1] + apart
                or self._gap(start) != self._gap(found[-1][0])
            ):
                found.append((start, stop))
        return found

    def _left(self) -> list[int]:
        """Give the images of which it is not known yet where their entries are."""
        left: list[int] = []
        for wanted, name in self._wanted:
            if left and left[-1] == wanted:
                continue
            place = self._place(wanted) - 1
            run = self._runs[place] if place >= 0 else None
            if run is None or not run.first < wanted < run.last:
                left.append(wanted)
            else:
                self._check(run, name)
        return left

    @staticmethod
    def _check(run: _Run, name: str) -> None:
        """Make sure that a name is in a run, which holds all the entries of its image."""
        low = bisect.bisect_left(run.names, name[:_ID_DIGITS])
        high = bisect.bisect_left(run.names, name[:_ID_DIGITS] + "`", lo=low)
        times = run.names[low:high].count(name)
        if times != 1:
            raise _OddError("a name is not where it should be, or there twice")

    def _place(self, wanted: int) -> int:
        """Count the runs that begin with an image at or before this one."""
        return bisect.bisect_right(self._runs, wanted, key=attrgetter("first"))

    def _gap(self, at: int) -> int:
        return bisect.bisect_right(self._runs, at, key=attrgetter("start"))

    def _range(self, wanted: int) -> tuple[int, int]:
        """Say which range of a gap has most likely the entries of an image, and those around."""
        place = self._place(wanted)
        # An image that begins a run may have begun before it; then the gap before is looked at.
        while place and self._runs[place - 1].first == wanted:
            place -= 1
        before = self._runs[place - 1] if place else None
        behind = self._runs[place] if place < len(self._runs) else None
        low, under = (before.stop, before.last) if before else (self.ends.start, -1)
        high, over = (behind.start, behind.first) if behind else (self.ends.stop, _BEYOND)
        share = self._share(wanted, max(under, self._lowest), min(over, self._highest))
        entry = self.ends.size / max(1, self._entry_count)
        scatter = _SPREAD * entry * ((high - low) / entry * share * (1 - share)) ** 0.5
        half = int(min(max(scatter, _SMALLEST_PROBE / 2), LARGEST_PROBE / 2))
        middle = low + int((high - low) * share)
        start, stop = max(low, middle - half), min(high, middle + half)
        if start == low or wanted == under:
            start, stop = low, min(high, low + 2 * half)
        elif stop == high or wanted == over:
            start, stop = max(low, high - 2 * half), high
        # What would be left of the gap is no larger than a request is worth.
        start = low if start - low < _SMALLEST_PROBE / 2 else start
        stop = high if high - stop < _SMALLEST_PROBE / 2 else stop
        return start, stop

    @staticmethod
    def _share(wanted: int, under: int, over: int) -> float:
        return min(1.0, max(0.0, (wanted - under) / (over - under))) if over > under else 0.5

    @property
    def _entry_count(self) -> int:
        least = self.ends.size // _LONGEST_ENTRY
        return max(self.ends.entries, least)

    @property
    def _lowest(self) -> int:
        """Give the least id that the zip may hold: all of one zip begin with the same digit."""
        return self._shard << 60

    @property
    def _highest(self) -> int:
        return (self._shard + 1) << 60

    @property
    def _shard(self) -> int:
        return self._wanted[0][0] >> 60

    # -- what was found -------------------------------------------------------------------------

    def entries(self) -> Entries:
        """Give every entry that was seen, those of the names among them."""
        import numpy as np

        names = [name for run in self._runs for name in run.names]
        columns = {
            key: np.concatenate([run.columns[key] for run in self._runs]) for key in _COLUMNS
        }
        begin, used = _used(names, columns)
        # The next member's offset, where the entry behind is known.
        following = np.append(begin[1:], np.uint64(self.ends.start))
        stop = np.minimum(reaches(begin, used), following)
        stop[:-1][columns["after"][:-1] != columns["at"][1:]] = 0
        stop[-1:] *= self._runs[-1].stop == self.ends.stop
        return Entries(name=names, stop=stop, **columns)


_COLUMNS: Final = ("at", "after", "offset", "csize", "usize", "crc32", "method", "flags")


def _used(names: list[str], columns: dict[str, Numbers]) -> tuple[Numbers, Numbers]:
    """Give where members begin, and the bytes that they take at the least."""
    import numpy as np

    lengths = np.fromiter(map(len, names), dtype=np.uint64, count=len(names))
    begin, size = columns["offset"].astype(np.uint64), columns["csize"].astype(np.uint64)
    return begin, size + lengths + np.uint64(LOCAL_HEADER)


def _id(name: str) -> int:
    return int(name[:_ID_DIGITS], 16)


def _first_entry(data: bytes) -> int:
    """Find where the first entry begins: from there on one follows the other to the end."""
    at = -1
    while 0 <= (at := data.find(_SIGNATURE, at + 1)) < 2 * _LONGEST_ENTRY:
        starts, after = entry_starts(data, at)
        cut = data[after : after + len(_SIGNATURE)]
        sound = starts and all(data[each : each + 4] == _SIGNATURE for each in starts)
        if sound and _SIGNATURE.startswith(cut):
            return at
    raise _OddError("a range of its directory holds no entry")
