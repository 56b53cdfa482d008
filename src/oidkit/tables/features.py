"""Rows of nested values into Parquet files that Hugging Face's `datasets` reads with their types.

The types are told once, as `datasets` itself writes them (``{"dtype": "int32", "_type": "Value"}``,
``{"_type": "Image"}``, ``{"names": […], "_type": "ClassLabel"}``, ``{"feature": …, "_type":
"List"}``, or a mapping of names to such). The columns of the file follow from them, and the file
carries them under the key ``huggingface``, where `datasets` looks for them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FeatureFile"]

ROWS_IN_GROUP = 100
"""Rows of a row group: what `datasets` itself takes for pictures, so that one can be read alone."""
BYTES_IN_GROUP = 64_000_000
"""Fewer rows, where pictures are so large that a hundred would be more than this."""


class FeatureFile:
    """A Parquet file that is written row group by row group; no more of it is in memory."""

    def __init__(self, file: BinaryIO, features: Mapping[str, Any]) -> None:
        told = json.dumps({"info": {"features": features}}, ensure_ascii=False)
        # The table engine (polars) writes no metadata of the schema where `datasets` looks for it:
        # beside the schema of Arrow that it adds to a file, that of the file itself is not seen.
        self._schema = pa.schema(
            [pa.field(name, _type_of(feature)) for name, feature in features.items()],
            metadata={"huggingface": told},
        )
        # The pictures are compressed already: what is left is not worth a slower codec.
        self._writer = pq.ParquetWriter(
            file, self._schema, compression="snappy", write_statistics=False, use_dictionary=False
        )
        self._waiting: list[Mapping[str, object]] = []
        self._bytes = 0

    def add(self, row: Mapping[str, object], *, weight: int) -> None:
        """Take the next row: a value for each feature, and about how many bytes they are."""
        self._waiting.append(row)
        self._bytes += weight
        if len(self._waiting) == ROWS_IN_GROUP or self._bytes >= BYTES_IN_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            # A table becomes a row group; batches would be gathered into one.
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting, self._bytes = [], 0


def _type_of(feature: Any) -> Any:
    kind = feature.get("_type") if isinstance(feature.get("_type"), str) else None
    if kind is None:
        return pa.struct({name: _type_of(inner) for name, inner in feature.items()})
    if kind == "Image":
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})
    if kind == "ClassLabel":
        return pa.int64()
    if kind == "List":
        return pa.list_(_type_of(feature["feature"]))
    return pa.type_for_alias(feature["dtype"])
