"""Review, by the pointer and by keys: what is on the page is in `.oid/review.csv` at once."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from selenium.webdriver.common.keys import Keys

from oidkit.verdicts import REVIEW

if TYPE_CHECKING:
    from pathlib import Path

    from browser.page import Page


def marks(root: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Read the verdicts and notes on the disk, by image and annotation."""
    path = root / REVIEW
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (f"{row['Split']}/{row['ImageID']}", row["Annotation"]): (row["Verdict"], row["Note"])
            for row in csv.DictReader(file)
        }


def written(page: Page, root: Path, wanted: dict[tuple[str, str], tuple[str, str]]) -> None:
    """Wait until exactly these verdicts are on the disk."""
    page.until(lambda: marks(root) == wanted, f"the file has {wanted}")


def opened(page: Page, *, boxes: int = 2) -> tuple[str, list[str]]:
    """Open an image with some boxes, and give its name and their keys."""
    listed = page.told("api/images?count=500")["images"]
    one = next(one for one in listed if one["there"] and len(one["boxes"]) >= boxes)
    page.open(f"image={one['image']}")
    return one["image"], page.attributes("#side [data-annotation]", "data-annotation")


def test_by_the_pointer(own_page: Page, root: Path) -> None:
    """An annotation is bad, its image good, and the bad one is taken back."""
    page = own_page
    image, keys = opened(page)
    page.click(f"[data-review='{keys[0]}'] [data-verdict='bad']")
    written(page, root, {(image, keys[0]): ("bad", "")})
    pressed = "#side [data-verdict][aria-pressed='true']"
    page.until(lambda: len(page.every(pressed)) == 1, "the button is pressed")
    page.click("[data-review=''] [data-verdict='good']")
    written(page, root, {(image, keys[0]): ("bad", ""), (image, ""): ("good", "")})
    page.click(f"[data-review='{keys[0]}'] [data-verdict='bad']")
    written(page, root, {(image, ""): ("good", "")})
    page.until(lambda: "Mark taken away" in page.texts("#status")[0], "it is said")


def test_a_note(own_page: Page, root: Path) -> None:
    """Enter saves it, Escape leaves it as it was, and markup in it is text."""
    page = own_page
    image, _ = opened(page)
    page.click("[data-review=''] [data-verdict='bad']")
    written(page, root, {(image, ""): ("bad", "")})
    note = 'cut off, <b>"half"</b>\u00e9'
    page.click("[data-review=''] [data-note]")
    page.type(".note-input", note, Keys.ENTER)
    written(page, root, {(image, ""): ("bad", note)})
    page.until(lambda: page.texts("[data-review=''] .note-text") == [note], "it is shown as text")
    page.click("[data-review=''] [data-note]")
    page.type(".note-input", " and more", Keys.ESCAPE)
    page.until(lambda: not page.every(".note-input"), "the field is gone")
    assert marks(root) == {(image, ""): ("bad", note)}
    assert page.seen("#viewer")


def test_by_keys_on_one_image(own_page: Page, root: Path) -> None:
    """Keys j and k walk, x and g mark, u takes away, n notes, i is the image itself."""
    page = own_page
    image, keys = opened(page, boxes=3)
    page.press("j", "j", "x")
    written(page, root, {(image, keys[1]): ("bad", "")})
    page.press("k", "g")
    written(page, root, {(image, keys[1]): ("bad", ""), (image, keys[0]): ("good", "")})
    page.press("j", "u")
    written(page, root, {(image, keys[0]): ("good", "")})
    page.press("k", "n")
    page.until(lambda: page.focus == "input Note", "the field of the note has the focus")
    page.press("x", "g", Keys.ENTER)
    written(page, root, {(image, keys[0]): ("good", "xg")})
    page.press("i", "x")
    written(page, root, {(image, keys[0]): ("good", "xg"), (image, ""): ("bad", "")})


def test_by_keys_among_the_images(own_page: Page, root: Path) -> None:
    """Keys x and g mark the image with the focus; its cell shows it, and so do the counts."""
    page = own_page
    page.open()
    page.press("i")
    page.until(lambda: page.focus.startswith("a "), "an image has the focus")
    first, second = page.cells[:2]
    page.press("x")
    written(page, root, {(first, ""): ("bad", "")})
    page.press(Keys.ARROW_RIGHT, "g")
    written(page, root, {(first, ""): ("bad", ""), (second, ""): ("good", "")})
    page.until(lambda: page.seen(f"[data-image='{first}'] .verdict.bad"), "the cell shows it")
    page.until(lambda: page.seen(f"[data-image='{second}'] .verdict.good"), "and so does this")
    label = page.one(f"[data-image='{first}']").get_attribute("aria-label") or ""
    assert label.endswith("marked bad")
    count = "[data-filter='review'][data-value='bad']"
    script = "return document.querySelector(arguments[0]).closest('label').querySelector('.count')"
    page.until(lambda: page.js(f"{script}.dataset.count", count) == "1", "it is counted")
    page.click(count)
    page.until(lambda: page.cells == [first], "only it is left")


def test_a_mark_is_of_the_image_that_was_asked_for(own_page: Page, root: Path) -> None:
    """Keys that are faster than the server mark what they went to, not what they came from."""
    page = own_page
    names = [each["image"] for each in page.told("api/images?count=500")["images"]]
    page.open(f"image={names[0]}")
    # The keys come within one task: no answer can come between them.
    page.js(
        """for (const key of ["ArrowRight", "ArrowRight", "x", "ArrowRight", "g"])
            document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}))"""
    )
    written(page, root, {(names[2], ""): ("bad", ""), (names[3], ""): ("good", "")})
    page.until(lambda: page.one("#viewer").get_attribute("data-image") == names[3], "it is there")


def test_marks_follow_each_other(own_page: Page, root: Path) -> None:
    """However fast they come, the page ends with what is on the disk."""
    page = own_page
    image, keys = opened(page, boxes=3)
    # The keys come within one task: no answer can come between them.
    page.js(
        """for (const key of ["g", "j", "x", "j", "x", "g", "j", "x", "x", "i", "x"])
            document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}))"""
    )
    wanted = {
        (image, ""): ("bad", ""),
        (image, keys[0]): ("bad", ""),
        (image, keys[1]): ("good", ""),
    }
    written(page, root, wanted)
    pressed = """return [...document.querySelectorAll("#side [data-verdict][aria-pressed='true']")]
        .map((e) => [e.closest("[data-review]").dataset.review, e.dataset.verdict])"""
    due = [["", "bad"], [keys[0], "bad"], [keys[1], "good"]]
    page.until(lambda: page.js(pressed) == due, "the buttons show it")


def test_keys_after_a_note_are_not_for_its_field(own_page: Page, root: Path) -> None:
    """They are faster than the server, and mark as they do at any other time."""
    page = own_page
    image, keys = opened(page)
    page.press("j", "n")
    page.until(lambda: page.focus == "input Note", "the field of the note has the focus")
    page.press("x", "g")
    # The keys come within one task: no answer can come between them.
    page.js(
        """for (const key of ["Enter", "i", "x"]) document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}))"""
    )
    written(page, root, {(image, keys[0]): ("", "xg"), (image, ""): ("bad", "")})
    page.until(lambda: not page.every(".note-input"), "the field is gone")


def test_marks_are_there_when_it_is_opened_again(own_page: Page, root: Path) -> None:
    """A fresh page has what was marked before."""
    page = own_page
    image, keys = opened(page)
    page.press("j", "x", "i", "g")
    written(page, root, {(image, keys[0]): ("bad", ""), (image, ""): ("good", "")})
    page.open(f"image={image}")
    pressed = page.js(
        """return [...document.querySelectorAll("#side [data-verdict][aria-pressed='true']")]
            .map((e) => [e.closest("[data-review]").dataset.review, e.dataset.verdict])"""
    )
    assert pressed == [["", "good"], [keys[0], "bad"]]
    page.press(Keys.ESCAPE)
    page.until(lambda: page.seen(f"[data-image='{image}'] .verdict.good"), "its cell shows it")


def test_what_cannot_be_saved_is_said(own_page: Page, root: Path, forgiven: list[str]) -> None:
    """The sentence is shown, and the button does not look pressed."""
    forgiven.append("500 (Internal Server Error)")
    page = own_page
    _, keys = opened(page)
    (root / REVIEW).mkdir(parents=True)
    page.click(f"[data-review='{keys[0]}'] [data-verdict='bad']")
    page.until(lambda: "is not saved" in page.texts("#problem")[0], "the fault is said")
    assert page.every("#side [data-verdict][aria-pressed='true']") == []
    assert page.seen("#problem")
