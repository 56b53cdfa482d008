"""Carries out what was planned: requests in flight, retries, checks, and what became of each.

The CSVs, the directories of the zips, the masks and the images all come through here.
"""

from oidkit.transfer.budget import Budget
from oidkit.transfer.directories import DirectoryJob, ProbeJob
from oidkit.transfer.engine import Run
from oidkit.transfer.flight import Beside, Traffic
from oidkit.transfer.indexed import IndexFileJob, IndexJob, IndexRangeJob
from oidkit.transfer.jobs import ImageJob, LinkJob, MaskJob, Turn
from oidkit.transfer.metadata import FileJob, TableJob
from oidkit.transfer.originals import BucketFirstJob, OriginalJob
from oidkit.transfer.pace import Pace, SteadyPace
from oidkit.transfer.rate import Rate
from oidkit.transfer.zipspan import ZipSpan

__all__ = [
    "Beside",
    "BucketFirstJob",
    "Budget",
    "DirectoryJob",
    "FileJob",
    "ImageJob",
    "IndexFileJob",
    "IndexJob",
    "IndexRangeJob",
    "LinkJob",
    "MaskJob",
    "OriginalJob",
    "Pace",
    "ProbeJob",
    "Rate",
    "Run",
    "SteadyPace",
    "TableJob",
    "Traffic",
    "Turn",
    "ZipSpan",
]
