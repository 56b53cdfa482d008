"""A shared index, taken into the cache as a whole."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.disk import locked, naming
from oidkit.errors import UsageError
from oidkit.events import Fetched, Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.transfer import IndexFileJob, IndexJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from oidkit.api.shared import Shared
    from oidkit.indexfile import Contents, Item, Stored

__all__ = ["Pulled", "index_pull"]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull took into the cache from `url`, and how many items were `present` before."""

    url: str
    release: str
    tables: int
    masks: int
    files: int
    present: int
    received_bytes: int
    requests: int

    def as_dict(self) -> dict[str, object]:
        """Give it as plain values."""
        return asdict(self)


def index_pull(
    url: str, *, settings: Settings | None = None, on_event: Listener = ignore
) -> Pulled:
    """Take the tables, mask indexes and class files of the index at *url* into the cache.

    What the cache has, or has newer, stays. Every file is checked by its SHA-256. A pull that was
    broken off goes on with the files that it lacks.

    Raises:
        UsageError: there is no index, it is of another source or release, or of a newer format, or
            there is no permission to read it.
        SourceError: it could not be reached.
        IntegrityError: what came does not match its checksum.
        DiskError: the cache cannot be written.

    """
    with Session(replace(settings or Settings(), index=url), on_event) as session:
        if session.shared is None:
            raise UsageError("no index was named", remedy="give its address: oid index pull URL")
        pull = _Pull(session, session.shared)
        pull.take_all()
        return Pulled(
            url=session.shared.place.name,
            release=session.shared.manifest.release,
            **pull.taken,
            present=pull.present,
            received_bytes=session.traffic.received,
            requests=session.traffic.requests,
        )


@dataclass(slots=True)
class _Pull:
    session: Session
    shared: Shared
    present: int = 0
    taken: dict[str, int] = field(default_factory=lambda: {"tables": 0, "masks": 0, "files": 0})

    def take_all(self) -> None:
        """Take what is lacking."""
        manifest, cache, kept = self.shared.manifest, self.session.cache, self.session.kept
        files = {key: each for key, each in manifest.files.items() if kept.whole(key) is None}
        masks = {key: each for key, each in manifest.masks.items() if self._lacks_masks(key, each)}
        tables = {
            key: each for key, each in manifest.tables.items() if self.shared.is_newer(key, each)
        }
        every = len(manifest.files) + len(manifest.masks) + len(manifest.tables)
        todo = len(files) + len(masks) + len(tables)
        self.present = every - todo
        self.session.on_event(PhaseStarted("pulling", todo))
        self.shared.bring_files(files)
        self._told("files", files)
        place = self.shared.place.name
        self.shared.carry_out(
            IndexJob(
                item.stored,
                partial(cache.adopt_masks, key, item.id, made=item.made),
                place=place,
                told=Fetched(key, item.stored.size),
            )
            for key, item in masks.items()
        )
        self.taken["masks"] = len(masks)
        for key, contents in self.shared.contents(tables).items():
            with locked(cache.lock_file(key)):
                self._take_table(key, tables[key], contents)
        with suppress(OSError):  # there is none, or another run works in it
            (cache.root / "pulled").rmdir()
        self.session.on_event(PhaseEnded("pulling"))

    def _told(self, kind: str, items: Mapping[str, Item]) -> None:
        for key, item in items.items():
            self.session.on_event(Fetched(key, item.stored.size))
        self.taken[kind] = len(items)

    def _lacks_masks(self, key: str, item: Item) -> bool:
        known = self.session.cache.masks(key)
        if known is None or known.part is not None or known.path is None:
            return True
        is_same = known.path.stem.endswith(f".{item.id}")
        return not is_same and known.path.stat().st_mtime_ns < item.made

    def _take_table(self, key: str, item: Item, contents: Contents) -> None:
        cache = self.session.cache
        if not cache.has_table(key, item.id):
            folder = cache.pulled(key, item.id)
            with naming(folder):
                folder.mkdir(parents=True, exist_ok=True)
            self.shared.carry_out(self._jobs(folder, contents))
            cache.drop_older(key, cache.adopt(key, item.id, made=item.made))
            self.taken["tables"] += 1
        size = sum(file.stored.size for file in contents.files)
        self.session.on_event(Fetched(key, size))

    def _jobs(self, folder: Path, contents: Contents) -> Iterator[IndexFileJob]:
        """Ask for the files of a table that are not there yet; what does not belong there goes."""
        names = {file.name: file.stored for file in contents.files}
        with naming(folder):
            for path in folder.iterdir():
                if path.name not in names or not _matches(path, names[path.name]):
                    path.unlink()
            there = {path.name for path in folder.iterdir()}
        for name, stored in names.items():
            if name not in there:
                yield IndexFileJob(stored, folder / name, place=self.shared.place.name)


def _matches(path: Path, stored: Stored) -> bool:
    with naming(path):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return path.stat().st_size == stored.size and found == stored.sha256
