"""The CSV files of a dataset: the published columns of the rows that were chosen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.objectpath import Location

    Published = Callable[[NDArray[np.uint64], Sequence[str]], pl.DataFrame]

from oidkit.rotation import row_turner, turned_line
from oidkit.schema import LINE, Schema
from oidkit.tables.among import among
from oidkit.tables.blocks import read_block
from oidkit.tables.table import image_ids, image_names

__all__ = [
    "images_in_lines",
    "joined",
    "of_split",
    "only_images",
    "printed",
    "turned",
    "with_earlier",
    "with_images",
]

_LINES_AT_ONCE = 16 << 20


def joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put rows of the same columns together, in ImageID order."""
    return pl.concat(frames).sort("ImageID", maintain_order=True)


def of_split(rows: pl.DataFrame, split: str, *, columns: Sequence[str]) -> pl.DataFrame:
    """Keep the rows of one split, where a column Subset tells it, in these columns.

    A column that the rows lack is empty.
    """
    if "Subset" in rows.columns:
        rows = rows.filter(pl.col("Subset") == split)
    lacking = [pl.lit("").alias(name) for name in columns if name not in rows.columns]
    return rows.with_columns(lacking).select(columns)


def only_images(rows: pl.DataFrame, ids: NDArray[np.uint64]) -> pl.DataFrame:
    """Keep the rows of some images, in the order in which they stand."""
    return rows.filter(among(ids))


def with_images(rows: pl.DataFrame, ids: NDArray[np.uint64]) -> pl.DataFrame:
    """Add a row with nothing but its ImageID for each of the images that has none."""
    names = pl.DataFrame({"ImageID": image_names(ids)}, schema={"ImageID": pl.String})
    lacking = names.join(rows, on="ImageID", how="anti")
    if not lacking.height:
        return rows
    nothing = [pl.lit("").alias(name) for name in rows.columns if name != "ImageID"]
    return joined([rows, lacking.with_columns(nothing).select(rows.columns)])


def turned(rows: pl.DataFrame, degrees: Mapping[str, int]) -> pl.DataFrame:
    """Turn the coordinates of the images of *degrees*, by ImageID; other rows stay as they are."""
    if LINE in rows.columns:
        lines = [
            turned_line(line, degrees.get(image_id, 0))
            for image_id, line in rows.select("ImageID", LINE).iter_rows()
        ]
        return rows.with_columns(pl.Series(LINE, lines, dtype=pl.String)) if degrees else rows
    turn = row_turner(rows.columns)
    if turn is None or not degrees:
        return rows
    wanted = pl.DataFrame({"ImageID": list(degrees)}, schema={"ImageID": pl.String})
    numbered = rows.with_row_index(_PLACE)
    found = numbered.join(wanted, on="ImageID", how="semi", maintain_order="left")
    if not found.height:
        return rows
    at = rows.columns.index("ImageID")
    made = [turn(row, degrees[row[at]]) for row in found.select(rows.columns).iter_rows()]
    fresh = pl.DataFrame(made, schema=rows.schema, orient="row")
    fresh = fresh.with_columns(found[_PLACE]).select(numbered.columns)
    rest = numbered.join(found.select(_PLACE), on=_PLACE, how="anti", maintain_order="left")
    return pl.concat([rest, fresh]).sort(_PLACE).drop(_PLACE)


def with_earlier(
    rows: pl.DataFrame,
    earlier: bytes,
    *,
    schema: Schema | None = None,
    published: Published | None = None,
    others_first: bool = False,
) -> pl.DataFrame | None:
    """Add the rows that an earlier selection put into the same file, in ImageID order.

    For an image of both selections the one that has more rows of it counts, so that nothing that
    was asked for is lost. That does as long as each selection takes all rows of an image. Where
    one took only some of them, *published* gives all rows that some images have of some classes in
    their order, and an image keeps the rows of either selection; rows that are not among those come
    after the others of their image, or with *others_first* before them. What is no file of these
    columns gives None. *schema* is that of the file, where its columns have other names there.
    """
    before = _read(earlier, rows.columns, schema)
    if before is None:
        return None
    if not before.height:
        return rows
    if published is not None and schema is not None:
        united = _united(rows, before, published, classes=schema.classes)
        by = pl.col(_PLACE).is_null() if others_first else pl.col(_PLACE).is_not_null()
        ordered = united.sort("ImageID", by.not_(), _PLACE, maintain_order=True)
        return ordered.select(rows.columns)
    counts = (
        before.group_by("ImageID")
        .len("earlier")
        .join(rows.group_by("ImageID").len("now"), on="ImageID", how="left")
    )
    kept = counts.filter(pl.col("now").is_null() | (pl.col("earlier") > pl.col("now")))
    both = [
        rows.join(kept, on="ImageID", how="anti", maintain_order="left"),
        before.join(kept, on="ImageID", how="semi", maintain_order="left"),
    ]
    return pl.concat(both).sort("ImageID", maintain_order=True)


def _read(earlier: bytes, columns: list[str], schema: Schema | None) -> pl.DataFrame | None:
    head = earlier.split(b"\n", 1)[0].decode("utf-8", errors="replace").rstrip("\r")
    if head.split(",") != (schema.header(columns) if schema else columns):
        return None
    try:
        return pl.read_csv(
            earlier,
            has_header=False,
            skip_rows=1,
            schema=dict.fromkeys(columns, pl.String),
            empty_string_is_null=False,
            extra_columns="raise",
            missing_columns="raise",
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        return None


def images_in_lines(path: Location, schema: Schema) -> NDArray[np.uint64] | None:
    """Give the images of a file of JSON lines, or None for a file that is none."""
    found = [np.empty(0, dtype=np.uint64)]
    with path.open("rb") as file:
        while lines := file.readlines(_LINES_AT_ONCE):
            block = read_block(schema, (), b"".join(lines), line=1)
            if block.rejects:
                return None
            found.append(image_ids(block.rows))
    return np.unique(np.concatenate(found))


def _united(
    rows: pl.DataFrame,
    before: pl.DataFrame,
    published: Published,
    *,
    classes: Sequence[str],
) -> pl.DataFrame:
    """Give every row of either, a row that stands twice in one of them twice.

    Rows of the images that have some of both get a place, as far as they are among *published*.
    """
    now, then = _numbered(rows), _numbered(before)
    surplus = then.join(now, on=then.columns, how="anti", maintain_order="left")
    both = pl.concat([now, surplus])
    mixed = surplus.join(now, on="ImageID", how="semi")
    if mixed.height:
        named = pl.concat([both[column].rename("mid") for column in classes])
        mids = named.unique().sort().to_list()
        order = _numbered(published(image_ids(mixed), mids)).with_row_index(_PLACE)
        return both.join(order, on=then.columns, how="left", maintain_order="left")
    return both.with_columns(pl.lit(None, dtype=pl.UInt32).alias(_PLACE))


_COPY = "oidkit: copy"
_PLACE = "oidkit: place"


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """Tell rows that are alike from each other: count them from 0."""
    return rows.with_columns(pl.int_range(pl.len()).over(rows.columns).alias(_COPY))


def printed(
    rows: pl.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> bytes:
    """Print rows as the file of their *schema* does: CSV with a header, or bare JSON lines.

    Fields of a CSV are quoted only where they have to be.
    """
    if schema is not None and schema.lines:
        return "".join(f"{line}\n" for line in rows[LINE]).encode()
    data = io.BytesIO()
    chosen = rows if columns is None else rows.select(columns)
    if schema is not None:
        chosen = chosen.rename({ours: theirs for theirs, ours in schema.published.items()})
    chosen.with_columns(pl.all().replace("", None)).write_csv(data)
    return data.getvalue()
