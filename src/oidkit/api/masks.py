"""Takes masks out of their zips by byte range, each recorded as it comes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit.api.recording import Recording
from oidkit.disk import Record, fingerprint, listing, written_at_once
from oidkit.errors import IntegrityError, MissingObjectError, OidError
from oidkit.events import PhaseEnded, PhaseStarted, Warned
from oidkit.planning import ZipMasks, masks_by_zip, spans
from oidkit.store import is_strong
from oidkit.transfer import MaskJob, ZipSpan
from oidkit.transfer.records import lost_record, mask_record
from oidkit.zipmember import check_readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from oidkit.api.session import Session
    from oidkit.api.summary import Summary
    from oidkit.api.turning import Turning
    from oidkit.dataset import Dataset
    from oidkit.planning import MaskPlan
    from oidkit.tables import MaskIndex
    from oidkit.zipindex import Member

__all__ = ["carry_masks", "indexes_of"]


def indexes_of(session: Session, wanted: Mapping[str, ZipMasks]) -> dict[str, MaskIndex | OidError]:
    """Give what is needed of the directories of some zips, as `Session.mask_indexes`."""
    return session.mask_indexes({key: each.names for key, each in wanted.items()})


def carry_masks(
    session: Session,
    dataset: Dataset,
    plans: Sequence[MaskPlan],
    *,
    summary: Summary,
    indexes: Mapping[str, MaskIndex | OidError] | None = None,
    turning: Turning | None = None,
) -> None:
    """Take the masks that are not there out of their zips.

    *indexes* are the directories of those zips, where the caller has read them. A zip that is
    replaced while it is read has its directory read once more.
    """
    for plan in plans:
        summary.masks.asked += plan.asked
        summary.masks.present += plan.asked - plan.to_fetch
    todo = masks_by_zip(plans)
    if not todo:
        return
    recording = Recording(dataset, summary, session.on_event)
    first = _Taking(session, dataset, recording, turning)
    first.take(todo, indexes_of(session, todo) if indexes is None else indexes)
    if not first.changed:
        return
    text = f"{', '.join(sorted(first.changed))} changed; it is read again"
    session.on_event(Warned(text))
    todo = _left(dataset, todo, first.changed)
    second = _Taking(session, dataset, recording, turning, last=True)
    second.take(todo, indexes_of(session, todo))
    for key, each in _left(dataset, todo, second.changed).items():
        for path in each.paths:
            reason = f"{key} changed on the source while it was read"
            recording.tell(Record(path, "mask", key, "failed", reason=reason))


def _left(
    dataset: Dataset, todo: Mapping[str, ZipMasks], changed: AbstractSet[str]
) -> dict[str, ZipMasks]:
    """Give the masks of the *changed* zips that are not there by now, or damaged."""
    wanted = {key: todo[key] for key in todo if key in changed}
    if wanted:
        dataset.manifest.merge()
    folders = {each.folder for each in wanted.values()}
    there = {folder: dataset.masks_there(folder) for folder in folders}
    left = {key: each.without(there[each.folder]) for key, each in wanted.items()}
    return {key: each for key, each in left.items() if each.names}


@dataclass(slots=True)
class _Taking:
    """One look at the zips; `changed` are those that the source has replaced meanwhile.

    At the `last` damage is what it seems. Before, it may be that of a zip that is another by now.
    """

    session: Session
    dataset: Dataset
    recording: Recording
    turning: Turning | None = None
    last: bool = False
    changed: set[str] = field(default_factory=set)
    _lost: list[Record] = field(default_factory=list)
    _standing: dict[str, frozenset[str]] = field(default_factory=dict)

    def take(
        self, todo: Mapping[str, ZipMasks], indexes: Mapping[str, MaskIndex | OidError]
    ) -> None:
        """Take masks out of zips whose directories are *indexes*."""
        count = sum(len(each.names) for each in todo.values())
        self.session.on_event(PhaseStarted("masks", count))
        run = self.session.run(record=self.recording.record, on_event=self.recording.hear)
        run.carry_out(self._jobs(todo, indexes), settlers=written_at_once(self.dataset.root))
        for record in self._lost:
            # What the directory did not have, a zip that was replaced meanwhile may have.
            if record.key not in self.changed:
                self.recording.tell(record)
        self.session.on_event(PhaseEnded("masks"))
        for key in self.changed:
            self.session.forget_masks(key)

    def _jobs(
        self, todo: Mapping[str, ZipMasks], indexes: Mapping[str, MaskIndex | OidError]
    ) -> Iterator[MaskJob]:
        for key, wanted in todo.items():
            self.dataset.make(wanted.folder)
            index = indexes[key]
            if isinstance(index, OidError):
                for path in wanted.paths:
                    self.recording.tell(lost_record(path, key, index, kind="mask"))
                continue
            known = self.session.cache.find_masks(index, wanted.names)
            if known is None:
                # Another run has found that the zip was replaced, and dropped its index.
                self.changed.add(key)
                continue
            index, found = known
            yield from self._jobs_of(index, self._members(index, wanted, found))

    def _members(
        self, index: MaskIndex, wanted: ZipMasks, found: Mapping[str, Member]
    ) -> list[tuple[Member, str]]:
        """Give those to ask for of the masks *found* in the directory; the others are lost."""
        members = []
        for name, path in zip(wanted.names, wanted.paths, strict=True):
            member = found.get(name)
            if member is None:
                gone = MissingObjectError(f"{index.key} has no member {name}")
                self._lost.append(lost_record(path, index.key, gone, kind="mask"))
                continue
            try:
                check_readable(member, where=f"{name} in {index.key}")
            except IntegrityError as error:
                self._lost.append(lost_record(path, index.key, error, kind="mask"))
                continue
            if not self._adopts(path, index.key, member):
                members.append((member, path))
        return members

    def _adopts(self, path: str, key: str, member: Member) -> bool:
        """Take a mask that stands there whole, though no record says so: its run was killed."""
        folder, _, name = path.rpartition("/")
        if folder not in self._standing:
            self._standing[folder] = frozenset(listing(self.dataset.root / folder, sweep=False))
        if name not in self._standing[folder]:
            return False
        try:
            png = (self.dataset.root / path).read_bytes()
        except OSError:
            return False
        if self.turning is not None and self.turning.by(path):
            if not self.turning.fits_mask(path, png, member):
                return False
            check = fingerprint(png)
        elif len(png) != member.usize or zlib.crc32(png) != member.crc32:
            return False
        else:
            check = f"crc32:{member.crc32:08x}"
        self.recording.adopt(mask_record(path, key, png, check=check))
        return True

    def _jobs_of(self, index: MaskIndex, members: list[tuple[Member, str]]) -> Iterator[MaskJob]:
        # Damage in a zip that may be another one by now: its directory is read once more.
        doubted = not (self.last or is_strong(index.etag))
        turn = self.turning.mask if self.turning else None
        for span in spans([member for member, _ in members]):
            if index.key in self.changed:
                return
            place = ZipSpan(index.key, index.etag, index.total, span.start, span.stop, doubted)
            chosen = [members[at] for at in span.members]
            yield MaskJob(self.dataset.root, place, chosen, changed=self.changed, turn=turn)
