"""A dataset folder: what may be written into it, where, and what is there already.

::

    downloader_IDs_for_<mid>_<split>.txt
    csv/  images/<split>/  masks/<split>/  attribution.csv
    ATTRIBUTION.md
    report.html          what `oid report` writes, in no manifest
    .oid/dataset.json    the release, and every selection that went into the folder
    .oid/recipe.toml     the same for `oid download --recipe`
    .oid/manifest.csv    one row for each file that was asked for
    .oid/lock            held while a run writes
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from oidkit.description import Description, describe, save_description
from oidkit.disk import (
    Record,
    check_no_link,
    check_writable,
    digest,
    fingerprint,
    listing,
    locked,
    move,
    naming,
    stamp,
    sweep,
    temporary,
    write_atomically,
)
from oidkit.errors import DiskError, UsageError
from oidkit.events import Noted, Warned, ignore
from oidkit.imagefile import jpeg_fault, jpeg_size, png_size
from oidkit.objectpath import ObjectPath
from oidkit.tables import Manifest
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from oidkit.disk import Stamp
    from oidkit.events import Listener
    from oidkit.objectpath import Location
    from oidkit.tables import PixelSizes

__all__ = [
    "Dataset",
    "Description",
    "check_target",
    "describe",
    "open_dataset",
    "pixel_size",
    "read_dataset",
    "save_description",
    "standing_image",
]

_HEADER = 1 << 16
_HOLE = bytes(4096)  # what a disk has of a file whose bytes did not reach it in time
_OURS = {".oid", "images", "masks", "csv", "attribution.csv", "ATTRIBUTION.md", "report.html"}
_IDS = "downloader_IDs_for_"
_SPLIT_ROWS = re.compile(r"[a-z0-9_]+_annotations\.csv")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset folder that is held for writing."""

    root: Location
    manifest: Manifest
    writable: bool = True
    _written: dict[str, Stamp | None] = field(default_factory=dict)

    def is_as_written(self) -> bool:
        """Tell whether no other run has written one of the files beside the images since.

        It forgets which they were. Where locks work the answer is always yes.
        """
        before = dict(self._written)
        self._written.clear()
        return all(stamp(self.root / path) == known for path, known in before.items())

    def describe(self, description: Description) -> None:
        """Write down the release and the selections."""
        save_description(self.root, description)
        path = ".oid/dataset.json"
        self._written[path] = stamp(self.root / path)

    def put_aside(self, path: str) -> str:
        """Rename a file of the dataset to a name that is free, and give that name."""
        names = (f"{path}.old{number or ''}" for number in itertools.count())
        free = next(name for name in names if not (self.root / name).exists())
        move(self.root / path, self.root / free)
        return free

    def write_annotations(self, path: str, data: bytes) -> None:
        """Write one of the files that go with the images, unless it stands there already."""
        target = self.root / path
        with naming(target):
            self.make(path.rpartition("/")[0])
            if target.is_symlink() or not target.is_file() or target.read_bytes() != data:
                write_atomically(target, data)
        self._written[path] = stamp(target)
        record = Record(path, "annotations", "", "ok", len(data), fingerprint(data))
        self.manifest.add(record)

    def write_lines(self, path: str, lines: Iterable[bytes]) -> None:
        """Write such a file, that may be larger than memory, unless it stands there already."""
        target = self.root / path
        size, check = 0, hashlib.md5(usedforsecurity=False)

        def counted() -> Iterator[bytes]:
            nonlocal size
            for line in lines:
                size += len(line)
                check.update(line)
                yield line

        with naming(target):
            self.make(path.rpartition("/")[0])
            if isinstance(target, ObjectPath):
                write_atomically(target, counted())
            else:
                _put(target, counted(), check)
        self._written[path] = stamp(target)
        made = f"md5:{check.hexdigest()}"
        self.manifest.add(Record(path, "annotations", "", "ok", size, made))

    def read(self, path: str) -> bytes | None:
        """Give a file of the dataset, or None; a link to elsewhere is no file of it.

        Nor is one without any byte but NULs: a loss of power leaves it where a file was renamed to
        its place and its bytes had not reached the disk.
        """
        try:
            place = self.root / path
            data = b"" if place.is_symlink() else place.read_bytes()
        except FileNotFoundError:
            return None
        return data if data.strip(b"\0") else None

    def make(self, folder: str) -> None:
        """Make a folder of the dataset.

        Raises:
            DiskError: it cannot be made, or a link to elsewhere stands in its place.

        """
        path = self.root
        for part in filter(None, folder.split("/")):
            path = path / part
            with naming(path):
                check_no_link(path, whole="--out")
                path.mkdir(exist_ok=True)

    def images_there(
        self,
        folder: str,
        *,
        key: Callable[[str], str | None],
        fits: Callable[[str, bytes], bool] | None = None,
    ) -> NDArray[np.uint64]:
        """Give the images that stand in a folder whole.

        A file counts when its size is the one in the manifest. One that the manifest does not
        know, as a killed run or another tool may have left it, counts when it is a whole JPEG,
        and is then added; *key* gives the key of an image, or None for one that nobody asked for.
        *fits* may refuse such a file by its ImageID and bytes.
        """
        known, lost = self.manifest.sizes(folder), self.manifest.lost_checks(folder)
        found = []
        for name, size in listing(self.root / folder, sweep=self.writable).items():
            image_id = name.removesuffix(".jpg")
            if not name.endswith(".jpg") or not IMAGE_ID_PATTERN.fullmatch(image_id):
                continue
            if name not in known:
                source = key(image_id)
                if source is None:
                    continue
                place = f"{folder}/{name}".lstrip("/")
                record = standing_image(self.root, place, key=source, fits=fits)
                if record is None or lost.get(name, record.check) != record.check:
                    continue
                self.manifest.add(record)
            elif known[name] != size:
                continue
            found.append(int(image_id, 16))
        return np.array(sorted(found), dtype=np.uint64)

    def masks_there(self, folder: str) -> set[str]:
        """Give the masks that stand in a folder with the size that the manifest knows.

        One that the manifest does not know is looked at when its zip's directory is there: that
        has its checksum.
        """
        known = self.manifest.sizes(folder)
        found = listing(self.root / folder, sweep=self.writable)
        return {name for name, size in found.items() if known.get(name) == size}

    def sized(self, record: Record) -> Record:
        """Add the pixel size to the record of an image or mask that was made without it.

        Only the header of the file is read. What is not there, or tells nothing, stays at 0.
        """
        read = {"image": jpeg_size, "mask": png_size}.get(record.kind)
        if record.width or record.status != "ok" or read is None:
            return record
        try:
            width, height = pixel_size(self.root / record.path, read)
        except OSError:
            return record
        return replace(record, width=width, height=height)

    def image_sizes(self, split: str) -> PixelSizes:
        """Give the pixel sizes of the images of a split that stand in the dataset.

        They come from the manifest. The headers of files are looked at for those that a manifest
        of an earlier oidkit has without a size.
        """
        known = self.manifest.image_sizes(split)
        late = (self.sized(record) for record in self.manifest.unsized(split))
        rows = ((int(one.path[-20:-4], 16), one.width, one.height) for one in late if one.width)
        return known.with_others(rows)


def _put(target: Path, pieces: Iterable[bytes], check: hashlib._Hash) -> None:
    """Write a file, unless one stands there that has the MD5 which *check* comes to."""
    with temporary(target) as fresh:
        write_atomically(fresh, pieces)
        made = f"md5:{check.hexdigest()}"
        if not (target.is_file() and not target.is_symlink() and digest(target) == made):
            fresh.replace(target)


def pixel_size(
    path: Location, read: Callable[[bytes], tuple[int, int]] = jpeg_size
) -> tuple[int, int]:
    """Give width and height of a picture by its header, as *read* finds them there, or (0, 0).

    Raises:
        OSError: the file cannot be read.

    """
    with path.open("rb") as file:
        data = file.read(_HEADER)
        size = read(data)
        # What cameras put before the frame header may be longer than most files.
        return size if size != (0, 0) or len(data) < _HEADER else read(data + file.read())


def standing_image(
    root: Location, place: str, *, key: str, fits: Callable[[str, bytes], bool] | None = None
) -> Record | None:
    """Give the record of an image that no record knows, or None where it is not a whole JPEG.

    *fits* may refuse it by its ImageID and bytes. What is not there is none.
    """
    try:
        data = (root / place).read_bytes()
    except FileNotFoundError:
        return None
    image_id = place.rpartition("/")[2].removesuffix(".jpg")
    if jpeg_fault(data) is not None or not (fits is None or fits(image_id, data)):
        return None
    if _HOLE in data:
        return None
    width, height = jpeg_size(data)
    check = fingerprint(data)
    return Record(place, "image", key, "ok", len(data), check, width=width, height=height)


def check_target(root: Location, *, release: str, upright: bool | None = None) -> None:
    """Refuse an output folder that is no folder, or that holds something else.

    A dataset is *upright* or not; None does not ask.

    Raises:
        UsageError: a file, another release's dataset, one whose images are turned where these
            shall not be or the reverse, or files that are not a dataset of ours.

    """
    if not root.exists():
        return
    if not root.is_dir():
        raise UsageError(f"{root} is a file, not a folder", remedy="choose another --out")
    description = describe(root)
    if description is not None and description.release != release:
        raise UsageError(
            f"{root} holds a dataset of release {description.release}, not {release}",
            remedy=f"choose another --out, or --release {description.release}",
        )
    held = description.is_upright if description else None
    if upright is not None and held == (not upright):
        what, flag = ("turned upright", "give") if held else ("as published", "leave out")
        raise UsageError(
            f"{root} holds images and annotations {what}, not as asked for",
            remedy=f"choose another --out, or {flag} --upright",
        )
    if description is None and (other := _foreign(root)) is not None:
        raise UsageError(
            f"{root} is not empty and belongs to something else (it holds {other})",
            remedy="choose another --out",
        )


@contextlib.contextmanager
def open_dataset(
    root: Location,
    *,
    release: str | None,
    upright: bool | None = None,
    on_event: Listener = ignore,
) -> Iterator[Dataset]:
    """Hold a dataset folder for writing; it is made if it is not there.

    With *release* None the folder is a flat one, as ``oid fetch`` writes it: it may hold anything.
    *on_event* is told when another run has to end first.

    Raises:
        UsageError: as `check_target`.
        DiskError: nothing can be written there.

    """
    if release is not None:
        check_target(root, release=release, upright=upright)
    elif root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file, not a folder", remedy="choose another folder")
    if not isinstance(root, ObjectPath):
        check_writable(root)
    if (root / ".oid").is_symlink():
        raise DiskError(root / ".oid", because="it is a link", remedy="remove it")
    check_writable(root / ".oid")
    busy = Noted("waiting for another run that writes into the same folder")
    with locked(root / ".oid" / "lock", waiting=lambda: on_event(busy)):
        if release is not None:
            # The run that held the lock may have begun a dataset of another release here.
            check_target(root, release=release, upright=upright)
        with naming(root / ".oid"):
            listing(root), listing(root / "csv")
            # Here it may be a folder of images that one was about to remove.
            sweep(root / ".oid")
            dataset = Dataset(root, Manifest(root / ".oid"))
        if dataset.manifest.damaged and release is not None and describe(root) is not None:
            text = "the manifest is not there or damaged; it is made again from what is on the disk"
            on_event(Warned(f"{root}: {text}"))
        try:
            yield dataset
        finally:
            with naming(root / ".oid"):
                dataset.manifest.close()


def read_dataset(root: Location) -> Dataset | None:
    """Look at a dataset folder without writing anything into it; None where there is none."""
    if not (root / ".oid").is_dir():
        return None
    try:
        return Dataset(root, Manifest(root / ".oid", writable=False), writable=False)
    except OSError as error:
        if isinstance(error, DiskError):
            raise
        because = (error.strerror or "it cannot be read").lower()
        raise DiskError(error.filename or root, because=because) from error


def _foreign(root: Location) -> str | None:
    """Name something in the folder that is not of our layout."""
    for name in sorted(entry.name for entry in root.iterdir()):
        # Hidden files are those of version control and file browsers.
        if name in _OURS or name.startswith((_IDS, ".")):
            continue
        if not _SPLIT_ROWS.fullmatch(name):
            return name
    return None
