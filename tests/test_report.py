"""`oid report`: one page that needs nothing else, whatever is in the folder."""

from __future__ import annotations

import base64
import csv
import io
import json
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import cli_runs
import mirrors
import oidkit
from cli_runs import sentence
from html_pages import HOSTILE, LIMIT, checked, read
from mirrors import SPEC, tree
from oidkit import Selection, Settings, stats
from oidkit.api.contact import _jpeg
from oidkit.catalog import LABEL_WORDS
from oidkit.cli import main
from oidkit.errors import UsageError
from oidkit.events import Fetched, PhaseStarted
from oidkit.pages import Shown, Told, page, spread
from oidkit.testing import PerSplit, make_release

own_settings = pytest.fixture(autouse=True)(cli_runs.own_settings)


whole = pytest.fixture(scope="module")(mirrors.downloaded_twice)


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """Copy the dataset, to be changed."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


# -- what is on it -------------------------------------------------------------------------------


def test_the_numbers_are_those_of_stats(out: Path) -> None:
    """Every total by split, every class and every licence stands on the page."""
    found, numbers = read(oidkit.report(out)), stats(out)
    for key, word in (("images", "images asked for"), ("boxes", "boxes"), ("masks", "masks")):
        counts = [each[key] for each in numbers.splits.values()]
        cells = "".join(f"{count:,}" for count in [*counts, sum(counts)])
        assert f"{word}{cells}" in found.text
    missing = sum(each["missing"] for each in numbers.splits.values())
    files = sum(each["files"] for each in numbers.splits.values())
    assert missing
    asked = files + missing
    assert f"Of {asked} images {files} are there; {missing} are not at the source" in found.text
    for each in numbers.classes[:15]:
        assert each["name"] in found.text
        row = "".join(str(each[word]) for word in ("images", "boxes", "masks"))
        assert f"{each['name']}{each['mid']}{row}" in found.text
    pair = numbers.pairs[0]
    assert f"{' + '.join(pair['names'])}{pair['images']}" in found.text
    assert f"CC BY 2.0{sum(numbers.licences.values())}100.0 %" in found.text
    assert f"{sum(map(sum, numbers.box_places))} boxes lie on the image" in found.text


def test_what_was_asked_and_the_recipe(out: Path) -> None:
    """Both selections are named with their classes, and the recipe is that of the folder."""
    path = oidkit.report(out)
    found = read(path)
    assert "Selection 1 of 2" in found.text
    assert "Person (/m/01g317), Handgun (/m/0gxl3)" in found.text
    recipe = (out / ".oid/recipe.toml").read_text(encoding="utf-8")
    assert recipe.strip() in "".join(found.words)
    assert "oid download --recipe recipe.toml" in found.text


def test_the_contact_sheet_shows_images_with_their_authors(out: Path) -> None:
    """At most 60 JPEGs of all splits, no two alike, each with what is on it and who made it."""
    found = read(oidkit.report(out))
    with (out / "attribution.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["ImageID"]: row for row in csv.DictReader(file)}
    shown = found.all("img")
    assert len({each["src"] for each in shown}) == len(shown) == 60
    assert {"train", "validation", "test"} <= {text for tag, text in found.headings if tag == "h3"}
    links = {each["href"] for each in found.all("a")}
    for each in shown:
        row = rows[each["alt"].split(";")[0].removeprefix("Image ")]
        assert row["OriginalLandingURL"] in links
        assert row["Title"].strip() in found.text
        with Image.open(io.BytesIO(base64.b64decode(each["src"].partition(",")[2]))) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (int(each["width"]), int(each["height"]))
            assert max(picture.size) <= 320
    kinds = {word for each in shown for word in re.findall(r"\d+ (\w+)", each["alt"])}
    assert kinds == {"Handgun", "Person"}


def test_real_files(sample: Path, tmp_path: Path) -> None:
    """A page of classes of the sample of real files; what the list does not know is said."""
    settings = Settings(str(sample), tmp_path / "cache")
    oidkit.download(("Person", "Dog", "Handgun"), tmp_path / "out", settings=settings)
    found = read(oidkit.report(tmp_path / "out"))
    assert len(found.all("img")) == 60
    assert "author not known" in found.text
    assert "1 Dog" in " ".join(each["alt"] for each in found.all("img"))


def test_without_images_boxes_or_attribution(tmp_path: Path, whole: Path) -> None:
    """A folder of annotations alone has a page, and one of a class without any image."""
    mirror = next(whole.parents[1].glob("shared-mirror*"))
    settings = Settings(str(mirror), whole.parent / "cache")
    bare = Selection(("Handgun",), images=False, metadata=False, labels=("masks",))
    oidkit.download(bare, tmp_path / "bare", settings=settings)
    found = read(oidkit.report(tmp_path / "bare"))
    assert "No image is there to be shown." in found.text
    assert "have not been fetched" in found.text
    assert "The folder has no boxes." in found.text
    assert "without attribution.csv" in found.text
    none = Selection(("Aircraft", "Handgun", "Knife"), match="all", splits=("test",))
    oidkit.download(none, tmp_path / "none", settings=settings)
    read(oidkit.report(tmp_path / "none"))


def test_a_damaged_image_is_left_out(out: Path) -> None:
    """It is counted, and the page is written."""
    oidkit.report(out)
    before = read(out / "report.html").all("img")
    image_id = before[0]["alt"].split(";")[0].removeprefix("Image ")
    for path in out.glob(f"images/*/*/{image_id}.jpg"):
        path.write_bytes(path.read_bytes()[:400] + b"\0" * (path.stat().st_size - 400))
    found = read(oidkit.report(out))
    assert "1 image cannot be decoded: run oid verify" in found.text
    assert len(found.all("img")) == len(before) - 1


# -- hostile and large ---------------------------------------------------------------------------


def test_texts_are_texts(out: Path) -> None:
    """Class names, titles, authors and addresses that strangers chose are no part of the page."""
    names = out / "csv/class-descriptions-boxable.csv"
    quoted = HOSTILE.replace('"', '""')
    text = re.sub("(?m)^(/m/0gxl3),.*$", f'\\1,"{quoted}"', names.read_text(encoding="utf-8"))
    names.write_text(text, encoding="utf-8")
    path = out / "attribution.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    addresses = ["javascript:alert(1)", 'https://x.test/"onmouseover=alert(1)', "http://x.test/<b>"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        for number, row in enumerate(rows):
            address = addresses[number % 3]
            hostile = dict.fromkeys(("Title", "Author", "License"), HOSTILE)
            links = dict.fromkeys(("AuthorProfileURL", "OriginalLandingURL"), address)
            writer.writerow(row | hostile | links)
    found = read(oidkit.report(out))
    assert found.text.count("<script>alert(1)</script>") > 100
    assert not any(name == "b" for name, _ in found.elements)
    assert "\u202e" not in "".join(found.words)
    told = oidkit.stats(out)._repr_html_()
    assert "<script>" not in told
    assert "&lt;script&gt;" in told


def most_numbers() -> dict[str, Any]:
    """Give numbers with more of everything than any dataset has, and names without an end."""
    long = "<&\">'" * 20_000
    counts = dict.fromkeys(("images", "boxes", "masks", "negatives"), 10**15)
    histogram = [{"from": 0, "to": 1, "count": 10**15}, {"from": 1, "to": None, "count": 3}]
    ratios = {"median": 1.0, "histogram": histogram, "unknown": 10**15}
    words = (*counts, "files", "missing", "failed", "mask_files", "bytes")
    classes = [
        {"mid": long, "name": long, **counts, "median_share": 0.5, "splits": {}} for _ in range(600)
    ]
    labels = [{"mid": long, "name": long, "positive": 1, "negative": 2, "machine": 3}] * 20_000
    return {
        "splits": {
            split: dict.fromkeys((*words, *LABEL_WORDS), 10**15)
            for split in ("train", "validation", "test", "challenge2018")
        },
        "classes": classes,
        "pairs": [{"names": [long, long], "mids": [long, long], "images": 9}] * 100_000,
        "box_sizes": {
            "median_share": 0.1,
            "shares": histogram,
            "pixels": dict.fromkeys(("small", "medium", "large", "unknown"), 10**15),
        },
        "boxes_per_image": {
            "mean": 1.0,
            "most": 9,
            "most_image": "train/0",
            "histogram": histogram,
        },
        "box_places": [[10**15] * 8] * 8,
        "box_ratios": ratios,
        "image_ratios": ratios,
        "image_sizes": {
            "known": 5,
            "unknown": 6,
            "common": [{"width": 10**9, "height": 10**9, "images": 1}] * 100_000,
        },
        "licences": {f"https://x.test/{number}{long}": 1 for number in range(500)},
        "flags": {"occluded": dict.fromkeys(("yes", "no", "unknown"), 10**15)},
        "image_labels": {"positive": 1, "negative": 1, "machine": 1, "classes": labels},
        "relationships": {f"{number}{long}": 1 for number in range(500)},
        "points": dict.fromkeys(("yes", "no", "unsure", "classes", "images"), 10**15),
        "narratives": {"captions": 10**15, "images": 10**15, "mean_words": 9.5},
    }


def test_no_dataset_makes_a_page_that_is_too_large() -> None:
    """With more of everything than there is, the page says what it leaves out."""
    long = "<&\">'" * 20_000
    credit = dict.fromkeys(("Title", "Author", "License"), long)
    credit |= dict.fromkeys(("AuthorProfileURL", "OriginalLandingURL"), f"https://x.test/{long}")
    shown = [
        Shown("train", f"{number:016x}", (320, 240), b"x" * 45_000, {long: 9, "b": 1}, credit)
        for number in range(60)
    ]
    told = Told(
        name=long,
        release="v7",
        source=long,
        numbers=most_numbers(),
        selections=[[("classes", long)] * 30] * 1000,
        recipe=f"{long}\n" * 2000,
        names={long: long},
        shown=shown,
    )
    text = page(told)
    assert len(text.encode()) < LIMIT
    found = checked(text)
    for said in ("585 more classes", "560 more classes", "99,985 more pairs", "485 more licences"):
        assert f"{said} are not listed here." in found.text
    assert "994 more selections are in .oid/recipe.toml" in found.text
    assert "It is too long for this page and cut here" in found.text


def test_a_picture_of_noise_has_its_bound() -> None:
    """No picture of the sheet is larger than what 60 of them may take."""
    noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
    assert len(_jpeg(Image.fromarray(noise))) <= 45_000


@pytest.mark.slow
def test_thousands_of_images(tmp_path: Path) -> None:
    """A folder of some thousand images has a page of the same size."""
    spec = replace(
        SPEC, images=PerSplit(3000, 400, 600), jpegs="all", long_side=96, jpeg_bytes=None
    )
    mirror = make_release(tmp_path / "mirror", spec).root
    settings = Settings(str(mirror), tmp_path / "cache")
    chosen = Selection(("Person", "Handgun", "Dog", "Car"), annotations="all")
    oidkit.download(chosen, tmp_path / "out", settings=settings)
    assert sum(each["files"] for each in stats(tmp_path / "out").splits.values()) > 2000
    found = read(oidkit.report(tmp_path / "out"))
    assert len(found.all("img")) == 60
    kinds = {word for each in found.all("img") for word in re.findall(r"\d+ (\w+)", each["alt"])}
    assert {"Person", "Handgun", "Dog", "Car"} <= kinds


# -- where it goes -------------------------------------------------------------------------------


def test_the_same_folder_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    """Again, from elsewhere, by another path, and where the disk lists files in another order."""
    first = oidkit.report(out).read_bytes()
    assert oidkit.report(out).read_bytes() == first
    assert oidkit.report("out").read_bytes() == first
    copy = tmp_path / "elsewhere" / "out"
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "report.html"]
    random.Random(5).shuffle(files)
    for path in files:
        place = copy / path.relative_to(out)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    assert oidkit.report(copy, tmp_path / "other.html").read_bytes() == first


def test_a_report_is_no_part_of_the_dataset(out: Path, whole: Path) -> None:
    """Verify does not list it, downloads and exports leave it, also where the books are lost."""
    path = oidkit.report(out)
    assert path == out / "report.html"
    before, report = tree(out), path.read_bytes()
    found = oidkit.verify(out)
    assert (found.foreign, found.damaged, found.absent) == ([], [], [])
    mirror = next(whole.parents[1].glob("shared-mirror*"))
    settings = Settings(str(mirror), whole.parent / "cache")
    oidkit.download(("Handgun", "Person"), out, settings=settings)
    assert tree(out) == before
    oidkit.export(out, out.parent / "coco")
    assert not list((out.parent / "coco").rglob("report.html"))
    shutil.rmtree(out / ".oid")
    oidkit.download(("Handgun", "Person"), out, settings=settings)
    assert path.read_bytes() == report


def test_nothing_but_a_report_is_replaced(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the user stays, and a report among the files of the dataset is refused."""
    mine = out / "report.html"
    mine.write_text("<html>mine</html>", encoding="utf-8")
    assert main(["report", str(out), "--quiet"]) == 2
    assert "is not a report of oidkit and would be lost" in sentence(capsys)
    assert mine.read_text(encoding="utf-8") == "<html>mine</html>"
    mine.unlink()
    for place in ("images/report.html", "csv/report.html", ".oid/report.html", "images/train/x"):
        with pytest.raises(UsageError, match="lies among the files of the dataset"):
            oidkit.report(out, out / place)
    with pytest.raises(UsageError, match="is a folder"):
        oidkit.report(out, out)
    with pytest.raises(UsageError, match="there is no folder"):
        oidkit.report(out, out / "none/report.html")
    with pytest.raises(UsageError, match="is no dataset of oidkit"):
        oidkit.report(out.parent / "nothing")
    assert oidkit.report(out, out.parent / "a.html") == oidkit.report(out, out.parent / "a.html")
    assert not mine.exists()


def test_a_failure_leaves_the_report_before(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written as a whole, or not at all."""
    before = oidkit.report(out).read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oidkit.disk.writing.os.open", broken)
    with pytest.raises(oidkit.OidError, match=r"report.html"):
        oidkit.report(out)
    monkeypatch.undo()
    assert (out / "report.html").read_bytes() == before
    assert [path.name for path in out.iterdir() if "report" in path.name] == ["report.html"]


def test_the_command(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says where the page is, and with --quiet nothing on stderr."""
    assert main(["report", str(out), "--out", "page.html", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("report  page.html (")
    assert printed.err == ""
    read(Path("page.html"))
    assert main(["report", str(out), "--out", "page.html", "--json"]) == 0
    printed = capsys.readouterr()
    size = Path("page.html").stat().st_size
    assert json.loads(printed.out) == {"out": "page.html", "bytes": size}
    assert "drawing: 60 of 60" in printed.err


def test_download_names_the_report(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of its summary is the command, which runs as it is printed."""
    mirror = next(whole.parents[1].glob("shared-mirror*"))
    line = ["download", "Handgun", "--source", str(mirror), "--split", "test", "--quiet"]
    assert main([*line, "--out", "my guns"]) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "next      oid report 'my guns'"
    assert main([*line, "--out", "none", "--no-images"]) == 0
    assert "oid report" not in capsys.readouterr().out


def test_events(out: Path) -> None:
    """What is read and drawn is told, each picture by its name."""
    heard: list[object] = []
    oidkit.report(out, on_event=heard.append)
    phases = [each.phase for each in heard if isinstance(each, PhaseStarted)]
    assert phases == ["reading", "drawing"]
    drawn = [each.name for each in heard if isinstance(each, Fetched)]
    assert len(set(drawn)) == 60
    assert all(re.fullmatch(r"(train|validation|test)/[0-9a-f]{16}", each) for each in drawn)


# -- which images are shown ----------------------------------------------------------------------


def test_classes_and_splits_come_in_turn() -> None:
    """Many classes are shown with one image each, a single class in all of its splits."""
    many = {(rank, split): [100 * rank + split] for rank in range(100) for split in range(3)}
    chosen = spread(many, 60)
    assert len({each // 100 for each in chosen}) == 60
    assert {each % 100 for each in chosen} == {0, 1, 2}
    single = {(0, split): list(range(100 * split, 100 * split + 90)) for split in range(3)}
    assert [sum(each // 100 == split for each in spread(single, 60)) for split in range(3)] == [
        20
    ] * 3


def groups() -> st.SearchStrategy[dict[tuple[int, int], list[int]]]:
    """Make pictures by class and split, some of them of several classes."""
    keys = st.tuples(st.integers(0, 5), st.integers(0, 2))
    return st.dictionaries(keys, st.lists(st.integers(0, 40), unique=True, max_size=12))


@given(groups(), st.integers(0, 30))
def test_a_choice_is_as_large_as_it_can_be(pictures: dict[Any, list[int]], most: int) -> None:
    """It has each picture once and in order, as many as there are, or as there is room for."""
    chosen = spread(pictures, most)
    every = {each for listed in pictures.values() for each in listed}
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= every
    assert len(chosen) == min(most, len(every))
