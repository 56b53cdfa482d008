"""The page as a test drives it: what is on it, what it asks for, and how it looks."""

from __future__ import annotations

import io
import json
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from PIL import Image
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

    from oidkit.explorer import Explorer

__all__ = ["NARROW", "Page", "started"]

PATIENCE = 60.0
"""Seconds that anything may take on a machine that does something else as well."""
WIDE, NARROW = (1280, 800), (360, 740)
_PASSING = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    # A colour of a screenshot is then the colour that was drawn, and no name leads anywhere.
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_SETTLED = """
const total = document.getElementById("total");
return Boolean(window.explorer) && total.dataset.total !== ""
    && !document.querySelector("#grid[aria-busy], #charts[aria-busy], #viewer[aria-busy]")
    && [...document.querySelectorAll(".choice .count")].every((one) => one.dataset.count);
"""


def started(browser: Path, driver: Path) -> WebDriver:
    """Start a browser that keeps what its pages log and ask for."""
    options = ChromeOptions()
    options.binary_location = str(browser)
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = Chrome(options, ChromeService(str(driver)))
    found.set_page_load_timeout(PATIENCE)
    found.set_script_timeout(PATIENCE)
    return found


@dataclass(slots=True)
class Page:
    """One explorer in the browser."""

    driver: WebDriver
    explorer: Explorer

    # -- coming and going -----------------------------------------------------------------------

    def reset(self) -> None:
        """Make the browser as if it had just been started."""
        for other in self.driver.window_handles[1:]:
            self.driver.switch_to.window(other)
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])
        self.driver.get("about:blank")
        self.emulate("light")
        self.size(*WIDE)
        self.logged(self.driver)

    def open(self, query: str = "") -> Page:
        """Open the page in some state, and wait until it shows it."""
        self.driver.get(self.explorer.url + (query and f"?{query}"))
        return self.settle()

    def settle(self) -> Page:
        """Wait until nothing is on its way."""
        self.until(lambda: self.js(_SETTLED), "the page shows what it has")
        return self

    def leave(self) -> None:
        """Go elsewhere, so that nothing is asked of a server that stops."""
        for handle in self.driver.window_handles:
            self.driver.switch_to.window(handle)
            self.driver.get("about:blank")

    @staticmethod
    def logged(driver: WebDriver) -> tuple[list[str], list[str]]:
        """Give the errors of the console and the addresses asked for, since the last call."""
        errors = [
            str(entry["message"])
            for entry in driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]
        asked = []
        for entry in driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                asked += [url] if url != "about:blank" else []
            elif event["method"] == "Network.webSocketCreated":
                asked.append(event["params"]["url"])
        return errors, asked

    # -- the server -----------------------------------------------------------------------------

    def told(self, path: str) -> Any:
        """Ask the server itself for JSON."""
        with urllib.request.urlopen(self.explorer.url + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def fetched(self, path: str) -> Image.Image:
        """Ask the server itself for a picture."""
        with urllib.request.urlopen(self.explorer.url + path, timeout=PATIENCE) as answer:
            return Image.open(io.BytesIO(answer.read()))

    @property
    def query(self) -> str:
        """What the page's address says after its question mark."""
        return urlsplit(self.driver.current_url).query

    # -- what is there --------------------------------------------------------------------------

    def js(self, script: str, *values: object) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *values)

    def until(self, met: Callable[[], Any], what: str) -> Any:
        """Wait for something, over elements that are on their way."""
        wait = WebDriverWait(self.driver, PATIENCE, 0.05, _PASSING)
        return wait.until(lambda _: met(), what)

    def one(self, css: str) -> WebElement:
        """Give the first element, once it is there."""
        found: WebElement = self.until(
            lambda: self.driver.find_element(By.CSS_SELECTOR, css), f"{css} is there"
        )
        return found

    def every(self, css: str) -> list[WebElement]:
        """Give all elements that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        """Give the texts of all elements that are there now."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return [str(text) for text in self.js(script, css)]

    def attributes(self, css: str, name: str) -> list[str]:
        """Give an attribute of all elements that are there now."""
        script = "return [...document.querySelectorAll(arguments[0])]"
        script += ".map((e) => e.getAttribute(arguments[1]))"
        return [str(value) for value in self.js(script, css, name)]

    def seen(self, css: str) -> bool:
        """Say whether an element is there and shown."""
        return any(each.is_displayed() for each in self.every(css))

    @property
    def total(self) -> int:
        """Give the number of images that the page says it shows."""
        return int(self.one("#total").get_attribute("data-total") or -1)

    @property
    def cells(self) -> list[str]:
        """Give the images that have a cell now, in their order."""
        script = """return [...document.querySelectorAll(".row:not([hidden])")]
            .sort((a, b) => a.getAttribute("aria-rowindex") - b.getAttribute("aria-rowindex"))
            .flatMap((row) => [...row.querySelectorAll("[data-image]")])
            .map((link) => link.dataset.image)"""
        return [str(name) for name in self.js(script)]

    @property
    def focus(self) -> str:
        """Give what has the focus, as its tag, id and name."""
        script = """const e = document.activeElement;
            return [e.tagName.toLowerCase(), e.id && `#${e.id}`,
                    e.getAttribute("aria-label") && ` ${e.getAttribute("aria-label")}`].join("")"""
        return str(self.js(script))

    # -- what a person does ---------------------------------------------------------------------

    def click(self, css: str) -> None:
        """Click on an element as soon as it can be."""
        self.until(lambda: self._clicked(css), f"{css} can be clicked")

    def _clicked(self, css: str) -> bool:
        self.driver.find_element(By.CSS_SELECTOR, css).click()
        return True

    def type(self, css: str, *keys: str) -> None:
        """Type into a field."""
        self.one(css).send_keys(*keys)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def size(self, width: int, height: int) -> None:
        """Make the part of the window that shows the page so large."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def emulate(self, scheme: str) -> None:
        """Prefer a theme, light or dark, as a system does."""
        wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)

    # -- pixels ---------------------------------------------------------------------------------

    def shot(self, css: str = "") -> Image.Image:
        """Give what is seen, or the part of it where an element lies, pixel by pixel."""
        with Image.open(io.BytesIO(self.driver.get_screenshot_as_png())) as whole:
            picture = whole.convert("RGB")
        if not css:
            return picture
        box = self.js(
            """const r = document.querySelector(arguments[0]).getBoundingClientRect();
            return [r.left, r.top, r.right, r.bottom]""",
            css,
        )
        assert box == [round(side) for side in box], "an element lies between pixels"
        return picture.crop((box[0], box[1], box[2], box[3]))
