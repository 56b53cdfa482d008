"""The pieces of a table become its parts, and the finished table takes its place."""

from __future__ import annotations

import errno
import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit.disk import remove
from oidkit.errors import InterruptedRunError
from oidkit.tables.holding import ODD
from oidkit.tables.sorting import note_classes, parts_of, sorted_spans
from oidkit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from oidkit.schema import Schema
    from oidkit.tables.pieces import Piece

__all__ = ["Parts", "publish", "write_parts"]

_WRITERS = 3
_MOST_TRIES = 20


@dataclass(slots=True)
class Parts:
    """What was written: how many parts, where each class lies in them, and rows with odd fields."""

    number: int = 0
    odd: int = 0
    labels: dict[str, list[list[int]]] = field(default_factory=dict)


def write_parts(
    buckets: Iterable[Sequence[Piece]],
    target: Path,
    schema: Schema,
    *,
    words: Sequence[str],
    cancelled: Callable[[], bool],
) -> Parts:
    """Sort each bucket and write it as parts; some are written while the next is sorted."""
    done = Parts()
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="oidkit-part") as writers:
        for pieces in buckets:
            spans = sorted_spans(pieces, schema.key)
            for rows in itertools.chain.from_iterable(map(parts_of, spans)):
                if cancelled():
                    raise InterruptedRunError("interrupted while a table was sorted")
                if ODD in rows.columns:
                    done.odd += rows.height - rows[ODD].null_count()
                if "LabelName" in schema.key:
                    note_classes(done.labels, rows, part=done.number, words=words)
                if len(waiting) == _WRITERS:
                    waiting.popleft().result()
                path = target / f"part-{done.number:04d}.parquet"
                written = writers.submit(rows.write_parquet, path, row_group_size=schema.group)
                waiting.append(written)
                done.number += 1
        for each in waiting:
            each.result()
    return done


def publish(made: Path, folder: Path) -> None:
    """Move the finished table to its place; another run may have put the same one there first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_MOST_TRIES):
        if folder.is_symlink():
            folder.unlink(missing_ok=True)
        try:
            made.replace(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EACCES}:
                raise
        else:
            return
        try:
            Table.load(folder)
        except (OSError, ValueError, KeyError, TypeError):
            remove(folder)
        else:
            return
    made.replace(folder)
