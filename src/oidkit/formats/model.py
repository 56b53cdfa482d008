"""What every training format is made of: pictures, the objects on them, and files to write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from oidkit.objectpath import Location

__all__ = [
    "Category",
    "Entry",
    "Flags",
    "Format",
    "Frame",
    "OutFile",
    "Picture",
    "Resize",
    "Shard",
    "ShardNote",
    "Sharded",
    "Thing",
    "Writer",
    "given_file",
]

Resize = Literal["shortest", "longest", "letterbox", "stretch"]


@dataclass(frozen=True, slots=True)
class Category:
    """A class on the way out: `number` counts from 0, in an order that is stable and written down.

    `mids` are the classes that were merged into it; `supercategory` is the name of its parent in
    the hierarchy, or empty.
    """

    number: int
    name: str
    mids: tuple[str, ...]
    supercategory: str = ""


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of a box: 1, 0, or -1 for unknown; a mask without a box has none known."""

    occluded: int = -1
    truncated: int = -1
    group_of: int = -1
    depiction: int = -1
    inside: int = -1


@dataclass(frozen=True, slots=True)
class Thing:
    """One object on a picture: a box, a mask, or both.

    `box` is (xmin, ymin, xmax, ymax) as shares of the stored picture's width and height, from 0 to
    1; it is None for a mask that no box belongs to. `mask` is the published PNG, which has its own
    size, or None. `category` is a number of `Category`, `mid` the class of the row itself, and
    `number` counts the objects of the split from 0, in the order of ImageID and then of the file.
    """

    category: int
    mid: str
    box: tuple[float, float, float, float] | None
    mask: Location | None
    flags: Flags
    number: int
    box_id: str = ""
    """The mask's BoxID, 8 hex digits, or empty."""
    source: str = ""
    """How the box came about: xclick, activemil, freeform, or empty."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the dataset and all that is to be written about it.

    `width` and `height` are the stored pixels. `split` is that of the export, which a split ratio
    may have changed from the published one. `present` and `absent` are the categories that image
    labels verify, in ascending order.
    """

    split: str
    image_id: str
    path: Location
    width: int
    height: int
    things: tuple[Thing, ...] = ()
    present: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Columns of attribution.csv that are known of it: Title, Author, License, ..."""
    published_split: str = ""
    number: int = 0
    """Counts the pictures of the export from 0, in the order of split and ImageID."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a picture went when it was resized: pixels of it lie at ``scale * pixel + offset``.

    `width` and `height` are those of the picture that is written.
    """

    width: int
    height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0

    def box(
        self, picture: Picture, box: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float]:
        """Give a box (xmin, ymin, xmax, ymax) in pixels of the written picture."""
        x0, y0, x1, y1 = box
        return (
            x0 * picture.width * self.scale_x + self.offset_x,
            y0 * picture.height * self.scale_y + self.offset_y,
            x1 * picture.width * self.scale_x + self.offset_x,
            y1 * picture.height * self.scale_y + self.offset_y,
        )


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file of the export: `content`, or a hard link to (else a copy of) `source`."""

    path: str
    """Relative to the export's folder, with forward slashes."""
    source: Path | None = None
    content: bytes | None = None


def given_file(path: str, source: Location) -> OutFile:
    """Give a file of the dataset as one of the export; of a bucket its bytes, as none links there.

    Raises:
        OSError: it cannot be read.

    """
    if isinstance(source, ObjectPath):
        return OutFile(path, content=source.read_bytes())
    return OutFile(path, source=source)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one picture comes to: files of its own, and what the writer puts into shared ones.

    It is made by another process, so everything in it can be pickled.
    """

    files: tuple[OutFile, ...] = ()
    rows: object = None
    """Whatever the format's own writer takes."""


@dataclass(frozen=True, slots=True)
class ShardNote:
    """What there is to say of a shard that is whole: plain values alone.

    `file` is its path in the export. `facts` are what the format's listing wants to know of it.
    """

    split: str
    file: str
    samples: int
    facts: Mapping[str, Any] = field(default_factory=dict)


class Writer(Protocol):
    """Takes the entries in the order of the pictures and writes the files they share."""

    def add(self, picture: Picture, entry: Entry) -> None:
        """Take what one picture came to; its own files are written already."""
        ...

    def finish(self) -> Iterable[str]:
        """Write the rest; gives sentences that the user should read, such as what was left out."""
        ...


class Shard(Protocol):
    """One shard that is being written."""

    told: Counter[str]
    """What was left out, by reason."""

    @property
    def samples(self) -> int:
        """The number of pictures in it."""
        ...

    def has_room(self, entry: Entry) -> bool:
        """Say whether a picture goes into it as well; it is asked when there is one."""
        ...

    def add(self, picture: Picture, entry: Entry) -> None:
        """Take what one picture came to."""
        ...

    def close(self) -> dict[str, Any]:
        """Write the end; gives the facts of its `ShardNote`."""
        ...


class Sharded(Protocol):
    """A format whose files each hold some pictures, and can be made one without the others."""

    def shard_path(self, split: str, at: int, of: int) -> str:
        """Name the shard *at* a place from 0 among those *of* a split."""
        ...

    def shard(self, file: BinaryIO, categories: tuple[Category, ...]) -> Shard:
        """Begin a shard."""
        ...

    def listing(
        self, categories: tuple[Category, ...], shards: Sequence[ShardNote]
    ) -> dict[str, bytes]:
        """Give the files, by path, that tell of all shards; these come by split and place."""
        ...


class Format(Protocol):
    """One training format. A value of it is frozen, holds its own flags, and can be pickled."""

    @property
    def name(self) -> str:
        """What ``--format`` calls it."""
        ...

    def prepare(self, picture: Picture, frame: Frame, image: OutFile | None) -> Entry:
        """Work out what a picture comes to; runs in any process and writes nothing.

        *image* is the picture as it is to be written, resized if that was asked for, under the
        path that `image_path` gave; None where the file is not there.
        """
        ...

    def image_path(self, picture: Picture) -> str:
        """Say where the picture lies in the export; empty for formats that hold it otherwise."""
        ...

    def writer(self, out: Path, categories: tuple[Category, ...]) -> Writer:
        """Begin to write into a folder that is empty."""
        ...
