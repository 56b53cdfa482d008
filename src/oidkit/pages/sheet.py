"""The contact sheet of a page: which pictures are on it, and how they are shown."""

from __future__ import annotations

import itertools
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit.attribution import licence_name
from oidkit.colours import colour_of
from oidkit.markup import escaped, link

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Shown", "figures", "spread", "swatch"]

_MOST_CLASSES = 4


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the sheet: a JPEG with its annotations drawn, and who made it.

    `objects` counts the boxes and masks of each class, by MID; an object that has both is one.
    `credit` has columns of attribution.csv.
    """

    split: str
    image_id: str
    size: tuple[int, int]
    jpeg: bytes
    objects: Mapping[str, int] = field(default_factory=dict)
    credit: Mapping[str, str] = field(default_factory=dict)


def spread(groups: Mapping[tuple[int, int], Sequence[int]], most: int) -> list[int]:
    """Choose at most *most* pictures that are spread over all groups, sorted.

    *groups* are pictures by the rank of their class and their split, in the order in which they
    are to be taken. Classes come in turn, each with another split than the one before it, and
    only then each class with its next split, and so on: a hundred classes show sixty of them, and
    a single one all of its splits.
    """
    ranks = sorted({rank for rank, _ in groups})
    splits = sorted({split for _, split in groups})
    waiting = {key: iter(pictures) for key, pictures in groups.items()}
    chosen: dict[int, None] = {}
    for turn in itertools.count():
        if not waiting or len(chosen) >= most:
            break
        for at, rank in enumerate(ranks):
            key = (rank, splits[(at + turn) % len(splits)])
            if key not in waiting or len(chosen) >= most:
                continue
            fresh = next((each for each in waiting[key] if each not in chosen), None)
            if fresh is None:
                del waiting[key]
            else:
                chosen[fresh] = None
    return sorted(chosen)


def figures(shown: Sequence[Shown], names: Mapping[str, str]) -> Iterator[str]:
    """Show the pictures by their splits, each with its classes and its author."""
    for split, pictures in itertools.groupby(shown, key=lambda each: each.split):
        yield f'<h3>{escaped(split)}</h3><div class="sheet">'
        for each in pictures:
            yield _figure(each, names)
        yield "</div>"


def swatch(mid: str) -> str:
    """Give a small square in the colour of a class."""
    return (
        '<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect width="10" height="10" fill="{colour_of(mid)}"/></svg>'
    )


def _figure(shown: Shown, names: Mapping[str, str]) -> str:
    width, height = shown.size
    listed = sorted(shown.objects.items(), key=lambda pair: (-pair[1], pair[0]))
    first = listed[:_MOST_CLASSES]
    others = len(listed) - len(first)
    named = [(mid, escaped(names.get(mid, mid), most=40), count) for mid, count in first]
    words = [f"{count} {name}" for _, name, count in named]
    words += [f"{others} more classes"] if others else []
    marked = [f"{swatch(mid)} {name}&nbsp;&times;&nbsp;{count}" for mid, name, count in named]
    marked += [f"{others} more classes"] if others else []
    said = ", ".join(words) or "nothing"
    data = b64encode(shown.jpeg).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="Image {shown.image_id}; marked on it: {said}">'
        f"<figcaption><code>{escaped(shown.image_id)}</code>"
        f"<span>{', '.join(marked) or 'nothing is marked'}</span>"
        f"<span>{_credit(shown.credit)}</span></figcaption></figure>"
    )


def _credit(credit: Mapping[str, str]) -> str:
    landing = credit.get("OriginalLandingURL", "")
    title = credit.get("Title", "").strip()
    author, profile = credit.get("Author", "").strip(), credit.get("AuthorProfileURL", "")
    if not (title or author or landing):
        return "author not known"
    licence = credit.get("License", "")
    work = link(title or "Untitled", landing, most=60)
    by = link(author, profile, most=40) if author else "an author who is not known"
    return f"{work} by {by}, {link(licence_name(licence), licence, most=40)}"
