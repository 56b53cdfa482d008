"""The explorer's server, over real HTTP: what it says, shows and takes."""

from __future__ import annotations

import csv
import errno
import json
import shutil
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from explorer_asks import ask, picture, told
from looked_at import LABELS, corners, every_label, seen
from oidkit import Settings
from oidkit.colours import colour_of, rgb_of
from oidkit.explorer import Explorer, explore
from oidkit.verdicts import REVIEW, Mark, changed_review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from looked_at import Seen

HANDGUN = "/m/0gxl3"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset with every label type, that nobody may change."""
    return every_label(tmp_path_factory)


@pytest.fixture(scope="module")
def slow(whole: Path) -> dict[str, Seen]:
    """Read it with the csv module."""
    return seen(whole)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """Copy it, to be reviewed."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def explorer(root: Path, tmp_path: Path) -> Iterator[Explorer]:
    """Serve it."""
    with explore(root, settings=Settings(cache=tmp_path / "cache")) as running:
        yield running


def test_the_page_and_its_parts_come(explorer: Explorer) -> None:
    """Everything that the page names is there, and nothing comes from elsewhere."""
    status, page = ask(explorer, "")
    assert status == 200
    text = page.decode()
    assert "http://" not in text
    assert "https://" not in text
    parts = {piece.split('"')[0] for piece in text.split('="static/')[1:]}
    assert parts
    assert not [name for name in parts if ask(explorer, f"static/{name}")[0] != 200]
    assert ask(explorer, "static/nothing.js")[0] == 404


def test_it_says_what_it_shows(explorer: Explorer, slow: dict[str, Seen], root: Path) -> None:
    """Splits, label types and classes with their names and colours."""
    about = told(explorer, "api/about")
    assert about["images"] >= len(slow)
    assert about["splits"] == ["train", "validation", "test"]
    assert {*about["labels"]} == {*LABELS}
    assert (about["name"], about["release"], about["mode"]) == ("out", "v7", "dataset")
    named = {each["mid"]: each for each in about["classes"]}
    assert named[HANDGUN] == {"mid": HANDGUN, "name": "Handgun", "colour": colour_of(HANDGUN)}
    classes = [mid for one in slow.values() for mid in one.classes]
    assert classes.count(about["classes"][0]["mid"]) == max(map(classes.count, {*classes}))


def test_an_image_has_every_annotation_of_the_files(
    explorer: Explorer, slow: dict[str, Seen]
) -> None:
    """Boxes with flags and clicks, masks, points, relationships, labels, narratives, author."""
    kinds = set()
    for name, one in [*slow.items()][::3]:
        image = told(explorer, f"api/image/{name}")
        assert sorted(map(str, (box["box"] for box in image["boxes"]))) == sorted(
            str(corners(row)) for row in one.boxes
        )
        flags = {(box["mid"], box["flags"]["occluded"]) for box in image["boxes"]}
        assert flags == {(row["LabelName"], int(row["IsOccluded"])) for row in one.boxes}
        clicked = [box for box in image["boxes"] if box["clicks"]]
        with_clicks = [row for row in one.boxes if float(row.get("XClick1X") or -1) >= 0]
        assert len(clicked) == len(with_clicks)
        assert {mask["key"] for mask in image["masks"]} == {
            f"masks {row['MaskPath']}" for row in one.masks
        }
        assert len(image["points"]) == len(one.points)
        assert len(image["relationships"]) == len(one.relationships)
        assert {(each["mid"], each["confidence"]) for each in image["labels"]} == {
            (row["LabelName"], float(row["Confidence"])) for row in one.labels
        }
        assert sorted(each["caption"] for each in image["narratives"]) == sorted(one.captions)
        assert image["metadata"]["Title"] == one.title
        kinds |= {kind for kind, value in image.items() if value}
    assert kinds >= {*LABELS} - {"image-labels"} | {"labels", "metadata"}


def test_images_come_in_pages(explorer: Explorer) -> None:
    """Pages follow each other without a gap, and one image leads to the next."""
    whole = told(explorer, "api/images?count=500&any=/m/01g317")
    names = [each["image"] for each in whole["images"]]
    assert len(names) == whole["total"] > 20
    paged = [
        each["image"]
        for first in range(0, whole["total"], 7)
        for each in told(explorer, f"api/images?first={first}&count=7&any=/m/01g317")["images"]
    ]
    assert paged == names
    middle = told(explorer, f"api/image/{names[3]}?any=/m/01g317")
    assert (middle["previous"], middle["next"]) == (names[2], names[4])
    assert (middle["place"], middle["total"]) == (3, len(names))
    assert told(explorer, "api/images?first=100000")["images"] == []


def test_pictures_are_those_of_the_folder(explorer: Explorer, root: Path) -> None:
    """An image byte for byte, a small one in its shape, a mask in its class's colour."""
    listed = told(explorer, f"api/images?count=500&any={HANDGUN}&label=masks")["images"]
    one = next(each for each in listed if each["there"] and each["masks"][0]["url"])
    status, data = ask(explorer, f"image/{one['image']}.jpg")
    split, image_id = one["image"].split("/")
    path = next((root / "images" / split).rglob(f"{image_id}.jpg"))
    assert (status, data) == (200, path.read_bytes())
    with picture(explorer, f"thumb/{one['image']}.jpg") as small:
        assert max(small.size) == min(320, max(one["width"], one["height"]))
        assert small.width / small.height == pytest.approx(one["width"] / one["height"], abs=0.02)
    url = one["masks"][0]["url"]
    with Image.open(root / "masks" / split / url.split("/")[2]) as mask:
        wanted = np.asarray(mask.convert("L")) > 127
    with picture(explorer, url) as shown:
        pixels = np.asarray(shown.convert("RGBA"))
    assert pixels.shape[:2] == wanted.shape
    assert ((pixels[..., 3] == 128) == wanted).all()
    assert (pixels[wanted][:, :3] == rgb_of(one["masks"][0]["mid"])).all()
    assert not pixels[~wanted][:, 3].any()


def test_a_small_picture_is_made_once(explorer: Explorer, root: Path, tmp_path: Path) -> None:
    """It is kept in the cache, and made anew where the file has changed."""
    listed = told(explorer, "api/images?count=500")["images"]
    name = next(each["image"] for each in listed if each["there"])
    first = ask(explorer, f"thumb/{name}.jpg")[1]
    kept = [*(tmp_path / "cache" / "thumbnails").rglob("*.jpg")]
    assert [path.read_bytes() for path in kept] == [first]
    kept[0].write_bytes(b"from the cache")
    assert ask(explorer, f"thumb/{name}.jpg")[1] == b"from the cache"
    split, image_id = name.split("/")
    for path in (root / "images" / split).rglob(f"{image_id}.jpg"):
        path.write_bytes(path.read_bytes() + b"\0")
    assert ask(explorer, f"thumb/{name}.jpg")[1] == first


def test_what_is_not_there_is_said(explorer: Explorer, root: Path) -> None:
    """An image that never came has its annotations and a sentence; a damaged one has no picture."""
    listed = told(explorer, "api/images?count=500")["images"]
    absent = next(each["image"] for each in listed if not each["there"])
    assert "not in the folder" in told(explorer, f"api/image/{absent}")["missing"]
    assert ask(explorer, f"thumb/{absent}.jpg")[0] == 404
    assert ask(explorer, f"image/{absent}.jpg")[0] == 404
    there = next(each["image"] for each in listed if each["there"])
    split, image_id = there.split("/")
    for path in (root / "images" / split).rglob(f"{image_id}.jpg"):
        path.write_bytes(b"no JPEG at all")
    assert ask(explorer, f"thumb/{there}.jpg")[0] == 404


def test_a_link_out_of_the_folder_shows_nothing(
    explorer: Explorer, root: Path, tmp_path: Path
) -> None:
    """A file that somebody has put a link in place of is not followed."""
    listed = told(explorer, "api/images?count=500")["images"]
    name = next(each["image"] for each in listed if each["there"])
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    split, image_id = name.split("/")
    for path in (root / "images" / split).rglob(f"{image_id}.jpg"):
        path.unlink()
        path.symlink_to(tmp_path / "secret.jpg")
    assert ask(explorer, f"image/{name}.jpg")[0] == 404


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("size=x", "the filter size cannot be 'x'"),
        ("size=0.5-0.1", "the filter size cannot be '0.5-0.1'"),
        ("boxes=nan-1", "the filter boxes"),
        ("split=dev", "choose from train, validation, test"),
        ("any=Handgun", "give MIDs, such as /m/0gxl3"),
        ("occluded=maybe", "choose from yes, no, unknown"),
        ("place=8.0", "the filter place cannot be '8.0'"),
        ("review=ugly", "choose from bad, good, none"),
        ("first=-1", "first cannot be '-1'"),
        ("count=" + "9" * 40, "count cannot be"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(query: str, said: str, explorer: Explorer) -> None:
    """One sentence with the remedy, as everywhere."""
    status, data = ask(explorer, f"api/images?{query}")
    assert status == 400
    assert said in json.loads(data)["error"]


# -- review ---------------------------------------------------------------------------------------


def _first(explorer: Explorer) -> tuple[str, str]:
    one = told(explorer, "api/images?count=1&label=boxes")["images"][0]
    return one["image"], one["boxes"][0]["key"]


def test_a_verdict_is_written_and_comes_back(explorer: Explorer, root: Path) -> None:
    """It stands in `.oid/review.csv` at once, is counted and filtered, and can be taken back."""
    image, key = _first(explorer)
    given = {"image": image, "annotation": key, "verdict": "bad", "note": 'no, "never"\nthis'}
    assert told(explorer, "api/review", given)["review"][key]["note"] == given["note"]
    with (root / REVIEW).open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert f"{row['Split']}/{row['ImageID']}" == image
    assert (row["Annotation"], row["Verdict"], row["Note"]) == (key, "bad", given["note"])
    assert told(explorer, "api/counts")["review"]["bad"] == 1
    assert told(explorer, "api/images?review=bad")["images"][0]["image"] == image
    told(explorer, "api/review", given | {"annotation": "", "verdict": "good", "note": ""})
    assert {*told(explorer, f"api/image/{image}")["review"]} == {"", key}
    alone = told(explorer, "api/review", given | {"verdict": ""})["review"][key]
    assert alone == {"verdict": "", "note": given["note"]}
    assert told(explorer, "api/counts")["review"] | {"none": 0} == {"bad": 0, "good": 1, "none": 0}
    for annotation in (key, ""):
        nothing = {"annotation": annotation, "verdict": "", "note": ""}
        told(explorer, "api/review", given | nothing)
    assert told(explorer, f"api/image/{image}")["review"] == {}


def test_a_verdict_that_cannot_be_written_is_none(
    explorer: Explorer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk the answer says so, and the page goes on showing what is written."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    image, key = _first(explorer)
    given = {"image": image, "annotation": key, "verdict": "bad", "note": ""}
    with monkeypatch.context() as patched:
        patched.setattr("oidkit.verdicts.write_atomically", full)
        status, data = ask(explorer, "api/review", given)
    assert status == 500
    assert "no space left" in json.loads(data)["error"].lower()
    assert told(explorer, "api/counts")["review"]["bad"] == 0
    assert told(explorer, f"api/image/{image}")["review"] == {}


def test_odd_notes_leave_the_file_readable(explorer: Explorer) -> None:
    """Line ends of another system, halves of letters and endless nesting harm nothing."""
    image, key = _first(explorer)
    given = {"image": image, "annotation": key, "verdict": "bad", "note": "a\rb\ud800=c"}
    assert told(explorer, "api/review", given)["review"][key]["note"] == "a\nb =c"
    assert ask(explorer, "api/review", None)[0] == 405
    request = urllib.request.Request(
        f"{explorer.url}api/review", b"[" * 16_000, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request):
        pass
    refused.value.close()
    assert refused.value.code == 400
    assert told(explorer, "api/review", given)["review"]


def test_what_others_write_is_seen(explorer: Explorer, root: Path) -> None:
    """A second explorer, or `oid review --merge`, changes what this one shows."""
    image, _ = _first(explorer)
    with changed_review(root) as review:
        review.put(Mark(image, "", "bad", time="2026-01-01T00:00:00Z"))
    assert told(explorer, "api/counts")["review"]["bad"] == 1
    assert told(explorer, f"api/image/{image}")["review"][""]["verdict"] == "bad"


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "train/0000000000000000"},
        {"image": "../etc"},
        {"annotation": "boxes /m/0gxl3 0 0 1 1"},
        {"verdict": "ugly"},
        {"note": 5},
    ],
)
def test_a_verdict_on_nothing_is_refused(
    wrong: dict[str, object], explorer: Explorer, root: Path
) -> None:
    """Nothing is written."""
    image, key = _first(explorer)
    given = {"image": image, "annotation": key, "verdict": "bad", "note": ""} | wrong
    status, data = ask(explorer, "api/review", given)
    assert status == 400
    assert json.loads(data)["error"]
    assert not (root / REVIEW).exists()


def test_only_json_is_taken(explorer: Explorer) -> None:
    """What a form of another page could send is not, nor what is no object or too long."""
    image, key = _first(explorer)
    given = {"image": image, "annotation": key, "verdict": "bad", "note": ""}
    plain = {"Content-Type": "text/plain"}
    assert ask(explorer, "api/review", given, **plain)[0] == 415
    assert ask(explorer, "api/review", [given])[0] == 400
    assert ask(explorer, "api/review", given | {"note": "x" * 20_000})[0] == 413
    assert ask(explorer, "api/review")[0] == 405
