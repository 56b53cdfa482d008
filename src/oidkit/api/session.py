"""One use of a source: its small files, tables and mask indexes, each fetched at most once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

from oidkit import catalog
from oidkit.disk import naming
from oidkit.errors import (
    AmbiguousClassError,
    MissingObjectError,
    NotAMirrorError,
    OidError,
    SourceError,
    UnknownClassError,
    UsageError,
)
from oidkit.events import Listener, Warned, ignore
from oidkit.filecache import FileCache
from oidkit.store import Source, parse_source
from oidkit.taxonomy import ClassList, Hierarchy, OidClass, parse_class_file, parse_segmentable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from oidkit.api.early import Early
    from oidkit.api.settings import Settings
    from oidkit.api.shared import Shared
    from oidkit.catalog import File
    from oidkit.schema import Schema
    from oidkit.store import Transfer
    from oidkit.tables import Cache, MaskIndex, Table
    from oidkit.transfer import Budget, FileJob, Run, Traffic

__all__ = ["Session"]


@dataclass(slots=False)
class Session:
    """A source and its cache, while some call works with them; use it as a context.

    Nothing is imported or opened before it is needed.
    """

    settings: Settings
    on_event: Listener = ignore
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _files: dict[str, bytes | None] = field(default_factory=dict)
    _every: ClassList | None = None

    def __enter__(self) -> Self:
        self.settings.checked()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @cached_property
    def source(self) -> Source:
        """Where everything comes from."""
        return parse_source(self.settings.source_name, official=catalog.OFFICIAL_HOSTS)

    @cached_property
    def transfer(self) -> Transfer:
        """The open connection to the source."""
        return self._open.enter_context(self.source.open())

    @cached_property
    def traffic(self) -> Traffic:
        """What went over the wire in this session."""
        from oidkit.transfer import Traffic

        return Traffic()

    @property
    def kept_in(self) -> Path:
        """The folder of the cache that belongs to the source; it need not be there."""
        return self.settings.cache_folder / self.source.cache_name

    @cached_property
    def budget(self) -> Budget:
        """What this session still bears of its source."""
        return self.fresh_budget()

    def fresh_budget(self) -> Budget:
        """Give a budget of its own to work whose trouble is not that of the rest."""
        from oidkit.transfer import Budget, Rate

        return Budget(rate=Rate(self.settings.requests_per_second))

    @cached_property
    def kept(self) -> FileCache:
        """The small files of this source that are in the cache."""
        return FileCache(self.kept_in)

    @cached_property
    def shared(self) -> Shared | None:
        """The shared index that is asked for what the cache lacks."""
        if not self.settings.index_name:
            return None
        from oidkit.api.shared import Shared
        from oidkit.shelf import parse_place

        place = parse_place(self.settings.index_name)
        return Shared(self, place, self._open.enter_context(place.reading()))

    @cached_property
    def cache(self) -> Cache:
        """The tables and mask indexes of this source."""
        from oidkit.tables import Cache

        cache = Cache(self.kept_in)
        with naming(cache.root):
            cache.make(self.source.name)
        return cache

    def run(
        self, *, most: int | None = None, on_event: Listener | None = None, **options: object
    ) -> Run:
        """Prepare to carry out jobs, at most *most* at a time; *on_event* hears of them instead."""
        from oidkit.transfer import Pace, Run

        workers = self.settings.workers
        fixed = min(workers or most, most) if most else workers
        pace = Pace(fixed=fixed)
        return Run(
            self.transfer,
            traffic=self.traffic,
            on_event=on_event or self.on_event,
            pace=pace,
            budget=self.budget,
            **options,  # type: ignore[arg-type]
        )

    # -- small files ----------------------------------------------------------------------------

    def files(self, wanted: Sequence[File]) -> dict[str, bytes]:
        """Give the content of small files by key; those that the source lacks are left out."""
        unknown = [file for file in wanted if file.key not in self._files]
        if unknown:
            self._files |= dict.fromkeys((file.key for file in unknown), None)
            self._files |= self._fetch_files(unknown)
        found = {file.key: self._files[file.key] for file in wanted}
        return {key: content for key, content in found.items() if content is not None}

    def _fetch_files(self, wanted: Sequence[File]) -> dict[str, bytes]:
        from oidkit.transfer import FileJob

        official = self.source.official
        if self.shared is not None:
            self.shared.bring_files(f.key for f in wanted if self.kept.get(f.key) is None)
        cached = {file.key: self.kept.get(file.key) for file in wanted}
        jobs = []
        for file in wanted:
            known = cached[file.key]
            if known is not None and official and file.md5:
                continue
            jobs.append(FileJob(file, etag=known.etag if known else None, official=official))
        if jobs:
            self.run(most=8).carry_out(jobs)
        found = {key: known.content for key, known in cached.items() if known is not None}
        for job in jobs:
            self._keep_file(job, found)
        return found

    def _keep_file(self, job: FileJob, found: dict[str, bytes]) -> None:
        if isinstance(job.error, MissingObjectError):
            found.pop(job.name, None)
        elif job.page is not None and job.name not in found:
            # Whoever parses it says that this is no mirror.
            found[job.name] = job.page
        elif job.error is not None:
            self.fall_back(job.error, there=job.name in found)
        elif job.content is not None:
            with naming(self.kept.root):
                self.kept.keep(job.name, job.content, job.etag)
            found[job.name] = job.content

    def fall_back(self, error: OidError, *, there: bool) -> None:
        """Go on with what is cached when the source cannot be reached; say so."""
        if not there or not isinstance(error, SourceError):
            raise error
        self.on_event(Warned(f"{error.cause}; the copy in the cache is used"))

    def class_list(self, asked: Iterable[str] = (), *, aliases: bool = False) -> ClassList:
        """Give the boxable classes of the release, with other names where *asked* needs them.

        Raises:
            NotAMirrorError: the source has no class list where it should be.

        """
        release = self.settings.release_name
        own_file = catalog.class_file(release)
        masks_file = catalog.segmentable_file(release)
        wanted = [own_file] if masks_file is None else [own_file, masks_file]
        found = self.files(wanted)
        own = self._classes(own_file, found)
        segmentable: frozenset[str] = frozenset()
        if masks_file is not None and masks_file.key in found:
            segmentable = parse_segmentable(found[masks_file.key], name=masks_file.key)
        classes = ClassList.build(own, segmentable=segmentable)
        if aliases or any(classes.needs_aliases(name) for name in asked):
            others = {
                file.key: file
                for file in map(catalog.class_file, catalog.RELEASES)
                if file != own_file
            }
            found = self.files(list(others.values()))
            names = [parse_class_file(found[key], name=key) for key in others if key in found]
            classes = ClassList.build(own, names, segmentable)
        return classes

    def _classes(self, file: File, found: Mapping[str, bytes]) -> dict[str, str]:
        if file.key not in found:
            raise NotAMirrorError(self.source.name, because=f"it has no {file.key}")
        try:
            return parse_class_file(found[file.key], name=file.key)
        except UsageError as error:
            raise NotAMirrorError(self.source.name, because=error.cause) from error

    def resolve(self, asked: Sequence[str], *, beyond: bool = False) -> list[OidClass]:
        """Find the classes that are asked for, each once, in the order asked.

        With *beyond* they may be among the 20,000 of image labels as well.

        Raises:
            UsageError: one of them is unknown or ambiguous, or none was asked for.

        """
        if not asked:
            raise UsageError("no class was named", remedy="name one, as in: oid download Handgun")
        boxable = self.class_list(asked)
        found = [self._resolved(name, boxable, beyond=beyond) for name in asked]
        return list({each.mid: each for each in found}.values())

    def _resolved(self, name: str, boxable: ClassList, *, beyond: bool) -> OidClass:
        try:
            found = boxable.resolve(name)
        except UnknownClassError:
            every = self.every_class()
            if every is None or (not beyond and not every.has(name)):
                raise
            found = every.resolve(name)
            if not beyond:
                raise UsageError(
                    f"{found} is a class of image labels and points alone",
                    remedy="ask for those: --labels image-labels",
                ) from None
            return found
        every = self.every_class() if beyond else None
        # The name may be that of another class too, or of several (V6 has two that are Human leg).
        if every is not None and every.has(name):
            other = every.resolve(name)
            if other.mid != found.mid:
                raise AmbiguousClassError(name, fits=[str(found), str(other)])
        return found

    def every_class(self) -> ClassList | None:
        """Give the classes of image labels, or None where the source has no list of them."""
        file = catalog.all_classes_file(self.settings.release_name)
        content = self.files([file]).get(file.key)
        if content is None:
            return None
        if self._every is None:
            self._every = ClassList.build(parse_class_file(content, name=file.key))
        return self._every

    def knows_classes(self) -> bool:
        """Tell whether the release's class list is in the cache."""
        return self.kept.get(catalog.class_file(self.settings.release_name).key) is not None

    def hierarchy(self) -> Hierarchy:
        """Give the hierarchy of the boxable classes."""
        file = catalog.hierarchy_file()
        found = self.files([file])
        if file.key not in found:
            raise NotAMirrorError(self.source.name, because=f"it has no {file.key}")
        return Hierarchy.parse(found[file.key], name=file.key)

    # -- tables ---------------------------------------------------------------------------------

    def tables(
        self, wanted: Sequence[tuple[File, Schema]], *, early: Early | None = None
    ) -> dict[str, Table]:
        """Give the tables of annotation files by key, and build those that are not there.

        A file that is known to be gone has its substitute's table, where the source lacks it.
        While files arrive, *early* may fetch images that they name.

        Raises:
            NotAMirrorError: the source lacks one of the files.
            OidError: one of them could not be had, or is not what it should be.

        """
        from oidkit.api.building import tables

        return tables(self, wanted, early=early)

    # -- mask indexes ---------------------------------------------------------------------------

    def mask_indexes(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, MaskIndex | OidError]:
        """Give the directory of each mask zip, or the error that says why it cannot be had.

        *wanted* names the masks that are looked for in each; where it names none, all of the
        directory is read. Of a large one that is sorted, as little is as will tell where they are.

        Raises:
            UsageError: the source refuses byte ranges.

        """
        from oidkit.api.directories import mask_indexes

        return mask_indexes(self, wanted)

    def forget_masks(self, key: str) -> None:
        """Forget the directory of a mask zip that the source has replaced."""
        self.cache.drop_masks(key)
        if self.shared is not None:
            self.shared.forget_masks(key)
