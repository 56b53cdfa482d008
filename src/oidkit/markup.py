"""Pieces of HTML in which a text is a text, whatever strangers have typed.

Tables for notebooks bring their own few styles and no colour, so that they look right on a light
and on a dark page.
"""

from __future__ import annotations

import html
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "block",
    "columns_table",
    "escaped",
    "fields_table",
    "link",
    "one_line",
    "plain_fields",
    "web_address",
]

_KEPT_FORMATS = "\u200c\u200d"  # joiners, which scripts and emoji need
_LONGEST = 120
_MOST_LISTED = 20
_LEFT = "text-align:left;padding:.15em .8em .15em 0;vertical-align:top"
_RIGHT = "text-align:right;padding:.15em .8em .15em 0;font-variant-numeric:tabular-nums"
_CAPTION = "text-align:left;font-weight:600;padding:.3em 0;caption-side:top;color:inherit"


def one_line(text: str, *, most: int | None = None) -> str:
    """Put a text on one line, without what turns the writing around; cut it to *most* characters.

    Line ends and other control characters become spaces.
    """
    # What is cut away is not looked at: a title of a megabyte is one of a few characters.
    start = text if most is None else text[: 8 * most]
    plain = " ".join("".join(map(_visible, start)).split())
    if most is None or (len(plain) <= most and len(start) == len(text)):
        return plain
    return f"{plain[: most - 1].rstrip()}…"


def escaped(text: object, *, most: int = _LONGEST) -> str:
    """Make a text mean nothing but itself in HTML, also within an attribute; cut it if it is long.

    *most* is the largest number of characters before they are escaped.
    """
    return html.escape(one_line(str(text), most=most))


def block(text: str, *, lines: int, width: int) -> tuple[str, bool]:
    """Make a text of several lines mean nothing but itself; tell whether it is whole.

    It has at most so many *lines* of at most *width* characters.
    """
    found = text.rstrip("\n").split("\n", lines)
    shown = [
        "".join(map(_visible, each if len(each) <= width else f"{each[:width]} …"))
        for each in found[:lines]
    ]
    whole = len(found) <= lines and all(len(each) <= width for each in found)
    return html.escape("\n".join(shown)), whole


def link(text: str, url: str, *, most: int = _LONGEST) -> str:
    """Let a text lead to a web address; to anything else it leads nowhere."""
    shown, target = escaped(text, most=most), web_address(url)
    if not target or len(target) > 8 * _LONGEST:
        return shown
    return f'<a href="{html.escape(target)}" rel="noreferrer noopener">{shown}</a>'


def web_address(url: str) -> str:
    """Give an address with all that might end it quoted, or nothing where it is none of the web."""
    plain = url.strip()
    if not plain.lower().startswith(("http://", "https://")) or not plain.isprintable():
        return ""
    # Besides what an address may hold unquoted, brackets, quotation marks and backslashes go.
    return quote(plain, safe=":/?#@!&+,;=%~-._")


def fields_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Show names and values below each other, for a notebook."""
    body = "".join(
        f'<tr><th scope="row" style="{_LEFT}">{escaped(name)}</th>'
        f'<td style="{_LEFT}">{escaped(value, most=10 * _LONGEST)}</td></tr>'
        for name, value in rows
    )
    return _table(title, body)


def columns_table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1
) -> str:
    """Show rows of cells, for a notebook; the first *texts* columns are texts, others numbers."""
    styles = [_LEFT if at < texts else _RIGHT for at in range(len(header))]
    head = "".join(
        f'<th scope="col" style="{style}">{escaped(word)}</th>'
        for word, style in zip(header, styles, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{style}">{escaped(cell)}</td>'
            for cell, style in zip(row, styles, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return _table(title, f"<tr>{head}</tr>{body}")


def plain_fields(
    values: Mapping[str, object], *, names: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Word the fields of a plain value; those that say nothing, as None or an empty list, go.

    *names* says what some texts stand for, as the classes for their MIDs. Of a long list the
    first few are named, and how many there are.
    """
    found = []
    for key, value in values.items():
        if value is None or value == []:
            continue
        word = key.replace("_", " ")
        if isinstance(value, list):
            listed = [_named(str(each), names or {}) for each in value[:_MOST_LISTED]]
            more = len(value) - len(listed)
            found.append((word, ", ".join(listed) + (f" and {more:,} more" if more else "")))
        elif isinstance(value, bool):
            found.append((word, "yes" if value else "no"))
        else:
            found.append((word, str(value)))
    return found


def _named(text: str, names: Mapping[str, str]) -> str:
    name = names.get(text)
    return text if name is None or name == text else f"{one_line(name, most=60)} ({text})"


def _table(title: str, body: str) -> str:
    return (
        f'<table style="border-collapse:collapse;text-align:left">'
        f'<caption style="{_CAPTION}">{escaped(title)}</caption>{body}</table>'
    )


def _visible(char: str) -> str:
    """Turn line ends and their like to spaces; drop what turns the writing around."""
    if char in _KEPT_FORMATS:
        return char
    kind = unicodedata.category(char)
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    return "" if kind in ("Cf", "Cs") else char
