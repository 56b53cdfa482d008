"""How the numbers of a dataset read on a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oidkit.catalog import LABEL_WORDS
from oidkit.cli.output import number
from oidkit.quantities import bins_in_words, byte_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from oidkit.api.counting import Statistics

__all__ = ["BAR", "PLAIN_BAR", "drawn"]

BAR, PLAIN_BAR = "█", "#"
_BAR_LENGTH = 36
_NAME, _CUT = 28, "..."
_ROWS = {
    "images": "images",
    "negatives": "  negatives",
    "files": "  files",
    "missing": "  missing",
    "failed": "  failed",
    "boxes": "boxes",
    "masks": "masks",
    "mask_files": "  mask files",
    **LABEL_WORDS,
}
_ALWAYS = {"images", "files", "boxes", "masks"}


def drawn(found: Statistics, *, top: int, bar: str = BAR) -> list[str]:
    """Write every table that has something to say; histograms are drawn with *bar*."""
    tables = [
        _totals(found),
        _classes(found, top),
        _pairs(found, top),
        _flags(found),
        _box_sizes(found, bar),
        _boxes_per_image(found, bar),
        _ratios("width by height of boxes", found.box_ratios, bar),
        _ratios("width by height of images", found.image_ratios, bar),
        _image_sizes(found),
        _image_labels(found, top),
        _values("relationships", found.relationships, top),
        _points(found),
        _narratives(found),
        _values("licences of images", found.licences, top),
    ]
    written: list[str] = []
    for table in tables:
        if rows := list(table):
            written += ["", *rows] if written else rows
    return written


def _row(word: str, cells: Iterable[str], *, width: int = 13, name: int = _NAME) -> str:
    return f"{_cut(word, name):<{name}}" + "".join(f"{cell:>{width}}" for cell in cells)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f} %"


def _rest(count: int, shown: int, what: str) -> Iterator[str]:
    if count > shown:
        more = f"more {what}"
        yield f"... and {number(count - shown, more, more + ('es' if what[-1] == 's' else 's'))}"


# -- how many ------------------------------------------------------------------------------------


def _totals(found: Statistics) -> Iterator[str]:
    release = f" of release {found.release.upper()}" if found.release else ""
    yield f"{found.folder}: a dataset{release}"
    yield ""
    splits = found.splits
    narrow = 13 if len(splits) < 4 else 11  # noqa: PLR2004 - as many as fit into 80 columns
    yield _row("", [*splits, "all"], width=narrow, name=16)
    for key, word in _ROWS.items():
        counts = [numbers[key] for numbers in splits.values()]
        if any(counts) or key in _ALWAYS:
            cells = [f"{count:,}" for count in [*counts, sum(counts)]]
            yield _row(word, cells, width=narrow, name=16)
    sizes = [numbers["bytes"] for numbers in splits.values()]
    if any(sizes):
        cells = [byte_count(size) for size in [*sizes, sum(sizes)]]
        yield _row("image bytes", cells, width=narrow, name=16)


def _classes(found: Statistics, top: int) -> Iterator[str]:
    if not found.classes:
        return
    shown = found.classes[:top] if top else found.classes
    words = ("images", "boxes", "masks")
    yield (
        f"{'class':<{_NAME}}  {'split':<10}"
        + "".join(f"{word:>10}" for word in words)
        + (f"{'box':>9}")
    )
    for each in shown:
        name, share = _cut(each["name"], _NAME), _percent(each["median_share"])
        for split, counts in each["splits"].items():
            cells = "".join(f"{counts[word]:>10,}" for word in words)
            yield f"{name:<{_NAME}}  {split:<10}{cells}{share:>9}".rstrip()
            name = share = ""
    yield from _rest(len(found.classes), len(shown), "class")
    if any(each["boxes"] for each in shown):
        yield "box: the median share of the image that a box of the class takes"


def _pairs(found: Statistics, top: int) -> Iterator[str]:
    if not found.pairs:
        return
    yield _row("classes that share images", ["images"], width=12, name=60)
    for pair in found.pairs[: top or None]:
        one, other = (_cut(name, _NAME) for name in pair["names"])
        yield _row(f"{one} + {other}", [f"{pair['images']:,}"], width=12, name=60)


def _flags(found: Statistics) -> Iterator[str]:
    if not _boxes(found):
        return
    yield _row("flags of boxes", ["yes", "no", "unknown"], name=16)
    for name, counts in found.flags.items():
        cells = [f"{counts[answer]:,}" for answer in ("yes", "no", "unknown")]
        yield _row(f"  {name.replace('_', ' ')}", cells, name=16)


def _boxes(found: Statistics) -> int:
    return sum(numbers["boxes"] for numbers in found.splits.values())


# -- how large -----------------------------------------------------------------------------------


def _bars(rows: Sequence[tuple[str, int]], bar: str) -> Iterator[str]:
    """Draw a line for each count, of which the largest has the longest bar."""
    total, most = sum(count for _, count in rows), max((count for _, count in rows), default=0)
    for word, count in rows:
        length = round(_BAR_LENGTH * count / most) if most else 0
        share = _percent(count / total) if total else ""
        yield f"  {word:<16}{count:>12,}{share:>9}  {bar * length}".rstrip()


def _box_sizes(found: Statistics, bar: str) -> Iterator[str]:
    if not _boxes(found):
        return
    sizes = found.box_sizes
    yield f"boxes by their share of the image: the median is {_percent(sizes['median_share'])}"
    yield from _bars(bins_in_words(sizes["shares"], lambda share: f"{share * 100:g} %"), bar)
    pixels = sizes["pixels"]
    rows = [(word, pixels[word]) for word in ("small", "medium", "large")]
    if any(count for _, count in rows):
        yield ""
        yield f"boxes by their pixels, as COCO does{_unknown(pixels['unknown'])}"
        yield from _bars(rows, bar)
        yield "small: an area below 32 x 32 pixels; medium: below 96 x 96"


def _boxes_per_image(found: Statistics, bar: str) -> Iterator[str]:
    if not _boxes(found):
        return
    each = found.boxes_per_image
    most = f"{each['most']:,} on {each['most_image']}"
    yield f"boxes on an image: the mean is {each['mean']:.2f}, the most {most}"
    rows = []
    for one in each["histogram"]:
        start, end = one["from"], one["to"]
        span = f"{start}" if end == start + 1 else f"{start} to {(end or 0) - 1}"
        rows.append((span if end is not None else f"{start} and more", one["count"]))
    yield from _bars(rows, bar)


def _ratios(title: str, ratios: Mapping[str, Any], bar: str) -> Iterator[str]:
    if ratios["median"] is None:
        return
    yield f"{title}: the median is {ratios['median']:.2f}{_unknown(ratios['unknown'])}"
    yield from _bars(bins_in_words(ratios["histogram"], lambda ratio: f"{ratio:.2g}"), bar)


def _unknown(count: int) -> str:
    return f"; of {count:,} it is not known" if count else ""


def _image_sizes(found: Statistics) -> Iterator[str]:
    sizes = found.image_sizes
    if not sizes["known"]:
        return
    yield _row("pixels of images", ["least", "median", "most"], name=16)
    for side in ("width", "height"):
        cells = [f"{sizes[side][key]:,.0f}" for key in ("least", "median", "most")]
        yield _row(f"  {side}", cells, name=16)
    yield ""
    yield _row("most common sizes", ["images"], name=20)
    for each in sizes["common"]:
        yield _row(f"  {each['width']} x {each['height']}", [f"{each['images']:,}"], name=20)
    if sizes["unknown"]:
        yield f"of {number(sizes['unknown'], 'image')} the size is not known"


# -- other label types ---------------------------------------------------------------------------


def _image_labels(found: Statistics, top: int) -> Iterator[str]:
    labels = found.image_labels
    if not labels["classes"]:
        return
    words = ("positive", "negative", "machine")
    yield _row("image labels", words)
    yield _row("all", [f"{labels[word]:,}" for word in words])
    shown = labels["classes"][: top or None]
    for each in shown:
        yield _row(f"  {each['name']}", [f"{each[word]:,}" for word in words])
    yield from _rest(len(labels["classes"]), len(shown), "class")


def _values(title: str, counts: Mapping[str, int], top: int) -> Iterator[str]:
    if not counts:
        return
    yield title
    shown = list(counts.items())[: top or None]
    for value, count in shown:
        yield _row(f"  {value or 'not known'}", [f"{count:,}"], name=60)
    yield from _rest(len(counts), len(shown), "value")


def _points(found: Statistics) -> Iterator[str]:
    points = found.points
    if not points["images"]:
        return
    words = ("yes", "no", "unsure", "classes", "images")
    yield _row("points", words, width=12, name=16)
    yield _row("", [f"{points[word]:,}" for word in words], width=12, name=16)


def _narratives(found: Statistics) -> Iterator[str]:
    told = found.narratives
    if told["captions"]:
        images = number(told["images"], "image")
        yield (
            f"{number(told['captions'], 'narrative')} of {images}, "
            f"{told['mean_words']:.1f} words each"
        )
