"""The charts of a report, out of the numbers of `oidkit.Statistics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oidkit.attribution import licence_name
from oidkit.colours import colour_of
from oidkit.markup import escaped, link
from oidkit.pages.charts import Bar, bars, card, more, place_map, spans, table
from oidkit.pages.sheet import swatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["boxes", "classes", "labels", "licences", "pairs", "sizes"]

_MOST_CLASSES = 40
_MOST_BARS = 15
_MOST_SIZES = 8


def classes(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Show the classes with most boxes: as bars, and with all of their counts."""
    found: Sequence[Mapping[str, Any]] = numbers["classes"]
    if not found:
        yield "<p>The folder has no boxes or masks, and no list of a class.</p>"
        return
    word = "boxes" if any(each["boxes"] for each in found) else "images"
    shown = found[:_MOST_BARS]
    rows = [
        Bar(f"{swatch(each['mid'])} {_name(each['name'])}", each[word], colour_of(each["mid"]))
        for each in shown
    ]
    total = sum(each[word] for each in found)
    note = more(len(found) - len(shown), "classes")
    title = f"{word.capitalize()} by class"
    yield card(bars(title, "class", rows, unit=word, total=total), note=note)
    cells = [
        [
            f"{_name(each['name'])}",
            f"<code>{escaped(each['mid'])}</code>",
            *(f"{each[count]:,}" for count in ("images", "boxes", "masks")),
            _percent(each["median_share"]),
        ]
        for each in found[:_MOST_CLASSES]
    ]
    header = ["class", "MID", "images", "boxes", "masks", "median box"]
    yield table("Counts by class", header, cells, texts=1)
    yield (
        "<p>Median box: the share of the image that a box of the class takes, in the middle. "
        f"{more(len(found) - _MOST_CLASSES, 'classes')}</p>"
    )


def pairs(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Show the classes that share most images."""
    found = numbers["pairs"]
    if not found:
        return
    rows = [
        Bar(" + ".join(_name(name) for name in each["names"]), each["images"])
        for each in found[:_MOST_BARS]
    ]
    images = sum(int(each["images"]) for each in numbers["splits"].values())
    note = "Shares are of all images. " + more(len(found) - len(rows), "pairs")
    title = "Classes that share images"
    yield card(bars(title, "two classes", rows, unit="images", total=images), note=note)


def boxes(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Show how large boxes are, of which shape, where, and how many are on an image."""
    if not any(each["boxes"] for each in numbers["splits"].values()):
        yield "<p>The folder has no boxes.</p>"
        return
    found, each = numbers["box_sizes"], numbers["boxes_per_image"]
    shares = spans(found["shares"], lambda share: f"{share * 100:g} %")
    yield '<div class="cards">'
    title = "Boxes by their share of the image"
    note = f"The median is {_percent(found['median_share'])}."
    yield card(bars(title, "share of the image", shares, unit="boxes"), note=note)
    pixels = found["pixels"]
    words = {
        "small": "small: below 32 &times; 32",
        "medium": "medium: below 96 &times; 96",
        "large": "large",
        "unknown": "not known",
    }
    rows = [Bar(text, pixels[word]) for word, text in words.items()]
    rows = [row for row in rows if row.count or row.name != words["unknown"]]
    note = "The sizes of COCO, by the area in pixels."
    yield card(bars("Boxes by their pixels", "area", rows, unit="boxes"), note=note)
    most = f"; the most are {each['most']:,}, on {escaped(each['most_image'])}"
    note = f"The mean is {each['mean']:.2f}{most}."
    title = "Boxes on an image"
    yield card(bars(title, "boxes", _whole(each["histogram"]), unit="images"), note=note)
    if where := place_map(numbers["box_places"]):
        yield card(where)
    yield from _ratios("Width by height of boxes", numbers["box_ratios"], "boxes")
    yield card(_flags(numbers["flags"]), note="Unknown is -1 in the published file.")
    yield "</div>"


def sizes(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Show how large images are."""
    found = numbers["image_sizes"]
    if not found["known"]:
        yield "<p>No image is there whose size is known.</p>"
        return
    yield '<div class="cards">'
    common = found["common"]
    rows = [
        Bar(f"{each['width']} &times; {each['height']}", each["images"])
        for each in common[:_MOST_SIZES]
    ]
    note = f"Of {found['unknown']:,} images the size is not known. " if found["unknown"] else ""
    note += more(len(common) - len(rows), "sizes")
    title = "Most common sizes of images"
    yield card(
        bars(title, "pixels", rows, unit="images", total=found["known"]),
        note=note,
    )
    yield from _ratios("Width by height of images", numbers["image_ratios"], "images")
    yield "</div>"


def labels(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Show the other label types, as far as there are any."""
    found = numbers["image_labels"]
    if found["classes"]:
        words = ("positive", "negative", "machine")
        rows = [
            [_name(each["name"]), *(f"{each[word]:,}" for word in words)]
            for each in found["classes"][:_MOST_BARS]
        ]
        yield table("Image labels", ["class", *words], rows)
        yield f"<p>{more(len(found['classes']) - len(rows), 'classes')}</p>"
    if kinds := numbers["relationships"]:
        listed = [Bar(_name(kind or "not known"), count) for kind, count in kinds.items()]
        shown, title = listed[:_MOST_BARS], "Relationships by kind"
        note = "“is” stands for an attribute. " + more(len(listed) - len(shown), "kinds")
        total = sum(kinds.values())
        yield card(bars(title, "kind", shown, unit="rows", total=total), note=note)
    points, told = numbers["points"], numbers["narratives"]
    if points["images"]:
        answers = [Bar(word, points[word]) for word in ("yes", "no", "unsure")]
        note = f"{points['classes']:,} classes on {points['images']:,} images."
        yield card(bars("Points by answer", "answer", answers, unit="points"), note=note)
    if told["captions"]:
        yield (
            f"<p>{told['captions']:,} narratives of {told['images']:,} images, of "
            f"{told['mean_words']:.1f} words in the mean.</p>"
        )


def licences(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Show how many images are under each licence."""
    found = list(numbers["licences"].items())
    if not found:
        return
    rows = [Bar(link(licence_name(url), url, most=60), count) for url, count in found[:_MOST_BARS]]
    total = sum(count for _, count in found)
    note = more(len(found) - len(rows), "licences")
    title = "Licences of images"
    yield card(bars(title, "licence", rows, unit="images", total=total), note=note)


def _name(text: str) -> str:
    return escaped(text, most=60)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f} %"


def _whole(histogram: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Name the bins of a histogram of whole numbers: `2`, `3 to 4`, `50 and more`."""
    rows = []
    for each in histogram:
        start, end = each["from"], each["to"]
        if end is None:
            word = f"{start} and more"
        else:
            word = f"{start}" if end == start + 1 else f"{start} to {end - 1}"
        rows.append(Bar(word, each["count"]))
    return rows


def _ratios(title: str, ratios: Mapping[str, Any], unit: str) -> Iterator[str]:
    if ratios["median"] is None:
        return
    rows = spans(ratios["histogram"], lambda ratio: f"{ratio:.2g}")
    note = f"The median is {ratios['median']:.2f}"
    note += f"; of {ratios['unknown']:,} it is not known." if ratios["unknown"] else "."
    yield card(bars(title, "width / height", rows, unit=unit), note=note)


def _flags(flags: Mapping[str, Mapping[str, int]]) -> str:
    words = ("yes", "no", "unknown")
    rows = [
        [name.replace("_", " "), *(f"{counts[word]:,}" for word in words)]
        for name, counts in flags.items()
    ]
    return table("Flags of boxes", ["flag", *words], rows)
