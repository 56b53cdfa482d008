"""The rows of a manifest as columns: out of journals, put together, printed and read again."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import polars as pl

from oidkit.disk import Record
from oidkit.tables.journal import COLUMNS, SYNCED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "EARLIER",
    "SIZE",
    "no_rows",
    "of_journal",
    "parsed",
    "printed",
    "records",
    "with_journals",
]

SIZE = ("width", "height")
EARLIER = tuple(name for name in COLUMNS if name not in SIZE)
"""The columns of the first manifests, which are still read: no size is known then."""
_SCHEMA = dict.fromkeys(COLUMNS, pl.String)
_WELL = (
    pl.col("status").is_in(["ok", "missing", "failed", "damaged"])
    & pl.col("bytes").str.contains("^[0-9]{1,18}$")
    & pl.all_horizontal(pl.col(SIZE).str.contains("^[0-9]{1,9}$"))
    & ~pl.col("path").str.contains(r"(^|/)\.\.(/|$)|^/|\\|:|\x00")
)
_AT_ONCE = 5_000
_PRINTED_AT_ONCE = 1 << 16
_KIND, _BYTES = COLUMNS.index("kind"), COLUMNS.index("bytes")


def no_rows() -> pl.DataFrame:
    """Give a manifest that has none."""
    return pl.DataFrame(schema=_SCHEMA)


def of_journal(rows: Iterable[Sequence[str]]) -> tuple[pl.DataFrame, int]:
    """Turn the rows of a journal into columns, and say of how many the files are sure to last.

    Rows that make no sense are left out.
    """
    parts, sure = [no_rows()], 0
    pending = (row for row in rows if len(row) == len(COLUMNS))
    while some := list(itertools.islice(pending, _AT_ONCE)):
        files = [row for row in some if row[_KIND] != SYNCED]
        notes = [row[_BYTES] for row in some if row[_KIND] == SYNCED and row[_BYTES].isdecimal()]
        sure = int(notes[-1]) if notes else sure
        parts.append(pl.DataFrame(files, schema=_SCHEMA, orient="row").filter(_WELL))
    return pl.concat(parts), sure


def with_journals(rows: pl.DataFrame, journals: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add the rows of journals; of one file the last row counts, of several journals the good."""
    if not journals:
        return rows
    fresh = pl.concat([_last_of_each(each) for each in journals])
    if len(journals) > 1:
        fresh = fresh.sort(pl.col("status") == "ok", maintain_order=True)
        fresh = fresh.unique("path", keep="last", maintain_order=True)
    if not rows.height and len(journals) == 1:
        return fresh
    return pl.concat([rows.join(fresh, on="path", how="anti"), fresh]).sort("path")


def _last_of_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Give the last row of each file, by path.

    A million rows take 460 MB so; polars' `unique` of their paths took 400 MB more.
    """
    ordered = rows.sort("path", maintain_order=True)
    path = ordered["path"]
    last = (path != path.shift(-1)).fill_null(value=True)
    return ordered if last.all() else ordered.filter(last)


def parsed(data: bytes) -> pl.DataFrame | None:
    """Read rows, or give None where the bytes are no manifest."""
    head = data.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    columns = next((each for each in (COLUMNS, EARLIER) if head == ",".join(each)), None)
    if columns is None:
        return None
    if not data.endswith(b"\n"):
        # A row that was cut in its last fields still has a value for each that counts.
        return None
    try:
        rows = pl.read_csv(
            data,
            schema=dict.fromkeys(columns, pl.String),
            empty_string_is_null=False,
            extra_columns="raise",
            missing_columns="raise",
        )
    except pl.exceptions.PolarsError:
        return None
    if columns == EARLIER:
        rows = rows.with_columns(pl.lit("0").alias(name) for name in SIZE).select(COLUMNS)
    return rows if rows.select(_WELL.all()).item() else None


def printed(rows: pl.DataFrame) -> Iterator[bytes]:
    """Print the rows some at a time: all of them would be in memory twice more."""
    for first in range(0, max(rows.height, 1), _PRINTED_AT_ONCE):
        data = io.BytesIO()
        some = rows.slice(first, _PRINTED_AT_ONCE)
        some.with_columns(pl.all().replace("", None)).write_csv(data, include_header=not first)
        yield data.getvalue()


def records(rows: pl.DataFrame) -> Iterator[Record]:
    """Give the rows one by one, as records."""
    for path, kind, key, status, size, width, height, check, reason in rows.iter_rows():
        yield Record(path, kind, key, status, int(size), check, reason, int(width), int(height))
