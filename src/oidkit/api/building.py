"""The tables of annotation files: out of the cache or a team's index, or built as they come."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.api.early import TABLES_AT_ONCE, TwoAtOnce
from oidkit.disk import locked
from oidkit.errors import DiskError, LackingFileError, MissingObjectError, RefusedError
from oidkit.events import Noted, PhaseEnded, PhaseStarted, Rejected, Warned
from oidkit.transfer import TableJob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.api.early import Early
    from oidkit.api.session import Session
    from oidkit.catalog import File
    from oidkit.errors import OidError
    from oidkit.schema import Schema
    from oidkit.tables import Table

__all__ = ["tables"]


def tables(
    session: Session, wanted: Sequence[tuple[File, Schema]], *, early: Early | None = None
) -> dict[str, Table]:
    """Give the tables of annotation files; see `Session.tables`."""
    given_out = [
        (file, schema) for file, schema in wanted if not (file.gone and session.source.official)
    ]
    found = _Tables(session, early).bring(given_out)
    lacking = {
        file: (catalog.published(file.substitute), schema)
        for file, schema in wanted
        if file.key not in found and file.substitute
    }
    if not lacking:
        return found
    for file in lacking:
        text = f"{file.key} is no longer given out; {file.substitute} stands in for it"
        session.on_event(Warned(text))
    # With locks of their own, or they would not be taken in one order.
    more = _Tables(session, early).bring(list(lacking.values()))
    return found | more | {file.key: more[other.key] for file, (other, _) in lacking.items()}


@dataclass(slots=True)
class _Tables:
    """Some tables: those `found`, and the jobs that build or check others."""

    session: Session
    early: Early | None
    found: dict[str, Table] = field(default_factory=dict)
    jobs: list[TableJob] = field(default_factory=list)

    def bring(self, wanted: Sequence[tuple[File, Schema]]) -> dict[str, Table]:
        """Give the tables by key; what is no longer given out is left out."""
        shared = self.session.shared
        known = shared.tables([file.key for file, _ in wanted]) if shared else {}
        with contextlib.ExitStack() as locks:
            # In one order for everybody, so that two runs never wait for each other.
            for file, schema in sorted(dict(wanted).items(), key=lambda pair: pair[0].key):
                self._look(file, schema, known.get(file.key), locks)
            if self.jobs:
                self._carry_out()
        for table in self.found.values():
            # Every run that uses a table is told which rows of its file are not in it.
            if table.rejects:
                told = Rejected(table.name, table.rejects, str(table.rejects_file))
                self.session.on_event(told)
        return self.found

    def _look(
        self, file: File, schema: Schema, shared: Table | None, locks: contextlib.ExitStack
    ) -> None:
        """Take a table that is there; make a job where it is not, or may be older than its file."""
        cache, official = self.session.cache, self.session.source.official
        lasts = official and bool(file.md5)
        known = shared or cache.table(file.key)
        if known is None or not lasts:
            self._lock(file.key, locks, there=known is not None)
            known = shared or cache.table(file.key)
        if known is not None:
            self.found[file.key] = known
            if lasts:
                cache.drop_older(file.key, known)
                return
        elif cache.has_broken(file.key):
            text = f"the table of {file.key} is damaged; it is built again"
            self.session.on_event(Warned(text))
        builder = locks.enter_context(cache.building(file.key, schema))
        builder.on_block = self.early.listener(file.key, builder) if self.early else None
        etag = known.etag if known else None
        self.jobs.append(TableJob(file, builder, etag=etag, official=official))

    def _lock(self, key: str, locks: contextlib.ExitStack, *, there: bool) -> None:
        """Keep other runs off a table; a cache that cannot be written needs no lock to be read."""
        busy = Noted(f"waiting for another run that works on {key}")

        def tell() -> None:
            self.session.on_event(busy)

        try:
            locks.enter_context(locked(self.session.cache.lock_file(key), waiting=tell))
        except DiskError:
            if not there:
                raise

    def _carry_out(self) -> None:
        on_event = self.session.on_event
        fresh = sum(job.name not in self.found for job in self.jobs)
        on_event(PhaseStarted("tables", fresh) if fresh else Noted("checking the tables"))
        if self.early is None:
            self.session.run(most=TABLES_AT_ONCE).carry_out(self.jobs)
        else:
            self._carry_out_beside(self.early)
        for job in self.jobs:
            if job.file.gone and _is_gone(job.error):
                self.found.pop(job.name, None)
            else:
                self._keep(job)
        if fresh:
            on_event(PhaseEnded("tables"))

    def _carry_out_beside(self, early: Early) -> None:
        """Fetch images that arriving tables name, beside them."""
        session = self.session
        run = session.run(record=early.record, on_event=early.quiet(session.on_event))
        every, beside = TwoAtOnce(self.jobs), early.beside(self.jobs)
        beside.budget = session.fresh_budget()
        while not all(job.over for job in self.jobs):
            # Which ends when nothing is under way, though more may have been found since.
            run.carry_out(every, beside=beside)
        for job in self.jobs:
            early.judge(job)

    def _keep(self, job: TableJob) -> None:
        """Take the table that a job came to, or go on with that of before."""
        if isinstance(job.error, MissingObjectError):
            raise LackingFileError(self.session.source.name, job.name)
        if job.error is not None:
            self.session.fall_back(job.error, there=job.name in self.found)
            return
        table = job.table
        if table is not None:
            self.found[job.name] = table
            self.session.on_event(Noted(f"table of {job.name}: {table.rows:,} rows"))
        self.session.cache.drop_older(job.name, self.found[job.name])


def _is_gone(error: OidError | None) -> bool:
    """Tell a file that is not given out from one that another try may bring."""
    return isinstance(error, RefusedError | MissingObjectError)
