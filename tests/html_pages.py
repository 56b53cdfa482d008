"""Reads the HTML that we write, and checks what holds for all of it."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 5_000_000
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)> \u202e'&amp; {{7*7}}"
VOID = {"meta", "img", "br", "link", "input", "rect"}


class Page(HTMLParser):
    """Reads a page: its elements, their attributes, and the text that each heading has."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that is closed at once, as those of SVG are."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Hold the end of an element against its beginning."""
        if tag in VOID:
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.words.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str]]:
        """Give the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What a reader reads, on one line."""
        return " ".join("".join(self.words).split())


def read(path: Path) -> Page:
    """Read a report, and check what holds for each of them."""
    data = path.read_bytes()
    assert len(data) < LIMIT
    return checked(data.decode("utf-8"))


def checked(text: str) -> Page:
    """Check that nothing of a page leads out of it but links, and that it runs nothing."""
    found = Page(text)
    names = {name for name, _ in found.elements}
    assert names.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base", "use"})
    for name, attributes in found.elements:
        assert not [each for each in attributes if each.startswith("on")]
        for key in {"src", "srcset", "data", "poster", "action", "xlink:href"} & {*attributes}:
            assert attributes[key].startswith("data:image/jpeg;base64,")
        if "href" in attributes:
            assert name == "a"
            assert attributes["href"].startswith(("https://", "http://", "#"))
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(each for each in found.all("meta") if "http-equiv" in each)
    assert policy["content"].startswith("default-src 'none'")
    _check_access(found)
    return found


def _check_access(found: Page) -> None:
    """Check what a screen reader needs."""
    assert found.all("html") == [{"lang": "en"}]
    assert not [each for each in found.all("img") if not each["alt"]]
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {each["href"][1:] for each in found.all("a") if each["href"].startswith("#")}
    labelled = {each["aria-labelledby"] for _, each in found.elements if "aria-labelledby" in each}
    assert inner == labelled == set(ids)
    levels = [int(tag[1]) for tag, _ in found.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert not [(one, later) for one, later in itertools.pairwise(levels) if later - one > 1]
    assert len(found.all("caption")) == len(found.all("table"))
    assert {each.get("scope") for each in found.all("th")} <= {"row", "col"}
    for each in found.all("svg"):
        assert each.get("aria-hidden") == "true" or (each["role"] == "img" and each["aria-label"])
