"""Builds the site out of these pages: ``make site``, into ``build/site``.

The pages are plain Markdown with relative links and read well without a site, so nothing of Sphinx
stands in them. The navigation is made of the contents, docs/README.md: its sections become
captions, its links entries. A page that is not linked there is an error of the strict build.

The source folder is the top of the project, whose own pages belong to the site as well.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "oidkit"
html_title = "oidkit"
extensions = ["myst_parser"]
root_doc = "docs/README"
source_suffix = {".md": "markdown"}
include_patterns = ["*.md", "docs/**.md", "requirements/*.md"]
exclude_patterns = [".*", "bench", "build", "dist", "src", "tests"]
nitpicky = True
# Headings have the anchors that a reader of plain Markdown gives them.
myst_heading_anchors = 4
# A fence that names no language is shown as it stands.
highlight_language = "none"

html_theme = "furo"
html_theme_options: dict[str, list[str]] = {"footer_icons": [], "top_of_page_buttons": []}
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_show_sphinx = False

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_PAGE = re.compile(r"\]\(([\w./-]+)\.md\)")
_COMMENT = re.compile(r"^<!-- .* -->$", re.MULTILINE)
_DOOR = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>oidkit</title>
<meta http-equiv="refresh" content="0; url={target}"></head>
<body><p><a href="{target}">The documentation of oidkit</a></p></body></html>
"""


def navigation(contents: str) -> str:
    """Give the directives for the pages that the contents link, one for each of its sections."""
    first, *rest = _SECTION.split(contents)
    lines: list[str] = []
    for title, text in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
        lines += ["", "```{toctree}", ":hidden:", f":caption: {title}" if title else "", ""]
        pages = (posixpath.normpath(f"/docs/{page}") for page in _PAGE.findall(text))
        lines += [*dict.fromkeys(pages), "```"]
    return "\n".join(lines) + "\n"


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    """Leave out what is said to the tests, and give the contents their navigation."""
    source[0] = _COMMENT.sub("", source[0])
    if page == app.config.root_doc:
        source[0] += navigation(source[0])


def _built(app: Sphinx, error: Exception | None) -> None:
    """Let the folder of the site open at its contents."""
    if error is None and app.builder.format == "html":
        door = _DOOR.format(target=f"{app.config.root_doc}.html")
        (Path(app.outdir) / "index.html").write_text(door, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part in the build: called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("build-finished", _built)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
