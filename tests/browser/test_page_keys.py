"""Everything by the keyboard alone: order of the focus, keys of one letter, dialogs, Escape."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.page import Page

_PLACE = """const e = document.activeElement, r = e.getBoundingClientRect();
return [e.closest("#bar, #filters, #main, #viewer, dialog")?.id ?? "", e.tagName, r.width, r.height,
        getComputedStyle(e).outlineStyle, e.matches(":focus-visible")]"""


def test_tab_goes_through_everything(page: Page) -> None:
    """Bar, filters, images, in this order; each stop is seen; the grid is one stop."""
    page.open()
    stops = []
    for _ in range(400):
        page.press(Keys.TAB)
        stop = page.js(_PLACE)
        if not stop[0]:
            break
        stops.append(stop)
    places = [stop[0] for stop in stops]
    assert [*dict.fromkeys(places)] == ["bar", "filters", "main"]
    assert places == sorted(places, key=["bar", "filters", "main"].index)
    assert places.count("main") == 1
    for _, tag, width, height, outline, visible in stops:
        assert width >= 1
        assert height >= 1
        assert visible
        assert outline != "none", tag
    # Every control that can be used is among them.
    usable = page.js(
        """const controls = "#bar button, #bar a, #filters button, #filters input";
        return [...document.querySelectorAll(controls)]
            .filter((e) => !e.disabled && e.checkVisibility()).length"""
    )
    assert places.count("bar") + places.count("filters") == usable


def test_a_filter_is_set_by_keys(page: Page) -> None:
    """Slash finds a class, t a title, Space ticks, 0 clears; Escape leaves a field."""
    page.open()
    page.press("/")
    page.until(lambda: page.focus == "input#class-search Find a class", "the search has the focus")
    page.press(*"handgun", Keys.ENTER)
    page.until(lambda: page.query == "any=/m/0gxl3", "a class is chosen")
    page.press(Keys.ESCAPE, "0")
    page.until(lambda: page.query == "", "the filters are gone")
    page.press("t")
    page.until(lambda: page.focus.startswith("input#text"), "the field of titles has the focus")
    page.press(Keys.ESCAPE)
    box = page.one("input[data-filter='split'][data-value='test']")
    page.js("arguments[0].focus()", box)
    page.press(Keys.SPACE)
    page.until(lambda: page.query == "split=test", "a split is chosen")
    assert page.js("return document.activeElement === arguments[0]", box)


def test_overlays_are_switched_by_keys(page: Page) -> None:
    """Each by its first letter, among the images and on one of them, and it is said."""
    page.open()
    for key, kind in zip("bmcpr", page.attributes("[data-show]", "data-show"), strict=True):
        css = f"[data-show='{kind}']"
        for word in ("hidden", "shown") if kind == "boxes" else ("shown", "hidden"):
            page.press(key)
            pressed = ["true"] if word == "shown" else ["false"]
            page.until(partial(_is, page.attributes, css, "aria-pressed", due=pressed), css)
            page.until(partial(_is, page.texts, "#status", due=[f"{kind} {word}"]), "it is said")


def _is(found: Callable[..., object], *asked: str, due: object) -> bool:
    return found(*asked) == due


def test_the_grid_by_keys(page: Page) -> None:
    """Arrows, Home and End go from image to image; Enter opens, Escape comes back to it."""
    page.open()
    names = [each["image"] for each in page.told("api/images?count=500")["images"]]
    columns = int(page.one("#grid").get_attribute("aria-colcount") or 0)
    page.press("i")

    def at(index: int) -> None:
        page.until(
            lambda: page.js("return document.activeElement.dataset.image") == names[index],
            f"image {index} has the focus",
        )

    at(0)
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    at(1 + columns)
    page.press(Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP)
    at(0)
    page.press(Keys.END)
    at(len(names) - 1)
    page.press(Keys.HOME, Keys.ARROW_RIGHT, Keys.ENTER)
    page.until(lambda: page.focus == "h2#viewer-title", "the title of the image has the focus")
    assert page.one("#viewer-title").text == names[1].split("/")[1]
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    title = page.one("#viewer-title")
    page.until(lambda: title.text == names[3].split("/")[1], "two images on")
    page.press(Keys.ARROW_LEFT)
    page.until(lambda: title.text == names[2].split("/")[1], "one back")
    page.press(Keys.ESCAPE)
    at(2)
    assert not page.seen("#viewer")


def test_one_image_by_tab(page: Page) -> None:
    """What lies below it cannot be reached; every annotation and button can."""
    listed = page.told("api/images?count=500")["images"]
    one = next(one for one in listed if one["there"] and len(one["boxes"]) == 2)
    page.open(f"image={one['image']}")
    places = []
    picks = []
    for _ in range(120):
        page.press(Keys.TAB)
        place = page.js(_PLACE)[0]
        if not place:
            break
        places.append(place)
        picks += page.js("return [document.activeElement.dataset.pick].filter(Boolean)")
    assert {*places} == {"bar", "viewer"}
    assert picks == page.attributes("#side .pick", "data-pick")
    assert len(picks) >= 2


def test_the_help(page: Page) -> None:
    """? opens it, it names the keys, keys do nothing below it, Escape gives the focus back."""
    page.open()
    page.js("document.getElementById('theme').focus()")
    page.press("?")
    page.until(lambda: page.seen("#help"), "the help is there")
    keys = page.texts("#help kbd")
    assert {*"/tf0ihd?bmcprjkzxgun"} <= {*keys}
    before = page.query
    page.press("b", "h")
    assert page.query == before
    for _ in range(5):
        page.press(Keys.TAB)
        assert page.js(_PLACE)[0] in ("help", "")
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.seen("#help"), "the help is gone")
    assert page.focus.startswith("button#theme")
    page.click("#help-button")
    page.until(lambda: page.seen("#help"), "the help is there")
    page.click("#help-close")
    page.until(lambda: page.focus == "button#help-button Keys", "the focus is back")


def test_keys_of_one_letter_can_be_switched_off(page: Page) -> None:
    """Then they do nothing, also on a fresh page; the arrows still do."""
    page.open()
    page.click("#help-button")
    page.click("#keys-on")
    page.press(Keys.ESCAPE)
    page.open()
    page.press("h", "b", "0")
    page.press(Keys.TAB)
    assert page.query == ""
    page.click("#help-button")
    assert not page.one("#keys-on").is_selected()
    page.click("#keys-on")
    page.press(Keys.ESCAPE, "h")
    page.until(lambda: page.query == "page=charts", "they do something again")


def test_charts_by_keys(page: Page) -> None:
    """Key h goes there, a bar is pressed with Enter, i comes back to the images."""
    page.open()
    page.press("h")
    page.until(lambda: page.seen("#charts .bar"), "the charts are there")
    bar = page.one("[data-chart-class]")
    page.js("arguments[0].focus()", bar)
    mid = bar.get_attribute("data-chart-class")
    page.press(Keys.ENTER)
    page.until(lambda: f"any={mid}" in page.query, "a class is chosen")
    page.press("i")
    page.until(lambda: page.query == f"any={mid}", "the images are back")
    page.until(lambda: page.focus.startswith("a "), "an image has the focus")


def test_the_focus_waits_for_the_images(page: Page) -> None:
    """Keys that are faster than the list: the first image has the focus once it is there."""
    page.open()
    page.press("h")
    page.until(lambda: page.seen("#charts .bar"), "the charts are there")
    page.js(
        "const whole = window.fetch;"
        "window.fetch = async (...all) => {"
        "  if (!String(all[0]).includes('api/images')) return whole(...all);"
        "  await new Promise((go) => setTimeout(go, 1500));"
        "  return whole(...all);"
        "};"
    )
    bar = page.one("[data-chart-class]")
    page.js("arguments[0].focus()", bar)
    page.press(Keys.ENTER)
    page.press("i")
    page.until(lambda: page.focus.startswith("a "), "an image has the focus")
    page.until(lambda: page.one("#grid").get_attribute("aria-busy") is None, "the list is there")
    page.until(lambda: page.focus.startswith("a "), "an image of the new list has the focus")


def test_the_filters_are_shown_and_hidden_by_a_key(page: Page) -> None:
    """Key f hides them, the images take their place, f brings them back with the focus."""
    page.open()
    page.press("f")
    page.until(lambda: not page.seen("#filters"), "the filters are hidden")
    assert page.one("#filters-button").get_attribute("aria-expanded") == "false"
    assert page.one("#main").rect["x"] == 0
    page.press("f")
    page.until(lambda: page.seen("#filters"), "the filters are back")
    assert page.focus == "aside#filters Filters"
