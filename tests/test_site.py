"""The site of the documentation: strict, with every page, and in need of nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ELSEWHERE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a project as `make site` does."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "-n", "--keep-going", "-q"]
    command += ["-d", f"{out}-doctrees", "-c", str(source / "docs"), str(source), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site of this project."""
    out = tmp_path_factory.mktemp("site") / "out"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class Tags(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def pages_of(site: Path) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Read every page of a site."""
    for page in sorted(site.rglob("*.html")):
        yield page.relative_to(site).as_posix(), Tags(page).found


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """The side bar of the contents leads to each page of docs/, which is there."""
    entries = {
        (site / "docs" / attributes["href"]).resolve()
        for tag, attributes in Tags(site / "docs" / "README.html").found
        if tag == "a" and "internal" in attributes.get("class", "").split()
    }
    pages = {page.relative_to(ROOT) for page in DOCS.rglob("*.md") if page != DOCS / "README.md"}
    assert len(pages) > 40
    missing = [
        page for page in pages if (site / page.with_suffix(".html")).resolve() not in entries
    ]
    assert missing == []
    assert [entry for entry in entries if not entry.is_file() and entry.suffix == ".html"] == []


def test_the_folder_opens_at_the_contents(site: Path) -> None:
    """A browser that is given the folder is led to the page of contents."""
    links = [given["href"] for tag, given in Tags(site / "index.html").found if tag == "a"]
    assert links == ["docs/README.html"]
    assert (site / links[0]).is_file()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Pages and styles name other hosts in plain links alone: no script, font or picture."""
    outside = [
        f"{page}: <{tag} {name}={value}>"
        for page, tags in pages_of(site)
        for tag, attributes in tags
        for name, value in attributes.items()
        if tag != "a" and name != "xmlns" and ELSEWHERE.match(value)
    ]
    assert outside == []
    styles = list(site.rglob("*.css"))
    assert styles
    loaded = [
        found
        for style in styles
        for found in re.findall(
            r"(?:url\(|@import)\s*[\"']?([^\"')]+)", style.read_text(encoding="utf-8")
        )
        if ELSEWHERE.match(found)
    ]
    assert loaded == []


def test_what_is_said_to_the_tests_is_not_shown(site: Path) -> None:
    """The comments that say how a block is run are left out."""
    texts = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert [page for page, text in texts.items() if "<!-- not run" in text] == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("# A page\n\nSee [another](gone.md).\n", "gone"),
        ("# A page\n\nSee [a heading](#gone).\n", "gone"),
        ("# A page\n\n![a picture](gone.png)\n", "gone.png"),
    ],
)
def test_what_leads_nowhere_ends_a_build(tmp_path: Path, page: str, said: str) -> None:
    """A link or picture that is not there is an error, and is named."""
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copyfile(DOCS / "conf.py", docs / "conf.py")
    (docs / "README.md").write_text("# Contents\n\n- [A page](page.md)\n")
    (docs / "page.md").write_text(page)
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0, done.stderr
    assert said in done.stderr


def test_a_page_that_is_in_no_navigation_ends_a_build(tmp_path: Path) -> None:
    """A page that the contents do not link is an error, and without it there is none."""
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copyfile(DOCS / "conf.py", docs / "conf.py")
    (docs / "README.md").write_text("# Contents\n\n## Guides\n\n- [A page](page.md)\n")
    (docs / "page.md").write_text("# A page\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (docs / "orphan.md").write_text("# An orphan\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0, done.stderr
    assert "orphan.md" in done.stderr
