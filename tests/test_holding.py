"""Published text is held as numbers and comes back byte for byte, whatever it is."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from made_tables import made
from oidkit.schema import BOXES, HUMAN_LABELS, RELATIONSHIPS, Keep, Schema, check_row
from oidkit.tables import Table, stretches
from oidkit.tables import holding as holdings
from oidkit.tables.blocks import read_block
from oidkit.tables.fields import NARROW, WIDE, Fields, cut
from oidkit.tables.holding import ODD, Words, holding_of
from oidkit.tables.stretches import read_numbers
from oidkit.tables.texts import published

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
    "IsDepiction,IsInside,XClick1X,XClick1Y"
)
COLUMNS = HEADER.split(",")
PLAIN = "0123456789abcdef,xclick,/m/0gxl3,1,0.012500,0.5,0.0,1.000000,0,1,-1,0,0,-1,0.250000"
NUMBERS = st.one_of(
    st.decimals(0, 1, places=6).map(str),
    st.decimals(0, 1, places=9).map(str),
    st.floats(0, 1).map(str),
    st.sampled_from(["0", "1", "0.0", "1.0", "0.5", "0.50", "1e-05", ".5", "00.5", "+0.5", "-0.0"]),
)
FREE = st.one_of(
    NUMBERS,
    st.sampled_from(["-1", "", "-1.0", "2.5", "9.999999", "nan"]),
    st.text(st.characters(codec="utf-8", exclude_characters=',\n\r\0"'), max_size=20),
)


@st.composite
def rows(draw: st.DrawFn) -> list[str]:
    """Draw a row of boxes that keeps the rules, though it may be written in odd ways."""
    low, high = sorted((draw(NUMBERS), draw(NUMBERS)), key=float)
    return [
        f"{draw(st.integers(0, 2**64 - 1)):016x}",
        draw(st.sampled_from(["xclick", "activemil", "a source of more than sixteen bytes"])),
        draw(st.sampled_from(["/m/0gxl3", "/m/04yx4", "/g/11bc5r6t_x", "/m/0123456789abcdefg"])),
        draw(FREE),
        *(low, high, low, high),
        *(draw(st.sampled_from(["0", "1", "-1"])) for _ in range(5)),
        draw(FREE),
        draw(FREE),
    ]


def texts_of(schema: Schema, columns: Sequence[str], data: bytes) -> list[list[str]]:
    """Read lines as numbers, by what the first of them look like, and give their texts."""
    first = read_block(schema, tuple(columns), data[: data.index(b"\n") + 1], line=2)
    holding = holding_of(schema, first.rows)
    assert holding is not None
    words = Words()
    block = read_numbers(schema, holding, words, data, line=2)
    assert block.rows.schema == holding.types
    back = published(block.rows, holding, words.texts, columns)
    return [list(row) for row in back.iter_rows()]


@given(st.lists(rows(), min_size=1, max_size=30), st.sampled_from(["", "\n"]))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_text_comes_back(drawn: list[list[str]], end: str) -> None:
    """Rows of every form come back as they were, after a first row of the usual form."""
    lines = [PLAIN, *(",".join(row) for row in drawn)]
    data = "\n".join(lines) + end
    assert texts_of(BOXES, COLUMNS, data.encode()) == [line.split(",") for line in lines]


@given(st.binary(max_size=60), st.integers(0, 3_000), st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_bytes_among_the_lines_lose_no_other_line(
    garbage: bytes, at: int, rng: random.Random
) -> None:
    """What is set aside is what the rules refuse of each line, and all others come."""
    good = [f"{rng.getrandbits(64):016x}{PLAIN[16:]}".encode() for _ in range(25)]
    data = b"\n".join([PLAIN.encode(), *good]) + b"\n"
    place = data.index(b"\n") + 1 + at % (len(data) // 2)
    data = data[:place] + garbage + data[place:]
    first = read_block(BOXES, tuple(COLUMNS), data[: data.index(b"\n") + 1], line=2)
    holding = holding_of(BOXES, first.rows)
    assert holding is not None
    words = Words()
    block = read_numbers(BOXES, holding, words, data, line=2)
    kept: list[list[str]] = []
    refused: list[int] = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=2):
        try:
            fields = line.removesuffix(b"\r").decode().split(",")
        except UnicodeDecodeError:
            fields = []
        whole = len(fields) == len(COLUMNS) and b"\0" not in line
        if whole and check_row(BOXES, dict(zip(COLUMNS, fields, strict=True))) is None:
            kept.append(fields)
        else:
            refused.append(number)
    assert [each.line for each in block.rejects] == refused
    back = published(block.rows, holding, words.texts, COLUMNS)
    assert [list(row) for row in back.iter_rows()] == kept


def fields_of(*texts: str) -> Fields:
    """Cut a column of texts."""
    found = cut("".join(f"{text}\n" for text in texts).encode(), 1)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        *("0123456789abcdeg", "0123456789abcdeF", "0123456789abcde`", "0123456789abcde/"),
        *("0123456789abcde:", "0123456789abcde", "0123456789abcdef0", "@123456789abcdef"),
    ],
)
def test_an_id_is_sixteen_hex_digits(text: str) -> None:
    """Bytes beside the digits and letters are none of them."""
    assert fields_of("0123456789abcdef", text).images(0) is None


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_ids_are_their_numbers(numbers: list[int]) -> None:
    """Each id is the number that Python reads."""
    found = fields_of(*(f"{number:016x}" for number in numbers)).images(0)
    assert found is not None
    assert found.tolist() == numbers


@pytest.mark.parametrize("held", [NARROW, WIDE])
@pytest.mark.parametrize(
    "text",
    [
        *("0.5a", "0..5", "0.", ".5", "a.5", "0:5", "0.:", "0./", "-2", "-", "--1", "1-", "00"),
        *("0.1234567890", "12.5", "0.12345/", "0.12345:", "0,5", "0.5 ", "x.123456", "0.1234-6"),
    ],
)
def test_what_is_no_decimal_is_none(text: str, held: object) -> None:
    """One field that is something else, and the column is read as text."""
    for others in (["0.123456"], ["0.5"], []):
        found = cut("".join(f"{each}\n" for each in [*others, text]).encode(), 1)
        assert found is None or found.decimals([0], held) is None  # type: ignore[arg-type]


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_decimals_are_their_numbers(texts: list[str]) -> None:
    """A code, without its places, is the number in millionths or billionths."""
    for held in (NARROW, WIDE):
        fields = cut("".join(f"{text}\n" for text in texts).encode(), 1)
        codes = None if fields is None else fields.decimals([0], held)
        if codes is not None:
            values = (codes[0] >> held.shift) / held.one
            assert values.tolist() == [float(text) for text in texts]


def test_words_of_one_key_are_told_apart() -> None:
    """Words of up to sixteen bytes are compared as a whole, longer ones by their text."""
    words = Words()
    texts = ["a", "ab", "abcdefgh", "abcdefghi", "abcdefgh" * 2, "ü" * 8, "", "b"]
    fields = fields_of(*texts)
    pair = fields.words(0)
    assert pair is not None
    codes = words.codes(0, *pair)
    assert codes is not None
    assert [words.texts[code] for code in codes.tolist()] == texts
    assert fields_of("a" * 17).words(0) is None


@pytest.mark.parametrize("levels", [1, 3, 100])
def test_a_slot_that_words_share_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, levels: int
) -> None:
    """Words that have the slot of another are found in a further table, or told by their text."""
    real = holdings._slot

    def slot(one: NDArray[Any], two: NDArray[Any], room: int, level: int) -> NDArray[np.intp]:
        found = real(one, two, room, level)
        return found if level >= levels else np.zeros_like(found)

    monkeypatch.setattr(holdings, "_slot", slot)
    lines = [PLAIN.replace("xclick", name) for name in ("abcdefgh1", "abcdefgh2", "xclick")] * 3
    data = "".join(f"{line}\n" for line in lines).encode()
    assert texts_of(BOXES, COLUMNS, data) == [line.split(",") for line in lines]


@pytest.mark.parametrize("size", [1, 300])
def test_stretches_of_a_single_row(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A word of one 64-bit word is no other that begins with the same eight bytes."""
    monkeypatch.setattr(stretches, "STRETCH_BYTES", size)
    mids = ["/m/0gxl3", "/m/0gxl3z", "/m/0gxl3", "/m/0gxl3zz", "/m/0gxl3z"]
    lines = [PLAIN.replace("/m/0gxl3", mid) for mid in mids]
    data = "".join(f"{line}\n" for line in lines).encode()
    assert texts_of(BOXES, COLUMNS, data) == [line.split(",") for line in lines]


def test_no_difference_is_taken_for_minus_one() -> None:
    """Of all differences of two numbers, none stands for -1."""
    first = PLAIN.replace("0.012500", "0.250000000").replace(",-1,0.250000", ",0.250000000,0.5")
    other = first.replace("0.250000000", "0.234217728", 1).replace(",0.250000000,", ",0.100000000,")
    lines = [*[first] * 3, other, other.replace(",0.100000000,", ",-1,")]
    data = "".join(f"{line}\n" for line in lines).encode()
    columns = read_block(BOXES, tuple(COLUMNS), data, line=2).rows
    holding = holding_of(BOXES, columns)
    assert holding is not None
    folded = holding.folded(holding.numbers(columns, Words()).head(0)).height
    assert folded == 0
    assert texts_of(BOXES, COLUMNS, data) == [line.split(",") for line in lines]


def test_a_column_of_different_texts_is_held_as_text(tmp_path: Path) -> None:
    """A column whose texts are all different would make the list of words as long as the file."""
    lines = [f"{PLAIN.replace('xclick', f'source {number}')}" for number in range(2_000)]
    table = made(tmp_path, BOXES, "\n".join([HEADER, *lines, ""]).encode())
    assert table.holding is None
    assert table.rows_of(["/m/0gxl3"])["Source"].to_list() == [each.split(",")[1] for each in lines]


@pytest.mark.parametrize("name", ["oidkit: line", "oidkit: row"])
def test_columns_that_are_named_like_ours(tmp_path: Path, name: str) -> None:
    """Whatever a column is called, it comes back."""
    table = made(tmp_path, BOXES, f"{HEADER},{name}\n{PLAIN},x\n".encode())
    assert table.rows_of(["/m/0gxl3"]).rows() == [tuple(f"{PLAIN},x".split(","))]


def test_odd_rows_count_in_every_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is written in another way is filtered by its value, and keeps its text."""
    monkeypatch.setattr(stretches, "STRETCH_BYTES", 400)
    rng = random.Random(5)
    forms = ("{:.6f}", "{:.1e}", "{:.9f}", "{:.3f}")
    lines: list[str] = []
    for number in range(300):
        low, high = (rng.choice(forms).format(value) for value in (rng.random() / 2, 0.75))
        row = f"{number:016x},xclick,/m/0gxl3,1,{low},{high},{low},{high},0,0,0,0,{number % 3 - 1}"
        lines.append(row + ",-1,-1")
    lines[:0] = [PLAIN] * 5
    data = "\n".join([HEADER, *lines, ""]).encode()
    table = made(tmp_path, BOXES, data)
    assert 0 < table.odd < len(lines)
    keep = Keep({"IsInside": "1"}, BOXES.ordered, 0.2)
    wanted: list[list[str]] = []
    for fields in csv.reader(lines):
        left, right, top, bottom = map(float, fields[4:8])
        if fields[12] == "1" and (right - left) * (bottom - top) >= 0.2:
            wanted.append(fields)
    assert 10 < len(wanted) < 200
    assert [list(row) for row in table.rows_of(["/m/0gxl3"], keep=keep).iter_rows()] == sorted(
        wanted
    )
    found = table.images_of("/m/0gxl3", keep=keep)
    assert [f"{number:016x}" for number in found.tolist()] == sorted(row[0] for row in wanted)


@pytest.mark.parametrize("schema", [HUMAN_LABELS, RELATIONSHIPS])
def test_rows_of_images_come_in_the_order_of_classes(tmp_path: Path, schema: Schema) -> None:
    """However the classes of a file are numbered, an image's rows come by their MIDs."""
    rng = random.Random(1)
    mids = [f"/m/0{letter}x" for letter in "zyxabc"]
    lines = []
    for number in range(200):
        image, mid, other = f"{number // 9:016x}", rng.choice(mids), rng.choice(mids)
        if schema is HUMAN_LABELS:
            lines.append(f"{image},verification,{mid},{number % 2}")
        else:
            boxes = ",".join(["0.1,0.2"] * 4)
            lines.append(f"{image},{mid},{other},{boxes},at")
    header = {
        HUMAN_LABELS.name: "ImageID,Source,LabelName,Confidence",
        RELATIONSHIPS.name: "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,"
        "YMin2,YMax2,RelationshipLabel",
    }[schema.name]
    table: Table = made(tmp_path, schema, "\n".join([header, *lines, ""]).encode())
    assert table.holding is not None
    rows = [line.split(",") for line in lines]
    by_class = (lambda row: (row[0], row[2])) if schema is HUMAN_LABELS else (lambda row: row[:1])
    images = table.images_of(*mids)
    assert [list(row) for row in table.rows_by_image(images).iter_rows()] == sorted(
        rows, key=by_class
    )
    only = table.rows_by_image(images, columns=["ImageID"])
    assert only["ImageID"].to_list() == [row[0] for row in sorted(rows)]
    assert ODD not in only.columns
