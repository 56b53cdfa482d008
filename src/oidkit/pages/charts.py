"""Charts and tables of a page: tables with bars in them, and a map of places.

A chart is a table, so that it can be read without being seen, and copied. The bars are SVG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.markup import escaped
from oidkit.quantities import bins_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Bar", "bars", "card", "more", "place_map", "spans", "table"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a chart: its name as HTML, its number, and a colour (``#rrggbb``) or none."""

    name: str
    count: int
    colour: str = ""


def bars(
    title: str, column: str, rows: Sequence[Bar], *, unit: str, total: int | None = None
) -> str:
    """Draw a line for each count, of which the largest has the longest bar.

    *column* heads the names and *unit* the counts. The shares are of *total*, by default the sum.
    """
    whole = sum(row.count for row in rows) if total is None else total
    most = max((row.count for row in rows), default=0)
    lines = "".join(_line(row, whole, most) for row in rows)
    return (
        f'<table class="bars"><caption>{escaped(title)}</caption><thead><tr>'
        f'<th scope="col">{escaped(column)}</th><th scope="col" class="n">{escaped(unit)}</th>'
        f'<th scope="col" class="n">share</th><td></td></tr></thead>'
        f"<tbody>{lines}</tbody></table>"
    )


def _line(row: Bar, whole: int, most: int) -> str:
    share = f"{row.count / whole * 100:.1f} %" if whole else ""
    length = row.count / most * 100 if most else 0
    fill = f' fill="{row.colour}"' if row.colour else ""
    return (
        f'<tr><th scope="row">{row.name}</th><td class="n">{row.count:,}</td>'
        f'<td class="n">{share}</td><td class="b"><svg viewBox="0 0 100 10" '
        f'preserveAspectRatio="none" aria-hidden="true"><rect width="{length:.2f}" height="10"'
        f"{fill}/></svg></td></tr>"
    )


def table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 0
) -> str:
    """Show rows of cells, which are HTML; the first of each is its heading.

    After it come *texts* columns of text, and then numbers.
    """
    kinds = ["", *([""] * texts), *([' class="n"'] * (len(header) - 1 - texts))]
    head = "".join(
        f'<th scope="col"{kind}>{escaped(word)}</th>' if word else "<td></td>"
        for word, kind in zip(header, kinds, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(title)}">'
        f"<table><caption>{escaped(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def card(*parts: str, note: str = "") -> str:
    """Put a chart into a frame of its own, with a sentence below it."""
    said = f"<p>{note}</p>" if note else ""
    return f'<div class="card">{"".join(parts)}{said}</div>'


def more(count: int, what: str) -> str:
    """Say how many are left out; *what* is their word for several."""
    return f"{count:,} more {escaped(what)} are not listed here." if count > 0 else ""


def spans(
    histogram: Sequence[Mapping[str, float | None]], written: Callable[[float], str]
) -> list[Bar]:
    """Name the bins of a histogram: below, from to, and so many and more."""
    return [Bar(escaped(word), count) for word, count in bins_in_words(histogram, written)]


def place_map(counts: Sequence[Sequence[int]]) -> str:
    """Draw where the middles of boxes lie, as a picture: the darker the more."""
    most = max((count for row in counts for count in row), default=0)
    total = sum(map(sum, counts))
    if not most:
        return ""
    high, wide = len(counts), len(counts[0])
    cells = "".join(
        f'<rect x="{x * 30}" y="{y * 30}" width="29" height="29" '
        f'fill-opacity="{0.06 + 0.94 * count / most:.3f}"><title>{count:,}</title></rect>'
        for y, row in enumerate(counts)
        for x, count in enumerate(row)
    )
    y, x = next((y, row.index(most)) for y, row in enumerate(counts) if most in row)
    said = (
        f"Where the middles of {total:,} boxes lie on the image, in {wide} columns and {high} rows:"
        f" most of them, {most:,}, in column {x + 1} from the left, row {y + 1} from the top"
    )
    return (
        f'<figure><figcaption>Where the middles of boxes lie</figcaption><svg class="map" '
        f'viewBox="0 0 {wide * 30} {high * 30}" role="img" aria-label="{said}">{cells}</svg>'
        f"<p>{said}.</p></figure>"
    )
