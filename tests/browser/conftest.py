"""A browser for all tests of the page, an explorer for each, and what must hold after every one.

After each test its console has no error, and whatever the page asked for came from the explorer's
own address. The browser is Debian's Chromium with its driver; where they are not there, the tests
skip. Nothing is fetched to run them.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.page import Page, started
from looked_at import every_label
from oidkit import Settings
from oidkit.explorer import Explorer, explore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")


@pytest.fixture(scope="session")
def driver() -> Iterator[WebDriver]:
    """Give a browser without a window, or skip where there is none."""
    if absent := [path.name for path in (CHROMIUM, DRIVER) if not path.exists()]:
        pytest.skip(f"not there: {', '.join(absent)} (apt-get install chromium chromium-driver)")
    running = started(CHROMIUM, DRIVER)
    try:
        yield running
    finally:
        running.quit()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset with every label type, that nobody may change."""
    return every_label(tmp_path_factory)


@pytest.fixture(scope="session")
def thumbnails(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give settings whose small pictures all explorers share."""
    return Settings(cache=tmp_path_factory.mktemp("thumbnails"))


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """Copy the dataset, to be reviewed or spoiled."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def forgiven() -> list[str]:
    """Give a list for what a test expects to find in the console: parts of lines."""
    return []


@pytest.fixture
def look(
    driver: WebDriver, thumbnails: Settings, forgiven: list[str]
) -> Iterator[Callable[[Path | Explorer], Page]]:
    """Give a function that serves a folder, and shows what it or a running explorer has."""
    pages: list[Page] = []
    with ExitStack() as stack:

        def shown(what: Path | Explorer) -> Page:
            explorer = (
                stack.enter_context(explore(what, settings=thumbnails))
                if isinstance(what, Path)
                else what
            )
            page = Page(driver, explorer)
            page.reset()
            pages.append(page)
            return page

        yield shown
        for page in pages:
            page.leave()
        errors, asked = Page.logged(driver)
        homes = tuple(page.explorer.url for page in pages)
    assert [line for line in errors if not any(part in line for part in forgiven)] == []
    assert [url for url in asked if not url.startswith((*homes, "data:"))] == []


@pytest.fixture
def page(look: Callable[[Path | Explorer], Page], whole: Path) -> Page:
    """Give the page of the dataset that nobody may change; it is not open yet."""
    return look(whole)


@pytest.fixture
def own_page(look: Callable[[Path | Explorer], Page], root: Path) -> Page:
    """Give the page of a copy, which a test may review."""
    return look(root)
