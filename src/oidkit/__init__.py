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
    from oidkit.api.downloading import download, plan
    from oidkit.api.fetchlist import fetch
    from oidkit.api.index import IndexEntry, index_build, index_info
    from oidkit.api.listing import ClassRow, class_tree, classes
    from oidkit.api.settings import Settings
    from oidkit.api.splitting import SplitResult, split
    from oidkit.api.summary import Count, Summary
    from oidkit.api.verifying import Report, verify
    from oidkit.demonstration import demo
    from oidkit.errors import OidError
    from oidkit.planning import Plan
    from oidkit.recipe import Recipe
    from oidkit.selection import Selection

__all__ = [
    "ClassRow",
    "Count",
    "IndexEntry",
    "OidError",
    "Plan",
    "Recipe",
    "Report",
    "Selection",
    "Settings",
    "SplitResult",
    "Summary",
    "class_tree",
    "classes",
    "demo",
    "download",
    "fetch",
    "index_build",
    "index_info",
    "plan",
    "split",
    "verify",
]

_PLACES = {
    "ClassRow": "oidkit.api.listing",
    "Count": "oidkit.api.summary",
    "IndexEntry": "oidkit.api.index",
    "OidError": "oidkit.errors",
    "Plan": "oidkit.planning",
    "Recipe": "oidkit.recipe",
    "Report": "oidkit.api.verifying",
    "Selection": "oidkit.selection",
    "Settings": "oidkit.api.settings",
    "SplitResult": "oidkit.api.splitting",
    "Summary": "oidkit.api.summary",
    "class_tree": "oidkit.api.listing",
    "classes": "oidkit.api.listing",
    "demo": "oidkit.demonstration",
    "download": "oidkit.api.downloading",
    "fetch": "oidkit.api.fetchlist",
    "index_build": "oidkit.api.index",
    "index_info": "oidkit.api.index",
    "plan": "oidkit.api.downloading",
    "split": "oidkit.api.splitting",
    "verify": "oidkit.api.verifying",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("oidkit")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'oidkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
