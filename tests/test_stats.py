"""`oid stats` counts what a slow count of the same folder gives."""

from __future__ import annotations

import csv
import json
import random
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

import mirrors
import oidkit
import stats_oracle as oracle
from cli_runs import sentence
from mirrors import made_mirror, tree
from oidkit import Selection, Settings, stats
from oidkit.cli import main
from oidkit.cli.figures import PLAIN_BAR, drawn
from oidkit.errors import IntegrityError, UsageError
from oidkit.taxonomy import mid_stem

if TYPE_CHECKING:
    from pathlib import Path

HANDGUN, PERSON, MAN = "/m/0gxl3", "/m/01g317", "/m/04yx4"


whole = pytest.fixture(scope="module")(mirrors.downloaded_twice)


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """Copy the dataset, to be changed."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


def rounded(value: Any) -> Any:
    """Write every number with twelve digits: a mean of two can differ in its last bit."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return f"{value:.12g}" if isinstance(value, int | float) else value


def compare(root: Path) -> None:
    """Compare every number of a folder with boxes and masks with the slow count."""
    found = stats(root, top=0).as_dict()
    boxes, masks = oracle.rows_of(root, "boxes"), oracle.rows_of(root, "masks")
    images = oracle.images_of(root, boxes, masks)
    want = oracle.box_numbers(root, boxes) | oracle.image_numbers(root, images)
    for key, numbers in want.items():
        assert rounded(found[key]) == rounded(numbers), key
    classes = oracle.class_numbers(root, boxes, masks)
    assert rounded(found["classes"]) == rounded(classes)
    assert rounded(found["boxes_per_image"]) == rounded(oracle.per_image(images, boxes))
    listed: Any = found["pairs"]
    assert [(pair["mids"], pair["images"]) for pair in listed] == oracle.pairs(root, boxes, masks)
    files = oracle.image_files(root)
    splits: Any = found["splits"]
    for split in oracle.SPLITS:
        numbers = splits[split]
        assert numbers["images"] == sum(place[0] == split for place in images)
        ours = [path for place, path in files.items() if place[0] == split]
        assert numbers["files"] == len(ours)
        assert numbers["bytes"] == sum(path.stat().st_size for path in ours)
        assert numbers["boxes"] == sum(each == split for each, _ in boxes)
        assert numbers["masks"] == sum(each == split for each, _ in masks)
        assert numbers["mask_files"] == len(list((root / "masks" / split).glob("*.png")))


def test_every_number_is_that_of_a_slow_count(whole: Path) -> None:
    """Boxes of a class's own file and of the file of all count once; sizes are Pillow's."""
    compare(whole)
    with (whole / "attribution.csv").open(newline="", encoding="utf-8") as file:
        licences = [row["License"] for row in csv.DictReader(file)]
    assert stats(whole).licences == {licences[0]: len(licences)}


def test_missing_images_are_counted(whole: Path) -> None:
    """What the source does not have is no file, but an image of the dataset."""
    with (whole / ".oid/manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "missing"]
    gone = {(row["key"].split("/")[1], row["key"]) for row in rows if row["kind"] == "image"}
    assert gone
    for split, numbers in stats(whole).splits.items():
        assert numbers["missing"] == sum(place == split for place, _ in gone)
        assert numbers["images"] == numbers["files"] + numbers["missing"]


def test_real_files(sample: Path, tmp_path: Path) -> None:
    """The same of classes of the sample of real files."""
    settings = Settings(str(sample), tmp_path / "cache")
    chosen = Selection(("Person", "Handgun"), splits=("validation",), annotations="all")
    oidkit.download(chosen, tmp_path / "out", settings=settings)
    compare(tmp_path / "out")
    assert stats(tmp_path / "out").splits["validation"]["boxes"] > 10


def test_rows_that_are_alike_are_as_many_as_published(out: Path) -> None:
    """A row that stands twice in one file is two boxes, also where another file has it once."""
    path = out / "csv/m01g317_train_boxes.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    before = stats(out).splits["train"]["boxes"]
    path.write_text("".join([*lines, lines[1], lines[1]]), encoding="utf-8")
    assert stats(out).splits["train"]["boxes"] == before + 2
    compare(out)


# -- other label types ---------------------------------------------------------------------------


def write_rows(path: Path, header: str, rows: list[str]) -> None:
    """Write a CSV."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_image_labels(out: Path) -> None:
    """Verified present, verified absent and machine-generated labels are told apart."""
    header = "ImageID,Source,LabelName,Confidence"
    one, two = "0" * 15 + "1", "0" * 15 + "2"
    rows = [
        f"{one},verification,{PERSON},1",
        f"{two},crowdsource-verification,{PERSON},0",
        f"{two},machine,{PERSON},0.9",
        f"{two},machine,{PERSON},0",
    ]
    write_rows(out / "csv/m01g317_train_image-labels.csv", header, rows)
    more = [*rows, f"{one},verification,/m/0zzz,1"]
    write_rows(out / "csv/all_train_image-labels.csv", header, more)
    before = stats(out)
    labels = before.image_labels
    person = {"mid": PERSON, "name": "Person", "positive": 1, "negative": 1, "machine": 2}
    unknown = {"mid": "/m/0zzz", "name": "/m/0zzz", "positive": 1, "negative": 0, "machine": 0}
    assert labels == {"positive": 2, "negative": 1, "machine": 2, "classes": [person, unknown]}
    (out / "csv/class-descriptions.csv").write_bytes(b"LabelName,DisplayName\r\n/m/0zzz,Snooze\r\n")
    assert stats(out).image_labels["classes"][1]["name"] == "Snooze"
    assert before.splits["train"]["image_labels"] == 5
    compare(out)


def test_relationships_points_and_narratives(out: Path) -> None:
    """Rows by kind, answers by what they say, captions once whichever file has them."""
    image = "0" * 15 + "1"
    sides = ",".join(f"{a}{e}{n}" for n in "12" for a in "XY" for e in ("Min", "Max"))
    header = f"ImageID,LabelName1,LabelName2,{sides},RelationshipLabel"
    box = ",".join(["0.1", "0.5"] * 4)
    rows = [f"{image},{MAN},/m/0x,{box},{kind}" for kind in ("is", "at", "is")]
    for stem in ("all", "m04yx4"):
        write_rows(out / f"csv/{stem}_test_relationships.csv", header, rows)
    header = "ImageId,X,Y,Label,EstimatedYesNo,Source,YesVotes,NoVotes,UnsureVotes,TextLabel"
    rows = [
        f"{image},0.{nth},0.2,{MAN},{answer},cv,1,2,3,"
        for nth, answer in enumerate(["yes", "no", "unsure", "yes", "Yes"])
    ]
    write_rows(out / "csv/m04yx4_test_points.csv", header, rows)
    told = {"dataset_id": "x", "image_id": image, "caption": 'A man, "here".', "traces": [[]]}
    short = {"image_id": image, "caption": "Two words"}
    lines = "".join(json.dumps(each) + "\n" for each in (told, short))
    (out / "csv/m04yx4_test_narratives.jsonl").write_text(lines, encoding="utf-8")
    (out / "csv/m01g317_test_captions.jsonl").write_text(json.dumps(short) + "\n", encoding="utf-8")
    found = stats(out)
    assert found.relationships == {"is": 2, "at": 1}
    assert found.points == {"yes": 3, "no": 1, "unsure": 1, "classes": 1, "images": 1}
    assert found.narratives == {"captions": 2, "images": 1, "mean_words": 2.5}
    numbers = found.splits["test"]
    kinds = ("relationships", "points", "narratives")
    assert [numbers[kind] for kind in kinds] == [3, 5, 2]
    assert numbers["images"] == stats(out).splits["test"]["images"]


def test_negatives_are_images_but_of_no_class(out: Path) -> None:
    """Hard negatives are counted by class and split, and do not add to the class's images."""
    before = stats(out)
    ids = [f"train/{nth:016x}" for nth in (1, 2, 3)]
    path = out / "downloader_IDs_for_m0gxl3_train_negatives.txt"
    path.write_text("\n".join(ids) + "\n", encoding="utf-8")
    after = stats(out)
    compare(out)
    assert after.splits["train"]["negatives"] == 3
    assert after.splits["train"]["images"] == before.splits["train"]["images"] + 3

    def handgun(found: oidkit.Statistics) -> Any:
        return next(each for each in found.classes if each["mid"] == HANDGUN)

    assert handgun(after)["splits"]["train"]["negatives"] == 3
    assert handgun(after)["images"] == handgun(before)["images"]


@pytest.mark.parametrize("mid", ["/g/11bc", "/oi/m_0dzf4"])
def test_classes_of_other_name_spaces(mid: str, out: Path) -> None:
    """The images that were chosen for a class are its own, whatever its MID begins with."""
    path = out / f"downloader_IDs_for_{mid_stem(mid)}_train.txt"
    path.write_text("train/0000000000000001\n", encoding="utf-8")
    found = next((each for each in stats(out).classes if each["mid"] == mid), None)
    assert found is not None
    assert found["images"] == 1


# -- folders of every kind -----------------------------------------------------------------------


def test_nothing_is_written_and_nothing_else_is_read(
    whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the cache nor the source nor the folder has changed."""
    monkeypatch.setenv("OID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OID_SOURCE", str(tmp_path / "nowhere"))
    before = tree(whole)
    stats(whole)
    assert tree(whole) == before
    assert list(tmp_path.iterdir()) == []


def test_lists_of_images_and_empty_datasets(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, whole: Path
) -> None:
    """A flat folder has its image sizes; where nothing was chosen there are zeros."""
    settings = Settings(str(made_mirror(tmp_path_factory)), tmp_path / "cache")
    ids = whole / "downloader_IDs_for_m0gxl3_test.txt"
    oidkit.fetch(ids, tmp_path / "flat [1]", settings=settings)
    found = stats(tmp_path / "flat [1]")
    assert found.splits["test"]["images"] == len(ids.read_text(encoding="utf-8").split())
    assert found.image_sizes["known"] == found.splits["test"]["files"] > 0
    (tmp_path / "none.txt").write_text("", encoding="utf-8")
    oidkit.fetch(tmp_path / "none.txt", tmp_path / "empty", settings=settings)
    empty = stats(tmp_path / "empty")
    assert set(empty.splits) == set(oracle.SPLITS)
    assert {n for numbers in empty.splits.values() for n in numbers.values()} == {0}
    assert (empty.classes, empty.pairs, empty.box_sizes["median_share"]) == ([], [], None)
    assert empty.boxes_per_image["mean"] is None
    assert empty.flags["inside"] == {"yes": 0, "no": 0, "unknown": 0}
    json.dumps(empty.as_dict(), allow_nan=False)
    assert len(drawn(empty, top=5)) < 12


def test_headers_alone_and_empty_files(out: Path) -> None:
    """A file without a row, or without a byte, has no row."""
    for path in [*out.glob("csv/*_boxes.csv"), *out.glob("csv/*_masks.csv")]:
        header = path.read_text(encoding="utf-8").splitlines()[0]
        path.write_text(header + "\n" if "train" in path.name else "", encoding="utf-8")
    (out / "csv/m0gxl3_test_narratives.jsonl").write_bytes(b"")
    found = stats(out)
    assert {numbers["boxes"] for numbers in found.splits.values()} == {0}
    assert [row["mid"] for row in found.classes] == [PERSON, HANDGUN]
    assert drawn(found, top=0)


@pytest.mark.parametrize("folder", ["nothing", "."])
def test_a_folder_that_is_no_dataset(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clear sentence, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main(["stats", folder]) == 2
    said = sentence(capsys)
    assert said == f"oid: {folder} is no dataset of oidkit; give the folder of a download"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"a,b\n1,2\n", "has no column ImageID"), (b"ImageID,LabelName\n", "has no column XMin")],
)
def test_a_file_of_something_else(out: Path, content: bytes, fault: str) -> None:
    """The file is named, and what is wrong with it."""
    path = out / "csv/all_train_boxes.csv"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as raised:
        stats(out)
    assert raised.value.cause == f"{path} {fault}"


def test_a_narrative_that_is_cut_off(out: Path) -> None:
    """Half a line of JSON names its file."""
    path = out / "csv/m0gxl3_test_narratives.jsonl"
    path.write_text('{"image_id": "00', encoding="utf-8")
    with pytest.raises(IntegrityError) as raised:
        stats(out)
    assert raised.value.cause == f"{path} is not as a download writes it"


def test_a_manifest_that_cannot_be_read(out: Path) -> None:
    """Counting no file where files are would be wrong, so it is said."""
    (out / ".oid/manifest.csv").write_bytes(b"something\n")
    with pytest.raises(IntegrityError, match=r"manifest\.csv is not there or cannot be read"):
        stats(out)


def test_values_that_are_no_numbers(out: Path) -> None:
    """A box without coordinates is a box of unknown size; a row without an image is none."""
    path = out / "csv/m0gxl3_test_boxes.csv"
    header = path.read_text(encoding="utf-8").splitlines()[0]
    width = header.count(",")
    (out / "csv/all_test_boxes.csv").unlink()
    (out / "csv/m01g317_test_boxes.csv").unlink()
    odd = ["a,,?,nan", "0.1,0.2,0.3,nan", "0.1,inf,0.3,0.4", "0.1,0.2,0.1,0.1"]
    rows = [f"{'0' * 16},x,{HANDGUN},1,{each}" + ",9" * (width - 7) for each in odd]
    write_rows(path, header, [*rows, "no image" + "," * width])
    found = stats(out)
    assert found.splits["test"]["boxes"] == len(odd)
    # The last of them has no height: its size is known, and is nothing.
    others = found.splits["train"]["boxes"] + found.splits["validation"]["boxes"]
    assert sum(each["count"] for each in found.box_sizes["shares"]) == others + 1
    assert found.flags["inside"]["unknown"] > 0
    json.dumps(found.as_dict(), allow_nan=False)


# -- the command ---------------------------------------------------------------------------------


def test_json_is_what_python_gives(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same keys and plain numbers; --top cuts pairs and sizes, never classes."""
    assert main(["stats", str(whole), "--json", "--top", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == stats(whole, top=3).as_dict()
    assert len(found["pairs"]) == len(found["image_sizes"]["common"]) == 3
    assert found["pairs"] == stats(whole, top=0).as_dict()["pairs"][:3]  # type: ignore[index]
    assert len(found["classes"]) > 3


@pytest.mark.parametrize("top", [0, 1, 4])
def test_the_tables_fit_a_terminal(
    whole: Path, capsys: pytest.CaptureFixture[str], top: int
) -> None:
    """No line is longer than 80 columns, none ends in a blank, and the classes are the first."""
    assert main(["stats", str(whole), "--top", str(top)]) == 0
    text = capsys.readouterr().out.replace(str(whole), "FOLDER")
    rows = text.splitlines()
    assert rows[0] == "FOLDER: a dataset of release V7"
    assert max(map(len, rows)) <= 80
    assert not [row for row in rows if row != row.rstrip()]
    found = stats(whole)
    boxes = sum(numbers["boxes"] for numbers in found.splits.values())
    assert next(row for row in rows if row.startswith("boxes ")).split()[-1] == f"{boxes:,}"
    first = next(row for row in rows if row.startswith(found.classes[0]["name"]))
    counts = found.classes[0]["splits"]["train"]
    assert first.split()[2:5] == [str(counts[word]) for word in ("images", "boxes", "masks")]
    left = len(found.classes) - top
    assert (f"... and {left} more classes" in rows) == bool(top)


def test_plain_bars_are_ascii(whole: Path) -> None:
    """Where stdout cannot show a block, bars are made of another sign."""
    text = "\n".join(drawn(stats(whole), top=10, bar=PLAIN_BAR))
    assert text.isascii()
    assert "#####" in text


def test_a_number_below_zero(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag is named."""
    assert main(["stats", str(whole), "--top", "-1"]) == 2
    assert sentence(capsys) == "oid: --top -1 is below 0; give 0 for all"
    with pytest.raises(UsageError):
        stats(whole, top=-2)


def test_many_rows_are_quick(tmp_path: Path) -> None:
    """A hundred thousand boxes, half of them in two files, take a moment of work."""
    dice = random.Random(3)
    (tmp_path / ".oid").mkdir()
    head = "path,kind,key,status,bytes,width,height,check,reason\n"
    (tmp_path / ".oid/manifest.csv").write_text(head, encoding="utf-8")
    (tmp_path / "csv").mkdir()
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    header += ",".join(oracle.FLAGS.values())
    rows = [
        f"{dice.randrange(20_000):016x},x,/m/0{dice.randrange(600)},1,"
        f"{dice.random() / 2:.6f},{0.5 + dice.random() / 2:.6f},0.25,0.75,0,1,-1,0,0"
        for _ in range(100_000)
    ]
    write_rows(tmp_path / "csv/all_train_boxes.csv", header, rows)
    write_rows(tmp_path / "csv/m01_train_boxes.csv", header, rows[::2])
    begun = time.process_time()
    found = stats(tmp_path)
    assert time.process_time() - begun < 5
    assert found.splits["train"]["boxes"] == len(rows)
    assert len(found.classes) == len({row.split(",")[2] for row in rows})
