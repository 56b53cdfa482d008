"""Everything that the commands do, as calls: the only place where the parts work together.

Names are imported when they are first used: a command pays for what it needs and no more. No
module here has the name of a call, which it would hide.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oidkit.api.counting import Statistics, stats
    from oidkit.api.downloading import download, plan
    from oidkit.api.drawings import draw
    from oidkit.api.exporting import ExportOptions, ExportSummary, export
    from oidkit.api.fetchlist import fetch
    from oidkit.api.folders import DatasetFolder
    from oidkit.api.index import IndexEntry, index_build, index_info
    from oidkit.api.listing import ClassRow, class_tree, classes
    from oidkit.api.pulling import Pulled, index_pull
    from oidkit.api.pushing import Pushed, index_push
    from oidkit.api.reporting import report
    from oidkit.api.reviewing import ReviewCounts, review
    from oidkit.api.settings import Settings
    from oidkit.api.sharding import ShardSummary, download_shards
    from oidkit.api.splitting import SplitResult, split
    from oidkit.api.summary import Count, Summary
    from oidkit.api.verifying import Report, verify

__all__ = [
    "ClassRow",
    "Count",
    "DatasetFolder",
    "ExportOptions",
    "ExportSummary",
    "IndexEntry",
    "Pulled",
    "Pushed",
    "Report",
    "ReviewCounts",
    "Settings",
    "ShardSummary",
    "SplitResult",
    "Statistics",
    "Summary",
    "class_tree",
    "classes",
    "download",
    "download_shards",
    "draw",
    "export",
    "fetch",
    "index_build",
    "index_info",
    "index_pull",
    "index_push",
    "plan",
    "report",
    "review",
    "split",
    "stats",
    "verify",
]

_PLACES = {
    "ClassRow": "listing",
    "Count": "summary",
    "DatasetFolder": "folders",
    "ExportOptions": "exporting",
    "ExportSummary": "exporting",
    "IndexEntry": "index",
    "Pulled": "pulling",
    "Pushed": "pushing",
    "Report": "verifying",
    "ReviewCounts": "reviewing",
    "Settings": "settings",
    "ShardSummary": "sharding",
    "SplitResult": "splitting",
    "Statistics": "counting",
    "Summary": "summary",
    "class_tree": "listing",
    "classes": "listing",
    "download": "downloading",
    "download_shards": "sharding",
    "draw": "drawings",
    "export": "exporting",
    "fetch": "fetchlist",
    "index_build": "index",
    "index_info": "index",
    "index_pull": "pulling",
    "index_push": "pushing",
    "plan": "downloading",
    "report": "reporting",
    "review": "reviewing",
    "split": "splitting",
    "stats": "counting",
    "verify": "verifying",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(f"oidkit.api.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'oidkit.api' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
