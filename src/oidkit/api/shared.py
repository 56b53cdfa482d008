"""A shared index, read where it lies: what a session asks of it, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from oidkit import catalog
from oidkit.disk import naming, write_atomically
from oidkit.errors import IntegrityError, MissingObjectError, UsageError
from oidkit.indexfile import MANIFEST, Contents, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from oidkit.api.session import Session
    from oidkit.indexfile import Item
    from oidkit.shelf import Place
    from oidkit.store import Transfer
    from oidkit.tables import MaskIndex, MaskOffsets, RangedParts, Table, Want
    from oidkit.transfer import IndexFileJob, IndexJob, IndexRangeJob

__all__ = ["Shared", "read_manifest"]

_AT_ONCE = 16
_CONTENTS = "contents.json"


@dataclass(slots=False)
class Shared:
    """The index at `place`, for one `session`; what was read of it is kept in the session's cache.

    Raises (all of it):
        UsageError: there is no index, it is of another source or release, or of a newer format, or
            there is no permission to read it.
        SourceError: it cannot be reached.
        IntegrityError: what came does not match its checksum.
    """

    session: Session
    place: Place
    transfer: Transfer
    _tables: dict[str, Table | None] = field(default_factory=dict)
    _offsets: dict[str, MaskOffsets] = field(default_factory=dict)
    _replaced: set[str] = field(default_factory=set)

    @cached_property
    def manifest(self) -> Manifest:
        """What the index has."""
        found = read_manifest(self.session, self.place, self.transfer)
        if found is None:
            raise UsageError(
                f"there is no index at {self.place.name}",
                remedy="push one there with: oid index push URL, or check the address",
            )
        check_same(found, self.session, self.place)
        return found

    def carry_out(self, jobs: Iterable[IndexFileJob | IndexJob | IndexRangeJob]) -> None:
        """Read objects, or ranges of them; the first of the errors that are left is raised."""
        todo = list(jobs)
        run_of(self.session, self.transfer).carry_out(todo)
        for job in todo:
            if job.error is not None:
                raise job.error

    def read(self, items: Mapping[str, Item]) -> dict[str, bytes]:
        """Read the objects of some items, whole."""
        from oidkit.transfer import IndexJob

        found: dict[str, bytes] = {}
        self.carry_out(
            IndexJob(item.stored, _keeper(found, key), place=self.place.name)
            for key, item in items.items()
        )
        return found

    def contents(self, items: Mapping[str, Item]) -> dict[str, Contents]:
        """Read the lists of the files of some items."""
        try:
            return {key: Contents.parse(data) for key, data in self.read(items).items()}
        except ValueError as error:
            raise self._unfit(", ".join(items)) from error

    def _kept_contents(self, items: Mapping[str, Item]) -> dict[str, tuple[Path, Contents]]:
        """Read such lists, each but once, and say where the files lie here."""
        from oidkit.transfer import IndexJob

        folders = {
            key: self.session.cache.remote(key, f"{item.id or 'masks'}-{item.stored.sha256[:16]}")
            for key, item in items.items()
        }
        jobs = []
        for key, item in items.items():
            path = folders[key] / _CONTENTS
            if not _is_there(path, item.stored.matches):
                jobs.append(IndexJob(item.stored, _writer(path), place=self.place.name))
        self.carry_out(jobs)
        try:
            return {
                key: (folder, Contents.parse((folder / _CONTENTS).read_bytes()))
                for key, folder in folders.items()
            }
        except (ValueError, OSError) as error:
            raise self._unfit(", ".join(items)) from error

    # -- small files ----------------------------------------------------------------------------

    def bring_files(self, keys: Iterable[str]) -> None:
        """Take small files into the cache, as far as the index has them."""
        known = self.manifest.files
        for key, data in self.read({key: known[key] for key in keys if key in known}).items():
            with naming(self.session.kept_in):
                self.session.kept.adopt(key, data)

    # -- tables ---------------------------------------------------------------------------------

    def tables(self, keys: Sequence[str]) -> dict[str, Table]:
        """Give the tables of annotation files that the index has and the cache not, or older."""
        unknown = [key for key in keys if key not in self._tables]
        items = {
            key: item
            for key in unknown
            if (item := self.manifest.tables.get(key)) is not None and self.is_newer(key, item)
        }
        self._tables |= dict.fromkeys(unknown, None)
        self._tables |= self._opened(items)
        return {key: table for key in keys if (table := self._tables[key]) is not None}

    def is_newer(self, key: str, item: Item) -> bool:
        """Tell whether a table of the index was made after that of the cache, or there is none."""
        known = self.session.cache.table(key)
        if known is None:
            return True
        made = (known.folder / "table.json").stat().st_mtime_ns
        return known.folder.name != item.id and made < item.made

    def _opened(self, items: Mapping[str, Item]) -> dict[str, Table]:
        from oidkit.tables import Table
        from oidkit.transfer import IndexJob

        contents = self._kept_contents(items)
        parts = {key: self._parts(*found) for key, found in contents.items()}
        jobs = []
        for key, (folder, found) in contents.items():
            parts[key].lay_out()
            for file in found.files:
                path = folder / file.name
                # What is not cut into tiles is small, and is needed as a whole.
                if not file.tiles and not _is_there(path, file.stored.matches):
                    jobs.append(IndexJob(file.stored, _writer(path), place=self.place.name))
        self.carry_out(jobs)
        try:
            return {
                key: replace(Table.load(folder), supply=parts[key])
                for key, (folder, _) in contents.items()
            }
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise self._unfit(", ".join(items)) from error

    def _parts(self, folder: Path, contents: Contents) -> RangedParts:
        from oidkit.tables import RangedParts, Tile, TiledPart

        parts = []
        for file in sorted(contents.files, key=lambda file: file.name):
            if file.tiles:
                starts = [0, *(end for _, end, _ in file.tiles)]
                tiles = tuple(
                    Tile(rows, start, end, check)
                    for start, (rows, end, check) in zip(starts, file.tiles, strict=False)
                )
                parts.append(TiledPart(file.name, file.stored.object, tiles))
        return RangedParts(folder, parts, self._fetch)

    def _fetch(self, wants: Sequence[Want]) -> None:
        from oidkit.transfer import IndexRangeJob

        self.carry_out(
            IndexRangeJob(
                want.object, (want.start, want.stop, want.total), want.keep, place=self.place.name
            )
            for want in wants
        )

    # -- masks ----------------------------------------------------------------------------------

    def masks(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, MaskIndex]:
        """Say where masks lie in their zips, as far as the index knows those.

        *wanted* names for each zip the masks that are looked for; nothing else is found.
        """
        asked = {key: n for key, n in wanted.items() if n and key not in self._replaced}
        found: dict[str, MaskIndex] = {}
        for split in catalog.SPLITS:
            of_split = {file.key for file in catalog.mask_zips(split)} & asked.keys()
            if of_split and split in self.manifest.offsets:
                found |= self._offsets_of(split).find({key: asked[key] for key in of_split})
        return found

    def forget_masks(self, key: str) -> None:
        """Ask no more about a zip that the source has replaced."""
        self._replaced.add(key)

    def _offsets_of(self, split: str) -> MaskOffsets:
        from oidkit.tables import MaskOffsets

        if split in self._offsets:
            return self._offsets[split]
        item = self.manifest.offsets[split]
        key = f"masks/{split}"
        folder, found = self._kept_contents({key: item})[key]
        parts = self._parts(folder, found)
        parts.lay_out()
        try:
            made = MaskOffsets(parts, found.note["zips"], found.note["runs"])
        except KeyError as error:
            raise self._unfit(f"the masks of {split}") from error
        self._offsets[split] = made
        return made

    def _unfit(self, what: str) -> IntegrityError:
        return IntegrityError(
            f"{what} in the index at {self.place.name} cannot be opened",
            remedy="push it again with the oidkit that is used here",
        )


def run_of(session: Session, transfer: Transfer) -> Any:
    """Prepare to read from a shared index, whose troubles are not those of the source."""
    from oidkit.transfer import Budget, Pace, Run

    return Run(
        transfer,
        traffic=session.traffic,
        on_event=session.on_event,
        pace=Pace(fixed=_AT_ONCE),
        budget=Budget(),
    )


def read_manifest(session: Session, place: Place, transfer: Transfer) -> Manifest | None:
    """Read what the index at a place has; None where there is none."""
    from oidkit.transfer import IndexJob

    found: dict[str, bytes] = {}
    job = IndexJob(MANIFEST, _keeper(found, MANIFEST), place=place.name)
    run_of(session, transfer).carry_out([job])
    if isinstance(job.error, MissingObjectError):
        return None
    if job.error is not None:
        raise job.error
    return Manifest.parse(found[MANIFEST], place=place.name)


def check_same(found: Manifest, session: Session, place: Place) -> None:
    """Refuse an index of another source or release than those of the session.

    Raises:
        UsageError: it is one.

    """
    source, release = session.source.name, session.settings.release_name
    if found.source != source:
        raise UsageError(
            f"the index at {place.name} is of the source {found.source}, and not of {source}",
            remedy=f"add --source {found.source}, or use no index: --index ''",
        )
    if found.release != release:
        raise UsageError(
            f"the index at {place.name} is of release {found.release}, and not of {release}",
            remedy=f"add --release {found.release}, or use no index: --index ''",
        )


def _keeper(found: dict[str, bytes], key: str) -> Callable[[bytes], None]:
    def keep(data: bytes) -> None:
        found[key] = data

    return keep


def _writer(path: Path) -> Callable[[bytes], None]:
    def keep(data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)

    return keep


def _is_there(path: Path, matches: Callable[[bytes], bool]) -> bool:
    try:
        return matches(path.read_bytes())
    except OSError:
        return False
