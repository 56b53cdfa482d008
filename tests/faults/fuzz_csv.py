"""A coverage-guided fuzzer of the reader of annotation files: its fast way against its slow one.

`python fuzz_csv.py CORPUS -runs=N -seed=S ...`: the arguments are libFuzzer's. It ends with an
error, and leaves the bytes that led to it, where anything is raised but `MalformedError`, where a
line is neither kept nor set aside, where a row that is kept breaks a rule, and where the table
engine's way comes to other rows than the one that goes line by line.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["oidkit.tables.blocks", "oidkit.schema"]):
    from oidkit.errors import MalformedError
    from oidkit.schema import (
        BOXES,
        HUMAN_LABELS,
        IMAGES,
        MASKS,
        NARRATIVES,
        POINTS,
        RELATIONSHIPS,
        Schema,
        check_row,
        header_of,
    )
    from oidkit.tables import blocks

SCHEMAS = (BOXES, MASKS, HUMAN_LABELS, RELATIONSHIPS, POINTS, IMAGES, NARRATIVES)


def one(data: bytes) -> None:
    """Try one input; its first byte is the kind of file."""
    if not data:
        return
    schema, data = SCHEMAS[data[0] % len(SCHEMAS)], data[1:]
    columns: tuple[str, ...] = ()
    if not schema.lines:
        end = data.find(b"\n") + 1 or len(data)
        try:
            columns = header_of(schema, blocks.split_header(data[:end]), file="fuzzed.csv")
        except MalformedError:
            return
        data = data[end:]
    if data:
        check(schema, columns, data)


def check(schema: Schema, columns: tuple[str, ...], data: bytes) -> None:
    """Read a block, and make sure of what came of it."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    block = blocks.read_block(schema, columns, data, line=2)
    if block.lines != lines or block.rows.height + len(block.rejects) != lines:
        raise AssertionError(
            f"of {lines} lines {block.rows.height} + {len(block.rejects)} are told"
        )
    if any(not 2 <= each.line < lines + 2 or not each.reason for each in block.rejects):
        raise AssertionError("a line that is not there is set aside")
    if schema.lines:
        return
    for row in block.rows.iter_rows(named=True):
        if (wrong := check_row(schema, row)) is not None:
            raise AssertionError(f"a row is kept of which {wrong}")
    slow = blocks._read_slowly(schema, columns, data, line=2)
    if slow.rejects != block.rejects or not slow.rows.equals(block.rows):
        raise AssertionError("the fast way comes to other rows than the slow one")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
