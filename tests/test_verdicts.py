"""Verdicts of people: their file, merging it, and exports that follow it."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oidkit
from cli_runs import sentence
from looked_at import every_label
from oidkit import export
from oidkit.api.reviewing import review
from oidkit.cli import main
from oidkit.disk import stamp
from oidkit.errors import DiskError, MalformedError, UsageError
from oidkit.verdicts import REVIEW, Mark, Review, changed_review, clean, key_of, read_review

if TYPE_CHECKING:
    from pathlib import Path

HANDGUN, PERSON = "/m/0gxl3", "/m/01g317"
HEADER = "Split,ImageID,Annotation,Verdict,Note,Reviewer,Time\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset that nobody may change."""
    return every_label(tmp_path_factory)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """Copy it, to be reviewed."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


def mark(root: Path, *marks: tuple[str, str], verdict: Any = "bad") -> None:
    """Set verdicts on images and annotations."""
    with changed_review(root) as found:
        for image, key in marks:
            found.put(Mark(image, key, verdict, time="2026-01-01T00:00:00Z"))


def rows(root: Path, label: str, mid: str = PERSON, split: str = "train") -> list[dict[str, str]]:
    """Read the rows of a class."""
    path = root / "csv" / f"{mid[1:].replace('/', '')}_{split}_{label}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def coco(root: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Export the train split, and read what came of it."""
    summary = export(root, out, "coco", splits=("train",), **options)
    made = json.loads((out / "annotations" / "instances_train.json").read_bytes())
    return {"summary": summary, **made}


# -- the file -------------------------------------------------------------------------------------

TEXTS = st.text(max_size=20).map(clean)
MARKS = st.builds(
    Mark,
    st.sampled_from(["train/0000000000000001", "test/00000000000000ff"]),
    st.sampled_from(["", "masks a.png", "boxes /m/0gxl3 0 0.5 1 1"]),
    st.sampled_from(["bad", "good"]),
    TEXTS,
    TEXTS,
    st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
)


@settings(deadline=None)
@given(st.lists(MARKS))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, marks: list[Mark]
) -> None:
    """Notes with commas, quotes and line ends come back as they were."""
    path = tmp_path_factory.mktemp("verdicts") / "review.csv"
    before = Review()
    before.merge(marks)
    path.write_bytes(before.printed())
    assert read_review(path).marks == before.marks


def test_a_note_is_what_can_be_printed() -> None:
    """Line ends are those of Unix; control characters and halves of letters are spaces."""
    assert clean("one\r\ntwo\rthree\n\x1b[2J\ud800\0é") == "one\ntwo\nthree\n [2J  é"
    assert len(clean("x" * 5_000)) == 2_000


@settings(deadline=None)
@given(st.lists(MARKS), st.lists(MARKS))
def test_it_does_not_matter_who_merges(ours: list[Mark], theirs: list[Mark]) -> None:
    """Two people who merge each other's files have the same."""
    found = []
    for first, second in ((ours, theirs), (theirs, ours)):
        both = Review()
        both.merge(first)
        both.merge(second)
        found.append(both.marks)
    assert found[0] == found[1]


def test_a_time_that_nobody_can_read_is_the_oldest(tmp_path: Path) -> None:
    """As a spreadsheet may write it: it replaces nothing."""
    place = tmp_path / "review.csv"
    rows = (
        "train,0000000000000001,,bad,,,2026-01-01T00:00:00Z",
        "train,0000000000000001,,good,,,3/1/2027",
    )
    place.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    (mark_of,) = read_review(place).marks.values()
    assert mark_of.verdict == "bad"


@settings(deadline=None)
@given(st.lists(MARKS), st.lists(MARKS))
def test_a_merge_keeps_the_later_of_two(ours: list[Mark], theirs: list[Mark]) -> None:
    """Nothing is lost but what a later verdict replaces; merging twice changes nothing."""
    found = Review()
    found.merge(ours)
    before = dict(found.marks)
    came = found.merge(theirs)
    assert len(found) - len(before) == came.added
    for place, kept in found.marks.items():
        both = [
            each for each in (*before.values(), *theirs) if (each.image, each.annotation) == place
        ]
        assert kept in both
        assert kept.time == max(each.time for each in both)
    again = found.merge(theirs)
    assert (again.added, again.replaced) == (0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n", "line 1 has no column Split"),
        (HEADER + "dev,0000000000000001,,bad,,,\n", "line 2 names no image"),
        (HEADER + "train,1,,bad,,,\n", "line 2 names no image"),
        (HEADER + "train,0000000000000001,,ugly,,,\n", "the verdict 'ugly'"),
        (HEADER + "train,0000000000000001,x,,,,\n", "neither a verdict nor a note"),
        (HEADER + "train,0000000000000001\n", "the verdict"),
        ("\xff", "is no text in UTF-8"),
        (HEADER + f"train,0000000000000001,,bad,{'x' * 140_000},,\n", "field larger"),
    ],
)
def test_a_file_of_something_else_is_refused(text: str, said: str, root: Path) -> None:
    """Merging it changes nothing, and the line is named."""
    mark(root, ("train/0000000000000001", ""))
    before = (root / REVIEW).read_bytes()
    other = root.parent / "theirs.csv"
    other.write_bytes(text.encode("latin-1"))
    with pytest.raises(MalformedError, match=said):
        review(root, merge=[other])
    assert (root / REVIEW).read_bytes() == before


def test_what_was_just_written_is_known(root: Path) -> None:
    """Whoever changes the verdicts need not read them again, until somebody else has."""
    with changed_review(root) as ours:
        ours.put(Mark("train/0000000000000001", "", "bad"))
    assert ours.seen == stamp(root / REVIEW) == read_review(root / REVIEW).seen
    mark(root, ("train/0000000000000002", ""))
    assert ours.seen != stamp(root / REVIEW)


def test_a_folder_in_its_place_cannot_be_read(root: Path) -> None:
    """The sentence says so, and what to do."""
    (root / REVIEW).mkdir()
    with pytest.raises(DiskError, match=r"cannot read .*review\.csv: it is no file; remove it"):
        review(root)


def test_the_command_merges_and_counts(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a colleague found is in ours after `oid review DIR --merge FILE`; the later counts."""
    one, other = "train/0000000000000001", "train/0000000000000002"
    mark(root, (one, ""), (other, ""))
    theirs = Review()
    theirs.merge(
        [
            Mark(one, "", "good", "fine", "bo", "2027-01-01T00:00:00Z"),
            Mark(other, "", "good", "", "bo", "2020-01-01T00:00:00Z"),
            Mark(other, "masks x.png", "bad"),
        ]
    )
    (tmp_path / "theirs.csv").write_bytes(theirs.printed())
    assert main(["review", str(root), "--merge", str(tmp_path / "theirs.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["annotations"], told["bad"], told["good"]) == (2, 1, 2, 1)
    (merged,) = told["merged"]
    assert (merged["added"], merged["replaced"], merged["kept"]) == (1, 1, 1)
    assert read_review(root / REVIEW).marks[one, ""].note == "fine"
    assert main(["review", str(root)]) == 0
    assert "2 images, 1 annotation with a verdict: 2 bad, 1 good" in capsys.readouterr().out
    assert main(["review", str(root), "--merge", "nothing.csv"]) == 2
    assert "there is no file nothing.csv" in sentence(capsys)


def test_verdicts_outlive_downloads_and_checks(root: Path, capsys: Any) -> None:
    """`oid verify` takes the file for ours."""
    mark(root, ("train/0000000000000001", ""))
    before = (root / REVIEW).read_bytes()
    main(["verify", str(root)])
    assert "review" not in capsys.readouterr().out
    assert (root / REVIEW).read_bytes() == before


# -- exports --------------------------------------------------------------------------------------


def test_an_export_leaves_out_what_is_bad(root: Path, tmp_path: Path) -> None:
    """A bad image goes with all of it, a bad box with its mask, a bad mask alone."""
    whole = coco(root, tmp_path / "whole")
    boxes, masks = rows(root, "boxes"), rows(root, "masks")
    there = {int(each["file_name"][:16], 16) for each in whole["images"]}
    ours = [row for row in boxes if int(row["ImageID"], 16) in there]
    with_mask = {row["ImageID"] for row in masks}
    bad_box = next(row for row in ours if row["ImageID"] in with_mask)
    bad_image = next(row for row in ours if row["ImageID"] != bad_box["ImageID"])["ImageID"]
    bad_mask = next(
        row
        for row in masks
        if row["ImageID"] not in (bad_box["ImageID"], bad_image)
        and int(row["ImageID"], 16) in there
    )
    floats = {name: float(bad_box[name]) for name in ("XMin", "YMin", "XMax", "YMax")}
    mark(
        root,
        (f"train/{bad_image}", ""),
        (f"train/{bad_box['ImageID']}", key_of("boxes", bad_box | floats)),
        (f"train/{bad_mask['ImageID']}", key_of("masks", bad_mask)),
    )
    mark(root, (f"train/{bad_box['ImageID']}", ""), verdict="good")
    left = coco(root, tmp_path / "left", drop_reviewed="bad")
    summary = left["summary"]
    assert summary.dropped == {"images": 1, "objects": 2, "unmatched": 0}
    names = {each["file_name"][:16]: each["id"] for each in left["images"]}
    assert len(names) == len(whole["images"]) - 1
    assert bad_image not in names
    before = {each["file_name"][:16]: each["id"] for each in whole["images"]}

    def objects(made: dict[str, Any], image: int) -> list[dict[str, Any]]:
        return [each for each in made["annotations"] if each["image_id"] == image]

    name = bad_box["ImageID"]
    assert len(objects(left, names[name])) == len(objects(whole, before[name])) - 1
    name = bad_mask["ImageID"]
    assert len(objects(left, names[name])) == len(objects(whole, before[name]))
    masked = [
        sum(bool(each["segmentation"]) for each in objects(*pair))
        for pair in ((left, names[name]), (whole, before[name]))
    ]
    assert masked[0] == masked[1] - 1
    gone = len(objects(whole, before[bad_image])) + 1
    assert len(left["annotations"]) == len(whole["annotations"]) - gone


def test_verdicts_that_fit_nothing_are_told(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of another dataset, or written by hand with other numbers: they are counted and named."""
    (row, *_) = rows(root, "boxes")
    image = f"train/{row['ImageID']}"
    mark(root, (image, f"boxes {PERSON} 0.1 0.1 0.11 0.11"), ("train/0000000000000001", ""))
    out = str(tmp_path / "strange")
    given_flags = ["--format", "coco", "--out", out, "--drop-reviewed", "bad", "--quiet"]
    assert main(["export", str(root), *given_flags]) == 0
    assert "2 bad verdicts fit nothing that is exported here" in capsys.readouterr().err


def test_without_the_flag_nothing_is_left_out(root: Path, tmp_path: Path) -> None:
    """A review alone changes no export."""
    before = coco(root, tmp_path / "before")
    mark(root, *((f"train/{row['ImageID']}", "") for row in rows(root, "boxes")))
    after = coco(root, tmp_path / "after")
    assert after["annotations"] == before["annotations"]
    assert after["summary"].dropped == {}


def test_only_bad_can_be_dropped(root: Path, tmp_path: Path) -> None:
    """Another word is refused before anything is written."""
    with pytest.raises(UsageError, match="give --drop-reviewed bad"):
        export(root, tmp_path / "out2", drop_reviewed="good")  # type: ignore[arg-type]
    assert not (tmp_path / "out2").exists()
    assert oidkit.__all__
