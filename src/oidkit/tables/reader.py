"""A process of its own that reads blocks of CSV as numbers: `python -P -m oidkit.tables.reader`.

It is spoken to through its standard input and output. The first line that it gets says, as JSON,
how the file is held; the answer is which oidkit this is. Then comes, for each block, a line of JSON
with the number of its first line and its length, and the block itself; the answer is a line of JSON
with the bad rows, the number of lines and the words that are new, and then the rows, as
`oidkit.tables.pieces` writes them. It ends when its input does. Words are numbered as this process
has met them.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import IO

from oidkit.schema import BY_NAME
from oidkit.tables.holding import Holding, Words
from oidkit.tables.pieces import write_numbers
from oidkit.tables.readers import greeting
from oidkit.tables.stretches import read_numbers

__all__ = ["main"]


def main(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer until there is nothing more to read."""
    first = json.loads(source.readline())
    sink.write(json.dumps(greeting()).encode() + b"\n")
    schema, holding = BY_NAME[first["schema"]], Holding(first["held"], first["beside"])
    words = Words()
    while asked := source.readline():
        block = json.loads(asked)
        data = source.read(block["bytes"])
        if len(data) < block["bytes"]:
            return  # whoever asked is gone
        known = len(words.texts)
        found = read_numbers(schema, holding, words, data, line=block["line"])
        said = {
            "lines": found.lines,
            "rejects": [(each.line, each.reason, each.text) for each in found.rejects],
            "words": words.texts[known:],
        }
        sink.write(json.dumps(said).encode() + b"\n")
        write_numbers(sink, found.rows)
        sink.flush()


if __name__ == "__main__":
    # Ctrl-C is the affair of the process that asks; its end is ours, as the input ends then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        sys.exit(1)
