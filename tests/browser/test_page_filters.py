"""Filtering: what a choice leaves, what stands beside it, and the address that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.page import Page

HANDGUN, PERSON, CAR = "/m/0gxl3", "/m/01g317", "/m/0k4j"
_COUNTS = """
const found = {};
for (const row of document.querySelectorAll("[data-class-row]"))
    found[`class ${row.dataset.classRow}`] = Number(row.querySelector(".count").dataset.count);
for (const input of document.querySelectorAll("input[data-filter]"))
    found[`${input.dataset.filter} ${input.dataset.value}`] =
        Number(input.closest("label").querySelector(".count").dataset.count);
for (const bar of document.querySelectorAll("#panel .bar[data-bin]"))
    found[`${bar.dataset.range} ${bar.dataset.bin}`] =
        Number(bar.querySelector(".count").dataset.count);
return found;
"""


def shown_counts(page: Page) -> dict[str, int]:
    """Give every number that stands beside a filter."""
    found: dict[str, int] = page.js(_COUNTS)
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def told_counts(page: Page, query: str) -> dict[str, int]:
    """Give the same numbers as the server says them."""
    told: dict[str, Any] = page.told(f"api/counts?{query}")
    groups = {"split": "splits", "label": "labels", "review": "review"}
    found = {f"{name} {word}": n for name, key in groups.items() for word, n in told[key].items()}
    for flag, answers in told["flags"].items():
        found |= {f"{flag} {answer}": n for answer, n in answers.items()}
    ranges = {"size": "sizes", "boxes": "boxes", "confidence": "confidence"}
    for name, key in ranges.items():
        for each in told[key]:
            text = f"{_number(each['from'])}-{_number(each['to'])}"
            found[f"{name} {text}"] = each["count"]
    classes = [each["mid"] for each in page.told("api/about")["classes"]]
    return found | {f"class {mid}": told["classes"].get(mid, 0) for mid in classes}


def agrees(page: Page, query: str) -> None:
    """Wait until the page shows what the server says of a state: images, number and counts."""
    told = page.told(f"api/images?{query}")
    names = [each["image"] for each in told["images"]]
    page.until(lambda: page.total == told["total"], f"{told['total']} images for {query}")
    page.until(lambda: page.cells[:4] == names[:4], f"the images of {query}")
    counts = told_counts(page, query)

    def same() -> bool:
        shown = shown_counts(page)
        return all(counts[name] == n for name, n in shown.items())

    page.until(same, f"the counts of {query}")
    # A class that few images have is listed when it is looked for; a split without images never.
    others = {name for name, n in counts.items() if n and not name.startswith("class")}
    assert {*shown_counts(page)} >= others


def asked(page: Page, /, **wanted: str) -> None:
    """Wait until the address holds these filters and no other."""
    page.until(
        lambda: {name: value[0] for name, value in parse_qs(page.query).items()} == wanted,
        f"the address says {wanted}",
    )


def choose(page: Page, name: str, value: str) -> None:
    """Click on a box of a filter."""
    page.click(f"input[data-filter='{name}'][data-value='{value}']")


def choose_class(page: Page, mode: str, mid: str) -> None:
    """Click on one of the three boxes of a class."""
    page.click(f"input[data-class='{mid}'][data-mode='{mode}']")


def test_what_is_there_without_a_filter(page: Page) -> None:
    """All images, no chip, and counts as the server has them."""
    page.open()
    agrees(page, "")
    assert page.total == page.told("api/about")["images"]
    assert page.texts(".chip") == []
    assert not page.one("#clear").is_enabled()


@pytest.mark.parametrize("mode", ["any", "all", "none"])
def test_two_classes(mode: str, page: Page) -> None:
    """Any of them, all of them, or none; a second click takes one away again."""
    page.open()
    choose_class(page, mode, HANDGUN)
    choose_class(page, mode, PERSON)
    agrees(page, f"{mode}={HANDGUN},{PERSON}")
    asked(page, **{mode: f"{HANDGUN},{PERSON}"})
    words = {"any": "", "all": "all: ", "none": "not: "}[mode]
    assert page.texts(".chip") == [f"{words}Handgun", f"{words}Person"]
    choose_class(page, mode, HANDGUN)
    agrees(page, f"{mode}={PERSON}")


def test_a_class_has_one_place(page: Page) -> None:
    """Asked for as none, it is no longer asked for as any."""
    page.open(f"any={HANDGUN}")
    choose_class(page, "none", HANDGUN)
    asked(page, none=HANDGUN)
    agrees(page, f"none={HANDGUN}")


def test_a_class_is_found_by_its_name(page: Page) -> None:
    """Typing narrows the list, and Enter takes the first."""
    page.open()
    page.type("#class-search", "HANDGUN")
    page.until(lambda: page.texts(".class-row .class-text") == ["Handgun"], "one class is listed")
    page.type("#class-search", Keys.ENTER)
    asked(page, any=HANDGUN)
    page.type("#class-search", "no such class")
    page.until(lambda: page.texts(".class-row .class-text") == [], "no class is listed")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("split", ["validation", "test"]),
        ("label", ["points"]),
        ("occluded", ["yes"]),
        ("truncated", ["no", "unknown"]),
        ("group_of", ["yes"]),
        ("review", ["none"]),
    ],
)
def test_a_filter_of_words(name: str, values: list[str], page: Page) -> None:
    """What is ticked is what the server is asked for."""
    page.open()
    for value in values:
        choose(page, name, value)
    agrees(page, f"{name}={','.join(values)}")
    asked(page, **{name: ",".join(values)})
    assert len(page.texts(".chip")) == len(values)


def test_a_filter_by_the_size_of_a_box(page: Page) -> None:
    """By a bar, and by numbers that are typed."""
    page.open()
    bins = page.attributes(".bar[data-range='size']", "data-bin")
    page.click(f".bar[data-bin='{bins[2]}'][data-range='size']")
    agrees(page, f"size={bins[2]}")
    pressed = ".bar[data-range='size'][aria-pressed='true']"
    assert page.attributes(pressed, "data-bin") == [bins[2]]
    page.click(pressed)
    asked(page)
    page.type("input[data-range='size'][data-side='from']", "0.1", Keys.TAB)
    page.type("input[data-range='size'][data-side='to']", "0.4", Keys.ENTER)
    agrees(page, "size=0.1-0.4")
    asked(page, size="0.1-0.4")


def test_a_filter_by_words_of_a_title(page: Page) -> None:
    """Typing is enough; words in any order and case."""
    page.open()
    listed = page.told("api/images?count=500&label=narratives")["images"]
    image = page.told(f"api/image/{listed[0]['image']}")
    words = image["narratives"][0]["caption"].split()[:2]
    text = " ".join(reversed(words)).upper()
    page.type("#text", text)
    asked(page, text=text)
    agrees(page, f"text={text.replace(' ', '%20')}")
    assert page.total >= 1
    page.type("#text", " zzzz")
    page.until(lambda: page.total == 0, "no image is left")
    assert page.seen("#empty")
    page.click(".chip")
    agrees(page, "")


def test_filters_together_in_a_fresh_window(page: Page) -> None:
    """The address holds everything; another window with it shows the same."""
    page.open()
    choose_class(page, "any", PERSON)
    choose(page, "split", "train")
    choose(page, "occluded", "no")
    page.click("[data-show='masks']")
    query = f"any={PERSON}&split=train&occluded=no"
    agrees(page, query)
    asked(page, any=PERSON, split="train", occluded="no", show="boxes,masks")
    before = (page.driver.current_url, page.cells, page.texts(".chip"), page.total)
    page.driver.switch_to.new_window("tab")
    page.size(1280, 800)
    page.driver.get(before[0])
    page.settle()
    agrees(page, query)
    assert (page.driver.current_url, page.cells, page.texts(".chip"), page.total) == before
    assert page.js(
        "return [...document.querySelectorAll('input:checked')].map((e) => e.dataset.value"
        " ?? e.dataset.class).filter(Boolean)"
    ) == [PERSON, "train", "no"]
    pressed = page.attributes("#overlays [aria-pressed='true']", "data-show")
    assert pressed == ["boxes", "masks"]


def test_filters_are_taken_away(page: Page) -> None:
    """One by its chip, those of a group by its button, all of them at once."""
    page.open(f"any={PERSON},{CAR}&split=train,test&size=0.05-")
    assert len(page.texts(".chip")) == 5
    page.click("[aria-label='Take away: Car']")
    asked(page, any=PERSON, split="train,test", size="0.05-")
    page.click("[data-clear='split']")
    asked(page, any=PERSON, size="0.05-")
    agrees(page, f"any={PERSON}&size=0.05-")
    page.click("#clear")
    asked(page)
    agrees(page, "")


def test_a_filter_that_makes_no_sense_is_said(page: Page, forgiven: list[str]) -> None:
    """The server's sentence is shown; with the next filter that makes sense it goes away."""
    forgiven.append("400 (Bad Request)")
    page.driver.get(f"{page.explorer.url}?size=x")
    problem = page.one("#problem")
    page.until(lambda: "the filter size cannot be 'x'" in problem.text, "the fault is said")
    page.click("#clear")
    agrees(page, "")
    page.until(lambda: not problem.is_displayed(), "the fault is gone")


@pytest.mark.parametrize(
    ("css", "filters"),
    [
        (".bar[data-chart-class]", lambda data: {"any": data["chartClass"]}),
        (".bar[data-chart-size]", lambda data: {"size": data["chartSize"]}),
        (".place[data-place]:nth-child(28)", lambda data: {"place": data["place"]}),
        (".bar[data-pair]", lambda data: {"all": data["pair"]}),
        (".place[data-matrix]", lambda data: {"all": data["matrix"]}),
    ],
)
def test_a_chart_is_a_filter(
    css: str, filters: Callable[[dict[str, str]], dict[str, str]], page: Page
) -> None:
    """A bar or a cell sets it, the focus stays on it, and pressed again it is taken away."""
    page.open("page=charts")
    data = page.js("return {...document.querySelector(arguments[0]).dataset}", css)
    wanted = filters(data)
    page.click(css)
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    asked(page, **wanted, page="charts")
    page.until(lambda: page.total == page.told(f"api/images?{query}")["total"], "they are fewer")
    page.settle()
    charts = page.told(f"api/charts?{query}")
    bars = ".bar[data-chart-class] .count"
    assert page.attributes(bars, "data-count") == [str(n) for _, n in charts["classes"][:30]]
    name = next(iter(data))
    focused = page.js("return document.activeElement.dataset[arguments[0]]", name)
    assert focused == data[name]
    assert page.driver.switch_to.active_element.get_attribute("aria-pressed") == "true"
    page.press(Keys.ENTER)
    asked(page, page="charts")


def test_charts_are_those_of_the_filters(page: Page) -> None:
    """Numbers of every chart as the server says them."""
    page.open(f"page=charts&any={HANDGUN}")
    charts = page.told(f"api/charts?any={HANDGUN}")
    sizes = page.attributes(".bar[data-chart-size] .count", "data-count")
    assert sizes == [str(each["count"]) for each in charts["sizes"]]
    pairs = page.attributes(".bar[data-pair]", "data-pair")
    assert pairs == [f"{one},{other}" for one, other, _ in charts["pairs"][:30]]
    labels = page.attributes(".place[data-place]", "aria-label")
    counts = [n for row in charts["places"] for n in row]
    assert [int(label.split(": ")[1].split()[0]) for label in labels] == counts
