"""How a summary and a plan read on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import number, number_is, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oidkit.api.pulling import Pulled
    from oidkit.api.pushing import Pushed
    from oidkit.api.sharding import ShardSummary
    from oidkit.api.summary import Summary
    from oidkit.planning import Plan

__all__ = [
    "in_a_bucket",
    "index_in_words",
    "planned",
    "summed_up",
    "tell_none",
    "tell_shards",
    "tell_troubles",
]


def in_a_bucket(place: str) -> bool:
    """Tell whether a dataset at *place*, as the user named it, is in no folder."""
    return "://" in place and not place.lower().startswith("file:")


def summed_up(summary: Summary, *, then: str = "") -> list[str]:
    """Write what a run came to, for people, and the command that goes on from there."""
    return _aligned([*summary.as_rows(), *([("next", then)] if then else [])])


def tell_troubles(summary: Summary, *, listed: str = "manifest.csv", besides: str = "") -> None:
    """Say on stderr what the exit code of a run stands for, and that nothing was found.

    What is missing is *listed* in that file or folder of `.oid`; *besides* says what else it means
    that files failed.
    """
    tell_none([summary.images.asked, summary.masks.asked, *summary.annotations.values()])
    missing = summary.images.missing + summary.masks.missing
    failed = summary.images.failed + summary.masks.failed
    if missing:
        are = number_is(missing, "object")
        say(f"{are} not at the source, as listed in {summary.out}/.oid/{listed}")
    if failed:
        first = f", the first: {summary.first_failure}" if summary.first_failure else ""
        say(f"{number(failed, 'file')} failed{first}; {besides}{_remedy(summary)}")


def tell_none(counts: Iterable[int]) -> None:
    """Say on stderr where all counts of what was asked for are 0: no error, and a surprise."""
    if not any(counts):
        say(
            "nothing fits what was asked for; see how many images a class has: "
            "oid classes NAME --counts"
        )


def tell_shards(summary: ShardSummary) -> None:
    """Say on stderr what of a download straight to shards is not in them."""
    tell_troubles(summary, listed="shards", besides="their shards were not written; ")
    if summary.damaged_images:
        say(f"{number_is(summary.damaged_images, 'image')} damaged and left out")
    for note in summary.notes:
        say(note)


def planned(plan: Plan, *, out: str) -> list[str]:
    """Write what a download would do, for people."""
    rows = dict(plan.as_rows())
    if in_a_bucket(out):
        rows["to store"] = rows.pop("disk needed")
    return _aligned([*rows.items(), ("bucket" if in_a_bucket(out) else "folder", out)])


def index_in_words(found: Pushed | Pulled) -> str:
    """Write what of a team's index was sent or came."""
    tables = number(found.tables, "table")
    masks = number(found.masks, "mask index", "mask indexes")
    return f"{tables} and {masks} of release {found.release.upper()}"


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    listed = list(rows)
    width = max(len(word) for word, _ in listed)
    return [f"{word:<{width}}  {text}" for word, text in listed]


def _remedy(summary: Summary) -> str:
    """Say what helps: what came damaged in every try may well come so again."""
    again = "run the same command again"
    return f"{again}, or check the copy at --source" if summary.damaged else again
