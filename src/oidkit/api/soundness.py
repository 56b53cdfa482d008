"""What is damaged in the cache of a source, and building just that again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from oidkit import catalog
from oidkit.api.directories import read_whole
from oidkit.disk import naming, remove
from oidkit.events import Warned
from oidkit.filecache import FileCache
from oidkit.schema import CAPTIONS, IMAGES, files_of
from oidkit.tables import Cache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oidkit.api.session import Session
    from oidkit.schema import Schema

__all__ = ["Spoilt", "build_again", "damaged_of", "tables_of"]

_Kind = Literal["table", "mask directory", "file"]


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A table, the directory of a mask zip, or a small file of which a byte is not as it was."""

    kind: _Kind
    key: str
    path: str

    def as_dict(self) -> dict[str, object]:
        """Give the entry as plain values."""
        return asdict(self)


def damaged_of(root: Path) -> list[Spoilt]:
    """List what is damaged in the cache of one source, which lies in *root*.

    Raises:
        DiskError: something of it cannot be read.

    """
    cache = Cache(root)
    with naming(root):
        tables = [Spoilt("table", key, str(path)) for key, path in cache.damaged_tables()]
        masks = [Spoilt("mask directory", key, str(path)) for key, path in cache.damaged_masks()]
        files = [Spoilt("file", key, str(path)) for key, path in FileCache(root).damaged()]
    return [*tables, *masks, *files]


def build_again(session: Session, spoilt: Sequence[Spoilt]) -> None:
    """Drop what is damaged in the cache of the session's source, and make it again.

    Raises:
        OidError: something could not be had, or is not what it should be.

    """
    keys: dict[_Kind, list[str]] = {kind: [] for kind in get_args(_Kind)}
    for each in spoilt:
        session.on_event(Warned(f"{each.key} in the cache is damaged; it is built again"))
        with naming(session.kept_in):
            remove(Path(each.path))
        keys[each.kind].append(each.key)
    known = dict(_tables())
    session.files([catalog.published(key) for key in keys["file"]])
    session.tables([known[key] for key in keys["table"] if key in known])
    read_whole(session, keys["mask directory"])


def _tables() -> Iterator[tuple[str, tuple[catalog.File, Schema]]]:
    """Give every annotation file of every release by its key, with its rules."""
    for release in catalog.RELEASES:
        yield from tables_of(release)


def tables_of(release: catalog.Release) -> Iterator[tuple[str, tuple[catalog.File, Schema]]]:
    """Give every annotation file of a release by its key, with its rules."""
    labels = catalog.labels_of(release)
    for split in catalog.SPLITS:
        found = [pair for label in labels for pair in files_of(release, label, split)]
        if "narratives" in labels:
            found.append((catalog.captions_file(release, split), CAPTIONS))
        lists = (catalog.image_list(release, split), catalog.whole_image_list(release, split))
        found += [(file, IMAGES) for file in lists if file is not None]
        yield from ((file.key, (file, schema)) for file, schema in found)
        for file, schema in found:
            if file.substitute:
                yield file.substitute, (catalog.published(file.substitute), schema)
