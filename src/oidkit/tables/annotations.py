"""The CSV files of a dataset: the published columns of the rows that were chosen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Published = Callable[[NDArray[np.uint64], Sequence[str]], pl.DataFrame]

from oidkit.schema import LINE, Schema
from oidkit.tables.blocks import read_block
from oidkit.tables.table import image_ids, image_names

__all__ = ["joined", "only_images", "printed", "with_earlier"]


def joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put rows of the same columns together, in ImageID order."""
    return pl.concat(frames).sort("ImageID", maintain_order=True)


def only_images(rows: pl.DataFrame, ids: NDArray[np.uint64]) -> pl.DataFrame:
    """Keep the rows of some images, in the order in which they stand."""
    names = pl.DataFrame({"ImageID": image_names(ids)}, schema={"ImageID": pl.String})
    return rows.join(names, on="ImageID", how="semi", maintain_order="left")


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
    if schema is not None and schema.lines:
        block = read_block(schema, tuple(columns), earlier, line=1)
        return None if block.rejects else block.rows.select(columns)
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
    """Print rows as the file of their *schema* does: CSV with a header, or JSON lines.

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
