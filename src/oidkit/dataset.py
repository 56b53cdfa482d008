"""A dataset folder: what may be written into it, where, and what is there already.

::

    downloader_IDs_for_<mid>_<split>.txt
    csv/  images/<split>/  masks/<split>/  attribution.csv
    ATTRIBUTION.md
    .oid/dataset.json    the release, and every selection that went into the folder
    .oid/recipe.toml     the same for `oid download --recipe`
    .oid/manifest.csv    one row for each file that was asked for
    .oid/lock            held while a run writes
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oidkit.disk import (
    TEMPORARY,
    Record,
    check_writable,
    digest,
    fingerprint,
    listing,
    locked,
    write_atomically,
)
from oidkit.errors import DiskError, UsageError
from oidkit.events import Noted, ignore
from oidkit.imagefile import jpeg_fault, jpeg_size, png_size
from oidkit.recipe import Recipe
from oidkit.selection import Selection
from oidkit.tables import Manifest
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from oidkit.events import Listener
    from oidkit.tables import PixelSizes

__all__ = [
    "Dataset",
    "Description",
    "check_target",
    "describe",
    "open_dataset",
    "read_dataset",
    "save_description",
]

FORMAT = 1
_HEADER = 1 << 16
_OURS = {".oid", "images", "masks", "csv", "attribution.csv", "ATTRIBUTION.md"}
_IDS = "downloader_IDs_for_"
_SPLIT_ROWS = re.compile(r"[a-z0-9_]+_annotations\.csv")


@dataclass(frozen=True, slots=True)
class Description:
    """What `.oid/dataset.json` says: the release, the last source, and the selections so far."""

    release: str
    source: str
    selections: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_upright(self) -> bool | None:
        """Whether images and annotations are turned upright; None where nothing is in there."""
        if not self.selections:
            return None
        return any(each.get("upright") is True for each in self.selections)

    def with_selection(self, selection: Mapping[str, Any], *, source: str) -> Description:
        """Add a selection, once."""
        plain = json.loads(json.dumps(selection))
        known = self.selections if plain in self.selections else (*self.selections, plain)
        return Description(self.release, source, known)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset folder that is held for writing."""

    root: Path
    manifest: Manifest
    writable: bool = True

    def put_aside(self, path: str) -> str:
        """Rename a file of the dataset to a name that is free, and give that name."""
        names = (f"{path}.old{number or ''}" for number in itertools.count())
        free = next(name for name in names if not (self.root / name).exists())
        (self.root / path).rename(self.root / free)
        return free

    def write_annotations(self, path: str, data: bytes) -> None:
        """Write one of the files that go with the images, unless it stands there already."""
        target = self.root / path
        try:
            self.make(path.rpartition("/")[0])
            if not target.is_file() or target.read_bytes() != data:
                write_atomically(target, data)
        except DiskError:
            raise
        except OSError as error:
            raise DiskError.from_os(error, path=target) from error
        record = Record(path, "annotations", "", "ok", len(data), fingerprint(data))
        self.manifest.add(record)

    def write_lines(self, path: str, lines: Iterable[bytes]) -> None:
        """Write such a file, that may be larger than memory, unless it stands there already."""
        target = self.root / path
        fresh = target.with_name(f"{TEMPORARY}{path.rpartition('/')[2]}")
        size, check = 0, hashlib.md5(usedforsecurity=False)

        def counted() -> Iterator[bytes]:
            nonlocal size
            for line in lines:
                size += len(line)
                check.update(line)
                yield line

        try:
            self.make(path.rpartition("/")[0])
            write_atomically(fresh, counted())
            made = f"md5:{check.hexdigest()}"
            same = target.is_file() and not target.is_symlink() and digest(target) == made
            fresh.unlink() if same else fresh.replace(target)
        except DiskError:
            raise
        except OSError as error:
            raise DiskError.from_os(error, path=target) from error
        self.manifest.add(Record(path, "annotations", "", "ok", size, made))

    def read(self, path: str) -> bytes | None:
        """Give a file of the dataset, or None; a link to elsewhere is no file of it."""
        try:
            place = self.root / path
            return None if place.is_symlink() else place.read_bytes()
        except FileNotFoundError:
            return None

    def make(self, folder: str) -> None:
        """Make a folder of the dataset.

        Raises:
            DiskError: it cannot be made, or a link to elsewhere stands in its place.

        """
        path = self.root
        try:
            for part in filter(None, folder.split("/")):
                path = path / part
                if path.is_symlink():
                    raise DiskError(
                        path,
                        because="it is a link",
                        remedy="remove the link, or link the whole --out",
                    )
                path.mkdir(exist_ok=True)
        except OSError as error:
            raise (
                error if isinstance(error, DiskError) else DiskError.from_os(error, path=path)
            ) from error

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
        known = self.manifest.sizes(folder)
        found = []
        for name, size in listing(self.root / folder, sweep=self.writable).items():
            image_id = name.removesuffix(".jpg")
            if not name.endswith(".jpg") or not IMAGE_ID_PATTERN.fullmatch(image_id):
                continue
            if name not in known:
                source = key(image_id)
                if source is None:
                    continue
                data = (self.root / folder / name).read_bytes()
                if jpeg_fault(data) is not None or not (fits is None or fits(image_id, data)):
                    continue
                place = f"{folder}/{name}".lstrip("/")
                width, height = jpeg_size(data)
                check = fingerprint(data)
                self.manifest.add(
                    Record(place, "image", source, "ok", size, check, width=width, height=height)
                )
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
            with (self.root / record.path).open("rb") as file:
                data = file.read(_HEADER)
                # What cameras put before the frame header may be longer than most files.
                width, height = size = read(data)
                if size == (0, 0) and len(data) == _HEADER:
                    width, height = read(data + file.read())
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


def describe(root: Path) -> Description | None:
    """Read what a dataset folder says of itself, or give None where there is no dataset.

    Raises:
        UsageError: the description is of a newer version, or cannot be read.

    """
    path = root / ".oid" / "dataset.json"
    try:
        found = json.loads(path.read_bytes())
        if found["format"] > FORMAT:
            raise UsageError(
                f"{root} was written by a newer oidkit",
                remedy="update oidkit, or choose another --out",
            )
        selections = tuple(found["selections"])
        return Description(str(found["release"]), str(found["source"]), selections)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{path} cannot be read",
            remedy="choose another --out, or remove that one file if the folder is yours",
        ) from error


def check_target(root: Path, *, release: str, upright: bool | None = None) -> None:
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
    root: Path,
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
    check_writable(root)
    if (root / ".oid").is_symlink():
        raise DiskError(root / ".oid", because="it is a link", remedy="remove it")
    check_writable(root / ".oid")
    busy = Noted("waiting for another run that writes into the same folder")
    with locked(root / ".oid" / "lock", waiting=lambda: on_event(busy)):
        if release is not None:
            # The run that held the lock may have begun a dataset of another release here.
            check_target(root, release=release, upright=upright)
        try:
            listing(root), listing(root / ".oid"), listing(root / "csv")
            dataset = Dataset(root, Manifest(root / ".oid"))
        except OSError as error:
            raise DiskError.from_os(error, path=root / ".oid") from error
        try:
            yield dataset
        finally:
            try:
                dataset.manifest.close()
            except OSError as error:
                raise DiskError.from_os(error, path=root / ".oid") from error


def read_dataset(root: Path) -> Dataset | None:
    """Look at a dataset folder without writing anything into it; None where there is none."""
    if not (root / ".oid").is_dir():
        return None
    return Dataset(root, Manifest(root / ".oid", writable=False), writable=False)


def save_description(root: Path, description: Description) -> None:
    """Write down the release and the selections, for us and as a recipe."""
    selections = tuple(map(Selection.from_dict, description.selections))
    recipe = Recipe(selections, description.release).to_toml()
    plain = {
        "format": FORMAT,
        "release": description.release,
        "source": description.source,
        "selections": list(description.selections),
    }
    files = {"dataset.json": json.dumps(plain, indent=2) + "\n", "recipe.toml": recipe}
    for name, text in files.items():
        path = root / ".oid" / name
        try:
            write_atomically(path, text.encode())
        except OSError as error:
            raise DiskError.from_os(error, path=path) from error


def _foreign(root: Path) -> str | None:
    """Name something in the folder that is not of our layout."""
    for entry in sorted(root.iterdir()):
        # Hidden files are those of version control and file browsers.
        if entry.name in _OURS or entry.name.startswith((_IDS, ".")):
            continue
        if not _SPLIT_ROWS.fullmatch(entry.name):
            return entry.name
    return None
