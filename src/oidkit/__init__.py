"""Part of Google's Open Images: name a class, get its images, masks, boxes and their metadata.

::

    import oidkit

    oidkit.download("Handgun", "handguns")

Every command of ``oid`` is a call here. Names are imported when they are first used, so that
``import oidkit`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oidkit.api import (
        ClassRow,
        Count,
        DatasetFolder,
        ExportOptions,
        ExportSummary,
        IndexEntry,
        Pulled,
        Pushed,
        Report,
        ReviewCounts,
        Settings,
        ShardSummary,
        SplitResult,
        Statistics,
        Summary,
        class_tree,
        classes,
        download,
        download_shards,
        draw,
        export,
        fetch,
        index_build,
        index_info,
        index_pull,
        index_push,
        plan,
        report,
        review,
        split,
        stats,
        verify,
    )
    from oidkit.demonstration import demo
    from oidkit.errors import OidError
    from oidkit.planning import Plan
    from oidkit.recipe import Recipe
    from oidkit.selection import Selection

__all__ = [
    "ClassRow",
    "Count",
    "DatasetFolder",
    "ExportOptions",
    "ExportSummary",
    "IndexEntry",
    "OidError",
    "Plan",
    "Pulled",
    "Pushed",
    "Recipe",
    "Report",
    "ReviewCounts",
    "Selection",
    "Settings",
    "ShardSummary",
    "SplitResult",
    "Statistics",
    "Summary",
    "class_tree",
    "classes",
    "demo",
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

# Where the public names are that `oidkit.api` does not have.
_PLACES = {
    "OidError": "oidkit.errors",
    "Plan": "oidkit.planning",
    "Recipe": "oidkit.recipe",
    "Selection": "oidkit.selection",
    "demo": "oidkit.demonstration",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("oidkit")
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, "oidkit.api")), name)
    raise AttributeError(f"module 'oidkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
