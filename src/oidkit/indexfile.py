"""What a shared index says of itself: pure, from values to JSON and back.

`oidkit-index.json` names for each table, mask index and small file the object that has it, with
size and SHA-256. Of a table, which has many files, that object is again a list: its *contents*. So
whoever trusts the first file trusts every byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from oidkit.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Contents",
    "Item",
    "Manifest",
    "SharedFile",
    "Stored",
    "is_ours",
    "merged",
    "stored",
]

MANIFEST: Final = "oidkit-index.json"
FORMAT: Final = 1
KINDS: Final = ("tables", "masks", "offsets", "files")
_MARK: Final = "oidkit index"
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)
_OBJECT = re.compile(
    rf"({'|'.join(KINDS)})(/[A-Za-z0-9_][A-Za-z0-9_.~-]*)+\.[0-9a-f]{{16}}\.\w+", re.ASCII
)
_NAME = re.compile(r"part-\d{4,6}\.parquet|table\.json|rejects\.csv", re.ASCII)
_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{8}|", re.ASCII)
_LARGEST: Final = 1 << 40
_DIGITS: Final = 64
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the index, by its name below the index's place."""

    object: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        """Refuse a name or a size that no index of ours has."""
        if not (is_ours(self.object) and 0 <= self.size < _LARGEST and len(self.sha256) == _DIGITS):
            raise ValueError(f"an object '{self.object}'")

    def matches(self, data: bytes) -> bool:
        """Tell whether some bytes are the object's."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class Item:
    """A table, mask index or small file, or the offsets of a split, and what it lies in.

    `id` is in the name that it has in the cache, and `made` the time in ns when it was. `count` is
    of rows, masks or bytes.
    """

    id: str
    made: int
    count: int
    stored: Stored

    def __post_init__(self) -> None:
        """Refuse what could not be the name of a folder of ours."""
        if _ID.fullmatch(self.id) is None or self.made < 0:
            raise ValueError(f"an item '{self.id}'")


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a table: `tiles` are (rows, end, CRC-32C) of its row groups and of its end."""

    name: str
    stored: Stored
    tiles: tuple[tuple[int, int, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no file of a table."""
        ends = [0, *(end for _, end, _ in self.tiles)]
        whole = not self.tiles or ends[-1] == self.stored.size
        if _NAME.fullmatch(self.name) is None or ends != sorted(ends) or not whole:
            raise ValueError(f"a file '{self.name}'")


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a table or of the offsets of a split; `note` says more of the latter."""

    files: tuple[SharedFile, ...]
    note: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """Write it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Contents:
        """Read what `as_json` wrote.

        Raises:
            ValueError: it is something else.

        """
        return _made(lambda: _contents(json.loads(data)))


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a shared index has of one `source` and `release`; `oidkit` is the version.

    `tables`, `masks` (zips) and `files` are by key, `offsets` by split.
    """

    source: str
    release: str
    oidkit: str
    tables: Mapping[str, Item] = field(default_factory=dict)
    masks: Mapping[str, Item] = field(default_factory=dict)
    offsets: Mapping[str, Item] = field(default_factory=dict)
    files: Mapping[str, Item] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """Write it as JSON, with a checksum of all of it."""
        plain = {"what": _MARK, "format": FORMAT, **asdict(self)}
        return json.dumps({**plain, "sha256": _digest(plain)}, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, *, place: str) -> Manifest:
        """Read what `as_json` wrote, at *place*.

        Raises:
            UsageError: it is something else, or of a newer format.
            IntegrityError: it is damaged.

        """
        foreign = UsageError(
            f"{place} has an {MANIFEST} that is not of oidkit", remedy="choose another place"
        )
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            if data.lstrip().startswith(b"{") and _MARK.encode() in data:
                raise _damaged(place) from error
            raise foreign from error
        if not isinstance(found, dict) or found.get("what") != _MARK:
            raise foreign
        if found.get("format") != FORMAT:
            newer = isinstance(found.get("format"), int) and found["format"] > FORMAT
            raise UsageError(
                f"the index at {place} has format {found.get('format')}, and this oidkit reads "
                f"format {FORMAT}",
                remedy="update oidkit" if newer else "push it again to another place",
            )
        said = found.pop("sha256", None)
        if said != _digest(found):
            raise _damaged(place)
        try:
            return _made(lambda: _manifest(found))
        except ValueError as error:
            raise _damaged(place) from error


def is_ours(name: str) -> bool:
    """Tell whether an object's name is one that a push gives; it leads nowhere else."""
    return _OBJECT.fullmatch(name) is not None


def stored(name: str, data: bytes) -> Stored:
    """Say how an object of the content *data* is named: its checksum stands before the suffix.

    So another content has another name, and an index that is read goes on being what it was.
    """
    check = hashlib.sha256(data).hexdigest()
    stem, dot, suffix = name.rpartition(".")
    return Stored(f"{stem}.{check[:16]}{dot}{suffix}", len(data), check)


def merged(older: Manifest | None, newer: Manifest) -> Manifest:
    """Put what a push brings to what is there: of each item the one that was made last."""
    every: dict[str, Any] = {}
    for kind in KINDS:
        ours: Mapping[str, Item] = getattr(newer, kind)
        theirs: Mapping[str, Item] = getattr(older, kind) if older is not None else {}
        last = {
            key: item for key, item in theirs.items() if key in ours and item.made > ours[key].made
        }
        every[kind] = dict(sorted({**theirs, **ours, **last}.items()))
    return replace(newer, **every)


def _digest(plain: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _damaged(place: str) -> IntegrityError:
    return IntegrityError(
        f"the {MANIFEST} at {place} is damaged",
        remedy="remove that file, and push the index again: oid index push URL",
    )


def _made(make: Callable[[], _Value]) -> _Value:
    try:
        return make()
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not what it should be: {error}") from error


def _contents(found: Any) -> Contents:
    return Contents(tuple(map(_file, found["files"])), found["note"])


def _manifest(found: Any) -> Manifest:
    every = {
        kind: {_checked(key): _item(item) for key, item in found[kind].items()} for kind in KINDS
    }
    texts = {name: str(found[name]) for name in ("source", "release", "oidkit")}
    return Manifest(**texts, **every)  # type: ignore[arg-type]


def _checked(key: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"a key '{key}'")
    return key


def _item(found: Any) -> Item:
    return Item(found["id"], found["made"], found["count"], Stored(**found["stored"]))


def _file(found: Any) -> SharedFile:
    tiles = tuple((int(rows), int(end), str(check)) for rows, end, check in found["tiles"])
    return SharedFile(found["name"], Stored(**found["stored"]), tiles)
