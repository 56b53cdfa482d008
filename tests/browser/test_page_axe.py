"""axe-core finds nothing to say, in any state of the page.

Its script is the one file that is used of the package axe-playwright-python, which `make` installs
without what that asks for (requirements/axe.txt). It is given to the browser as it is.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.page import NARROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.page import Page

_RUN = """const done = arguments[0];
axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    resultTypes: ["violations"],
}).then((found) => done(found.violations.map((one) =>
    [one.id, ...one.nodes.map((node) => node.html + " | " + node.failureSummary)])))
    .catch((error) => done([[String(error)]]));
"""


@pytest.fixture(scope="session")
def axe() -> str:
    """Give the script, or skip where it is not installed."""
    try:
        package = distribution("axe-playwright-python")
    except PackageNotFoundError:
        pytest.skip("axe-core is not installed (make test installs it)")
    script = Path(str(package.locate_file("axe_playwright_python/axe.min.js")))
    return script.read_text(encoding="utf-8")


def _image(page: Page) -> str:
    listed = page.told("api/images?count=500")["images"]
    kinds = ("boxes", "masks", "points", "relationships")
    best = max(
        (one for one in listed if one["there"]),
        key=lambda one: sum(bool(one[kind]) for kind in kinds),
    )
    return str(best["image"])


def _help(page: Page) -> None:
    page.open()
    page.click("#help-button")


def _drawer(page: Page) -> None:
    page.open("split=train")
    if not page.seen("#filters"):
        page.click("#filters-button")


def _marked(page: Page) -> None:
    page.open(f"show=boxes,masks,points,relationships,clicks&image={_image(page)}")
    page.press("g", "j", "x")
    page.until(lambda: len(page.every("#side [aria-pressed='true'].mark-button")) == 2, "marked")
    page.press("n")
    page.one(".note-input")


STATES: dict[str, Callable[[Page], object]] = {
    "grid": lambda page: page.open("any=/m/01g317&occluded=no&size=0.01-0.5&place=3.3"),
    "nothing": lambda page: page.open("text=zzzz"),
    "image": _marked,
    "absent": lambda page: page.open(
        "image="
        + next(
            one["image"] for one in page.told("api/images?count=500")["images"] if not one["there"]
        )
    ),
    "charts": lambda page: page.open("page=charts&any=/m/01g317&place=3.3"),
    "help": _help,
    "filters": _drawer,
}


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", "wide"), ("dark", "wide"), ("light", "narrow")]
)
@pytest.mark.parametrize("state", [*STATES])
def test_axe_finds_nothing(state: str, scheme: str, width: str, own_page: Page, axe: str) -> None:
    """No violation of WCAG 2.2 AA or of what axe-core calls best practice."""
    page = own_page
    page.emulate(scheme)
    if width == "narrow":
        page.size(*NARROW)
    STATES[state](page)
    # A colour that is on its way to another has the contrast of neither.
    page.until(lambda: page.js("return !document.getAnimations().length"), "nothing moves")
    page.driver.execute_script(axe)
    assert page.driver.execute_async_script(_RUN) == []
