"""The directories of mask zips: out of the cache, looked up, or read whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from oidkit.errors import ChangedError, OidError, SourceError
from oidkit.events import Fetched, PhaseEnded, PhaseStarted
from oidkit.zipsearch import NameSearch, pays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oidkit.api.session import Session
    from oidkit.tables import MaskIndex
    from oidkit.transfer import DirectoryJob
    from oidkit.zipindex import ZipIndex

__all__ = ["mask_indexes", "read_whole"]

Found = dict[str, "MaskIndex | OidError"]
_WHOLE_AT_ONCE = 4


def mask_indexes(session: Session, wanted: Mapping[str, Sequence[str]]) -> Found:
    """Give what is needed of the directory of each mask zip; see `Session.mask_indexes`.

    A directory in the cache that lacks one of the names is read again if the zip has changed since.
    Of a part, which other runs replace by theirs, only what was asked for is held.
    """
    found: Found = {}
    todo: dict[str, Sequence[str]] = {}
    for key, names in wanted.items():
        index = session.cache.masks(key)
        known = session.cache.find_masks(index, names) if index else None
        if known is not None and (names or known[0].part is None):
            index, members = known
            if len(members) == len(set(names)):
                found[key] = index.only(names)
                continue
            found[key] = index
        todo[key] = names
    if todo and session.shared is not None:
        for key, index in session.shared.masks(todo).items():
            found[key] = index
            if len(index.find(todo[key])) == len(set(todo[key])):
                del todo[key]
    if todo:
        session.on_event(PhaseStarted("mask indexes", len(todo)))
        _Directories(session, found).bring(todo)
        session.on_event(PhaseEnded("mask indexes"))
    return {
        key: index if isinstance(index, OidError) else index.only(wanted[key])
        for key, index in found.items()
    }


def read_whole(session: Session, keys: Iterable[str]) -> None:
    """Read the directories of some mask zips whole, into the cache.

    Raises:
        OidError: one of them could not be had, or is not what it should be.

    """
    for found in session.mask_indexes(dict.fromkeys(keys, ())).values():
        if isinstance(found, OidError):
            raise found


@dataclass(slots=True, eq=False)
class _Search:
    """A search of the names in one zip, which *etag* and *total* tell from any other.

    `job` has read the end of the directory, and can go on where the search fails.
    """

    key: str
    names: NameSearch
    etag: str | None
    total: int
    job: DirectoryJob | None = None


@dataclass(slots=True)
class _Directories:
    session: Session
    found: Found
    jobs: list[DirectoryJob] = field(default_factory=list)

    def bring(self, todo: Mapping[str, Sequence[str]]) -> None:
        """Bring what is lacking of some directories."""
        searches, whole = [], []
        for key, names in todo.items():
            index = self.found.get(key)
            if index is None or isinstance(index, OidError):
                whole.append(self._job(key, names))
            elif index.part is None:
                whole.append(self._job(key, names, known=index.etag))
            elif pays(len(set(names)) - len(index.find(names)), index.part.size):
                search = NameSearch(index.part, names, key)
                search.know(index.entries())
                searches.append(_Search(key, search, index.etag, index.total))
            else:
                del self.found[key]
                whole.append(self._job(key))
        self._read(whole)
        searches += [
            _Search(job.name, job.search, job.etag, job.total, job)
            for job in whole
            if job.search is not None
        ]
        self._read(self._look(searches))
        for job in self.jobs:
            if job.name not in self.found:
                error = job.error or SourceError(f"{job.name} could not be read")
                self.found[job.name] = error

    def _job(
        self, key: str, names: Sequence[str] = (), *, known: str | None = None
    ) -> DirectoryJob:
        from oidkit.transfer import DirectoryJob

        return DirectoryJob(key, partial(self._keep, key), known=known, names=names)

    def _keep(self, key: str, index: ZipIndex, etag: str | None) -> None:
        from oidkit.tables import MaskIndex

        self.found[key] = self.session.cache.keep_masks(MaskIndex.of(index, key=key, etag=etag))

    def _read(self, jobs: list[DirectoryJob]) -> None:
        self.jobs += jobs
        if jobs:
            self.session.run(most=_WHOLE_AT_ONCE).carry_out(jobs)

    # -- searches -------------------------------------------------------------------------------

    def _look(self, searches: list[_Search]) -> list[DirectoryJob]:
        """Carry out the searches, all side by side; give the jobs of those that came to nothing."""
        from oidkit.tables import MaskIndex
        from oidkit.transfer import ProbeJob, ZipSpan

        run = self.session.run()
        failed: list[DirectoryJob] = []
        while searches:
            needs = [(each, each.names.need()) for each in searches]
            probes = [
                (each, ProbeJob(ZipSpan(each.key, each.etag, each.total, *span)))
                for each, spans in needs
                for span in spans
            ]
            run.carry_out(job for _, job in probes)
            errors: dict[str, OidError] = {}
            for each, job in probes:
                if job.error is not None:
                    errors[each.key] = job.error
                else:
                    each.names.feed(job.data, start=job.span.start)
            going = []
            for each, spans in needs:
                if (error := errors.get(each.key)) is not None or each.names.fallback:
                    failed += self._given_up(each, error)
                elif spans:
                    going.append(each)
                else:
                    index = MaskIndex.of_part(
                        each.names, key=each.key, etag=each.etag, total=each.total
                    )
                    self.found[each.key] = self.session.cache.keep_masks(index)
                    self.session.on_event(Fetched(each.key, each.total))
            searches = going
        return failed

    def _given_up(self, search: _Search, error: OidError | None) -> list[DirectoryJob]:
        """Say how to go on where a search found an odd directory, another zip, or no answer."""
        self.found.pop(search.key, None)
        if error is not None and not isinstance(error, ChangedError):
            self.found[search.key] = error
            return []
        if error is not None or search.job is None:
            return [self._job(search.key)]
        search.job.go_on()
        return [search.job]
