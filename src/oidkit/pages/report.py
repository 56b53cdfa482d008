"""The page itself: its sections in their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oidkit.catalog import LABEL_WORDS
from oidkit.markup import block, escaped
from oidkit.pages.charts import card, table
from oidkit.pages.numbers import boxes, classes, labels, licences, pairs, sizes
from oidkit.pages.sheet import figures
from oidkit.pages.style import STYLE
from oidkit.quantities import byte_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oidkit.pages.sheet import Shown

__all__ = ["GENERATOR", "Told", "page"]

GENERATOR = "oidkit report"
"""What a report names as its maker, by which one is told from other files."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MOST_SELECTIONS, _VALUE = 6, 900
_RECIPE_LINES, _RECIPE_WIDTH = 160, 300
_PARTS = {
    "asked": "What was asked",
    "got": "What was got",
    "classes": "Classes",
    "boxes": "Boxes",
    "images": "Images and other labels",
    "sheet": "Contact sheet",
    "attribution": "Licences and attribution",
    "recipe": "The recipe",
}
_ROWS = {
    "images": "images asked for",
    "negatives": "hard negatives among them",
    "files": "images that are there",
    "missing": "not at the source",
    "failed": "failed",
    "boxes": "boxes",
    "masks": "masks",
    "mask_files": "mask files that are there",
    **LABEL_WORDS,
}
_ALWAYS = ("images", "files", "missing", "failed", "boxes", "masks")


@dataclass(frozen=True, slots=True)
class Told:
    """What a report tells of a dataset folder.

    `numbers` are those of `oidkit.Statistics`, with every pair. `selections` are worded as names
    and values. `left_out` are images that would have been on the sheet and cannot be decoded.
    """

    name: str
    release: str
    source: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    selections: Sequence[Sequence[tuple[str, str]]] = ()
    recipe: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    shown: Sequence[Shown] = ()
    left_out: int = 0
    has_attribution: bool = True


def page(told: Told) -> str:
    """Write the page; the same values give the same text."""
    title = f"{escaped(told.name)}: a dataset of Open Images {escaped(told.release.upper())}"
    links = "".join(f'<li><a href="#{key}">{text}</a></li>' for key, text in _PARTS.items())
    sections = {
        "asked": _asked(told),
        "got": _got(told),
        "classes": [*classes(told.numbers), *pairs(told.numbers)],
        "boxes": boxes(told.numbers),
        "images": [*sizes(told.numbers), *labels(told.numbers)],
        "sheet": _sheet(told),
        "attribution": _attribution(told),
        "recipe": _recipe(told),
    }
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{_PARTS[key]}</h2>{"".join(parts)}'
        "</section>\n"
        for key, parts in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="generator" content="{GENERATOR}">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f"<header><h1>{escaped(told.name)}</h1>"
        f"<p>A dataset of Open Images {escaped(told.release.upper())}</p>{_tiles(told.numbers)}"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{body}</main>\n<footer><p>Written by oidkit: oid report.</p></footer>\n"
        "</body></html>\n"
    )


def _total(numbers: Mapping[str, Any], word: str) -> int:
    return sum(int(each[word]) for each in numbers["splits"].values())


def _tiles(numbers: Mapping[str, Any]) -> str:
    tiles = {
        "images": f"{_total(numbers, 'files'):,}",
        "boxes": f"{_total(numbers, 'boxes'):,}",
        "masks": f"{_total(numbers, 'masks'):,}",
        "classes": f"{len(numbers['classes']):,}",
        "of images": byte_count(_total(numbers, "bytes")),
    }
    cells = "".join(f"<div><dt>{word}</dt><dd>{text}</dd></div>" for word, text in tiles.items())
    return f'<dl class="tiles">{cells}</dl>'


def _asked(told: Told) -> Iterator[str]:
    yield _fields("The dataset", [("release", told.release.upper()), ("source", told.source)])
    count = len(told.selections)
    for number, rows in enumerate(told.selections[:_MOST_SELECTIONS], start=1):
        yield _fields(f"Selection {number} of {count}" if count > 1 else "The selection", rows)
    if count > _MOST_SELECTIONS:
        yield f"<p>{count - _MOST_SELECTIONS:,} more selections are in .oid/recipe.toml.</p>"


def _fields(title: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value, most=_VALUE)}</td></tr>'
        for name, value in rows
    )
    return card(
        f'<table class="asked"><caption>{escaped(title)}</caption><tbody>{body}</tbody></table>'
    )


def _got(told: Told) -> Iterator[str]:
    splits = told.numbers["splits"]
    yield _verdict(told.numbers)
    rows = []
    for key, word in _ROWS.items():
        counts = [int(each[key]) for each in splits.values()]
        if any(counts) or key in _ALWAYS:
            rows.append([word, *(f"{count:,}" for count in [*counts, sum(counts)])])
    size = [int(each["bytes"]) for each in splits.values()]
    rows.append(["bytes of images", *map(byte_count, [*size, sum(size)])])
    yield table("By split", ["", *map(str, splits), "all"], rows)


def _verdict(numbers: Mapping[str, Any]) -> str:
    """Say in a sentence whether all that was asked for is there."""
    asked, there, missing, failed, masks, mask_files = (
        _total(numbers, word)
        for word in ("images", "files", "missing", "failed", "masks", "mask_files")
    )
    rest = asked - there - missing - failed
    parts = [
        f"{missing:,} are not at the source" if missing else "",
        f"{failed:,} failed" if failed else "",
        f"{rest:,} have not been fetched" if rest > 0 else "",
    ]
    said = ", ".join(part for part in parts if part)
    if masks > mask_files:
        said += f"{'; of' if said else 'of'} {masks:,} masks {mask_files:,} are there"
    if not said:
        return f"<p>All {asked:,} images are there.</p>"
    return f'<p class="bad">Of {asked:,} images {there:,} are there; {said}.</p>'


def _sheet(told: Told) -> Iterator[str]:
    files = _total(told.numbers, "files")
    if told.shown:
        yield (
            f"<p>{len(told.shown):,} of {files:,} images, spread over classes and splits, with "
            "their boxes and masks. Each class has a colour of its own.</p>"
        )
    else:
        yield "<p>No image is there to be shown.</p>"
    if told.left_out:
        images = "image" if told.left_out == 1 else "images"
        yield f'<p class="bad">{told.left_out:,} {images} cannot be decoded: run oid verify.</p>'
    yield from figures(told.shown, told.names)


def _attribution(told: Told) -> Iterator[str]:
    yield (
        "<p>The images are from Flickr, by their authors, under the licences that are listed "
        "here; those of the contact sheet are named below each of them. Open Images gives no "
        "warranty for the licences. "
    )
    if told.has_attribution:
        yield (
            "Author, title, licence and page of every image are in <code>attribution.csv</code> "
            "of the dataset folder, and to be read and shipped in <code>ATTRIBUTION.md</code>.</p>"
        )
    else:
        yield "This dataset was downloaded without <code>attribution.csv</code>.</p>"
    yield (
        "<p>The annotations are those of Open Images, by Google LLC, under "
        '<a href="https://creativecommons.org/licenses/by/4.0/" rel="noreferrer noopener">'
        "CC BY 4.0</a>. On the contact sheet the images are made smaller, and annotations are "
        "drawn onto them.</p>"
    )
    yield from licences(told.numbers)


def _recipe(told: Told) -> Iterator[str]:
    text, whole = block(told.recipe, lines=_RECIPE_LINES, width=_RECIPE_WIDTH)
    yield (
        "<p>Saved as <code>recipe.toml</code>, this makes the same dataset again with "
        "<code>oid download --recipe recipe.toml --out DIR</code>. It is in the folder as "
        "<code>.oid/recipe.toml</code>.</p>"
    )
    if not whole:
        yield "<p>It is too long for this page and cut here; the file has all of it.</p>"
    yield f'<pre tabindex="0" role="region" aria-label="Text of the recipe">{text}</pre>'
