"""Blocks of CSV lines as frames: the rows that keep the rules, and those that do not.

A block whose rows are all well takes a fast way through the table engine. Where anything at all
is odd, the block is read once more line by line, by the rules as `oidkit.schema` words them.
"""

from __future__ import annotations

import codecs
import csv
import json
from dataclasses import dataclass

import polars as pl

from oidkit.schema import LINE, Schema, check_row
from oidkit.taxonomy import MID_PATTERN

__all__ = ["Block", "Reject", "read_block", "split_header"]


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that was set aside: its number in the file (the header is 1), why, and its text."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """The good rows of some lines, every column as published text, and the rejected lines."""

    rows: pl.DataFrame
    rejects: tuple[Reject, ...]
    lines: int


def split_header(line: bytes) -> list[str]:
    """Read a header line; a byte-order mark before it is nobody's column."""
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return [text]  # which is the name of no column


def read_block(schema: Schema, columns: tuple[str, ...], data: bytes, *, line: int) -> Block:
    """Read whole lines; *line* is the number of the first one in its file."""
    if schema.lines:
        return _read_json(schema, data, line=line)
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    rows = _read_fast(schema, columns, data, lines=lines)
    if rows is not None:
        return Block(rows, (), lines)
    return _read_slowly(schema, columns, data, line=line)


def _read_fast(
    schema: Schema, columns: tuple[str, ...], data: bytes, *, lines: int
) -> pl.DataFrame | None:
    """Give the rows if every one of them is well, and None if there is any doubt."""
    if b"\0" in data:
        return None
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return None  # the engine drops one that stands before a comma
    quoted = schema.quoted and b'"' in data
    try:
        rows = pl.read_csv(
            data,
            has_header=False,
            schema=dict.fromkeys(columns, pl.String),
            quote_char='"' if quoted else None,
            empty_string_is_null=False,
            extra_columns="raise",
            missing_columns="raise",
        )
    except pl.exceptions.PolarsError:
        return None
    commas = rows.height * (len(columns) - 1)
    if quoted:
        within = pl.sum_horizontal(pl.all().str.count_matches(",", literal=True).sum())
        commas += int(rows.select(within).item())
    if rows.height != lines or data.count(b",") != commas:
        return None
    return rows if rows.select(_all_well(schema)).item() else None


def _all_well(schema: Schema) -> pl.Expr:
    """Word the rules for the engine; it may doubt a good row, but never passes a bad one."""
    checks = []
    for column, kind in schema.rules.items():
        value = pl.col(column)
        if kind == "image id":
            checks.append(value.str.contains("^[0-9a-f]{16}$").all())
        elif kind == "mid":
            checks.append(value.unique().str.contains(MID_PATTERN.pattern).all())
        elif kind == "flag":
            checks.append(value.is_in(["-1", "0", "1"]).all())
        elif kind == "unit":
            number = value.cast(pl.Float64, strict=False).fill_nan(-1.0)
            checks.append(number.is_between(0.0, 1.0).fill_null(value=False).all())
        else:
            stem = pl.col("LabelName").str.replace_all("/", "", literal=True)
            front = pl.concat_str("ImageID", pl.lit("_"), stem, pl.lit("_"))
            well = value.str.starts_with(front)
            well &= value.str.slice(front.str.len_bytes()).str.contains(r"^[0-9a-f]{8}\.png$")
            checks.append(well.all())
    for low, high in schema.ordered:
        numbers = (pl.col(name).cast(pl.Float64, strict=False) for name in (low, high))
        checks.append((next(numbers) <= next(numbers)).fill_null(value=False).all())
    return pl.all_horizontal(checks)


def _read_json(schema: Schema, data: bytes, *, line: int) -> Block:
    """Read JSON lines: the id of the image, and the line as it stands."""
    # A byte-order mark before the first line is nobody's character.
    raw = (data.removeprefix(codecs.BOM_UTF8) if line == 1 else data).split(b"\n")
    if not raw[-1]:
        raw.pop()
    texts: list[str | None] = [_text(each) for each in raw]
    (theirs,) = schema.published
    rows = pl.DataFrame({LINE: texts}, schema={LINE: pl.String})
    path = f"$.{theirs}"
    rows = rows.select(pl.col(LINE).str.json_path_match(path).alias("ImageID"), LINE)
    well = rows["ImageID"].str.contains("^[0-9a-f]{16}$").fill_null(value=False)
    # The engine gives a number as text too: of 16 digits it would look like an id.
    for at in rows["ImageID"].str.contains("^[0-9]{16}$").fill_null(value=False).arg_true():
        well[at] = isinstance(json.loads(rows[LINE][at])[theirs], str)
    rejects = [
        Reject(
            line + at,
            f"is no JSON with an {theirs} of 16 hex digits",
            _shown(raw[at]),
        )
        for at in (~well).arg_true().to_list()
    ]
    return Block(rows.filter(well), tuple(rejects), len(raw))


def _text(line: bytes) -> str | None:
    try:
        return None if b"\0" in line else line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        return None


def _shown(raw: bytes) -> str:
    """Give the beginning of a line as text that stays one line, and one field, in a CSV."""
    text = raw.rstrip(b"\r").decode("utf-8", errors="backslashreplace")
    return text[:2000].replace("\0", "\\x00").replace("\r", "\\r")


def _read_slowly(schema: Schema, columns: tuple[str, ...], data: bytes, *, line: int) -> Block:
    good: list[list[str]] = []
    rejects: list[Reject] = []
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, raw in enumerate(lines, start=line):
        fields, reason = _fields(schema, columns, raw)
        if reason is None:
            good.append(fields)
        else:
            rejects.append(Reject(number, reason, _shown(raw)))
    rows = pl.DataFrame(good, schema=dict.fromkeys(columns, pl.String), orient="row")
    return Block(rows, tuple(rejects), len(lines))


def _fields(schema: Schema, columns: tuple[str, ...], raw: bytes) -> tuple[list[str], str | None]:
    if b"\0" in raw:
        return [], "holds a NUL"
    try:
        text = raw.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        return [], "is not UTF-8"
    if not schema.quoted:
        fields = text.split(",")
    else:
        try:
            # as a list: a carriage return would end the line of a file, and what follows be lost
            fields = next(csv.reader([text], strict=True), [])
        except csv.Error as error:
            return [], f"is not CSV: {error}"
    if len(fields) != len(columns):
        return [], f"has {len(fields)} fields where the header has {len(columns)}"
    return fields, check_row(schema, dict(zip(columns, fields, strict=True)))
