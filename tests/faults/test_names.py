"""Row 37: names and titles that strangers typed are shown as text, wherever they are shown."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from oidkit.catalog import class_file
from oidkit.testing import Fault, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.runs import Folder

pytestmark = pytest.mark.row(37)
MID = "/m/0gxl3"
IMAGES = "openimages/2018_04/train/train-images-boxable-with-rotation.csv"
NAMES = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "markdown": "[x](https://evil.example) | **b** ![i](https://evil.example/i.png) `c`",
    "escapes": "\x1b[2J\x1b]0;owned\x07Hand\x9b31mgun\x08\x08",
    "turned around": "\u202egnp.nugdnaH\u202c\u2066x\u2069",
    "climbing": "../../../../etc/cron.d/x",
    "of 184 bytes": "Hand gun " * 20 + "hand",
    "emoji": "\U0001f52b\u200d\U0001f525 Hand\u200bgun",
}
QUICK = {"html", "escapes", "turned around"}
# What may move the cursor, change colours or titles, or turn the writing around.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def replaced(key: str, change: Callable[[bytes], bytes], folder: Folder) -> None:
    """Let the server answer one object as *change* makes it, under an ETag of its own."""
    data = change((folder.undisturbed.mirror / key).read_bytes())

    def hook(request: RequestInfo) -> Fault | None:
        if request.path != key:
            return None
        told = {"ETag": '"another-1"', "x-goog-hash": "", "Content-Range": ""}
        return Fault(status=200, body=data, headers=told)

    folder.undisturbed.server.hook = hook


def named(name: str) -> Callable[[bytes], bytes]:
    """Rename the class in a list of classes."""

    def change(data: bytes) -> bytes:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        out = io.StringIO()
        csv.writer(out).writerows([r[0], name if r[0] == MID else r[1]] for r in rows)
        return out.getvalue().encode()

    return change


def inside(root: Path) -> None:
    """Check that everything was written below the dataset folder, the cache and the exports."""
    assert {each.name for each in root.iterdir()} <= {"out", "cache", "exported"}


def nothing_but_text(page: str) -> str:
    """Parse a Markdown file; give what a reader sees of it, after checking that it has no HTML."""
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(page)
    assert not [each for each in tokens if each.type == "html_block"]
    inner = [each for token in tokens for each in token.children or ()]
    kinds = {each.type for each in inner}
    assert not kinds & {"html_inline", "image"}
    links = [str(each.attrs["href"]) for each in inner if each.type == "link_open"]
    assert not [link for link in links if "evil" in link]
    return "\n".join(each.content for each in inner)


@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=() if what in QUICK else pytest.mark.whole) for what in NAMES],
)
def test_the_name_of_a_class_is_text(what: str, folder: Folder) -> None:
    """HTML, Markdown, escape codes and paths in a name: harmless on terminal, disk and cards."""
    replaced(class_file("v7").key, named(NAMES[what]), folder)
    where = ("--source", folder.url, "--cache", folder.cache)
    listed = folder.run("classes", MID, *where)
    assert listed.code == 0, listed.err
    tree = folder.run("classes", MID, "--tree", *where)
    done = folder.run(
        "download", MID, "--split", "validation", "--out", folder.out, "--limit", 3, *where
    )
    assert done.code == 0, done.err
    inside(folder.root)
    stats = folder.run("stats", folder.out)
    exported = folder.root / "exported"
    export = folder.run("export", folder.out, "--format", "parquet", "--out", exported)
    assert (stats.code, export.code) == (0, 0), stats.err + export.err
    for each in (listed, tree, done, stats, export):
        assert not STEERING.search(each.out.decode()), each.out
        assert not STEERING.search(each.err)
        assert "Traceback" not in each.err
    inside(folder.root)
    card = (exported / "README.md").read_text(encoding="utf-8").partition("\n---\n")[2]
    seen = nothing_but_text(card)
    if what in {"html", "markdown"}:
        assert NAMES[what] in seen
    assert not STEERING.search(card)


def test_a_name_that_no_file_system_takes_is_refused(folder: Folder) -> None:
    """A display name of 10 kB is one sentence with the line, exit 2, and nothing is made."""
    replaced(class_file("v7").key, named("Hand gun " * 1100), folder)
    done = folder.run()
    assert done.code == 2, done.err
    assert re.fullmatch(r"oid: .* line \d+ of .* has a display name of 9,9\d\d bytes.*\n", done.err)
    assert not folder.out.exists()


@pytest.mark.parametrize("what", ["html", "markdown", "escapes"])
def test_the_title_and_the_author_of_an_image_are_text(what: str, folder: Folder) -> None:
    """What authors typed stays as it is in the CSV, and is text in `ATTRIBUTION.md`."""
    typed = NAMES[what]

    def change(data: bytes) -> bytes:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        at = [rows[0].index("Author"), rows[0].index("Title")]
        for row in rows[1:]:
            row[at[0]] = row[at[1]] = typed
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(rows)
        return out.getvalue().encode()

    replaced(IMAGES, change, folder)
    where = ("--source", folder.url, "--cache", folder.cache, "--out", folder.out)
    done = folder.run("download", MID, "--split", "train", "--limit", 3, *where)
    assert done.code == 0, done.err
    assert not STEERING.search(done.out.decode() + done.err)
    with (folder.out / "attribution.csv").open(encoding="utf-8", newline="") as file:
        assert {row["Title"] for row in csv.DictReader(file)} == {typed}
    page = (folder.out / "ATTRIBUTION.md").read_text(encoding="utf-8")
    seen = nothing_but_text(page)
    assert not STEERING.search(page)
    if what != "escapes":
        assert typed in seen
