"""`ATTRIBUTION.md`: what CC BY asks for, of every image, whatever strangers typed."""

from __future__ import annotations

import csv
import dataclasses
import html
import re
import tracemalloc
from itertools import repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from oidkit.api import Settings, download, verify
from oidkit.attribution import licence_name, page
from oidkit.selection import Selection
from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from markdown_it.token import Token

ID = "0001eeaf4aed83f9"
BY = "https://creativecommons.org/licenses/by/2.0/"
PROFILE = "https://www.flickr.com/people/70000000@N00/"
LANDING = "https://www.flickr.com/photos/70000000@N00/4711"
SPEC = dataclasses.replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(40, 12, 14),
    long_side=64,
    jpeg_quality=40,
)


def row(**values: str) -> list[str]:
    """Give a row of attribution.csv, an ordinary one but for *values*."""
    plain = {
        "ImageID": ID,
        "Title": "A title",
        "Author": "An author",
        "AuthorProfileURL": PROFILE,
        "License": BY,
        "OriginalLandingURL": LANDING,
        "Rotation": "0.0",
    }
    return list((plain | values).values())


def text_of(rows: Sequence[Sequence[str]], *, upright: bool = False) -> str:
    """Give the page of some rows."""
    return b"".join(page(lambda: rows, release="v7", upright=upright)).decode()


def inline(markdown: str) -> list[Token]:
    """Parse a page as CommonMark does, tables and strike-out too; give what stands in its lines."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    blocks = parser.parse(markdown)
    assert not any(block.type == "html_block" for block in blocks)
    return [token for block in blocks for token in block.children or ()]


def entry(**values: str) -> tuple[str, list[str]]:
    """Give what a reader sees of the line of one image, and where its links lead."""
    line = text_of([row(**values)]).split("with a few exceptions.\n\n")[1].split("\n\n#")[0]
    assert "\n" not in line.rstrip("\n")
    tokens = inline(line)
    kinds = {token.type for token in tokens}
    assert kinds <= {"text", "text_special", "link_open", "link_close"}, kinds
    links = [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]
    return "".join(token.content for token in tokens), links


def test_a_line_says_all_that_cc_by_asks_for() -> None:
    """Title, author, both of their pages, the licence with its address, and what was changed."""
    seen, links = entry()
    assert seen == f"{ID}: A title by An author, CC BY 2.0; rescaled"
    assert links == [LANDING, PROFILE, BY]


HOSTILE = (
    "<script>alert(1)</script>",
    "](https://evil.example) [x",
    "![x](https://evil.example/x.png)",
    "`code` **bold** __bold__ ~~gone~~ $x$ | cell |",
    "http://evil.example www.evil.example evil@evil.example <https://evil.example>",
    "&lt;b&gt; &#42; &amp;",
    "line\n\n# Heading\r\n- item\u2028next\x85next\x0bnext\x00end",
    "back\\slash \\[x\\](y)",
    "[x]: https://evil.example",
    "--> <!-- ]]> <![CDATA[",
    "abc \u202edlrow\u202c \u2066x\u2069 \ufeff",
)


def readable(text: str) -> str:
    """Give a text as it may be shown: on one line, without what turns the writing around."""
    import unicodedata

    lined = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text)
    kept = (
        char for char in lined if unicodedata.category(char) != "Cf" or char in ("\u200c", "\u200d")
    )
    return " ".join("".join(kept).split())


@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
@pytest.mark.parametrize("column", ["Title", "Author"])
@example(text="".join(HOSTILE))
def test_no_title_or_name_means_more_than_itself(column: str, text: str) -> None:
    """Whatever was typed is read back as text from the parsed page, with the same links as ever."""
    for each in (text, *HOSTILE):
        seen, links = entry(**{column: each})
        shown = readable(each)
        if column == "Title":
            assert seen == f"{ID}: {shown or ID} by An author, CC BY 2.0; rescaled"
            assert links == [LANDING, PROFILE, BY]
        else:
            by = shown or "an author who is not known"
            assert seen == f"{ID}: A title by {by}, CC BY 2.0; rescaled"
            assert links == ([LANDING, PROFILE, BY] if shown else [LANDING, BY])


@pytest.mark.parametrize("text", HOSTILE)
def test_no_tag_and_no_bare_address_is_in_the_source(text: str) -> None:
    """Even a reader who takes the lines for HTML, or links whatever looks like one, finds none."""
    line = text_of([row(Title=text, Author=text)]).split("with a few exceptions.\n\n")[1]
    bare = re.sub(r"\]\(https://[^()\s]+\)", "]", line)
    assert "<" not in bare
    assert "://" not in bare
    assert "www." not in bare.lower()
    assert "@" not in bare


@pytest.mark.parametrize(
    ("url", "links"),
    [
        ("javascript:alert(1)", []),
        ("data:text/html,x", []),
        ("", []),
        ("https://a.example/x) [y](https://evil.example", None),
        ("https://a.example/a b\"c'd<e>f\\g`h", None),
        ("https://a.example/\n\n# x", []),
        ("https://a.example/?a=1&copy=2&b=%20é", ["https://a.example/?a=1&copy=2&b=%20%C3%A9"]),
    ],
)
def test_an_address_is_a_link_or_nothing(url: str, links: list[str] | None) -> None:
    """Only web addresses become links, and none of them gets out of its brackets."""
    seen, found = entry(AuthorProfileURL=url)
    assert seen == f"{ID}: A title by An author, CC BY 2.0; rescaled"
    assert found[0] == LANDING
    assert found[-1] == BY
    if links is None:
        assert len(found) == 3
        assert found[1].startswith("https://a.example/")
    else:
        assert found[1:-1] == links


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (BY, "CC BY 2.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/2.5", "CC BY-NC-SA 2.5"),
        ("https://creativecommons.org/licenses/by/2.1/jp/", "CC BY 2.1 JP"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "Public Domain Mark 1.0"),
        ("https://example.org/my-licence", "https://example.org/my-licence"),
        ("", "licence not known"),
    ],
)
def test_licences_have_names(url: str, name: str) -> None:
    """A Creative Commons address is named as people name it; any other stands for itself."""
    assert licence_name(url) == name
    assert html.unescape(entry(License=url)[0]).endswith(f", {name}; rescaled")


def test_the_head_counts_licences_and_authors_who_are_not_known() -> None:
    """The numbers are those of the rows, and who has no author is listed once more."""
    rows = [
        row(ImageID=f"{at:016x}", Author="" if at in (2, 4) else "X", License="" if at == 4 else BY)
        for at in range(6)
    ]
    text = text_of(rows)
    assert "\n6 images, from Flickr" in text
    assert f"- [CC BY 2.0]({BY}): 5\n- licence not known: 1\n" in text
    assert "Of 2 of them" in text
    assert text.endswith(f"## Images without a known author\n\n- {2:016x}\n- {4:016x}\n")
    assert "turned" not in text
    assert "Google LLC" in text
    assert "Open Images V7" in text
    assert "The author of each is known" in text_of([row()])
    assert "\n0 images" in text_of([])


def test_an_upright_folder_says_which_images_were_turned() -> None:
    """Only those of 90, 180 and 270 degrees were, and only in such a folder."""
    degrees = {"90.0": 90, "180": 180, "270.0": 270, "0.0": 0, "NaN": 0, "": 0}
    rows = [row(Rotation=text) for text in degrees]
    lines = text_of(rows, upright=True).split("\n\n")[-1].splitlines()
    for line, by in zip(lines, degrees.values(), strict=True):
        assert line.endswith(f"; rescaled, turned by {by}°" if by else "; rescaled")
    assert "turned" not in text_of(rows)


def test_memory_does_not_grow_with_the_images() -> None:
    """A page of 15,000 images is made line by line, within a megabyte."""
    tracemalloc.start()
    try:
        size = sum(len(line) for line in page(lambda: repeat(row(), 15_000)))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 3_000_000
    assert most < 1_000_000


# -- in a dataset folder -------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Read a made release from its folder."""
    return Settings(source=str(make_release(tmp_path / "m", SPEC).root), cache=tmp_path / "cache")


def ids(out: Path) -> list[str]:
    """Read the images of attribution.csv, and check that the page has just those."""
    with (out / "attribution.csv").open(newline="", encoding="utf-8") as file:
        found = [line["ImageID"] for line in csv.DictReader(file)]
    text = (out / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert re.findall(r"^- ([0-9a-f]{16}): ", text, re.MULTILINE) == found
    assert f"\n{len(found):,} images, from Flickr" in text
    return found


def test_the_page_is_that_of_the_whole_folder(settings: Settings, tmp_path: Path) -> None:
    """A second selection adds its images; the same in one folder at once gives the same page."""
    one, two = Selection(("Handgun",), splits=("train",)), Selection(("Person",), splits=("test",))
    out, other = tmp_path / "out", tmp_path / "other"
    download(one, out, settings=settings)
    first = ids(out)
    before = (out / "ATTRIBUTION.md").stat().st_mtime_ns
    download(one, out, settings=settings)
    assert (out / "ATTRIBUTION.md").stat().st_mtime_ns == before
    download(two, out, settings=settings)
    both = ids(out)
    assert set(first) < set(both)
    assert both == sorted(both)
    download(two, other, settings=settings)
    download(one, other, settings=settings)
    assert (other / "ATTRIBUTION.md").read_bytes() == (out / "ATTRIBUTION.md").read_bytes()


def test_the_page_is_verified_and_repaired(settings: Settings, tmp_path: Path) -> None:
    """It is in the manifest: damage is found, and mended to the same bytes."""
    out = tmp_path / "out"
    download(Selection(("Handgun",), splits=("train",)), out, settings=settings)
    path = out / "ATTRIBUTION.md"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"Google", b"Giggle"))
    assert verify(out).damaged == ["ATTRIBUTION.md"]
    assert verify(out, repair=True, settings=settings).repaired == 1
    assert path.read_bytes() == whole
    path.unlink()
    assert verify(out).absent == ["ATTRIBUTION.md"]
    assert verify(out, repair=True, settings=settings).exit_code == 0
    assert path.read_bytes() == whole


def test_without_metadata_there_is_no_page(settings: Settings, tmp_path: Path) -> None:
    """`--no-metadata` leaves it out, with the list that it is made of."""
    wanted = Selection(("Handgun",), splits=("train",), metadata=False)
    download(wanted, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out" / "ATTRIBUTION.md").exists()
    assert not (tmp_path / "out" / "attribution.csv").exists()


def test_images_that_no_list_has_are_named(settings: Settings, tmp_path: Path) -> None:
    """An image that the list lacks has a row with its id alone, and is among those not known."""
    listed = next((tmp_path / "m").rglob("train-images-boxable-with-rotation.csv"))
    head, *lines = listed.read_text(encoding="utf-8").splitlines(keepends=True)
    out = tmp_path / "out"
    download(Selection(("Handgun",), splits=("train",)), out, settings=settings)
    chosen = ids(out)
    gone = chosen[::2]
    kept = [line for line in lines if line.split(",")[0] not in gone]
    listed.write_text(head + "".join(kept), encoding="utf-8")
    download(Selection(("Handgun",), splits=("train",)), tmp_path / "less", settings=settings)
    assert ids(tmp_path / "less") == chosen
    text = (tmp_path / "less" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    listed_again = text.split("## Images without a known author\n\n")[1]
    assert listed_again == "".join(f"- {each}\n" for each in gone)
    rows = (tmp_path / "less" / "attribution.csv").read_text(encoding="utf-8").splitlines()
    assert [line for line in rows if line.endswith(",,,,,,")] == [f"{each},,,,,," for each in gone]
