"""Classes of Open Images: their names in every release, their MIDs and their hierarchy.

A MID, such as `/m/0gxl3`, stands for the same thing in every release. Display names do not: 25
names of boxable classes changed between V4 and V7 (`Airplane` became `Fixed-wing aircraft`).
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from oidkit.errors import AmbiguousClassError, UnknownClassError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "IMAGE_ID_PATTERN",
    "MID_PATTERN",
    "ClassList",
    "Hierarchy",
    "OidClass",
    "folder_name",
    "mid_of",
    "mid_stem",
    "parse_class_file",
    "parse_segmentable",
]

MID_PATTERN: Final = re.compile(r"^/(?:m|g|oi)/[0-9a-z_]{2,24}$", re.ASCII)
"""A MID, for `fullmatch`: /m/ is Freebase, /g/ the knowledge graph; V7's full list has /oi/ too."""
IMAGE_ID_PATTERN: Final = re.compile(r"^[0-9a-f]{16}$", re.ASCII)
"""An image id, for `fullmatch`."""

_MOST_NEAREST: Final = 3
_REMEDY: Final = "fetch the file again, or check that the source holds the published one"


def mid_stem(mid: str) -> str:
    """Write a MID as file names have it, without slashes: `/m/01_5g` is `m01_5g`."""
    return mid.replace("/", "")


def mid_of(stem: str) -> str:
    """Give the MID that `mid_stem` wrote so; the name spaces are told by their letters."""
    space = "oi" if stem.startswith("oi") else stem[:1]
    return f"/{space}/{stem.removeprefix(space)}"


def folder_name(name: str, mid: str) -> str:
    """Name a class's folder: `Handgun`, `/m/0gxl3` is `handgun_m0gxl3`.

    Lower case, letters and digits of any script in NFC, anything else as one `_`. The MID at the
    end makes it unique, and keeps it from being a device name on Windows.
    """
    lowered = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    words = re.sub(r"[\W_]+", "_", lowered).strip("_")
    return f"{words}_{mid_stem(mid)}" if words else mid_stem(mid)


def parse_class_file(data: bytes, *, name: str = "the class list") -> dict[str, str]:
    """Read a class-descriptions file: MID -> display name, in the file's order.

    The releases differ: with the header `LabelName,DisplayName` or without, CRLF, LF or both.

    Args:
        data: the whole file, UTF-8, with or without a byte-order mark.
        name: what an error calls the file.

    Raises:
        UsageError: the bytes are no class list, such as HTML, or a line of them is none.
    """
    found: dict[str, str] = {}
    reader = csv.reader(io.StringIO(_text(data, name), newline=""), strict=True)
    try:
        for row in reader:
            if not row or (not found and [each.strip().lower() for each in row] == _HEADER):
                continue
            mid, display = _class_row(row, f"line {reader.line_num} of {name}")
            if found.setdefault(mid, display) != display:
                cause = f"{name} names {mid} twice: '{found[mid]}' and '{display}'"
                raise UsageError(cause, remedy=_REMEDY)
    except csv.Error as error:
        cause = f"line {reader.line_num} of {name} is not CSV: {error}"
        raise UsageError(cause, remedy=_REMEDY) from error
    if not found:
        cause = f"{name} holds no class"
        raise UsageError(cause, remedy=_REMEDY)
    return found


_HEADER: Final = ["labelname", "displayname"]
_COLUMNS: Final = 2
# Names become names of folders and files, of which file systems take 255 bytes with all that is
# added to them. The longest of the published ones has less than half of this.
_LONGEST_NAME: Final = 200


def _class_row(row: list[str], where: str) -> tuple[str, str]:
    mid = row[0].strip()
    if len(row) != _COLUMNS or not MID_PATTERN.fullmatch(mid):
        shown = ",".join(row)[:60]
        cause = f"{where} is not a MID and a display name: '{shown}'"
        raise UsageError(cause, remedy=_REMEDY)
    display = " ".join(row[1].split())
    if not display:
        cause = f"{where} has no display name"
        raise UsageError(cause, remedy=_REMEDY)
    # Letters in lower case may take up to three times the bytes.
    if (size := len(display.encode())) > _LONGEST_NAME // 3:
        size = max(size, len(folder_name(display, mid).encode()))
    if size > _LONGEST_NAME:
        cause = f"{where} has a display name of {size:,} bytes, of which {_LONGEST_NAME} may be"
        raise UsageError(cause, remedy=_REMEDY)
    return mid, display


def parse_segmentable(
    data: bytes, *, name: str = "the list of segmentable classes"
) -> frozenset[str]:
    """Read the list of classes that have masks, one MID a line; an empty file is an empty list.

    Raises:
        UsageError: a line is not a MID.
    """
    mids = [line.strip() for line in _text(data, name).splitlines() if line.strip()]
    for at, mid in enumerate(mids):
        if not MID_PATTERN.fullmatch(mid):
            cause = f"entry {at + 1} of {name} is not a MID: '{mid[:60]}'"
            raise UsageError(cause, remedy=_REMEDY)
    return frozenset(mids)


def _text(data: bytes, name: str) -> str:
    cause = ""
    if b"\0" in data:
        cause = f"{name} is not text"
    elif data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        cause = f"{name} is a web page or XML, perhaps the source's error message"
    else:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            cause = f"{name} is not UTF-8 at byte {error.start}"
    raise UsageError(cause, remedy=_REMEDY)


@dataclass(frozen=True, slots=True)
class OidClass:
    """One class as a release has it."""

    mid: str
    name: str
    aliases: tuple[str, ...] = ()
    """Display names that other releases use, each once."""
    segmentable: bool = False
    """Whether the class has masks."""

    def __str__(self) -> str:
        """Show the class as errors list it: `Handgun (/m/0gxl3)`."""
        return f"{self.name} ({self.mid})"


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of one release, found by any name that some release has for them."""

    by_mid: Mapping[str, OidClass]
    """MID -> class, in the order of the release's file."""
    _own: Mapping[str, tuple[str, ...]]
    _aliases: Mapping[str, tuple[str, ...]]

    @classmethod
    def build(
        cls,
        own: Mapping[str, str],
        others: Iterable[Mapping[str, str]] = (),
        segmentable: frozenset[str] = frozenset(),
    ) -> ClassList:
        """Make the list of the release whose file says *own* (MID -> display name).

        Args:
            own: the classes there are.
            others: what other releases call them; their classes that are not in *own* are left out.
            segmentable: MIDs of the classes that have masks.
        """
        others = tuple(others)
        by_mid = {
            mid: OidClass(mid, name, _aliases(mid, name, others), mid in segmentable)
            for mid, name in own.items()
        }
        return cls(
            by_mid,
            _own=_mids_by_name((each.name, each.mid) for each in by_mid.values()),
            _aliases=_mids_by_name(
                (alias, each.mid) for each in by_mid.values() for alias in each.aliases
            ),
        )

    def __len__(self) -> int:
        """Count the classes."""
        return len(self.by_mid)

    def __iter__(self) -> Iterator[OidClass]:
        """Go over the classes in the order of the release's file."""
        return iter(self.by_mid.values())

    def needs_aliases(self, asked: str) -> bool:
        """Whether only the names of other releases could still explain *asked*.

        A MID never needs them: it is the same in all releases.
        """
        return not _is_mid_like(asked) and _folded(asked) not in self._own

    def has(self, asked: str) -> bool:
        """Whether some class has this MID, or this name in any case."""
        name = _folded(asked)
        return asked.strip() in self.by_mid or name in self._own or name in self._aliases

    def resolve(self, asked: str) -> OidClass:
        """Find the one class that *asked* means.

        A MID has to be exact. A display name may be in any case, with spaces or underscores; names
        of this release come before names of others.

        Raises:
            AmbiguousClassError: the name fits several classes.
            UnknownClassError: no class fits; the error names the nearest.
        """
        if exact := self.by_mid.get(asked.strip()):
            return exact
        name = _folded(asked)
        mids = self._own.get(name) or self._aliases.get(name) or ()
        if len(mids) > 1:
            raise AmbiguousClassError(asked, fits=[str(self.by_mid[mid]) for mid in mids])
        if not mids:
            raise UnknownClassError(asked, nearest=self._nearest(asked))
        return self.by_mid[mids[0]]

    def search(self, pattern: str) -> list[OidClass]:
        """List the classes that contain *pattern* in a name, an alias or the MID, sorted by name.

        Case does not matter, nor whether it has spaces or underscores; an empty pattern fits all.
        """
        name, mid = _folded(pattern), pattern.strip().casefold()
        fits = [
            each
            for each in self.by_mid.values()
            if mid in each.mid or any(name in _folded(one) for one in (each.name, *each.aliases))
        ]
        return sorted(fits, key=lambda each: (each.name.casefold(), each.mid))

    def _nearest(self, asked: str) -> list[str]:
        if _is_mid_like(asked):
            mids = self._nearest_mids("/" + asked.strip().casefold().lstrip("/"))
            return [f"{mid} ({self.by_mid[mid].name})" for mid in mids]
        name = _folded(asked)
        known = [*self._own, *self._aliases]
        close = difflib.get_close_matches(name, known, n=_MOST_NEAREST)
        # the shortest of those that contain it is the likeliest: "gun" is rather Handgun than
        # "Gun dog trial"
        holding = sorted((each for each in known if name and name in each), key=len)
        found: dict[str, None] = {}
        for each in [*close[:1], *holding[:_MOST_NEAREST], *close]:
            for mid in self._own.get(each) or self._aliases[each]:
                found[self.by_mid[mid].name] = None
        return [*found][:_MOST_NEAREST]

    def _nearest_mids(self, asked: str) -> list[str]:
        longer = sorted((mid for mid in self.by_mid if mid.startswith(asked)), key=len)
        return longer[:_MOST_NEAREST] or difflib.get_close_matches(
            asked, self.by_mid, n=_MOST_NEAREST, cutoff=0.75
        )


def _aliases(mid: str, name: str, others: tuple[Mapping[str, str], ...]) -> tuple[str, ...]:
    names = dict.fromkeys(other[mid] for other in others if mid in other)
    return tuple(each for each in names if each != name)


def _mids_by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for name, mid in pairs:
        found.setdefault(_folded(name), {})[mid] = None
    return {name: tuple(mids) for name, mids in found.items()}


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _is_mid_like(asked: str) -> bool:
    return asked.strip().casefold().startswith(("/m/", "/g/", "/oi/", "m/", "g/", "oi/"))


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Which boxable class is a kind of which, and which is a part of which.

    The file writes a directed graph as a tree, so a class that has several parents stands in it
    several times; here it is one class with all its parents. A MID that the hierarchy does
    not hold has no children, parents or parts.
    """

    root: str
    """The MID of Entity, above all others and in no class file."""
    _children: Mapping[str, tuple[str, ...]]
    _parents: Mapping[str, tuple[str, ...]]
    _parts: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, data: bytes, *, name: str = "the class hierarchy") -> Hierarchy:
        """Read the published JSON: nested {LabelName, Subcategory[], Part[]}, both optional.

        Raises:
            UsageError: the bytes are not JSON, or JSON of another shape.
        """
        try:
            top = json.loads(_text(data, name))
        except (ValueError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            because = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            cause = f"{name} is not JSON: {because}"
            raise UsageError(cause, remedy=_REMEDY) from error
        links: dict[str, dict[str, dict[str, None]]] = {key: {} for key in ("down", "up", "part")}
        waiting = [top]
        while waiting:
            node = waiting.pop()
            mid = _label(node, name)
            for child in _listed(node, "Subcategory", name):
                links["down"].setdefault(mid, {})[_label(child, name)] = None
                links["up"].setdefault(child["LabelName"], {})[mid] = None
                waiting.append(child)
            for part in _listed(node, "Part", name):
                links["part"].setdefault(mid, {})[_label(part, name)] = None
                waiting.append(part)
        down, up, part_of = (
            {mid: tuple(linked) for mid, linked in each.items()} for each in links.values()
        )
        return cls(top["LabelName"], down, up, part_of)

    @property
    def roots(self) -> tuple[str, ...]:
        """Give the MIDs that a drawing of the whole begins with."""
        return (self.root,)

    def children(self, mid: str) -> tuple[str, ...]:
        """List the classes that are directly a kind of this one."""
        return self._children.get(mid, ())

    def parents(self, mid: str) -> tuple[str, ...]:
        """List the classes that this one is directly a kind of."""
        return self._parents.get(mid, ())

    def parts(self, mid: str) -> tuple[str, ...]:
        """List the classes that are directly a part of this one."""
        return self._parts.get(mid, ())

    def below(self, mid: str) -> frozenset[str]:
        """Collect the class itself and all kinds of it, at any depth; parts are no kinds."""
        found = {mid}
        waiting = [mid]
        while waiting:
            new = set(self.children(waiting.pop())) - found
            found |= new
            waiting += new
        return frozenset(found)

    def lines(self, mid: str) -> Iterator[tuple[int, str, bool]]:
        """Draw the tree below a class: (depth, MID, whether a part of the line's parent).

        The class itself comes first at depth 0, then each class before what is below it. What is
        below a class is drawn where the class comes first and not again, so that the lines are no
        more than the links, whatever the graph.
        """
        drawn: set[str] = set()
        waiting = [(0, mid, False)]
        while waiting:
            depth, each, is_part = waiting.pop()
            yield depth, each, is_part
            if each in drawn:
                continue
            drawn.add(each)
            below = [(depth + 1, kind, False) for kind in self.children(each)]
            below += [(depth + 1, part, True) for part in self.parts(each)]
            waiting += reversed(below)


def _label(node: Any, name: str) -> str:  # JSON is of any shape
    mid = node.get("LabelName") if isinstance(node, dict) else None
    if not isinstance(mid, str):
        cause = f"{name} has a node without LabelName"
        raise UsageError(cause, remedy=_REMEDY)
    return mid


def _listed(node: dict[str, Any], key: str, name: str) -> list[Any]:
    listed = node.get(key, [])
    if not isinstance(listed, list):
        cause = f"{name}: {key} of {node['LabelName']} is not a list"
        raise UsageError(cause, remedy=_REMEDY)
    return listed
