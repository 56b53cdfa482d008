"""Lists of images as people give them: `<ImageID>`, or `<split>/<ImageID>`, up to all there are.

A list of every image of Open Images has nine million entries, so it is gone through in stretches,
and numbers are made of it at once: eight bytes an image.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, overload

from oidkit.catalog import SPLITS
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ImageList", "distinct"]

_STRETCH: Final = 100_000
_DIGITS: Final = 16
_PLACES: Final = ("", *SPLITS)
_ENTRY: Final = rf"(?:(?:{'|'.join(SPLITS)})/)?[0-9a-f]{{{_DIGITS}}}"
_ONE: Final = re.compile(_ENTRY, re.ASCII)
_MANY: Final = re.compile(rf"(?:{_ENTRY}\n)*+", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImageList(Sequence[str]):
    """Images in the order of their splits and ids, each once: a sequence of texts, held as numbers.

    Those that name no split come first.
    """

    _parts: Mapping[str, NDArray[np.uint64]]

    @classmethod
    def of(cls, entries: Iterable[str]) -> ImageList:
        """Take in entries, which may come one by one out of a file.

        Raises:
            UsageError: one is neither 16 hex digits nor a split and these.

        """
        found: dict[str, list[NDArray[np.uint64]]] = {place: [] for place in _PLACES}
        rest = iter(entries)
        while stretch := list(itertools.islice(rest, _STRETCH)):
            _check(stretch)
            for place, parts in found.items():
                parts.append(_numbers(stretch, f"{place}/" if place else ""))
        return cls({place: distinct(parts) for place, parts in found.items()})

    def of_split(self, split: str) -> NDArray[np.uint64]:
        """Give the images that name a split, or with "" those that name none, sorted."""
        return self._parts[split]

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts.values())

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        left = at + len(self) if at < 0 else at
        for place, part in self._parts.items():
            if 0 <= left < len(part):
                return f"{place}/{int(part[left]):016x}".lstrip("/")
            left -= len(part)
        raise IndexError(at)

    def __iter__(self) -> Iterator[str]:
        for place, part in self._parts.items():
            front = f"{place}/" if place else ""
            for start in range(0, len(part), _STRETCH):
                for number in part[start : start + _STRETCH].tolist():
                    yield f"{front}{number:016x}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self):,} images>"


def distinct(parts: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Give the images of some arrays together: sorted, each once.

    Most arrays are in order already, and numpy's own `unique` hashes each number of them.
    """
    import numpy as np

    every = np.concatenate([np.empty(0, dtype=np.uint64), *parts])
    if (every[1:] < every[:-1]).any():
        every.sort()
    first = np.ones(len(every), dtype=np.bool_)
    first[1:] = every[1:] != every[:-1]
    return every[first]


def _check(stretch: Sequence[str]) -> None:
    # A line end within an entry would look like two of them.
    joined = "\n".join(stretch) + "\n"
    if joined.count("\n") == len(stretch) and _MANY.fullmatch(joined):
        return
    wrong = next(each for each in stretch if not _ONE.fullmatch(each))
    raise UsageError(
        f"'{wrong[:60]}' is not the id of an image",
        remedy="write 16 hex digits, or a split before them, as in train/<id>",
    )


def _numbers(stretch: Sequence[str], front: str) -> NDArray[np.uint64]:
    """Give the ids of the entries that begin so, as they come."""
    import numpy as np

    joined = "\n".join(stretch)
    count = joined.count(front) if front else len(stretch) - joined.count("/")
    if not count:
        return np.empty(0, dtype=np.uint64)
    if count == len(stretch):
        # All of one split, as such lists mostly are; line ends between the digits are skipped.
        digits = joined.replace(front, "") if front else joined
        return np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype(np.uint64)
    length = len(front) + _DIGITS
    names = (each for each in stretch if len(each) == length and each.startswith(front))
    digits = "".join(each[-_DIGITS:] for each in names)
    return np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype(np.uint64)
