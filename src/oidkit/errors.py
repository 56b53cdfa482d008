"""The errors that oidkit raises, and the exit code that each stands for.

::

    OidError                     (4)
    ├── UsageError               2   the request itself is wrong; nothing was fetched
    │   ├── UnknownClassError
    │   ├── AmbiguousClassError
    │   └── NotAMirrorError
    │       └── LackingFileError
    ├── MissingObjectError       3   the source does not have the object (404, 410)
    ├── SourceError              4   something failed that a rerun may mend
    │   ├── ChangedError
    │   └── RefusedError
    ├── BucketError              4   the store that is written to could not be reached, or gave up
    ├── DiskError                5   full, read-only, no permission
    ├── IntegrityError           6   content that is not what it should be
    │   └── MalformedError
    └── InterruptedRunError    130   stopped by the user

Every error reads as one sentence with its cause, followed by the remedy.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AmbiguousClassError",
    "BucketError",
    "ChangedError",
    "DiskError",
    "IntegrityError",
    "InterruptedRunError",
    "LackingFileError",
    "MalformedError",
    "MissingObjectError",
    "NotAMirrorError",
    "OidError",
    "RefusedError",
    "SourceError",
    "UnknownClassError",
    "UsageError",
]

_MORE_FILES = "raise the limit of open files, as with: ulimit -n 256"


class OidError(Exception):
    """Root of every error raised on purpose: a cause, and what to do about it."""

    exit_code: ClassVar[int] = 4

    def __init__(self, cause: str, *, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause}; {self.remedy}" if self.remedy else self.cause

    def __reduce__(self) -> tuple[object, ...]:
        # As it is, whatever its class is made from: a worker's error goes to another process.
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[OidError], args: tuple[object, ...]) -> OidError:
    """Make an error of some class anew; its fields are set afterwards."""
    error = kind.__new__(kind)
    error.args = args
    return error


class UsageError(OidError, ValueError):
    """The command or one of its arguments is wrong; nothing was fetched."""

    exit_code = 2


class UnknownClassError(UsageError):
    """No class of any release has this name or MID."""

    def __init__(self, asked: str, *, nearest: Sequence[str] = ()) -> None:
        self.asked = asked
        self.nearest = tuple(nearest)
        meant = f" (did you mean {' or '.join(self.nearest)}?)" if self.nearest else ""
        # A word that the command finds something for.
        word = f" {self.nearest[0].split()[0].lower()}" if self.nearest else ""
        super().__init__(
            f"unknown class '{asked}'{meant}",
            remedy=f"list the classes with: oid classes{word}",
        )


class AmbiguousClassError(UsageError):
    """Several classes have this name."""

    def __init__(self, asked: str, *, fits: Sequence[str]) -> None:
        self.asked = asked
        self.fits = tuple(fits)
        super().__init__(
            f"'{asked}' fits several classes: {', '.join(self.fits)}",
            remedy="name the class by its MID",
        )


class NotAMirrorError(UsageError):
    """The source is not laid out like the public buckets."""

    def __init__(self, source: str, *, because: str) -> None:
        self.source = source
        super().__init__(
            f"{source} is not a mirror of Open Images: {because}",
            remedy="give --source the root that holds the folder openimages/, or 'official'",
        )


class LackingFileError(NotAMirrorError):
    """A mirror has no annotation file where the public buckets have one."""

    def __init__(self, source: str, key: str) -> None:
        self.source = source
        UsageError.__init__(
            self,
            f"{source} has no {key}",
            remedy="leave out what needs it (--labels, --no-metadata), or choose another --source",
        )


class MissingObjectError(OidError):
    """The source says that it does not have the object (404 or 410)."""

    exit_code = 3


class SourceError(OidError):
    """The source could not be reached, refused, or gave up half way."""

    exit_code = 4


class ChangedError(SourceError):
    """The object is no longer the one that its index was made of."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} changed on the source while it was read",
            remedy="run the same command again",
        )


class RefusedError(SourceError):
    """The source refuses the object (403), which some also do for one that they do not have."""


class BucketError(OidError):
    """The object store of a dataset, or of a pushed index, could not be reached, or gave up."""

    exit_code = 4


class DiskError(OidError, OSError):
    """The disk is full or read-only, or the path, or the address, may not be written."""

    exit_code = 5

    def __init__(self, path: object, *, because: str, remedy: str = "", cause: str = "") -> None:
        """Say that *path* cannot be written, or what else is the *cause*."""
        super().__init__(cause or f"cannot write {path}: {because}", remedy=remedy)
        self.path = str(path)

    @classmethod
    def from_os(cls, error: OSError, *, path: object) -> DiskError:
        """Say what an `OSError` means for the user, naming *path* where the error has none.

        Of a copy, a link or a new name it is the place that is to be written, not the source.
        """
        remedies = {
            errno.ENOSPC: "free some space and run the same command again",
            errno.EDQUOT: "free some of your quota and run the same command again",
            errno.EROFS: "choose a folder on a disk that can be written",
            errno.EACCES: "give yourself permission to write there, or choose another folder",
            errno.EPERM: "give yourself permission to write there, or choose another folder",
            errno.EMFILE: _MORE_FILES,
            errno.ENFILE: _MORE_FILES,
        }
        named = (each for each in (error.filename2, error.filename) if isinstance(each, str))
        where = next(named, path)
        number = error.errno
        if number is None and (found := re.search(r"\(os error (\d+)\)", str(error))):
            # The table engine's errors carry the number in their text only.
            number = int(found[1])
        because = (os.strerror(number) if number else str(error)).lower()
        remedy = remedies.get(number or 0, "choose another folder")
        return cls(where, because=because, remedy=remedy)


class IntegrityError(OidError):
    """Content that does not match its checksum or its format, after every retry."""

    exit_code = 6


class MalformedError(IntegrityError):
    """Content that came as the source has it, but is not what it should be; no retry mends it."""


class InterruptedRunError(OidError):
    """The user stopped the run; what was finished stays."""

    exit_code = 130
