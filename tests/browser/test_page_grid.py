"""The grid: only what is on the screen is loaded, and only that is there."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from browser.page import Page

_IN_VIEW = """
const grid = document.getElementById("grid").getBoundingClientRect();
return [...document.querySelectorAll(".row:not([hidden]) [data-image]")]
    .map((link) => [link, link.getBoundingClientRect()])
    .filter(([, cell]) => cell.bottom > grid.top && cell.top < grid.bottom)
    .sort(([, a], [, b]) => a.top - b.top || a.left - b.left)
    .map(([link]) => [link.dataset.image, link.querySelector("img").complete]);
"""


def asked_since(page: Page) -> list[str]:
    """Give what the page asked for since the last look, after its token."""
    home = page.explorer.url
    _, urls = page.logged(page.driver)
    assert not [url for url in urls if not url.startswith(home)]
    return [url.removeprefix(home) for url in urls]


def thumbs(asked: list[str]) -> list[str]:
    """Give the images whose small pictures were asked for."""
    return [
        url.removeprefix("thumb/").removesuffix(".jpg") for url in asked if url.startswith("thumb/")
    ]


def in_view(page: Page) -> list[str]:
    """Wait until what is on the screen has its pictures, and give the images."""

    def loaded() -> list[str]:
        found = page.js(_IN_VIEW)
        return [name for name, _ in found] if all(done for _, done in found) else []

    names: list[str] = page.until(loaded, "the pictures on the screen are there")
    return names


def there(page: Page) -> set[str]:
    """Give the images that have a file."""
    listed = page.told("api/images?count=500")["images"]
    return {each["image"] for each in listed if each["there"]}


def test_only_what_is_on_the_screen_is_loaded(page: Page) -> None:
    """Each small picture once, of the rows that are seen and two more; none of an absent file."""
    page.open()
    seen = in_view(page)
    asked = thumbs(asked_since(page))
    cells = page.cells
    assert sorted(asked) == sorted({*cells} & there(page))
    assert {*seen} <= {*cells}
    assert len(cells) < page.total / 2
    columns = int(page.one("#grid").get_attribute("aria-colcount") or 0)
    assert len(cells) <= len(seen) + 3 * columns
    assert not [url for url in asked_since(page) if url.startswith("image/")]


def test_a_jump_loads_nothing_of_what_it_passes(page: Page) -> None:
    """At the end of the list only its last rows were asked for, and cells are used again."""
    page.open()
    in_view(page)
    asked_since(page)
    before = page.js("return document.querySelectorAll('.row').length")
    last = page.told("api/images?count=500")["images"][-1]["image"]
    page.js("const g = document.getElementById('grid'); g.scrollTop = g.scrollHeight")
    page.until(lambda: last in page.cells, "the last image is there")
    seen = in_view(page)
    asked = thumbs(asked_since(page))
    assert {*asked} <= {*page.cells}
    assert ({*seen} & there(page)) <= {*asked}
    assert page.js("return document.querySelectorAll('.row').length") <= before + 2


def test_scrolling_makes_no_more_cells(page: Page) -> None:
    """Down and up again row by row: the same elements, filled with other images."""
    page.open()
    in_view(page)
    page.js("window.made = new Set(document.querySelectorAll('.cell-link'))")
    first = page.cells[0]
    script = "document.getElementById('grid').scrollTop += arguments[0]"
    for step in (300, 300, 300, 300, -300, -300, -300, -300):
        page.js(script, step)
        # A frame later the rows have followed the bar.
        page.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )
        in_view(page)
    page.until(lambda: page.cells[0] == first, "it is back at the start")
    fresh = page.js(
        "return [...document.querySelectorAll('.cell-link')].filter((e) => !made.has(e)).length"
    )
    columns = int(page.one("#grid").get_attribute("aria-colcount") or 0)
    assert fresh <= 4 * columns


def test_every_image_is_in_the_grid(page: Page) -> None:
    """By the keyboard from the first to the last, in the order of the server."""
    page.open()
    wanted = [each["image"] for each in page.told("api/images?count=500")["images"]]
    found: list[str] = []
    page.one("#grid [tabindex='0']").click()
    page.click("#viewer-close")
    page.until(lambda: page.focus.startswith("a"), "the focus is back")
    page.press(Keys.HOME)
    while len(found) < len(wanted):
        cells = page.until(partial(_with, page, wanted[len(found)]), "the next image is there")
        found += [name for name in cells if name not in found]
        page.press(Keys.PAGE_DOWN)
    assert found == wanted


def _with(page: Page, name: str) -> list[str]:
    """Give the images that have a cell, from this one on; none where it has none."""
    cells = page.cells
    return cells[cells.index(name) :] if name in cells else []


def test_a_cell_says_what_it_is(page: Page) -> None:
    """Its name, split and boxes for who cannot see it; a file that is not there is said."""
    page.open()
    in_view(page)
    by_name = {each["image"]: each for each in page.told("api/images?count=500")["images"]}
    cells = page.cells
    labels = page.attributes(".row:not([hidden]) [data-image]", "aria-label")
    assert len(labels) == len(cells)
    for label in labels:
        image_id, split = label.split(", ")[:2]
        one = by_name[f"{split}/{image_id}"]
        n = len(one["boxes"])
        assert label.split(", ")[2] == f"{n} {'box' if n == 1 else 'boxes'}"
        assert ("not there" in label) == (not one["there"])


def test_a_picture_lies_in_its_own_shape(page: Page) -> None:
    """The frame of a cell has the shape of the image, and its boxes lie where they belong."""
    page.open()
    in_view(page)
    rows = page.js(
        """return [...document.querySelectorAll(".row:not([hidden]) [data-image]")].map((link) => {
            const frame = link.querySelector(".frame").getBoundingClientRect();
            const boxes = [...link.querySelectorAll(".box .line")].map((e) => {
                const b = e.getBoundingClientRect();
                return [b.left - frame.left, b.top - frame.top, b.right - frame.left,
                        b.bottom - frame.top];
            });
            return [link.dataset.image, frame.width, frame.height, boxes];
        })"""
    )
    listed = {each["image"]: each for each in page.told("api/images?count=500")["images"]}
    known = [row for row in rows if listed[row[0]]["width"]]
    assert len(known) > 5
    for name, width, height, boxes in known:
        one = listed[name]
        assert abs(width * one["height"] / one["width"] - height) <= 1
        wanted = sorted(
            [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
            for box in (each["box"] for each in one["boxes"])
        )
        for got, due in zip(sorted(boxes), wanted, strict=True):
            assert all(abs(a - b) < 1.6 for a, b in zip(got, due, strict=True)), json.dumps(one)


def test_another_window_size_keeps_the_place(page: Page) -> None:
    """The first image on the screen is still there when the window has become another."""
    page.open()
    start = in_view(page)[0]
    page.js("document.getElementById('grid').scrollTop = 1000")
    page.until(lambda: in_view(page)[0] != start, "it has moved")
    first = in_view(page)[0]
    columns = int(page.one("#grid").get_attribute("aria-colcount") or 0)
    page.size(900, 700)
    page.until(
        lambda: int(page.one("#grid").get_attribute("aria-colcount") or 0) != columns,
        "there are other columns",
    )
    page.until(lambda: first in [name for name, _ in page.js(_IN_VIEW)], "the place is kept")
