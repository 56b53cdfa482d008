"""`ATTRIBUTION.md`: who made each image, under which licence, and what was changed.

What CC BY asks for (creativecommons.org/licenses/by/2.0/legalcode, section 4): the author, the
title, the address of the work, the licence with its address, and that it was changed. Titles and
names are what strangers typed. Nothing of them may become Markdown, HTML or a link.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from oidkit.markup import one_line, web_address
from oidkit.rotation import degrees_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

__all__ = ["as_markdown", "licence_name", "page"]


_LICENCE = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/"
    r"(licenses|publicdomain)/([a-z-]{2,16})/([0-9]\.[0-9])(?:/([a-z]{2,8}))?/?(?:legalcode|deed\.[a-z]+)?"
)
_PUBLIC_DOMAIN = {"zero": "CC0", "mark": "Public Domain Mark"}
_UNKNOWN = "licence not known"
_MOST_LICENCES = 20

_SLASHED = re.compile(r"([\\`*_{}\[\]()#!])")
# As entities, which mean nothing but themselves in every kind of Markdown and in HTML. A colon, an
# @ and www. would begin a link, dollars a formula, tildes strike out, a bar ends a table's cell.
_ENTITIES = {char: f"&#{ord(char)};" for char in "&<>\"':@$~|^"}
_WWW = re.compile(r"(?i)(www)\.")

_HEAD = """\
# Attribution

This file says who made the images of this dataset and who made its annotations. Keep it with them,
and with what is made from them: both licences ask for it.

## Annotations

The annotations are those of Open Images{release}, by Google LLC, under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/);
see <https://storage.googleapis.com/openimages/web/index.html>. Here they are a selection of the
published rows{rows_changed}. Open Images asks to be cited as:

> A. Kuznetsova, H. Rom, N. Alldrin, J. Uijlings, I. Krasin, J. Pont-Tuset, S. Kamali, S. Popov,
> M. Malloci, A. Kolesnikov, T. Duerig, and V. Ferrari. The Open Images Dataset V4: Unified image
> classification, object detection, and visual relationship detection at scale. IJCV, 2020.
> <https://arxiv.org/abs/1811.00982>

## Images

{images}, from Flickr, by their authors. Open Images lists each as being under the licence that is
named with it. It gives no warranty for that, and asks you to check the licence of each image
yourself, on the page that the title leads to.

{licences}

{unknown}

Changes: Open Images has rescaled the images, so that the longer side has 1024 pixels at the most,
with a few exceptions.{unscaled}{turned}

"""
_UNSCALED = (
    " An image that is marked as unscaled came from where it was published, and\n"
    "has the pixels that it has there."
)
_TURNED = (
    " Here, an image that is marked so was turned by so many degrees counter-clockwise\n"
    "(`Rotation` of the image list), and its annotations with it."
)
_ROWS_CHANGED = ", and those of turned images are turned with them"


def page(
    rows: Callable[[], Iterable[Sequence[str]]],
    *,
    release: str = "",
    upright: bool = False,
    unscaled: Container[str] = (),
) -> Iterator[bytes]:
    """Give the lines of the file.

    *rows* gives, each time it is called, the rows of `attribution.csv` in the order of its columns
    (`oidkit.schema.ATTRIBUTION`), by ImageID; they are read more than once and never held. With
    *upright* images were turned by their `Rotation`. Those whose ImageID is in *unscaled* are no
    copies of Open Images.
    """
    licences: Counter[str] = Counter()
    count = unknown = apart = 0
    for image_id, _, author, _, licence, _, _ in rows():
        count += 1
        apart += image_id in unscaled
        unknown += not as_markdown(author)
        licences[licence] += 1
    yield _HEAD.format(
        release=f" {release.upper()}" if release else "",
        rows_changed=_ROWS_CHANGED if upright else "",
        images=f"{count:,} image{'s' if count != 1 else ''}",
        licences="\n".join(_summed(licences)) or "No image, no licence.",
        unknown=_told(unknown, count),
        unscaled=_UNSCALED if apart else "",
        turned=_TURNED if upright else "",
    ).encode()
    for row in rows():
        scaled = row[0] not in unscaled
        yield _entry(row, scaled=scaled, upright=upright).encode()
    if unknown:
        yield b"\n## Images without a known author\n\n"
        for image_id, _, author, _, _, _, _ in rows():
            if not as_markdown(author):
                yield f"- {as_markdown(image_id)}\n".encode()


def licence_name(url: str) -> str:
    """Name a licence by its address: ``CC BY 2.0``; another address stands for itself."""
    found = _LICENCE.fullmatch(url.strip())
    if found is None:
        return url.strip() or _UNKNOWN
    kind, name, version, place = found.groups()
    if kind == "publicdomain":
        named = f"{_PUBLIC_DOMAIN.get(name, name)} {version}"
    else:
        named = f"CC {name.upper()} {version}"
    return f"{named} {place.upper()}" if place else named


def _summed(licences: Mapping[str, int]) -> Iterator[str]:
    listed = sorted(licences.items(), key=lambda pair: (-pair[1], pair[0]))
    for licence, count in listed[:_MOST_LICENCES]:
        yield f"- {_licence(licence)}: {count:,}"
    if rest := sum(count for _, count in listed[_MOST_LICENCES:]):
        yield f"- other licences, named with each image: {rest:,}"


def _told(unknown: int, count: int) -> str:
    if not unknown:
        return "The author of each is known." if count else ""
    return (
        f"Of {unknown:,} of them the image list names no author, or does not have them at all;\n"
        "they are listed once more at the end."
    )


def _entry(row: Sequence[str], *, scaled: bool, upright: bool) -> str:
    image_id, title, author, profile, licence, landing, rotation = row
    work = _link(as_markdown(title) or as_markdown(image_id), landing)
    by = (
        _link(as_markdown(author), profile) if as_markdown(author) else "an author who is not known"
    )
    turned = degrees_of(rotation) if upright else 0
    changes = "rescaled" if scaled else "unscaled"
    changes += f", turned by {turned}°" if turned else ""
    return f"- {as_markdown(image_id)}: {work} by {by}, {_licence(licence)}; {changes}\n"


def _licence(url: str) -> str:
    return _link(as_markdown(licence_name(url)), url)


def _link(text: str, url: str) -> str:
    target = _target(url)
    return f"[{text}]({target})" if target else text


def _target(url: str) -> str:
    """Give an address as the target of a link, or nothing where it is no web address."""
    return web_address(url).replace("&", "&amp;")


def as_markdown(text: str) -> str:
    """Make a text mean nothing but itself in Markdown and HTML, on one line."""
    slashed = _SLASHED.sub(r"\\\1", one_line(text))
    marked = "".join(_ENTITIES.get(char, char) for char in slashed)
    return _WWW.sub(r"\1&#46;", marked)
