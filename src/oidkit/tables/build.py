"""A CSV becomes a table as it arrives: fed in pieces of any size, in bounded memory.

Lines are gathered into blocks. Each block is checked, sorted by the table's key and cut into
buckets of neighbouring keys, on disk. When the CSV has ended, each bucket is sorted as a whole and
written as one part of the table. Memory holds some blocks or a bucket, never the file.

After each block the state of the work is written down, so that a run that was killed goes on at
the last block: the bytes before it need not be fetched again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.disk import make_lasting, sync_folder
from oidkit.errors import IntegrityError, MalformedError
from oidkit.schema import LINE, Schema, header_of
from oidkit.tables.arriving import ArrivingRows
from oidkit.tables.assembling import publish, write_parts
from oidkit.tables.blocks import Block, read_block, split_header
from oidkit.tables.holding import Holding, Words, holding_of
from oidkit.tables.pieces import bounds_of, bucket_of, put_down
from oidkit.tables.readers import Readers, readers_for
from oidkit.tables.rejects import first_reject, gather_rejects, put_rejects
from oidkit.tables.several import under_classes
from oidkit.tables.sorting import in_order_of
from oidkit.tables.stretches import first_stretch, lines_of, read_numbers
from oidkit.tables.table import Table, disk_errors, write_note
from oidkit.tables.unfinished import Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from oidkit.store import Checksums

__all__ = ["TableBuilder"]

BLOCK_BYTES = 16 << 20
REJECT_SHARE = 0.01
_LONGEST_LINE = 16 << 20


@dataclass(frozen=True, slots=True)
class _Taken:
    """A block that was handed on, what is known after it, and how its rows and words are got."""

    read: Callable[[], tuple[Block, list[str]]]
    size: int
    lines: int
    crc: int
    columns: tuple[str, ...]
    holding: Holding | None


class TableBuilder:
    """Builds the table of one CSV into a folder of its own below *folder*.

    Its unfinished work lies in *work*. The table's folder is named by the ETag of the CSV.

    The caller feeds bytes from `offset` on. `feed` hands whole blocks to a thread that reads them,
    or has them read by processes where the CSV is large; another sorts the rows and puts them down,
    so that the transfer and both overlap. Each waits for the others, so that memory stays bounded.
    """

    def __init__(self, folder: Path, work: Path, schema: Schema, *, name: str) -> None:
        self._folder, self._work = folder, work
        self._schema, self._name = schema, name
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="oidkit-lines")
        self._putters = ThreadPoolExecutor(1, thread_name_prefix="oidkit-table")
        self._reading: Future[None] | None = None
        self._putting: deque[Future[None]] = deque()
        self._processes: Readers | None = None
        self._broken = False
        self._cancelled = False
        self._pieces: list[bytes] = []
        self._gathered = 0
        self.on_block: Callable[[ArrivingRows], None] | None = None
        """Told of each block's rows, in order, on a thread of ours, before they are put down."""
        self._go_on(Unfinished.load(work))

    def _go_on(self, state: Unfinished) -> None:
        """Take up work where it was left, which may be at its beginning."""
        self._end_processes()  # they count words of their own
        self._state, self._broken = state, False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._whole = state.offset == 0
        self._fed = state.offset
        # What the thread that reads has come to know; the state says what was put down.
        self._lines, self._crc, self._columns = state.lines, state.crc, state.columns
        self._holding = Holding(state.held, state.beside) if state.held else None
        self._words = Words()
        for words in state.words(self._work):
            self._words.add(words)

    @property
    def offset(self) -> int:
        """How many bytes of the CSV need not be fed again."""
        return self._fed

    @property
    def etag(self) -> str | None:
        """The identity of the object that the bytes so far came from."""
        return self._state.etag

    @property
    def size(self) -> int | None:
        """Bytes of the whole CSV, if they are known."""
        return self._state.known.size

    @property
    def complete(self) -> bool:
        """Whether every byte of the CSV has been fed, if its size is known."""
        return self._fed == self.size

    def begin(self, etag: str | None, known: Checksums) -> None:
        """Start from the first byte of the object that has *etag* and the checksums *known*."""
        self._drain(quietly=True)
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        self._pieces, self._gathered = [], 0
        self._go_on(Unfinished(etag=etag, known=known))

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the CSV."""
        self._pieces.append(data)
        self._gathered += len(data)
        self._fed += len(data)
        while self._gathered >= BLOCK_BYTES and self._cut():
            pass

    def finish(self) -> Table:
        """Check the whole against what is known of it, and put the table in its place.

        Raises:
            IntegrityError: a checksum differs, or more than 1 % of the rows are bad.

        """
        self._drain()
        state = self._state
        if state.known.size is None:
            # A body that has ended by itself tells it: what is put down then need not come again.
            state.known = replace(state.known, size=self._fed)
        last = b"".join(self._pieces)
        # Before the last block is read: a file that was cut is not one of wrong columns.
        self._check(state.known, last)
        if last:
            self._submit(last)
            self._drain()
        if self._schema.lines:
            # Such a file has no header, and a shard of a small release may have no line either.
            state.columns = ("ImageID", LINE)
        if not state.columns:
            raise MalformedError(f"{self._name} is empty", remedy="check the copy at --source")
        if state.rejects > REJECT_SHARE * (state.rows + state.rejects):
            raise MalformedError(
                f"{state.rejects} of {state.rows + state.rejects} rows of {self._name} are bad, "
                f"more than 1 % (line {first_reject(self._work)})",
                remedy="check the copy at --source: a healthy one has almost none",
            )
        self._end_processes()
        with disk_errors(self._work):
            table = self._assemble()
        self.close()
        return table

    def discard(self) -> None:
        """Forget all that was fed: it turned out not to be what it should be."""
        self._drain(quietly=True)
        shutil.rmtree(self._work, ignore_errors=True)
        self._pieces, self._gathered = [], 0
        self._go_on(Unfinished())

    def cancel(self) -> None:
        """Let `finish`, which runs on another thread, end soon with an error."""
        self._cancelled = True

    def close(self) -> None:
        """Stop all that is under way; what was written down stays for the next run."""
        self._drain(quietly=True)
        self._end_processes()
        self._readers.shutdown(wait=True)
        self._putters.shutdown(wait=True)

    def rewind(self) -> int:
        """Drop what is not yet in a block, after a broken transfer, and give the offset."""
        self._drain()
        self._pieces, self._gathered = [], 0
        self._fed = self._state.offset
        return self._fed

    # -- blocks ---------------------------------------------------------------------------------

    def _cut(self) -> bool:
        """Hand on a block; False where it still lacks the end of its first line."""
        whole = b"".join(self._pieces)
        # In the same places however the bytes come, so that the same file is the same table.
        end = whole.rfind(b"\n", 0, BLOCK_BYTES) + 1 or whole.find(b"\n") + 1
        if not end:
            if len(whole) > _LONGEST_LINE + BLOCK_BYTES:
                raise MalformedError(
                    f"{self._name} has a line of more than {len(whole)} bytes",
                    remedy="check the copy at --source",
                )
            self._pieces = [whole]
            return False
        self._pieces, self._gathered = [whole[end:]], len(whole) - end
        self._submit(whole[:end])
        return True

    def _submit(self, data: bytes) -> None:
        self._wait(self._reading)
        self._reading = self._readers.submit(self._read, data)

    def _wait(self, future: Future[None] | None) -> None:
        if future is not None:
            with disk_errors(self._work):
                future.result()

    def _drain(self, *, quietly: bool = False) -> None:
        """Wait until all that was handed on is put down, also where a part of it has failed."""
        reading, self._reading = self._reading, None
        failed = reading.exception() if reading is not None else None
        while self._putting:
            failed = self._putting.popleft().exception() or failed
        if failed is not None and not quietly:
            # What was read of blocks that were not put down is not known any more.
            self._go_on(Unfinished.load(self._work))
            with disk_errors(self._work):
                raise failed

    def _end_processes(self) -> None:
        processes, self._processes = self._processes, None
        if processes is not None:
            processes.close()

    def _read(self, data: bytes) -> None:
        """Check one block and hand on its rows; runs on a thread of its own."""
        taken = self._taken(data)
        processes = self._processes
        most = 1 if processes is None else processes.number
        while len(self._putting) >= most:
            self._putting.popleft().result()
        self._putting.append(self._putters.submit(self._put, taken))

    def _taken(self, data: bytes) -> _Taken:
        size, skipped = len(data), 0
        self._crc = google_crc32c.extend(self._crc, data)
        if self._hashes:
            self._md5.update(data)
        if self._schema.lines:
            self._columns = ("ImageID", LINE)
        if not self._columns:
            end = data.find(b"\n") + 1 or len(data)
            columns = split_header(data[:end])
            self._columns = header_of(self._schema, columns, file=self._name)
            data, skipped = data[end:], 1
        lines, read = self._reader(data, line=self._lines + skipped + 1)
        self._lines += skipped + lines
        return _Taken(read, size, self._lines, self._crc, self._columns, self._holding)

    @property
    def _hashes(self) -> bool:
        """Whether the MD5 is what the whole is checked by."""
        known = self._state.known
        return self._whole and known.md5 is not None and known.crc32c is None

    def _reader(
        self, data: bytes, *, line: int
    ) -> tuple[int, Callable[[], tuple[Block, list[str]]]]:
        """Read a block, or have it read: the number of its lines, and what gives rows and words."""
        processes = self._processes
        if processes is None and self._holding is not None and not self._broken:
            size = self._state.known.size
            left = size - self._fed if size is not None else None
            processes = self._processes = readers_for(self._schema, self._holding, left=left)
        known = len(self._words.texts)
        if processes is None:
            block = self._block(data, line=line)
            words = self._words.texts[known:]
            return block.lines, lambda: (block, words)
        take = processes.ask(data, line=line)

        def read() -> tuple[Block, list[str]]:
            # Its words get their numbers now, after those of the block before.
            known = len(self._words.texts)
            return take(self._words), self._words.texts[known:]

        return lines_of(data), read

    def _block(self, data: bytes, *, line: int) -> Block:
        if self._holding is None and line <= 2:  # noqa: PLR2004 - the first row
            some = first_stretch(data)
            first = read_block(self._schema, self._columns, some, line=line)
            self._holding = holding_of(self._schema, first.rows)
        if self._holding is None:
            return read_block(self._schema, self._columns, data, line=line)
        return read_numbers(self._schema, self._holding, self._words, data, line=line)

    def _put(self, taken: _Taken) -> None:
        """Sort and put down one block; runs on a thread of its own."""
        if self._broken:
            return  # a block before it was not put down
        try:
            self._put_block(taken)
        except BaseException:
            self._broken = True
            # Nobody takes what the processes still say; they would wait for it, and we for them.
            self._end_processes()
            raise

    def _put_block(self, taken: _Taken) -> None:
        state = self._state
        block, words = taken.read()
        if self.on_block is not None:
            self.on_block(ArrivingRows(self._schema, block.rows, taken.holding, self._words))
        state.columns = taken.columns
        if taken.holding:
            state.held, state.beside = dict(taken.holding.columns), dict(taken.holding.beside)
        if words:
            state.add_words(self._work, words)
        rows = block.rows
        if len(self._schema.classes) > 1:
            rows = under_classes(rows, self._schema.classes, first=state.rows)
        rows = in_order_of(rows, self._schema.key)
        key = rows[self._schema.key[0]]
        if not state.bounds and rows.height:
            state.bounds = bounds_of(key)
        for path, cuts in put_down(
            rows, key, state.bounds, work=self._work, block=state.blocks
        ).items():
            state.add(path)
            state.cuts[path.name] = cuts
        if block.rejects:
            state.add(put_rejects(self._work, block.rejects, block=state.blocks))
        state.rows += block.rows.height
        state.rejects += len(block.rejects)
        state.lines, state.crc = taken.lines, taken.crc
        state.offset += taken.size
        state.blocks += 1
        state.save(self._work)

    # -- the end --------------------------------------------------------------------------------

    def _check(self, known: Checksums, last: bytes) -> None:
        """Compare what was fed, the *last* bytes with it, with what is known of the whole."""
        state, md5 = self._state, self._md5.copy()
        md5.update(last)
        wrong = ""
        if known.size is not None and self._fed != known.size:
            wrong = f"has {self._fed} bytes instead of {known.size}"
        elif known.crc32c is not None and google_crc32c.extend(state.crc, last) != known.crc32c:
            wrong = "does not match its CRC-32C"
        elif self._hashes and md5.hexdigest() != known.md5:
            wrong = "does not match its MD5"
        if wrong:
            raise IntegrityError(
                f"{self._name} {wrong}",
                remedy="run the same command again, or check the copy at --source",
            )

    def _assemble(self) -> Table:
        target = self._work / "table"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        files = {self._work / name: cuts for name, cuts in self._state.cuts.items()}
        parts = write_parts(
            (list(bucket_of(files, each)) for each in range(len(self._state.bounds) + 1)),
            target,
            self._schema,
            words=self._words.texts,
            cancelled=lambda: self._cancelled,
        )
        gather_rejects(self._work, target)
        state = self._state
        meta = {
            "name": self._name,
            "schema": self._schema.name,
            "etag": state.etag,
            "columns": state.columns,
            "held": state.held,
            "beside": state.beside,
            "words": self._words.texts,
            "odd": parts.odd,
            "classes": self._schema.classes,
            "rows": state.rows,
            "rejects": state.rejects,
            "bytes": state.offset,
            "parts": parts.number,
            "sizes": [path.stat().st_size for path in sorted(target.glob("part-*.parquet"))],
            "group": self._schema.group,
            "labels": parts.labels,
        }
        write_note(target, meta)
        make_lasting(target, target.iterdir())
        identity = state.etag or f"{state.offset}-{state.crc:08x}"
        folder = self._folder / hashlib.sha256(identity.encode()).hexdigest()[:16]
        publish(target, folder)
        sync_folder(folder.parent)
        shutil.rmtree(self._work, ignore_errors=True)
        return Table.load(folder)
