"""CSVs that are not quite what was published: bad rows are set aside, bad files refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bad_inputs import BOXES, IMAGES, MASKS, objects, run_oid, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bad_inputs import Bench

pytest_plugins = ["bad_fixtures"]

ID = b"0123456789abcdef"
BOX = ID + b",xclick,/m/0gxl3,1,0.1,0.4,0.2,0.5,0,0,0,0,0"
MASK = ID + b"_m0gxl3_01234567.png," + ID + b",/m/0gxl3,01234567,0.1,0.4,0.2,0.5,0.0,"


def with_line(bench: Bench, key: str, line: bytes, *, at: int = 7) -> bytes:
    """Put a line before line *at* of a CSV (the header is 1), and give the line's end."""
    path = bench.path(key)
    lines = path.read_bytes().splitlines(keepends=True)
    end = b"\r\n" if lines[1].endswith(b"\r\n") else b"\n"
    lines.insert(at - 1, line + end)
    path.write_bytes(b"".join(lines))
    return end


BAD_ROWS: list[tuple[str, bytes, str]] = [
    (BOXES, BOX.replace(b"xclick", b"xcl\0ick"), "NUL"),
    (BOXES, BOX.replace(b"xclick", b"xcl\xff\xfeick"), "UTF-8"),
    (BOXES, BOX.replace(ID, b"../../x"), "16 hex digits"),
    (MASKS, MASK.replace(ID + b"_m", b"../" + ID + b"_m"), "MaskPath"),
    (MASKS, MASK.replace(b".png,", b".png\0,"), "NUL"),
    (IMAGES, ID + b",validation,u,l,c,p,Ren\xe9,t,1,m,n,0.0", "UTF-8"),
    (IMAGES, b"../../x,validation,u,l,c,p,a,t,1,m,n,0.0", "16 hex digits"),
]
FOUR_AT_ONCE: list[list[tuple[bytes, str]]] = [
    [
        (BOX.replace(ID, b"../../../../../x"), "16 hex digits"),
        (BOX.replace(ID, b"/etc/passwd"), "16 hex digits"),
        (BOX.replace(b"/m/0gxl3", b"/m/../../x"), "MID"),
        (b'"' + BOX, "16 hex digits"),
    ],
    [
        (BOX.replace(b"0.1", b"nan"), "0 to 1"),
        (BOX.replace(b"0.1", b"-0.1"), "0 to 1"),
        (BOX.replace(b"0.1", b"0.9"), "XMin is larger"),
        (BOX[:-1] + b"2", "-1, 0 or 1"),
    ],
    [
        (BOX[:-2], "12 fields"),
        (BOX + b",0", "14 fields"),
        (b"", "1 fields"),
        (b"\0" * 100, "NUL"),
    ],
]


@pytest.mark.parametrize(("key", "line", "reason"), BAD_ROWS)
def test_a_bad_row_is_set_aside_and_the_rest_is_had(
    key: str, line: bytes, reason: str, *, bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """Line number and reason are kept, the user is told, and the tree is that of a sound CSV."""
    with_line(bench, key, line)
    ended = bench.download()
    assert ended.code == 0, ended.err
    assert f"1 row of {key} set aside" in ended.err
    assert "rejects.csv" in ended.err
    rejects = bench.rejects()
    assert len(rejects) == 1
    assert rejects[0][0] == "7"
    assert reason in rejects[0][1]
    assert tree(bench.out) == undisturbed


@pytest.mark.parametrize("bad", FOUR_AT_ONCE)
def test_several_bad_rows_keep_their_own_line_numbers(
    bad: list[tuple[bytes, str]], bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """The numbers are those of an editor, and each line has its own reason."""
    places = (2, 90, 250, 404)
    for at, (line, _) in zip(places, bad, strict=True):
        with_line(bench, BOXES, line, at=at)
    ended = bench.download()
    assert ended.code == 0, ended.err
    assert f"4 rows of {BOXES} set aside" in ended.err
    rejects = bench.rejects()
    assert [row[0] for row in rejects] == [str(at) for at in places]
    for row, (_, reason) in zip(rejects, bad, strict=True):
        assert reason in row[1]
    assert tree(bench.out) == undisturbed


@pytest.mark.parametrize(("key", "kept"), [(BOXES, -4), (MASKS, -9), (IMAGES, -60)])
def test_a_last_row_that_is_cut_is_set_aside(key: str, kept: int, bench: Bench) -> None:
    """A CSV that was cut in its last row is used but for that row, and the real command says so."""
    path = bench.path(key)
    whole = path.read_bytes()
    path.write_bytes(whole.rstrip(b"\r\n")[:kept])
    where = ("--source", bench.mirror, "--cache", bench.cache, "--out", bench.out)
    ended = run_oid("download", "Handgun", "Person", "--split", "validation", *where)
    assert ended.code == 0, ended.err
    assert f"1 row of {key} set aside" in ended.err
    rejects = bench.rejects()
    assert [row[0] for row in rejects] == [str(whole.count(b"\n"))]


def test_a_last_row_without_a_line_end_is_a_row(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """Many editors leave the last line end out: nothing is missing."""
    for key in (BOXES, MASKS, IMAGES):
        path = bench.path(key)
        path.write_bytes(path.read_bytes().rstrip(b"\r\n"))
    ended = bench.download()
    assert (ended.code, ended.err) == (0, "")
    assert tree(bench.out) == undisturbed


def _marked(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _lf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("change", [_marked, _crlf, _lf, lambda data: _marked(_crlf(data))])
def test_byte_order_marks_and_line_ends_are_no_fault(
    change: Callable[[bytes], bytes], bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """Whatever an editor made of the CSVs, the tree is the same and nothing is said."""
    for key in (BOXES, MASKS, IMAGES):
        path = bench.path(key)
        path.write_bytes(change(path.read_bytes()))
    ended = bench.download()
    assert (ended.code, ended.err) == (0, "")
    assert tree(bench.out) == undisturbed
    assert not bench.rejects()


@pytest.mark.parametrize(
    ("key", "column"),
    [(BOXES, b"XMax"), (BOXES, b"ImageID"), (MASKS, b"MaskPath"), (IMAGES, b"ImageID")],
)
def test_a_missing_column_is_named(key: str, column: bytes, bench: Bench) -> None:
    """A CSV without a column that is needed is exit 6, and names file and column; nothing moves."""
    path = bench.path(key)
    path.write_bytes(path.read_bytes().replace(column, b"Other", 1))
    ended = bench.refused()
    assert ended.code == 6, ended.err
    assert key in ended.sentence
    assert column.decode() in ended.sentence


def test_a_column_that_stands_twice_is_refused(bench: Bench) -> None:
    """Which of the two is meant nobody can know."""
    path = bench.path(BOXES)
    path.write_bytes(path.read_bytes().replace(b"XMax", b"XMin", 1))
    ended = bench.refused()
    assert ended.code == 6, ended.err
    assert BOXES in ended.sentence


@pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 5000, b"PK\3\4" + b"\xff" * 5000])
def test_a_file_that_is_no_csv_is_refused(content: bytes, bench: Bench) -> None:
    """An empty file, zeros or a zip in place of a CSV are exit 6 with the file's name."""
    bench.path(BOXES).write_bytes(content)
    ended = bench.refused()
    assert ended.code == 6, ended.err
    assert BOXES in ended.sentence


def test_more_than_one_in_a_hundred_is_too_much(bench: Bench) -> None:
    """Exit 6 with how many of how many, and the line and reason of the first."""
    for at in range(10, 30):
        with_line(bench, BOXES, BOX.replace(b"0.1", b"x"), at=at)
    ended = bench.refused()
    assert ended.code == 6, ended.err
    assert "20 of 420 rows" in ended.sentence
    assert "line 10" in ended.sentence


def test_a_csv_that_was_mended_is_read_again(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """What a bad copy left in the cache does not outlive it."""
    whole = bench.path(BOXES).read_bytes()
    bench.path(BOXES).write_bytes(whole.replace(b"XMax", b"Other", 1))
    assert bench.refused().code == 6
    bench.path(BOXES).write_bytes(whole)
    ended = bench.download()
    assert (ended.code, ended.err) == (0, "")
    assert objects(tree(bench.out), "images") == objects(undisturbed, "images")
    assert tree(bench.out) == undisturbed
