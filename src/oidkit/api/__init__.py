"""Everything that the commands do, as calls: the only place where the parts work together."""

from oidkit.api.download import download, plan
from oidkit.api.fetchlist import fetch
from oidkit.api.index import IndexEntry, index_build, index_info
from oidkit.api.listing import ClassRow, class_tree, classes
from oidkit.api.settings import Settings
from oidkit.api.splitting import SplitResult, split
from oidkit.api.summary import Count, Summary
from oidkit.api.verifying import Report, verify

__all__ = [
    "ClassRow",
    "Count",
    "IndexEntry",
    "Report",
    "Settings",
    "SplitResult",
    "Summary",
    "class_tree",
    "classes",
    "download",
    "fetch",
    "index_build",
    "index_info",
    "plan",
    "split",
    "verify",
]
