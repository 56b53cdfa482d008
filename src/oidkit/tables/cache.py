"""The tables and mask indexes of a source in the cache, found by their key.

::

    <cache>/<source>/tables/<key>/<id>/     a table; <id> is made of the object's ETag
    <cache>/<source>/masks/<key>.<crc>.parquet  the directory of a mask zip
    <cache>/<source>/work/<key>.<token>/    a table that is being built, and by whom
    <cache>/<source>/remote/<key>/<id>/     a table of a shared index, as far as it was asked for
    <cache>/<source>/pulled/<key>.<id>/     a table of a shared index that is being taken from there

A source has a folder of its own, so two mirrors never share anything. A run builds in a folder of
its own, and may take over what a dead one has left.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit import ownership
from oidkit.disk import (
    TEMPORARY,
    check_no_link,
    is_left,
    make_lasting,
    remove,
    sweep,
    sync_folder,
    write_atomically,
)
from oidkit.errors import IntegrityError, OidError
from oidkit.tables.assembling import publish
from oidkit.tables.build import TableBuilder
from oidkit.tables.masks import MaskIndex
from oidkit.tables.table import Table, disk_errors, is_earlier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from oidkit.schema import Schema
    from oidkit.zipindex import Member

__all__ = ["Cache"]


_LEAST_ADDRESSES = 3 << 29
"""Bytes of addresses; with 1 GB of them the table engine ends the process at times."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What is kept of one source, below `root`."""

    root: Path

    def make(self, source: str) -> None:
        """Make the folders, and note whose they are.

        Raises:
            OSError: they cannot be made.
            DiskError: one of them is a link to elsewhere.
            OidError: this process may not have the memory that the table engine reserves.

        """
        _check_addresses()
        for name in ("", "tables", "masks", "work", "files"):
            check_no_link(self.root / name, whole="--cache")
        for name in ("tables", "masks", "work"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name in ("", "tables", "masks", "work", "files"):
            sweep(self.root / name)
        note, text = self.root / "source.txt", f"{source}\n".encode()
        if note.is_symlink() or not note.exists() or note.read_bytes() != text:
            write_atomically(note, text)

    # -- tables ---------------------------------------------------------------------------------

    def table(self, key: str) -> Table | None:
        """Give the newest table of a CSV, if one is there."""
        found = sorted(self._tables(key), key=lambda pair: pair[0], reverse=True)
        return found[0][1] if found else None

    def has_broken(self, key: str) -> bool:
        """Tell whether there is something in a table's place that cannot be opened."""
        folder = self.root / "tables" / _slug(key)
        if folder.is_symlink():
            return False
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            paths = [path for path in folder.iterdir() if not path.name.startswith(TEMPORARY)]
            return any(not _can_be_opened(path) and not is_earlier(path) for path in paths)
        return False

    @contextlib.contextmanager
    def building(self, key: str, schema: Schema) -> Iterator[TableBuilder]:
        """Begin the table of a CSV, or go on with what another run has left of it.

        What is unfinished at the end is handed over to the next run.
        """
        token = ownership.claim()
        work = self._work(key, token)
        check_no_link(self.root / "tables" / _slug(key), whole="--cache")
        try:
            self._take_over(key, work)
            builder = TableBuilder(self.root / "tables" / _slug(key), work, schema, name=key)
            try:
                yield builder
            finally:
                builder.close()
                if not (work / "state.json").exists():
                    remove(work)
        finally:
            free = ownership.release(token)
            with contextlib.suppress(OSError):
                work.rename(self._work(key, free))

    def _work(self, key: str, token: str) -> Path:
        return self.root / "work" / f"{_slug(key)}.{token}"

    def _take_over(self, key: str, work: Path) -> None:
        """Take the work of a dead run that had come furthest, and remove that of others."""
        there = self.table(key)
        for path in sorted(self._left(key), key=_progress, reverse=True):
            known = there is not None and _etag(path) == there.etag
            with contextlib.suppress(OSError):
                # Of several runs that try it one succeeds.
                remove(path) if known or work.exists() else path.rename(work)

    def _left(self, key: str) -> Iterator[Path]:
        # The first oidkit had no token there.
        ours = re.compile(re.escape(_slug(key)) + rf"(?:\.{ownership.TOKEN})?")
        for path in list((self.root / "work").iterdir()):
            if not ours.fullmatch(path.name) or not is_left(path):
                continue
            if path.is_symlink():
                # Nobody's work: what would be written into it lies elsewhere.
                path.unlink(missing_ok=True)
            else:
                yield path

    def lock_file(self, key: str) -> Path:
        """Say which file is locked while the table of a CSV is checked or built."""
        return self.root / "work" / f"{_slug(key)}.lock"

    def drop_older(self, key: str, newest: Table) -> None:
        """Remove the tables of a CSV that its source has replaced, and what dead runs left of it.

        Nothing is told of a cache that may not be written.
        """
        with contextlib.suppress(OSError):
            for path in newest.folder.parent.iterdir():
                if path != newest.folder and is_left(path):
                    remove(path)
            for path in list(self._left(key)):
                remove(path)

    def tables(self) -> Iterator[Table]:
        """Give every table that is there, by key."""
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted((self.root / "tables").iterdir()):
                for _, table in self._tables(folder.name):
                    yield table

    def _tables(self, key: str) -> Iterator[tuple[int, Table]]:
        folder = self.root / "tables" / _slug(key)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in folder.iterdir() if not folder.is_symlink() else ():
                if path.is_symlink():
                    continue
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    table = Table.load(path)
                    yield (path / "table.json").stat().st_mtime_ns, table

    # -- mask indexes ---------------------------------------------------------------------------

    def masks(self, key: str) -> MaskIndex | None:
        """Give the newest index of a mask zip, if one is there as a whole."""
        return _best(self._masks(key))

    def find_masks(
        self, index: MaskIndex, names: Sequence[str]
    ) -> tuple[MaskIndex, dict[str, Member]] | None:
        """Find masks in an index or, where its file is gone by now, in that of another run.

        None is given where no other is there, or one of a part that lacks some of the names.
        """
        try:
            return index, index.find(names)
        except IntegrityError:
            newest = self.masks(index.key)
            if newest is None:
                return None
        found = newest.find(names)
        if newest.part is not None and len(found) < len(set(names)):
            return None
        return newest, found

    def keep_masks(self, index: MaskIndex) -> MaskIndex:
        """Keep the index of a mask zip; the one that is given back is read from the disk.

        What is known of a part of a directory does not take the place of all of it, which another
        run may have brought meanwhile.

        Raises:
            DiskError: it cannot be written.

        """
        folder = self.root / "masks"
        with disk_errors(folder):
            older = self._masks(index.key)
            if index.part is not None:
                there = _best(older)
                if there is not None and there.part is None and there.etag == index.etag:
                    return there
            fresh = index.save(folder, _slug(index.key))
            # What came since the look for a whole one stays: it may be that.
            for path in older:
                if path != fresh:
                    path.unlink(missing_ok=True)
        return MaskIndex.load(fresh) or index

    def drop_masks(self, key: str) -> None:
        """Forget the index of a mask zip that its source has replaced.

        Raises:
            DiskError: it cannot be removed.

        """
        with disk_errors(self.root / "masks"):
            for path in self._masks(key):
                path.unlink(missing_ok=True)

    def mask_indexes(self) -> Iterator[MaskIndex]:
        """Give every mask index that is there, by key."""
        for path in sorted((self.root / "masks").glob("*.parquet")):
            if (index := MaskIndex.load(path)) is not None:
                yield index

    def _masks(self, key: str) -> list[Path]:
        ours = re.compile(re.escape(_slug(key)) + r"(\.[0-9a-f]{8})?\.parquet")
        with contextlib.suppress(FileNotFoundError):
            return [path for path in (self.root / "masks").iterdir() if ours.fullmatch(path.name)]
        return []

    # -- shared indexes -------------------------------------------------------------------------

    def remote(self, key: str, name: str) -> Path:
        """Say where that lies of a table elsewhere which was asked for, by its *name*."""
        return self.root / "remote" / _slug(key) / name

    def has_table(self, key: str, name: str) -> bool:
        """Tell whether the table *name* of a CSV is there."""
        return _can_be_opened(self.root / "tables" / _slug(key) / name)

    def pulled(self, key: str, name: str) -> Path:
        """Say where the table *name* of a CSV comes together until `adopt` puts it in its place."""
        return self.root / "pulled" / f"{_slug(key)}.{name}"

    def adopt(self, key: str, name: str, *, made: int) -> Table:
        """Put a table in its place that has come together; it was *made* at that time in ns.

        Raises:
            IntegrityError: it is not what a table should be.
            DiskError: it cannot be put there.

        """
        there, folder = self.pulled(key, name), self.root / "tables" / _slug(key) / name
        with disk_errors(folder):
            check_no_link(folder.parent, whole="--cache")
            if not _can_be_opened(there):
                remove(there)
                raise IntegrityError(
                    f"the table of {key} in the shared index cannot be opened",
                    remedy="build it here instead: oid index build",
                )
            os.utime(there / "table.json", ns=(made, made))
            make_lasting(there, there.iterdir())
            publish(there, folder)
            sync_folder(folder.parent)
            return Table.load(folder)

    def adopt_masks(self, key: str, check: str, data: bytes, *, made: int) -> None:
        """Take in the file of a mask index, whose CRC-32 is *check*, in place of what is there.

        Raises:
            IntegrityError: it is not what a mask index should be.
            DiskError: it cannot be written.

        """
        path = self.root / "masks" / f"{_slug(key)}.{check}.parquet"
        with disk_errors(path):
            older = self._masks(key)
            write_atomically(path, data, lasting=True)
            if MaskIndex.load(path) is None:
                path.unlink(missing_ok=True)
                raise IntegrityError(
                    f"the index of {key} in the shared index cannot be opened",
                    remedy="read its directory here instead: oid index build",
                )
            os.utime(path, ns=(made, made))
            for each in older:
                if each != path:
                    each.unlink(missing_ok=True)

    # -- what is damaged ------------------------------------------------------------------------

    def damaged_tables(self) -> Iterator[tuple[str, Path]]:
        """Give the key and folder of every table that is not as it was made."""
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted((self.root / "tables").iterdir()):
                for path in sorted(folder.iterdir()):
                    if not path.name.startswith(TEMPORARY) and not _is_sound(path):
                        yield _key(folder.name), path

    def damaged_masks(self) -> Iterator[tuple[str, Path]]:
        """Give the key and file of every mask index that is not as it was made."""
        for path in sorted((self.root / "masks").glob("*.parquet")):
            named = re.fullmatch(r"(.*)\.[0-9a-f]{8}\.parquet", path.name)
            # One that another run has replaced meanwhile is not damaged.
            if named is not None and not MaskIndex.is_whole(path) and path.exists():
                yield _key(named[1]), path


def _best(paths: Sequence[Path]) -> MaskIndex | None:
    """Open the newest of some indexes of a zip, or a whole one of the zip as it is in that."""
    found = filter(None, map(MaskIndex.load, sorted(paths, key=_age)))
    newest = next(found, None)
    if newest is None or newest.part is None:
        return newest
    return next((each for each in found if not each.part and each.etag == newest.etag), newest)


def _is_sound(folder: Path) -> bool:
    return Table.load(folder).is_whole() if _can_be_opened(folder) else is_earlier(folder)


def _can_be_opened(folder: Path) -> bool:
    try:
        Table.load(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _age(path: Path) -> int:
    try:
        return -path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _key(slug: str) -> str:
    return slug.replace("~", "/")


def _slug(key: str) -> str:
    return key.replace("/", "~")


def _state(work: Path) -> dict[str, object]:
    try:
        found = json.loads((work / "state.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _progress(work: Path) -> int:
    """Tell how many bytes of its CSV a piece of work has taken in."""
    offset = _state(work).get("offset")
    return offset if isinstance(offset, int) else -1


def _etag(work: Path) -> object:
    return _state(work).get("etag")


def _check_addresses() -> None:
    """Refuse a limit of addresses under which the engine would abort, without a word."""
    try:
        import resource
    except ImportError:  # there is no such limit on Windows
        return
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY and most < _LEAST_ADDRESSES:
        raise OidError(
            f"this process may use {most / 2**30:.1f} GB of addresses, "
            f"and tables need {_LEAST_ADDRESSES / 2**30:.1f} GB",
            remedy="raise the limit, as with: ulimit -v unlimited",
        )
