"""A release of any size, and a server for it: for demos, tests and benchmarks without network."""

from oidkit.testing.faults import Fault, RequestInfo
from oidkit.testing.ledger import Request
from oidkit.testing.outside import original_faults
from oidkit.testing.release import MadeRelease, make_release
from oidkit.testing.server import MirrorServer
from oidkit.testing.spec import PerSplit, ReleaseSpec

__all__ = [
    "Fault",
    "MadeRelease",
    "MirrorServer",
    "PerSplit",
    "ReleaseSpec",
    "Request",
    "RequestInfo",
    "make_release",
    "original_faults",
]
