"""How a summary and a plan read on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import number, say
from oidkit.progress.counts import byte_count, duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from oidkit.api.summary import Count, Summary
    from oidkit.planning import Plan

__all__ = ["planned", "summed_up", "tell_troubles"]


def summed_up(summary: Summary) -> list[str]:
    """Write what a run came to, for people."""
    came = [
        byte_count(summary.received_bytes),
        f"in {duration(summary.seconds)}",
        f"with {number(summary.requests, 'request')}",
    ]
    rows = [("images", _counted(summary.images))]
    if "masks" in summary.annotations:
        rows.append(("masks", _counted(summary.masks)))
    rows += _annotations(summary.annotations)
    return _aligned([*rows, ("received", " ".join(came)), ("folder", summary.out)])


def tell_troubles(summary: Summary) -> None:
    """Say on stderr what the exit code of a run stands for."""
    counts = (summary.images, summary.masks)
    missing = sum(count.missing for count in counts)
    failed = sum(count.failed for count in counts)
    if missing:
        are = "1 object is" if missing == 1 else f"{missing:,} objects are"
        say(f"{are} not at the source, as listed in {summary.out}/.oid/manifest.csv")
    if failed:
        first = f", the first: {summary.first_failure}" if summary.first_failure else ""
        say(f"{number(failed, 'file')} failed{first}; run the same command again")


def planned(plan: Plan, *, out: Path | str) -> list[str]:
    """Write what a download would do, for people."""
    images = (sum(each.to_fetch for each in plan.images), sum(each.asked for each in plan.images))
    masks = (sum(each.to_fetch for each in plan.masks), sum(each.asked for each in plan.masks))
    counts = [("images", images), *([("masks", masks)] if "masks" in plan.rows else [])]
    rows = [(word, f"{to_fetch:,} to fetch of {asked:,}") for word, (to_fetch, asked) in counts]
    if plan.from_originals:
        rows.append(("originals", f"{plan.from_originals:,} of them from outside the bucket"))
    rows += _annotations(plan.rows)
    rows += [
        ("to receive", f"about {byte_count(plan.bytes_to_receive)}"),
        ("disk needed", f"about {byte_count(plan.disk_needed)}"),
        ("folder", str(out)),
    ]
    return _aligned(rows)


def _counted(count: Count) -> str:
    if not count.asked:
        return "0"
    done = f"{count.fetched + count.present:,} of {count.asked:,}"
    parts = [
        f"{count.fetched:,} fetched, {byte_count(count.bytes)}" if count.fetched else "",
        f"{count.present:,} there before" if count.present else "",
        f"{count.missing:,} missing" if count.missing else "",
        f"{count.failed:,} failed" if count.failed else "",
    ]
    said = ", ".join(part for part in parts if part)
    return f"{done} ({said})" if said else done


def _annotations(rows: Mapping[str, int]) -> list[tuple[str, str]]:
    # Masks are counted as files already.
    return [(label, f"{count:,}") for label, count in rows.items() if label != "masks"]


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    listed = list(rows)
    width = max(len(word) for word, _ in listed)
    return [f"{word:<{width}}  {text}" for word, text in listed]
