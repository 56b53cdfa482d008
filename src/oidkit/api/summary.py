"""What a run came to, as values; the command line prints it, ``--json`` as it is."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from oidkit.errors import IntegrityError, MissingObjectError, SourceError
from oidkit.markup import fields_table
from oidkit.quantities import byte_count, duration

if TYPE_CHECKING:
    from oidkit.disk import Record
    from oidkit.transfer import Traffic

__all__ = ["Count", "Summary", "take_down"]

_MOST_LISTED = 100


@dataclass(slots=True)
class Count:
    """What became of the images, or of the masks.

    Of those `asked` for, `present` needed no request; the others were `fetched`, are `missing` at
    the source, or `failed`. `bytes` are those of the files that were fetched.
    """

    asked: int = 0
    fetched: int = 0
    present: int = 0
    missing: int = 0
    failed: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """Word the counts for people."""
        if not self.asked:
            return "0"
        done = f"{self.fetched + self.present:,} of {self.asked:,}"
        parts = [
            f"{self.fetched:,} fetched, {byte_count(self.bytes)}" if self.fetched else "",
            f"{self.present:,} there before" if self.present else "",
            f"{self.missing:,} missing" if self.missing else "",
            f"{self.failed:,} failed" if self.failed else "",
        ]
        said = ", ".join(part for part in parts if part)
        return f"{done} ({said})" if said else done


@dataclass(slots=True)
class Summary:
    """What a run came to.

    `annotations` counts the chosen rows by label. `received_bytes` is every byte of every response
    body, `seconds` the time that the run took. `missing` lists the first 100 objects that the
    source does not have; the manifest has them all. `damaged` counts files that came, but never as
    they should be; they are among the failed.
    """

    out: str
    images: Count = field(default_factory=Count)
    masks: Count = field(default_factory=Count)
    annotations: dict[str, int] = field(default_factory=dict)
    received_bytes: int = 0
    requests: int = 0
    seconds: float = 0.0
    missing: list[str] = field(default_factory=list)
    damaged: int = 0
    first_failure: str = ""

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 6, 4 and 3, the gravest first, or 0."""
        if self.damaged:
            return IntegrityError.exit_code
        if self.images.failed or self.masks.failed:
            return SourceError.exit_code
        if self.images.missing or self.masks.missing:
            return MissingObjectError.exit_code
        return 0

    def as_dict(self) -> dict[str, object]:
        """Give the summary as plain values, as ``--json`` prints it."""
        return {
            "images": asdict(self.images),
            "masks": asdict(self.masks),
            "annotations": self.annotations,
            "received_bytes": self.received_bytes,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "missing": self.missing,
            "out": self.out,
        }

    def as_rows(self) -> list[tuple[str, str]]:
        """Word the summary for people, as names and values."""
        rows = [("images", str(self.images))]
        if "masks" in self.annotations:
            rows.append(("masks", str(self.masks)))
        # Masks are counted as files already.
        counts = self.annotations.items()
        rows += [(label, f"{count:,}") for label, count in counts if label != "masks"]
        requests = f"{self.requests:,} request{'' if self.requests == 1 else 's'}"
        came = f"{byte_count(self.received_bytes)} in {duration(self.seconds)} with {requests}"
        return [*rows, ("received", came), ("bucket" if "://" in self.out else "folder", self.out)]

    def _repr_html_(self) -> str:
        return fields_table("What a download came to", self.as_rows())

    def include(self, part: Summary) -> None:
        """Add what a part of the run came to; the time and the requests are those of the whole."""
        for mine, other in ((self.images, part.images), (self.masks, part.masks)):
            for each in fields(Count):
                setattr(mine, each.name, getattr(mine, each.name) + getattr(other, each.name))
        for label, count in part.annotations.items():
            self.annotations[label] = self.annotations.get(label, 0) + count
        self.missing = [*self.missing, *part.missing][:_MOST_LISTED]
        self.damaged += part.damaged
        self.first_failure = self.first_failure or part.first_failure

    def count(self, record: Record, *, name: str) -> None:
        """Count what became of one image or mask, which is called *name*."""
        count = self.images if record.kind == "image" else self.masks
        if record.status == "ok":
            count.fetched += 1
            count.bytes += record.bytes
            return
        if record.status == "missing":
            count.missing += 1
            if len(self.missing) < _MOST_LISTED:
                self.missing.append(name)
            return
        count.failed += 1
        self.damaged += record.status == "damaged"
        self.first_failure = self.first_failure or record.reason


def take_down(summary: Summary, traffic: Traffic, *, begun: float) -> None:
    """Take down what went over the wire, and the time since *begun* on the monotonic clock."""
    summary.received_bytes, summary.requests = traffic.received, traffic.requests
    summary.seconds = time.monotonic() - begun
