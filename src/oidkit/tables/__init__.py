"""Annotation CSVs as tables: built once as they arrive, then asked for classes in milliseconds.

This package is the only place that knows the table engine (polars).
"""

from oidkit.tables.annotations import (
    images_in_lines,
    joined,
    of_split,
    only_images,
    printed,
    turned,
    with_earlier,
    with_images,
)
from oidkit.tables.arriving import ArrivingRows
from oidkit.tables.build import TableBuilder
from oidkit.tables.cache import Cache
from oidkit.tables.credits import Credits
from oidkit.tables.instances import (
    ClassFile,
    Instance,
    Instances,
    Part,
    classes_in,
    read_instances,
)
from oidkit.tables.manifest import Manifest, PixelSizes
from oidkit.tables.masks import MaskIndex
from oidkit.tables.offsets import MaskOffsets, write_offsets
from oidkit.tables.ofimage import rows_of_image
from oidkit.tables.part import ManifestPart
from oidkit.tables.ranged import RangedParts, Tile, TiledPart, Want, tiles_of
from oidkit.tables.table import Rows, Table, image_ids, image_names, unreadable

__all__ = [
    "ArrivingRows",
    "Cache",
    "ClassFile",
    "Credits",
    "Instance",
    "Instances",
    "Manifest",
    "ManifestPart",
    "MaskIndex",
    "MaskOffsets",
    "Part",
    "PixelSizes",
    "RangedParts",
    "Rows",
    "Table",
    "TableBuilder",
    "Tile",
    "TiledPart",
    "Want",
    "classes_in",
    "image_ids",
    "image_names",
    "images_in_lines",
    "joined",
    "of_split",
    "only_images",
    "printed",
    "read_instances",
    "rows_of_image",
    "tiles_of",
    "turned",
    "unreadable",
    "with_earlier",
    "with_images",
    "write_offsets",
]
