"""How a summary and a plan read on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import number, say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oidkit.api.sharding import ShardSummary
    from oidkit.api.summary import Summary
    from oidkit.planning import Plan

__all__ = ["planned", "summed_up", "tell_shards", "tell_troubles"]


def summed_up(summary: Summary) -> list[str]:
    """Write what a run came to, for people."""
    return _aligned(summary.as_rows())


def tell_troubles(summary: Summary, *, listed: str = "manifest.csv", besides: str = "") -> None:
    """Say on stderr what the exit code of a run stands for.

    What is missing is *listed* in that file or folder of `.oid`; *besides* says what else it means
    that files failed.
    """
    missing = summary.images.missing + summary.masks.missing
    failed = summary.images.failed + summary.masks.failed
    if missing:
        are = "1 object is" if missing == 1 else f"{missing:,} objects are"
        say(f"{are} not at the source, as listed in {summary.out}/.oid/{listed}")
    if failed:
        first = f", the first: {summary.first_failure}" if summary.first_failure else ""
        say(f"{number(failed, 'file')} failed{first}; {besides}{_remedy(summary)}")


def tell_shards(summary: ShardSummary) -> None:
    """Say on stderr what of a download straight to shards is not in them."""
    tell_troubles(summary, listed="shards", besides="their shards were not written; ")
    if summary.damaged_images:
        are = "is" if summary.damaged_images == 1 else "are"
        say(f"{number(summary.damaged_images, 'image')} {are} damaged and left out")
    for note in summary.notes:
        say(note)


def planned(plan: Plan, *, out: Path | str) -> list[str]:
    """Write what a download would do, for people."""
    return _aligned([*plan.as_rows(), ("bucket" if "://" in str(out) else "folder", str(out))])


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    listed = list(rows)
    width = max(len(word) for word, _ in listed)
    return [f"{word:<{width}}  {text}" for word, text in listed]


def _remedy(summary: Summary) -> str:
    """Say what helps: what came damaged in every try may well come so again."""
    again = "run the same command again"
    return f"{again}, or check the copy at --source" if summary.damaged else again
