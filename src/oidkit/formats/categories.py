"""Classes on the way out: merged, renamed, and numbered in an order that is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from oidkit.errors import UsageError
from oidkit.formats.model import Category

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oidkit.taxonomy import ClassList, Hierarchy

__all__ = ["Categories", "parse_map", "parse_order", "printed_order"]


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """The categories of an export, and which rows of the dataset belong to each.

    `listed` are in the order of their numbers, which count from 0 without a gap.
    """

    listed: tuple[Category, ...]
    _numbers: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        classes: Mapping[str, str],
        *,
        renamed: Mapping[str, str] | None = None,
        order: Sequence[str] = (),
    ) -> Self:
        """Make categories of classes (MID -> display name).

        *renamed* gives some MIDs another name; classes of one name are one category. The names of
        *order* come first, as they stand there; the others follow by name, those that differ in
        case alone by case. A name of *order* that no class has stays, so that no number moves.
        """
        names = {mid: (renamed or {}).get(mid, name) for mid, name in classes.items()}
        known = dict.fromkeys(order)
        fresh = sorted({*names.values()} - {*known}, key=lambda name: (name.casefold(), name))
        numbers = {name: number for number, name in enumerate([*known, *fresh])}
        merged: dict[str, list[str]] = {name: [] for name in numbers}
        for mid in sorted(names):
            merged[names[mid]].append(mid)
        listed = [Category(number, name, tuple(merged[name])) for name, number in numbers.items()]
        return cls(tuple(listed), {mid: numbers[name] for mid, name in names.items()})

    def number(self, asked: str, mid: str) -> int | None:
        """Give the category of a row, or None where it has none.

        Its own class decides; one that is no category is counted with the class *asked* for, in
        whose file it stands as a kind of it.
        """
        found = self._numbers.get(mid)
        return self._numbers.get(asked) if found is None else found

    def has(self, mid: str) -> bool:
        """Whether a class is a category, or a part of a merged one."""
        return mid in self._numbers

    def classes_of(self, number: int) -> int:
        """Count the classes that were merged into a category."""
        return len(self.listed[number].mids)

    def with_supercategories(self, hierarchy: Hierarchy, names: ClassList) -> Categories:
        """Name the class above each category; of several the first by name, of none its own."""
        listed = tuple(
            replace(each, supercategory=_above(each, hierarchy, names)) for each in self.listed
        )
        return Categories(listed, self._numbers)


def _above(category: Category, hierarchy: Hierarchy, names: ClassList) -> str:
    parents = {
        names.by_mid[mid].name
        for each in category.mids
        for mid in hierarchy.parents(each)
        if mid in names.by_mid
    }
    return min(parents, default=category.name, key=lambda name: (name.casefold(), name))


def parse_map(text: str | Mapping[str, str], classes: ClassList) -> dict[str, str]:
    """Read ``Handgun=gun,Rifle=gun``: MID -> new name. A class may hold a comma itself.

    Raises:
        UsageError: it is not written so, or a class is unknown.

    """
    pairs = _pairs(text) if isinstance(text, str) else text.items()
    found: dict[str, str] = {}
    for asked, name in pairs:
        wanted = " ".join(name.split())
        if not wanted or not asked.strip():
            raise UsageError(
                f"'{asked}={name}' maps nothing to nothing",
                remedy="write CLASS=NAME, as in --map 'Handgun=gun,Rifle=gun'",
            )
        found[classes.resolve(asked).mid] = wanted
    return found


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    waiting = ""
    for piece in text.split(","):
        # A comma that no '=' comes before belongs to the name of the class.
        waiting = f"{waiting},{piece}" if waiting else piece
        if "=" in waiting:
            asked, _, name = waiting.partition("=")
            yield asked.strip(), name
            waiting = ""
    if waiting.strip():
        raise UsageError(
            f"'{waiting.strip()}' in the class map has no '='",
            remedy="write CLASS=NAME, as in --map 'Handgun=gun,Rifle=gun'",
        )


def parse_order(data: bytes, *, name: str) -> tuple[str, ...]:
    """Read the names of categories, one a line, in the order of their numbers.

    Raises:
        UsageError: it is not text, or a name stands there twice.

    """
    try:
        lines = [" ".join(line.split()) for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8", remedy="check --class-order") from error
    names = [line for line in lines if line]
    for at, each in enumerate(names):
        if each in names[:at]:
            raise UsageError(f"{name} lists '{each}' twice", remedy="check --class-order")
    return tuple(names)


def printed_order(categories: Iterable[Category]) -> bytes:
    """Print the names of categories as `parse_order` reads them: line 1 is number 0."""
    return "".join(f"{each.name}\n" for each in categories).encode()
