"""Where row groups lie in a Parquet file: compared with what another reader says."""

from __future__ import annotations

import io

import polars as pl
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oidkit.errors import MalformedError
from oidkit.parquetfooter import row_groups
from oidkit.tables import tiles_of


def written(rows: int, group: int, **options: object) -> bytes:
    """Write a few columns of several kinds."""
    frame = pl.DataFrame(
        {
            "number": range(rows),
            "text": [f"{each % 7}" * (each % 5) for each in range(rows)],
            "part": [each / 3 for each in range(rows)],
            "often null": [None if each % 3 else True for each in range(rows)],
        },
        schema={
            "number": pl.UInt64,
            "text": pl.String,
            "part": pl.Float64,
            "often null": pl.Boolean,
        },
    )
    data = io.BytesIO()
    frame.write_parquet(data, row_group_size=group, **options)  # type: ignore[arg-type]
    return data.getvalue()


def said_by_pyarrow(data: bytes) -> list[tuple[int, int, int]]:
    """Give rows, start and stop of each row group as pyarrow reads them."""
    found = pyarrow.parquet.read_metadata(io.BytesIO(data))
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    spans = []
    for group in groups:
        columns = [group.column(number) for number in range(group.num_columns)]
        starts = [each.dictionary_page_offset or each.data_page_offset for each in columns]
        stops = [
            start + each.total_compressed_size for start, each in zip(starts, columns, strict=True)
        ]
        spans.append((group.num_rows, min(starts), max(stops)))
    return spans


@pytest.mark.parametrize(
    ("rows", "group"), [(0, 10), (1, 10), (1000, 10), (5000, 1000), (70_000, 32_768)]
)
@pytest.mark.parametrize("compression", ["zstd", "uncompressed"])
def test_row_groups_are_where_another_reader_finds_them(
    rows: int, group: int, compression: str
) -> None:
    """Rows and bytes of every group are those that pyarrow reads."""
    data = written(rows, group, compression=compression)
    found = [(each.rows, each.start, each.stop) for each in row_groups(data)]
    assert found == said_by_pyarrow(data)
    assert sum(each[0] for each in found) == rows


def test_tiles_cover_every_byte_once() -> None:
    """The row groups and the end lie side by side, from the first byte to the last."""
    data = written(5000, 700)
    tiles = tiles_of(data)
    assert [tile.start for tile in tiles] == [0, *(tile.stop for tile in tiles[:-1])]
    assert tiles[-1].stop == len(data)
    assert [tile.rows for tile in tiles] == [*(g.rows for g in row_groups(data)), 0]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(8) + b"PAR2", bytes(100)])
def test_what_is_no_parquet_file_is_refused(data: bytes) -> None:
    """A file of something else is an error of ours."""
    with pytest.raises(MalformedError):
        row_groups(data)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_damaged_footer_gives_an_error_of_ours_or_groups_within_the_file(
    at: int, byte: int
) -> None:
    """Whatever one byte of the footer becomes, nothing but `MalformedError` is raised."""
    data = bytearray(written(40, 10))
    data[-1 - at % len(data)] = byte
    try:
        found = row_groups(bytes(data))
    except MalformedError:
        return
    assert all(0 < each.start <= each.stop <= len(data) for each in found)
