"""The tables and mask indexes of the cache, put where a team can read them."""

from __future__ import annotations

import tempfile
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c

from oidkit import catalog
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.shared import check_same, read_manifest
from oidkit.api.soundness import tables_of
from oidkit.disk import below, naming, write_atomically
from oidkit.errors import IntegrityError, UsageError
from oidkit.events import Fetched, Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.indexfile import MANIFEST, Contents, Item, Manifest, SharedFile, is_ours, merged, stored
from oidkit.shelf import parse_place
from oidkit.tables import tiles_of, unreadable, write_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oidkit.indexfile import Stored
    from oidkit.objectpath import Location
    from oidkit.shelf import Place
    from oidkit.tables import MaskIndex, Table

__all__ = ["Pushed", "index_push"]

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to: objects that were `sent`, with their bytes, and were `present` before.

    `tables`, `masks` and `files` are what the index has now, at the address `url`.
    """

    url: str
    release: str
    tables: int
    masks: int
    files: int
    sent: int
    present: int
    sent_bytes: int

    def as_dict(self) -> dict[str, object]:
        """Give it as plain values."""
        return asdict(self)


def index_push(
    url: str, *, settings: Settings | None = None, on_event: Listener = ignore
) -> Pushed:
    """Put what the cache has of a source and release at *url*: a folder, s3://, gs:// or az://.

    What is there already is not sent again. The file that lists all the others goes last, so that
    whoever reads the index has the older one until all is there. It is written with the user's own
    credentials, as the environment has them.

    Raises:
        UsageError: the cache has nothing, the place is none that is written, or it holds something
            else, an index of another source or release, or one of a newer format.
        SourceError: it could not be reached.
        BucketError: its store could not be reached, or gave up.
        IntegrityError: what the cache has is damaged.
        DiskError: there is no permission to write there, or the disk is full.

    """
    with Session(replace(settings or Settings(), index=""), on_event) as session:
        place = parse_place(url)
        root = place.writing()
        with place.reading() as transfer:
            older = read_manifest(session, place, transfer)
            if older is not None:
                check_same(older, session, place)
            push = _Push(session, root, _there(root, place, older))
            newer = push.send_all()
            # Somebody else may have pushed meanwhile.
            every = merged(read_manifest(session, place, transfer), newer)
        _put(root, MANIFEST, every.as_json())
        return Pushed(
            url=place.name,
            release=every.release,
            tables=len(every.tables),
            masks=len(every.masks),
            files=len(every.files),
            sent=push.sent,
            present=push.present,
            sent_bytes=push.sent_bytes,
        )


def _there(root: Location, place: Place, older: Manifest | None) -> dict[str, int]:
    """List what is there by name and size; refuse a place that holds something else."""
    found: dict[str, int] = {}
    with naming(root):
        for name, size in below(root):
            found[name] = size
            if older is None and not is_ours(name):
                raise UsageError(
                    f"{place.name} holds something else: {name}",
                    remedy="choose a place that is empty, or that of an index",
                )
    return found


@dataclass(slots=True)
class _Push:
    """One push: `there` are the objects that need not be sent."""

    session: Session
    root: Location
    there: Mapping[str, int]
    sent: int = 0
    present: int = 0
    sent_bytes: int = 0
    _pool: ThreadPoolExecutor = field(init=False)
    _waiting: deque[Future[None]] = field(default_factory=deque)

    def send_all(self) -> Manifest:
        """Send everything but the first file, and say what that has to say."""
        from importlib.metadata import version

        tables, masks, files = self._tables(), self._masks(), self._files()
        if not (tables or masks):
            raise UsageError(
                f"the cache has no table of {self.session.source.name} to push",
                remedy="build them first, with the same --source and --release: oid index build",
            )
        splits = {split: some for split in catalog.SPLITS if (some := _whole_split(split, masks))}
        count = len(tables) + len(masks) + len(splits) + len(files)
        self.session.on_event(PhaseStarted("pushing", count))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="oidkit-push") as self._pool:
            try:
                found = Manifest(
                    source=self.session.source.name,
                    release=self.session.settings.release_name,
                    oidkit=version("oidkit"),
                    files={key: self._send_file(key, data) for key, data in files.items()},
                    masks={key: self._send_masks(key, index) for key, index in masks.items()},
                    offsets={key: self._send_offsets(key, some) for key, some in splits.items()},
                    tables={key: self._send_table(key, table) for key, table in tables.items()},
                )
                self._wait(0)
            finally:
                for each in self._waiting:
                    each.cancel()
        self.session.on_event(PhaseEnded("pushing"))
        return found

    # -- what is sent ---------------------------------------------------------------------------

    def _tables(self) -> dict[str, Table]:
        cache = self.session.cache
        keys = dict.fromkeys(key for key, _ in tables_of(self.session.settings.release_name))
        return {key: table for key in sorted(keys) if (table := cache.table(key)) is not None}

    def _masks(self) -> dict[str, MaskIndex]:
        """Give the mask indexes of the release that are of whole directories."""
        if "masks" not in catalog.labels_of(self.session.settings.release_name):
            return {}
        keys = [file.key for split in catalog.SPLITS for file in catalog.mask_zips(split)]
        found = {key: self.session.cache.masks(key) for key in keys}
        return {key: each for key, each in found.items() if each is not None and each.part is None}

    def _files(self) -> dict[str, bytes]:
        kept = self.session.kept
        return {key: data for key in kept.names() if (data := kept.whole(key)) is not None}

    def _send_file(self, key: str, data: bytes) -> Item:
        sent = self._send(f"files/{_slug(key)}", data)
        self.session.on_event(Fetched(key, len(data)))
        return Item("", 0, len(data), sent)

    def _send_masks(self, key: str, index: MaskIndex) -> Item:
        path = index.path or Path()
        with naming(path):
            data, made = path.read_bytes(), path.stat().st_mtime_ns
        check = f"{zlib.crc32(data):08x}"
        if path.stem.rpartition(".")[2] != check:
            raise _damaged(path)
        sent = self._send(f"masks/{_slug(key)}.parquet", data)
        self.session.on_event(Fetched(key, len(data)))
        return Item(check, made, index.count, sent)

    def _send_offsets(self, split: str, indexes: Sequence[MaskIndex]) -> Item:
        with tempfile.TemporaryDirectory(prefix="oidkit-") as folder:
            note = write_offsets(indexes, Path(folder))
            names = sorted(path.name for path in Path(folder).iterdir())
            files = tuple(
                self._file(f"offsets/{split}", name, (Path(folder) / name).read_bytes())
                for name in names
            )
        made = max(each.path.stat().st_mtime_ns for each in indexes if each.path)
        sent = self._send(f"offsets/{split}/contents.json", Contents(files, note).as_json())
        self.session.on_event(Fetched(f"masks of {split}", sum(x.stored.size for x in files)))
        return Item("", made, sum(each.count for each in indexes), sent)

    def _send_table(self, key: str, table: Table) -> Item:
        place = f"tables/{_slug(key)}/{table.folder.name}"
        note = table.folder / "table.json"
        files = [self._file(place, name, data) for name, data in self._checked(table)]
        with naming(note):
            files.append(self._file(place, note.name, note.read_bytes()))
            made = note.stat().st_mtime_ns
        sent = self._send(f"{place}/contents.json", Contents(tuple(files)).as_json())
        self.session.on_event(Fetched(key, sum(each.stored.size for each in files)))
        return Item(table.folder.name, made, table.rows, sent)

    def _checked(self, table: Table) -> Iterator[tuple[str, bytes]]:
        """Read the files of a table, each as it was made."""
        for name, check in sorted(table.checks.items()):
            path = table.folder / name
            with unreadable(path):
                data = path.read_bytes()
            if f"crc32c:{google_crc32c.value(data):08x}" != check:
                raise _damaged(path)
            yield name, data

    def _file(self, place: str, name: str, data: bytes) -> SharedFile:
        tiles = tiles_of(data) if name.endswith(".parquet") else ()
        sent = self._send(f"{place}/{name}", data)
        return SharedFile(name, sent, tuple((tile.rows, tile.stop, tile.check) for tile in tiles))

    def _send(self, name: str, data: bytes) -> Stored:
        """Send an object that is not there, while the next is made ready."""
        found = stored(name, data)
        if self.there.get(found.object) == found.size:
            self.present += 1
            return found
        self._wait(_AT_ONCE)
        self._waiting.append(self._pool.submit(_put, self.root, found.object, data))
        self.sent += 1
        self.sent_bytes += found.size
        return found

    def _wait(self, most: int) -> None:
        """Wait until no more than *most* objects are on their way."""
        while len(self._waiting) > most:
            self._waiting.popleft().result()


def _put(root: Location, name: str, data: bytes) -> None:
    path = root / name
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data, lasting=True)


def _whole_split(split: catalog.Split, masks: Mapping[str, MaskIndex]) -> list[MaskIndex]:
    """Give the indexes of a split, if all of them are there."""
    keys = [file.key for file in catalog.mask_zips(split)]
    return [masks[key] for key in keys] if all(key in masks for key in keys) else []


def _slug(key: str) -> str:
    return key.replace("/", "~")


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} in the cache is damaged",
        remedy="build it again, with the same --source and --cache: oid index build --check",
    )
