"""One image: everything that is known of it, and every overlay at its own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains

from oidkit.colours import rgb_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from browser.page import Page

ALPHA = 128 / 255
MARKS: dict[str, tuple[str, Callable[[Any], int]]] = {
    "boxes": ("#frame .mark.box", lambda one: len(one["boxes"])),
    "masks": ("#frame .mark.mask", lambda one: sum(bool(each["url"]) for each in one["masks"])),
    "clicks": (
        "#frame .mark.click",
        lambda one: sum(bool(each["clicks"]) for each in one["boxes"]),
    ),
    "points": ("#frame .mark.point", lambda one: len(one["points"])),
    "relationships": ("#frame .mark.relationship", lambda one: len(one["relationships"])),
}


def images(page: Page) -> list[dict[str, Any]]:
    """Give all images as the list has them."""
    found: list[dict[str, Any]] = page.told("api/images?count=500")["images"]
    return found


def with_most(page: Page, *, there: bool = True) -> dict[str, Any]:
    """Give the image with the most kinds of annotations, whole."""
    kinds = ("boxes", "masks", "points", "relationships")
    listed = [one for one in images(page) if one["there"] == there]
    best = max(listed, key=lambda one: sum(bool(one[kind]) for kind in kinds))
    found: dict[str, Any] = page.told(f"api/image/{best['image']}")
    return found


def show(page: Page, image: str, more: str = "") -> None:
    """Open an image, and wait until its picture is there."""
    page.open(f"{more}{more and '&'}image={image}")
    page.until(
        lambda: page.js(
            "const p = document.getElementById('picture'); return p.complete && p.naturalWidth"
        ),
        "the picture is there",
    )
    page.until(lambda: drawn(page), "what lies over it is there")


def drawn(page: Page) -> bool:
    """Say whether all pictures over the picture are decoded, and two frames were painted."""
    script = """const done = arguments[0];
        Promise.all([...document.querySelectorAll("#frame img[src]")].map((one) => one.decode()))
            .then(() => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))
            .catch(() => done(false));"""
    return bool(page.driver.execute_async_script(script))


def frame(page: Page, *, plates: bool = False) -> NDArray[np.float64]:
    """Give the pixels of the picture with what lies over it, without the names."""
    if not plates:
        page.js("for (const e of document.querySelectorAll('.plates')) e.style.display = 'none'")
    page.until(lambda: drawn(page), "it is painted")
    return np.asarray(page.shot("#frame"), dtype=np.float64)


def test_every_annotation_is_listed(page: Page) -> None:
    """All keys in their order, by type with their number; captions, author and licence."""
    one = with_most(page)
    show(page, one["image"])
    types = ("boxes", "masks", "relationships", "points", "labels")
    keys = [each["key"] for kind in types for each in one[kind]]
    assert page.attributes("#side [data-annotation]", "data-annotation") == keys
    for kind in types:
        n = page.texts(f"#side section[data-type='{kind}'] h3 .count")
        assert n == ([str(len(one[kind]))] if one[kind] else [])
    captions = page.texts("#side .narratives li > p:first-child")
    assert captions == [each["caption"] for each in one["narratives"]]
    metadata = page.one("#metadata").text
    assert one["metadata"]["Title"] in metadata
    assert one["metadata"]["Author"] in metadata
    assert f"{one['width']} × {one['height']} pixels" in metadata  # noqa: RUF001 - the page's sign
    links = page.attributes("#metadata a", "href")
    assert one["metadata"]["License"] in links
    assert {*page.attributes("#metadata a", "rel")} == {"noreferrer noopener"}


@pytest.mark.parametrize("kind", [*MARKS])
def test_an_overlay_is_switched(kind: str, page: Page) -> None:
    """By its button: everything of its kind is drawn, and nothing else, and taken away again."""
    counted = MARKS[kind][1]
    one = next(one for one in images(page) if one["there"] and counted(one))
    show(page, one["image"], "show=boxes")
    page.click("[data-show='boxes']")
    page.until(lambda: not page.every("#frame .mark"), "nothing is drawn")
    page.click(f"[data-show='{kind}']")
    page.until(lambda: len(page.every(MARKS[kind][0])) == counted(one), f"{kind} are drawn")
    assert len(page.every("#frame .mark")) == counted(one)
    pressed = page.attributes("#overlays [aria-pressed='true']", "data-show")
    assert pressed == [kind]
    assert f"show={kind}" in page.query
    page.click(f"[data-show='{kind}']")
    page.until(lambda: not page.every("#frame .mark"), "nothing is drawn")


def test_a_mask_lies_on_its_pixels(page: Page, whole: Path) -> None:
    """Where it is set, its class's colour at 128 of 255; elsewhere the picture; an edge of one."""
    compared = 0
    with_one = [
        one
        for one in images(page)
        if one["there"] and len(one["masks"]) == 1 and one["masks"][0]["url"]
    ]
    for one in with_one[:3]:
        mask = one["masks"][0]
        show(page, one["image"], "show=")
        plain = frame(page)
        page.click("[data-show='masks']")
        page.one("#frame .mask")
        shown = frame(page)
        height, width = plain.shape[:2]
        split, name = mask["url"].split("/")[1:]
        with Image.open(whole / "masks" / split / name) as png:
            bits = png.convert("L").resize((width, height), Image.Resampling.NEAREST)
        bare = np.asarray(bits) > 127
        inner, outer = _eroded(bare), _eroded(~bare)
        blend = plain * (1 - ALPHA) + np.array(rgb_of(mask["mid"])) * ALPHA
        assert inner.sum() > 1_000
        assert np.abs(shown - blend)[inner].max() <= 2
        assert np.abs(shown - plain)[outer].max() <= 1
        assert (inner | outer).mean() > 0.97
        compared += 1
    assert compared


def _eroded(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take away what has a neighbour that is not set, beyond the border as well as within."""
    padded = np.pad(bits, 1, mode="edge")
    rows, columns = bits.shape
    found = bits.copy()
    for y in range(3):
        for x in range(3):
            found &= padded[y : y + rows, x : x + columns]
    return found


def test_a_box_lies_on_its_pixels(page: Page) -> None:
    """Each side has the colour of the class at its place, within a pixel."""
    one = next(
        one
        for one in images(page)
        if one["there"] and len(one["boxes"]) == 1 and one["boxes"][0]["box"][1] > 0.05
    )
    (box,) = one["boxes"]
    show(page, one["image"], "show=")
    plain = frame(page)
    page.click("[data-show='boxes']")
    page.one("#frame .box")
    shown = frame(page)
    height, width = shown.shape[:2]
    x0, y0, x1, y1 = (
        side * size for side, size in zip(box["box"], [width, height] * 2, strict=True)
    )
    colour = np.array(rgb_of(box["mid"]))

    def near(x: float, y: float) -> bool:
        left, top = round(x), round(y)
        part = shown[max(0, top - 2) : top + 2, max(0, left - 2) : left + 2]
        return bool((np.abs(part - colour).max(axis=2) < 48).any())

    for share in np.linspace(0.1, 0.9, 9):
        x, y = x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
        assert near(x, y0)
        assert near(x, y1)
        assert near(x0, y)
        assert near(x1, y)
    changed = np.abs(shown - plain).max(axis=2) > 2
    inside = changed[round(y0) + 5 : round(y1) - 4, round(x0) + 5 : round(x1) - 4]
    assert not inside.any()
    ys, xs = np.nonzero(changed)
    assert (
        np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - [x0, y0, x1, y1]).max()
        < 5
    )


@pytest.mark.parametrize("kind", ["points", "clicks"])
def test_a_point_lies_on_its_pixel(kind: str, page: Page) -> None:
    """The middle of the dot is where the file says."""
    picks: dict[str, Callable[[Any], list[list[float]]]] = {
        "points": lambda one: [[each["x"], each["y"]] for each in one["points"]],
        "clicks": lambda one: [click for box in one["boxes"] for click in box["clicks"] or []],
    }
    one = next(one for one in images(page) if one["there"] and picks[kind](one))
    show(page, one["image"], f"show={kind}")
    middles = page.js(
        """const frame = document.getElementById("frame").getBoundingClientRect();
        const dots = "#frame .mark circle:last-child, #frame .click circle";
        return [...document.querySelectorAll(dots)]
            .map((e) => e.getBoundingClientRect())
            .map((r) => [(r.left + r.right) / 2 - frame.left, (r.top + r.bottom) / 2 - frame.top])
            .map(([x, y]) => [x / frame.width, y / frame.height])"""
    )
    wanted = sorted(picks[kind](one))
    assert len(middles) >= len(wanted)
    for x, y in wanted:
        assert any(abs(x - a) < 0.002 and abs(y - b) < 0.002 for a, b in middles)


def test_what_is_pointed_at_stands_out(page: Page) -> None:
    """A click in the list chooses on the picture, and one on the picture in the list."""
    one = next(one for one in images(page) if one["there"] and len(one["boxes"]) > 1)
    show(page, one["image"])
    keys = [each["key"] for each in page.told(f"api/image/{one['image']}")["boxes"]]
    page.click(f"[data-pick='{keys[1]}']")
    chosen = "#frame .mark.chosen"
    page.until(lambda: page.attributes(chosen, "data-key") == [keys[1]], "the box stands out")
    assert page.attributes(".chosen-row", "data-annotation") == [keys[1]]
    line = page.one(f"#frame .box[data-key='{keys[0]}'] .line")
    width = line.rect["width"]
    # Near a corner, where no other box covers its line.
    ActionChains(page.driver).move_to_element_with_offset(line, -int(width / 2) + 1, 0).perform()
    ActionChains(page.driver).click().perform()
    page.until(
        lambda: len(page.attributes(".chosen-row", "data-annotation")) == 1, "a row is chosen"
    )
    assert page.attributes(chosen, "data-key") == page.attributes(".chosen-row", "data-annotation")


def test_a_larger_view(page: Page) -> None:
    """It is two and a half times as large or the image's own size, and goes back."""
    one = next(one for one in images(page) if one["there"] and one["boxes"])
    show(page, one["image"])
    before = page.one("#frame").size["width"]
    page.click("#viewer-zoom")
    page.until(lambda: page.one("#frame").size["width"] >= 2.4 * before, "it is larger")
    assert page.one("#viewer-zoom").get_attribute("aria-pressed") == "true"
    page.click("#viewer-zoom")
    page.until(lambda: page.one("#frame").size["width"] == before, "it is as before")


def test_an_absent_image_has_its_annotations(page: Page) -> None:
    """A sentence says so; what is known of it is listed and drawn; nothing is asked for in vain."""
    one = with_most(page, there=False)
    page.open(f"image={one['image']}")
    assert page.one("#missing").text == "This image is not in the folder."
    assert len(page.every("#frame .mark.box")) == len(one["boxes"])
    assert len(page.every("#side [data-annotation^='boxes']")) == len(one["boxes"])


def test_from_image_to_image(page: Page) -> None:
    """Next and previous among the filtered ones; Back closes; the address opens the same."""
    query = "label=masks"
    names = [each["image"] for each in page.told(f"api/images?{query}&count=500")["images"]]
    page.open(query)
    page.click(f"[data-image='{names[1]}']")
    title = page.one("#viewer-title")
    page.until(lambda: title.text == names[1].split("/")[1], "it is open")
    assert page.one("#viewer-place").text.endswith(f"2 of {len(names)}")
    page.click("#viewer-next")
    page.until(lambda: title.text == names[2].split("/")[1], "the next one is open")
    address = page.driver.current_url
    page.click("#viewer-previous")
    page.click("#viewer-previous")
    page.until(lambda: title.text == names[0].split("/")[1], "the first one is open")
    page.until(lambda: not page.one("#viewer-previous").is_enabled(), "none is before it")
    page.driver.back()
    page.until(lambda: not page.seen("#viewer"), "the images are back")
    page.driver.get(address)
    page.settle()
    assert page.one("#viewer-title").text == names[2].split("/")[1]
    page.click("#viewer-close")
    page.until(lambda: not page.seen("#viewer"), "the images are back")
    assert page.query == query
