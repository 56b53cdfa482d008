"""Carries out what was planned: requests in flight, retries, checks, and what became of each.

The CSVs, the directories of the zips, the masks and the images all come through here.
"""

from oidkit.transfer.engine import Run, Traffic
from oidkit.transfer.jobs import ImageJob, LinkJob, MaskJob, Turn
from oidkit.transfer.metadata import DirectoryJob, FileJob, TableJob
from oidkit.transfer.originals import BucketFirstJob, OriginalJob
from oidkit.transfer.pace import Pace, SteadyPace

__all__ = [
    "BucketFirstJob",
    "DirectoryJob",
    "FileJob",
    "ImageJob",
    "LinkJob",
    "MaskJob",
    "OriginalJob",
    "Pace",
    "Run",
    "SteadyPace",
    "TableJob",
    "Traffic",
    "Turn",
]
