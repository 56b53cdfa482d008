"""Rows of nested values into Parquet files that Hugging Face's `datasets` reads with their types.

The types are told once, as `datasets` itself writes them (``{"dtype": "int32", "_type": "Value"}``,
``{"_type": "Image"}``, ``{"names": […], "_type": "ClassLabel"}``, ``{"feature": …, "_type":
"List"}``, or a mapping of names to such). The columns of the file follow from them, and the file
carries them under the key ``huggingface``, where `datasets` looks for them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FeatureTable"]

_VALUES: dict[str, type[pl.DataType]] = {
    "string": pl.String,
    "int8": pl.Int8,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "float32": pl.Float32,
    "float64": pl.Float64,
}


class FeatureTable:
    """Rows that are gathered in memory until they are written as one Parquet file.

    The caller writes it before it grows too large. A row group has *group* rows.
    """

    def __init__(self, features: Mapping[str, Any], *, group: int) -> None:
        self._features, self._group = features, group
        self._schema = {name: _type_of(feature) for name, feature in features.items()}
        self._waiting: list[Mapping[str, object]] = []
        self._groups: list[pl.DataFrame] = []
        self.rows = 0

    def add(self, row: Mapping[str, object]) -> None:
        """Take the next row: a value for each feature."""
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == self._group:
            self._pack()

    def write(self, path: Path) -> int:
        """Write the rows since the last call, and give the bytes of the file."""
        self._pack()
        rows = pl.concat(self._groups) if self._groups else pl.DataFrame(schema=self._schema)
        told = json.dumps({"info": {"features": self._features}}, ensure_ascii=False)
        # The pictures are compressed already: what is left is not worth a slower codec.
        rows.write_parquet(
            path,
            compression="snappy",
            statistics=False,
            row_group_size=self._group,
            metadata={"huggingface": told},
        )
        self._groups, self.rows = [], 0
        return path.stat().st_size

    def _pack(self) -> None:
        if self._waiting:
            self._groups.append(pl.DataFrame(self._waiting, schema=self._schema, orient="row"))
            self._waiting = []


def _type_of(feature: Any) -> pl.DataType | type[pl.DataType]:
    kind = feature.get("_type") if isinstance(feature.get("_type"), str) else None
    if kind is None:
        return pl.Struct({name: _type_of(inner) for name, inner in feature.items()})
    if kind == "Image":
        return pl.Struct({"bytes": pl.Binary, "path": pl.String})
    if kind == "ClassLabel":
        return pl.Int64
    if kind == "List":
        return pl.List(_type_of(feature["feature"]))
    return _VALUES[feature["dtype"]]
