"""A CSV becomes a table as it arrives: fed in pieces of any size, in bounded memory.

Lines are gathered into blocks. Each block is checked, sorted by the table's key and cut into
buckets of neighbouring keys, every bucket a small file on disk. When the CSV has ended, each
bucket is sorted as a whole and written as one part of the table. Memory holds a block or a bucket,
never the file.

After each block the state of the work is written down, so that a run that was killed goes on at
the last block: the bytes before it need not be fetched again.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.disk import write_atomically
from oidkit.errors import IntegrityError, InterruptedRunError, MalformedError
from oidkit.schema import LINE, Schema, header_of
from oidkit.store import Checksums
from oidkit.tables.blocks import Block, read_block, split_header
from oidkit.tables.several import under_classes
from oidkit.tables.sorting import note_classes, sorted_spans
from oidkit.tables.table import FORMAT, Table, disk_errors

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = ["TableBuilder"]

BLOCK_BYTES = 16 << 20
BUCKETS = 32
REJECT_SHARE = 0.01
_LONGEST_LINE = 16 << 20
_HEX = "0123456789abcdef"
_NOTHING_KNOWN = Checksums()


@dataclass(slots=True)
class _State:
    """How far the work has come; written down after every block."""

    etag: str | None = None
    known: Checksums = _NOTHING_KNOWN
    columns: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    offset: int = 0
    lines: int = 0
    crc: int = 0
    blocks: int = 0
    rows: int = 0
    rejects: int = 0


class TableBuilder:
    """Builds the table of one CSV into a folder of its own below *folder*.

    Its unfinished work lies in *work*. The table's folder is named by the ETag of the CSV.

    The caller feeds bytes from `offset` on. `feed` hands whole blocks to a thread of its own and
    waits for the one before, so that parsing and transfer overlap and memory stays bounded.
    """

    def __init__(self, folder: Path, work: Path, schema: Schema, *, name: str) -> None:
        self._folder, self._work = folder, work
        self._schema, self._name = schema, name
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oidkit-table")
        self._running: Future[None] | None = None
        self._cancelled = False
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._state = self._load()
        self._whole = self._state.offset == 0
        self._fed = self._state.offset

    @property
    def offset(self) -> int:
        """How many bytes of the CSV need not be fed again."""
        return self._fed

    @property
    def etag(self) -> str | None:
        """The identity of the object that the bytes so far came from."""
        return self._state.etag

    @property
    def complete(self) -> bool:
        """Whether every byte of the CSV has been fed, if its size is known."""
        return self._fed == self._state.known.size

    def begin(self, etag: str | None, known: Checksums) -> None:
        """Start from the first byte of the object that has *etag* and the checksums *known*."""
        self._drain(quietly=True)
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        self._pieces, self._gathered = [], 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._state, self._whole, self._fed = _State(etag=etag, known=known), True, 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the CSV."""
        self._pieces.append(data)
        self._gathered += len(data)
        self._fed += len(data)
        if self._gathered >= BLOCK_BYTES:
            self._cut()

    def finish(self) -> Table:
        """Check the whole against what is known of it, and put the table in its place.

        Raises:
            IntegrityError: a checksum differs, or more than 1 % of the rows are bad.

        """
        self._drain()
        if self._gathered:
            self._submit(b"".join(self._pieces))
            self._drain()
        state = self._state
        self._check(state.known)
        if self._schema.lines:
            # Such a file has no header, and a shard of a small release may have no line either.
            state.columns = ("ImageID", LINE)
        if not state.columns:
            raise MalformedError(f"{self._name} is empty", remedy="check the source")
        if state.rejects > REJECT_SHARE * (state.rows + state.rejects):
            first = self._first_reject()
            raise MalformedError(
                f"{state.rejects} of {state.rows + state.rejects} rows of {self._name} are bad, "
                f"more than 1 % (line {first})",
                remedy="check the source; a healthy copy has almost none",
            )
        with disk_errors(self._work):
            table = self._assemble()
        self.close()
        return table

    def discard(self) -> None:
        """Forget all that was fed: it turned out not to be what it should be."""
        self._drain(quietly=True)
        shutil.rmtree(self._work, ignore_errors=True)
        self._state, self._fed = _State(), 0
        self._pieces, self._gathered = [], 0

    def cancel(self) -> None:
        """Let `finish`, which runs on another thread, end soon with an error."""
        self._cancelled = True

    def close(self) -> None:
        """Stop the thread; what was written down stays for the next run."""
        self._drain(quietly=True)
        self._pool.shutdown(wait=True)

    def rewind(self) -> int:
        """Drop what is not yet in a block, after a broken transfer, and give the offset."""
        self._drain()
        self._pieces, self._gathered = [], 0
        self._fed = self._state.offset
        return self._fed

    # -- blocks ---------------------------------------------------------------------------------

    def _cut(self) -> None:
        whole = b"".join(self._pieces)
        end = whole.rfind(b"\n") + 1
        if not end:
            if len(whole) > _LONGEST_LINE + BLOCK_BYTES:
                raise MalformedError(
                    f"{self._name} has a line of more than {len(whole)} bytes",
                    remedy="check that the source serves the CSV as published",
                )
            self._pieces = [whole]
            return
        self._pieces, self._gathered = [whole[end:]], len(whole) - end
        self._drain()
        self._submit(whole[:end])

    def _submit(self, data: bytes) -> None:
        self._running = self._pool.submit(self._take, data)

    def _drain(self, *, quietly: bool = False) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        if quietly:
            running.exception()
        else:
            with disk_errors(self._work):
                running.result()

    def _take(self, data: bytes) -> None:
        """Check, sort and put down one block; runs on the builder's thread."""
        state = self._state
        state.crc = google_crc32c.extend(state.crc, data)
        if self._whole:
            self._md5.update(data)
        size, skipped = len(data), 0
        if self._schema.lines:
            state.columns = ("ImageID", LINE)
        if not state.columns:
            end = data.find(b"\n") + 1 or len(data)
            columns = split_header(data[:end])
            state.columns = header_of(self._schema, columns, file=self._name)
            data, skipped = data[end:], 1
        if data:
            block = read_block(self._schema, state.columns, data, line=state.lines + skipped + 1)
            self._put(block)
            state.rows += block.rows.height
            state.rejects += len(block.rejects)
            skipped += block.lines
        state.lines += skipped
        state.offset += size
        state.blocks += 1
        write_atomically(self._work / "state.json", json.dumps(asdict(state)).encode())

    def _put(self, block: Block) -> None:
        rows, classes = block.rows, self._schema.classes
        if len(classes) > 1:
            rows = under_classes(rows, classes, first=self._state.rows)
        rows = rows.sort(self._schema.key, maintain_order=True)
        key = rows[self._schema.key[0]]
        if not self._state.bounds and rows.height:
            self._state.bounds = self._choose_bounds(key)
        bounds = self._state.bounds
        cuts = (
            [0, *(int(key.search_sorted(b, side="left")) for b in bounds), rows.height]
            if bounds
            else [0]
        )
        number = self._state.blocks
        for bucket, (start, stop) in enumerate(itertools.pairwise(cuts)):
            if stop > start:
                piece = rows.slice(start, stop - start).rechunk()
                path = self._work / f"{bucket:03d}-{number:06d}.arrow"
                piece.write_ipc(path, compression="lz4")
        if block.rejects:
            path = self._work / f"rejects-{number:06d}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows((r.line, r.reason, r.text) for r in block.rejects)

    def _choose_bounds(self, key: pl.Series) -> tuple[str, ...]:
        """Choose the first keys of all buckets but the first.

        Image ids are spread evenly over the hex digits. Classes are not: their share in the first
        block stands for the whole file.
        """
        if self._schema.key[0] == "ImageID":
            return tuple(a + b for a in _HEX for b in "08")[1:]
        step = max(1, key.len() // BUCKETS)
        # A file of one row has a bound too: where there is none, nothing is put down.
        offset = min(step, key.len() - 1)
        return tuple(sorted(set(key.gather_every(step, offset=offset).to_list())))

    # -- the end --------------------------------------------------------------------------------

    def _check(self, known: Checksums) -> None:
        state = self._state
        wrong = ""
        if known.size is not None and state.offset != known.size:
            wrong = f"has {state.offset} bytes instead of {known.size}"
        elif known.crc32c is not None and state.crc != known.crc32c:
            wrong = "does not match its CRC-32C"
        elif known.md5 is not None and self._whole and self._md5.hexdigest() != known.md5:
            wrong = "does not match its MD5"
        if wrong:
            raise IntegrityError(
                f"{self._name} {wrong}", remedy="run the same command again, or check the source"
            )

    def _first_reject(self) -> str:
        path = min(self._work.glob("rejects-*.csv"))
        with path.open(encoding="utf-8", newline="") as file:
            line, reason, _ = next(csv.reader(file))
        return f"{line}: {reason}"

    def _assemble(self) -> Table:
        target = self._work / "table"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        keys: dict[str, list[list[int]]] = {}
        parts = 0
        for bucket in range(len(self._state.bounds) + 1):
            pieces = sorted(self._work.glob(f"{bucket:03d}-*.arrow"))
            for rows in sorted_spans(pieces, self._schema.key):
                if self._cancelled:
                    raise InterruptedRunError("interrupted while a table was sorted")
                rows.write_parquet(
                    target / f"part-{parts:04d}.parquet",
                    row_group_size=self._schema.group,
                    statistics=True,
                )
                if "LabelName" in self._schema.key:
                    note_classes(keys, rows, part=parts)
                parts += 1
        rejects = sorted(self._work.glob("rejects-*.csv"))
        if rejects:
            with (target / "rejects.csv").open("wb") as file:
                file.write(b"line,reason,text\n")
                file.writelines(path.read_bytes() for path in rejects)
        state = self._state
        meta = {
            "format": FORMAT,
            "name": self._name,
            "schema": self._schema.name,
            "etag": state.etag,
            "columns": state.columns,
            "classes": self._schema.classes,
            "rows": state.rows,
            "rejects": state.rejects,
            "bytes": state.offset,
            "parts": parts,
            "sizes": [path.stat().st_size for path in sorted(target.glob("part-*.parquet"))],
            "group": self._schema.group,
            "labels": keys,
        }
        write_atomically(target / "table.json", json.dumps(meta).encode())
        identity = state.etag or f"{state.offset}-{state.crc:08x}"
        folder = self._folder / hashlib.sha256(identity.encode()).hexdigest()[:16]
        _publish(target, folder)
        shutil.rmtree(self._work, ignore_errors=True)
        return Table.load(folder)

    def _load(self) -> _State:
        try:
            found = json.loads((self._work / "state.json").read_bytes())
            found["columns"], found["bounds"] = tuple(found["columns"]), tuple(found["bounds"])
            found["known"] = Checksums(**found["known"])
            state = _State(**found)
            if state.etag is None or (state.known.md5 and state.known.crc32c is None):
                # An MD5 cannot be carried over from one run to the next, as a CRC can.
                return _State()
        except (OSError, ValueError, TypeError, KeyError):
            return _State()
        for path in self._work.glob("*-*.*"):
            # The block that was under way when the last run ended is read again as a whole.
            number = path.stem.rpartition("-")[2]
            if number.isdigit() and int(number) >= state.blocks:
                path.unlink()
        return state


def _publish(made: Path, folder: Path) -> None:
    """Move the finished table to its place; another run may have put the same one there first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.replace(folder)
    except OSError:
        try:
            Table.load(folder)
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
            made.replace(folder)
