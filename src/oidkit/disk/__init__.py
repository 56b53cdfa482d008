"""Files of a dataset and of the cache: how they come to stand in their places, and stay.

A file is written under a temporary name beside its place, and gets its own name when it is whole.
An object of a bucket stands there as a whole by itself: where the two differ, it is decided here.
"""

from oidkit.disk.content import Stamp, digest, fingerprint, holds, matches, stamp
from oidkit.disk.lasting import make_lasting, sync_folder
from oidkit.disk.lock import locked
from oidkit.disk.record import Record, Status
from oidkit.disk.refusal import check_no_link, check_place, check_writable, naming
from oidkit.disk.swap import exchange
from oidkit.disk.unfinished import TEMPORARY, below, is_left, listing, remove, sweep, temporary
from oidkit.disk.writing import (
    link,
    move,
    write_all,
    write_atomically,
    write_everywhere,
    written_at_once,
)

__all__ = [
    "TEMPORARY",
    "Record",
    "Stamp",
    "Status",
    "below",
    "check_no_link",
    "check_place",
    "check_writable",
    "digest",
    "exchange",
    "fingerprint",
    "holds",
    "is_left",
    "link",
    "listing",
    "locked",
    "make_lasting",
    "matches",
    "move",
    "naming",
    "remove",
    "stamp",
    "sweep",
    "sync_folder",
    "temporary",
    "write_all",
    "write_atomically",
    "write_everywhere",
    "written_at_once",
]
