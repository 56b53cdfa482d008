"""The tables and mask indexes in the cache: what is there, and building them ahead of time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from oidkit import catalog
from oidkit.api.directories import read_whole
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.soundness import Spoilt, build_again, damaged_of
from oidkit.catalog import SPLITS, Label, Split
from oidkit.events import Listener, ignore
from oidkit.schema import IMAGES, files_of
from oidkit.tables import Cache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.schema import Schema

__all__ = ["IndexEntry", "index_build", "index_check", "index_info"]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A table or the directory of a mask zip in the cache.

    `rows` are annotations, images or masks; `rejects` those that were set aside; `bytes` what it
    takes on the disk, and `path` where.
    """

    source: str
    key: str
    kind: Literal["table", "mask directory"]
    rows: int
    rejects: int
    bytes: int
    path: str

    def as_dict(self) -> dict[str, object]:
        """Give the entry as plain values."""
        return asdict(self)


def index_info(*, settings: Settings | None = None) -> list[IndexEntry]:
    """List what is in the cache, for every source that was ever used."""
    folder = (settings or Settings()).cache_folder
    found: list[IndexEntry] = []
    if not folder.is_dir():
        return found
    for root in sorted(path for path in folder.iterdir() if (path / "source.txt").is_file()):
        source = (root / "source.txt").read_text(encoding="utf-8").strip()
        cache = Cache(root)
        for table in cache.tables():
            size = sum(path.stat().st_size for path in table.folder.iterdir())
            place = str(table.folder)
            found.append(
                IndexEntry(source, table.name, "table", table.rows, table.rejects, size, place)
            )
        for index in cache.mask_indexes():
            path = index.path or cache.root
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue  # another run has replaced it meanwhile
            found.append(
                IndexEntry(
                    source, index.key, "mask directory", index.count, index.ignored, size, str(path)
                )
            )
    return found


def index_check(*, settings: Settings | None = None) -> list[Spoilt]:
    """Compare all that is in the cache with its checksums, and list what is damaged."""
    folder = (settings or Settings()).cache_folder
    if not folder.is_dir():
        return []
    roots = sorted(path for path in folder.iterdir() if (path / "tables").is_dir())
    return [each for root in roots for each in damaged_of(root)]


def index_build(
    *,
    splits: Sequence[Split] = SPLITS,
    labels: Sequence[Label] | None = None,
    metadata: bool = True,
    check: bool = False,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> list[IndexEntry]:
    """Build the tables of some labels and splits, and read the directories of their mask zips.

    What is there already is left alone. *metadata* takes in the lists of images. With *check* all
    that is there of the source is compared with its checksums, and what is damaged is built again.

    Raises:
        OidError: something could not be had, or is not what it should be.

    """
    # What a team shares is no reason to build nothing.
    with Session(replace(settings or Settings(), index=""), on_event) as session:
        if check:
            build_again(session, damaged_of(session.kept_in))
        release = session.settings.release_name
        has = catalog.labels_of(release)
        wanted = tuple(labels or (label for label in ("boxes", "masks") if label in has))
        needed: list[tuple[catalog.File, Schema]] = []
        for label in wanted:
            for split in splits:
                needed += files_of(release, label, split)
        if metadata:
            needed += [(catalog.image_list(release, split), IMAGES) for split in splits]
        session.tables(needed)
        if "masks" in wanted:
            zips = (file.key for split in splits for file in catalog.mask_zips(split))
            read_whole(session, zips)
        root = session.cache.root
    inside = str(root)
    return [entry for entry in index_info(settings=settings) if entry.path.startswith(inside)]
