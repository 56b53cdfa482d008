"""`oid split`, the seed's script: two files a class, byte for byte."""

from __future__ import annotations

import csv
import io
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirrors import made_mirror, run
from oidkit.api import Settings, split
from oidkit.errors import UnknownClassError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

HANDGUN = "/m/0gxl3"
HEADER = "ImageID,Source,LabelName,Confidence"
ROWS = [
    "000a1249af2bc5f0,xclick,/m/0gxl3,1",
    "0001eeaf4aed83f9,xclick,/m/0cmf2,1",
    "000a1249af2bc5f0,xclick,/m/0gxl3,1",
    "0009bad4d8539bb4,activemil,/m/0gxl,1",
    "0001eeaf4aed83f9,activemil,/m/0gxl3,0",
]


def write_csv(path: Path, rows: list[str], *, header: str = HEADER, end: str = "\n") -> Path:
    """Write rows below a header, as they are."""
    path.write_bytes("".join(f"{row}{end}" for row in [header, *rows]).encode())
    return path


def seed_script(source: Path, label: str, subset: str) -> tuple[bytes, bytes]:
    """Do what the seed's script did, with the csv module, and keep each row's own bytes."""
    raw = source.read_bytes()
    lines = raw.splitlines(keepends=True)
    columns = next(csv.reader([lines[0].decode("utf-8-sig")]))
    ids: dict[str, None] = {}
    kept = [lines[0]]
    for line in lines[1:]:
        row = dict(
            zip(columns, next(csv.reader(io.StringIO(line.decode(), newline=""))), strict=False)
        )
        if row.get("LabelName") == label:
            kept.append(line)
            ids[row["ImageID"]] = None
    return "".join(f"{subset}/{image}\n" for image in ids).encode(), b"".join(kept)


def check(source: Path, out: Path, label: str = HANDGUN, subset: str = "train") -> None:
    """Compare the two files with the seed's."""
    (found,) = split(label, source, subset=subset, out=out)
    ids, rows = seed_script(source, label, subset)
    stem = label[1:].replace("/", "")
    assert found.ids_file == out / f"downloader_IDs_for_{stem}_{subset}.txt"
    assert found.annotations_file == out / f"{stem}_annotations.csv"
    assert found.ids_file.read_bytes() == ids
    assert found.annotations_file.read_bytes() == rows
    assert (found.rows, found.images) == (rows.count(b"\n") - 1, ids.count(b"\n"))


def test_like_the_seed_over_a_made_release(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over boxes and masks of every split the files are those of the seed's script."""
    mirror = made_mirror(tmp_path_factory)
    files = [*mirror.rglob("*-annotations-bbox.csv"), *mirror.rglob("*-segmentation.csv")]
    assert len(files) == 6
    for nth, path in enumerate(files):
        check(path, tmp_path / str(nth), HANDGUN)
        check(path, tmp_path / f"{nth}-person", "/m/01g317", "validation")


def test_like_the_seed_over_real_files(sample: Path, tmp_path: Path) -> None:
    """Over the published image labels, boxes and masks the files are those of the seed's script."""
    checked = 0
    for path in sorted(sample.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file), {})
        if "ImageID" in row and row.get("LabelName", "").startswith("/m/"):
            check(path, tmp_path / str(checked), row["LabelName"], "test")
            checked += 1
    assert checked > 6


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_stay(tmp_path: Path, end: str) -> None:
    """Rows keep the line ends that the input has; the list of ids has plain ones."""
    source = write_csv(tmp_path / "in.csv", ROWS, end=end)
    check(source, tmp_path / "out")
    assert (tmp_path / "out" / "m0gxl3_annotations.csv").read_bytes().count(b"\r\n") == (
        4 if end == "\r\n" else 0
    )


def test_last_row_without_a_line_end(tmp_path: Path) -> None:
    """A last row that ends with the file is kept as it is."""
    source = tmp_path / "in.csv"
    source.write_text("\n".join([HEADER, *ROWS]), newline="")
    split(HANDGUN, source, subset="train", out=tmp_path)
    assert (tmp_path / "m0gxl3_annotations.csv").read_text().endswith(ROWS[-1])


def test_quoted_fields_and_other_orders(tmp_path: Path) -> None:
    """Quoted fields with commas, a byte-order mark and other columns are read as csv reads them."""
    rows = [
        '/m/0gxl3,"a, ""title""",000a1249af2bc5f0',
        '"/m/0gxl3","x","0001eeaf4aed83f9"',
        "/m/05,y,z",
    ]
    source = write_csv(tmp_path / "in.csv", rows, header="\ufeffLabelName,Title,ImageID")
    check(source, tmp_path / "out")
    ids = (tmp_path / "out" / "downloader_IDs_for_m0gxl3_train.txt").read_text()
    assert ids == "train/000a1249af2bc5f0\ntrain/0001eeaf4aed83f9\n"


def test_label_is_matched_exactly(tmp_path: Path) -> None:
    """`/m/0gxl` takes neither `/m/0gxl3` nor the reverse."""
    check(write_csv(tmp_path / "in.csv", ROWS), tmp_path / "out", "/m/0gxl")


def test_several_labels_and_names(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Labels may be repeated, and names stand for their MIDs; each has files of its own, once."""
    mirror = made_mirror(tmp_path_factory)
    source = next(mirror.rglob("validation-annotations-bbox.csv"))
    found = split(
        ["Handgun", "/m/01g317", "handgun"],
        source,
        subset="validation",
        out=tmp_path / "out",
        settings=Settings(source=str(mirror), cache=tmp_path / "cache"),
    )
    assert [each.mid for each in found] == [HANDGUN, "/m/01g317"]
    for each in found:
        ids, rows = seed_script(source, each.mid, "validation")
        assert (each.ids_file.read_bytes(), each.annotations_file.read_bytes()) == (ids, rows)


def test_unknown_name(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A name that no class has is refused, and nothing is written."""
    mirror = made_mirror(tmp_path_factory)
    source = write_csv(tmp_path / "in.csv", ROWS)
    wanted = Settings(source=str(mirror), cache=tmp_path / "cache")
    with pytest.raises(UnknownClassError, match="Handgn"):
        split("Handgn", source, subset="train", out=tmp_path / "out", settings=wanted)
    assert not (tmp_path / "out").exists()


def test_mid_needs_no_source(tmp_path: Path) -> None:
    """A MID is not looked up: the call works where the source is out of reach."""
    source = write_csv(tmp_path / "in.csv", ROWS)
    nowhere = Settings(source="http://127.0.0.1:9", cache=tmp_path / "cache")
    (found,) = split(HANDGUN, source, subset="train", out=tmp_path / "out", settings=nowhere)
    assert found.rows == 3


@pytest.mark.parametrize("name", ["m0gxl3_annotations.csv", "downloader_IDs_for_m0gxl3_train.txt"])
def test_other_content_is_not_lost(tmp_path: Path, name: str) -> None:
    """A file with other content is refused, both files stay as they are, and --force replaces."""
    source = write_csv(tmp_path / "in.csv", ROWS)
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine\n")
    with pytest.raises(UsageError, match=f"{name}.*--force"):
        split(HANDGUN, source, subset="train", out=out)
    assert {path.name: path.read_text() for path in out.iterdir()} == {name: "mine\n"}
    split(HANDGUN, source, subset="train", out=out, force=True)
    assert "mine" not in (out / name).read_text()
    assert len(list(out.iterdir())) == 2


def test_same_content_is_fine(tmp_path: Path) -> None:
    """Running it again is no loss, and needs no force."""
    source = write_csv(tmp_path / "in.csv", ROWS)
    check(source, tmp_path / "out")
    check(source, tmp_path / "out")


def test_no_row(tmp_path: Path) -> None:
    """A class without a row gets both files: an empty list, and the header."""
    source = write_csv(tmp_path / "in.csv", ROWS)
    (found,) = split("/m/0zzzz", source, subset="test", out=tmp_path / "out")
    assert (found.rows, found.images) == (0, 0)
    assert found.ids_file.read_bytes() == b""
    assert found.annotations_file.read_bytes() == f"{HEADER}\n".encode()


def test_input_that_is_not_there(tmp_path: Path) -> None:
    """An input that is not there is named, and no folder is made."""
    with pytest.raises(UsageError, match=r"nowhere\.csv.*--input"):
        split(HANDGUN, tmp_path / "nowhere.csv", subset="train", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("header", ["", "ImageID,Source", "a,LabelName", "\x00\x01"])
def test_input_of_another_kind(tmp_path: Path, header: str) -> None:
    """A file without the two columns is refused, and nothing is written."""
    source = write_csv(tmp_path / "in.csv", ["x,y"], header=header)
    with pytest.raises(UsageError, match="ImageID and LabelName"):
        split(HANDGUN, source, subset="train", out=tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_subset_of_another_name(tmp_path: Path) -> None:
    """A subset that is no split is refused."""
    source = write_csv(tmp_path / "in.csv", ROWS)
    with pytest.raises(UsageError, match="val"):
        split(HANDGUN, source, subset="val", out=tmp_path)


def test_large_input_in_bounded_memory(tmp_path: Path) -> None:
    """12 MB with a match in every thousandth row take a few pieces of 1 MB."""
    block = "".join(f"{n:016x},xclick,/m/01g317,1\n" for n in range(999)) + ROWS[0] + "\n"
    source = tmp_path / "in.csv"
    with source.open("w") as file:
        file.write(HEADER + "\n")
        for _ in range(350):
            file.write(block)
    assert source.stat().st_size > 11_000_000
    tracemalloc.start()
    try:
        (found,) = split(HANDGUN, source, subset="train", out=tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.rows, found.images) == (350, 1)
    assert peak < 8_000_000


# no line ends inside: the published files have none
FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6)
IMAGE = st.sampled_from(["a" * 16, "b" * 16])
LABEL = st.sampled_from([HANDGUN, "/m/0gxl", ""])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(IMAGE, FIELD, LABEL)),
    crlf=st.booleans(),
)
def test_any_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], *, crlf: bool
) -> None:
    """Whatever stands in the fields, the files are those of the seed's script."""
    folder = tmp_path_factory.mktemp("any")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n" if crlf else "\n")
    writer.writerows([("ImageID", "Title", "LabelName"), *rows])
    source = folder / "in.csv"
    source.write_bytes(text.getvalue().encode())
    check(source, folder / "out")


def test_command(tmp_path: Path) -> None:
    """The seed's own flags work on the command line, and errors end it with 2 and one sentence."""
    source = write_csv(tmp_path / "in.csv", ROWS)
    command = ["split", "--label", HANDGUN, "--subset", "train", "--input", source]
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    ids, rows = seed_script(source, HANDGUN, "train")
    assert (tmp_path / "downloader_IDs_for_m0gxl3_train.txt").read_bytes() == ids
    assert (tmp_path / "m0gxl3_annotations.csv").read_bytes() == rows
    (tmp_path / "m0gxl3_annotations.csv").write_text("mine")
    refused = run(*command, "--output-dir", tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert b"--force" in refused.stderr
    assert refused.stderr.count(b"\n") == 1
    assert run(*command, "--force", cwd=tmp_path).returncode == 0
