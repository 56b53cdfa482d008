"""The dataset folder: where things lie in it, and how files come to stand there.

A file is written under a temporary name beside its place, and gets its own name when it is whole.
An object of a bucket stands there as a whole by itself.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from oidkit import ownership
from oidkit.errors import DiskError, UsageError
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oidkit.objectpath import Location

__all__ = [
    "TEMPORARY",
    "Record",
    "Stamp",
    "Status",
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

TEMPORARY = ".oid-tmp-"
"""How the names of unfinished files begin; a later run sweeps those that a killed one left."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_MOST_TRIES = 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

Status = Literal["ok", "missing", "failed", "damaged"]
Stamp: TypeAlias = tuple[int | str, int, int]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the manifest: what became of one file that was asked for.

    `path` is relative to the dataset folder, with forward slashes. `key` is the object that the
    file comes from. `check` is how the content was checked, such as ``md5:…`` or ``crc32:…``.
    A `failed` file may come with another run; a `damaged` one came, but never as it should be.
    `width` and `height` are the pixels of an image or a mask as they are stored, 0 where that is
    not known.
    """

    path: str
    kind: Literal["image", "mask", "annotations"]
    key: str
    status: Status
    bytes: int = 0
    check: str = ""
    reason: str = ""
    width: int = 0
    height: int = 0


@contextlib.contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Give a name beside *path* for a file or folder until it is whole; what is left there goes.

    The name says whose it is. An `OSError` that comes out of the block names *path*.
    """
    with _claimed(path) as fresh:
        try:
            yield fresh
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Location) -> Iterator[None]:
    """Say of what the disk does not do in the block what it means, naming *path*."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskError):
            raise
        raise DiskError.from_os(error, path=path) from error


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[Path]:
    """Give a name as `temporary` does; who asks removes what is left there."""
    token = ownership.claim()
    fresh = path.with_name(f"{TEMPORARY}{token}")
    try:
        yield fresh
    except OSError as error:
        # A failed write names no file, a failed open the temporary one, and a copy both.
        if error.filename is None or str(fresh) in {error.filename, error.filename2}:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        ownership.drop(token)


def write_atomically(
    path: Location, data: bytes | Iterable[bytes], *, lasting: bool = False
) -> None:
    """Write a file that stands at *path* as a whole, or not at all.

    One that is *lasting* is so after a loss of power, too, and is there when this returns.
    """
    if isinstance(path, ObjectPath):
        path.write(data)
        return
    with _claimed(path) as fresh:
        try:
            _fill(fresh, data, lasting=lasting)
            try:
                fresh.replace(path)
            except FileNotFoundError:
                if not isinstance(data, bytes):
                    raise
                # Another machine took it for the work of a dead one.
                _fill(fresh, data, lasting=lasting)
                fresh.replace(path)
        except BaseException:
            # Nothing is left under this name where all went well: no call is spent on it.
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        if lasting:
            sync_folder(path.parent)


def _fill(fresh: Path, data: bytes | Iterable[bytes], *, lasting: bool) -> None:
    if isinstance(data, bytes) and not lasting:
        _fill_at_once(str(fresh), data)
        return
    # O_EXCL: a link that somebody planted under this name is never written through.
    with fresh.open("xb") as file:
        if isinstance(data, bytes):
            file.write(data)
        else:
            file.writelines(data)
        if lasting:
            file.flush()
            os.fsync(file.fileno())


def _fill_at_once(fresh: str, data: bytes) -> None:
    """Write a new file by three system calls, where a file object takes six: there are millions."""
    number = os.open(fresh, _NEW, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(number, left) :]
    finally:
        os.close(number)


def make_lasting(folder: Path, files: Iterable[Path] = ()) -> None:
    """Return when all that was written below *folder* will outlast a loss of power.

    *files* are what was written there; where the system can, it is asked for all at once, which
    is the cheaper way for many small files.

    Raises:
        OSError: the disk could not take what had been written.

    """
    if _sync_whole(folder):
        return
    folders = {folder}
    for path in files:
        folders.add(path.parent)
        # Where one is gone by now there is nothing to keep; Windows syncs what may be written.
        gone_or_locked = contextlib.suppress(FileNotFoundError, PermissionError)
        with gone_or_locked, path.open("r+b") as file:
            os.fsync(file.fileno())
    for each in folders:
        sync_folder(each)


def _sync_whole(folder: Path) -> bool:
    """Sync the file system that holds a folder; False where the system has no such call."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if call(number) == 0:
            return True
        failed = ctypes.get_errno()
    finally:
        os.close(number)
    if failed in {errno.ENOSYS, errno.EINVAL, errno.EPERM}:
        return False
    raise OSError(failed, os.strerror(failed), str(folder))


def sync_folder(folder: Path) -> None:
    """Let the names in a folder last; on Windows, and some network disks, they do by themselves."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(number)


def written_at_once(root: Location) -> int:
    """How many files are best written at a time: a store answers each only after a while."""
    return 32 if isinstance(root, ObjectPath) else 2


def write_all(root: Location, files: Sequence[tuple[str, bytes]]) -> None:
    """Write some files, each as a whole or not at all."""
    if isinstance(root, ObjectPath) and len(files) > 1:
        root.objects.write_all(((root / path).key, data) for path, data in files)
        return
    for path, data in files:
        write_atomically(root / path, data)


def write_everywhere(root: Location, paths: Sequence[str], data: bytes) -> None:
    """Write a file once and link it to the other places where it belongs."""
    if isinstance(root, ObjectPath):
        write_all(root, [(path, data) for path in paths])
        return
    first = root / paths[0]
    write_atomically(first, data)
    for other in paths[1:]:
        link(first, root / other)


def link(present: Location, wanted: Location) -> None:
    """Make *wanted* the same file as *present*: a hard link, or a copy where links do not work."""
    if isinstance(present, ObjectPath) or isinstance(wanted, ObjectPath):
        _copy(present, wanted)
        return
    with temporary(wanted) as fresh:
        try:
            os.link(present, fresh)
        except (OSError, NotImplementedError):
            shutil.copyfile(present, fresh)
        # POSIX: replacing a link by another link to the same file leaves both names.
        fresh.replace(wanted)


def move(present: Location, wanted: Location) -> None:
    """Let a file stand in another place of the same dataset, and not where it stood."""
    if isinstance(present, ObjectPath):
        # Not copied by the store: some answer before that is done.
        write_atomically(wanted, present.read_bytes())
        present.unlink()
    else:
        present.replace(str(wanted))


def _copy(present: Location, wanted: Location) -> None:
    if isinstance(present, ObjectPath) and isinstance(wanted, ObjectPath):
        present.copy_to(wanted)
    else:
        write_atomically(wanted, present.read_bytes())


def exchange(fresh: Path, place: Path) -> None:
    """Let a folder take the place of another one, which is then at *fresh* or gone.

    Where the system can, the two change names in one step. Else the old one stands as
    ``<fresh>.old`` for a moment; whoever finds it there and nothing at *place* puts it back.
    """
    aside = fresh.with_name(f"{fresh.name}.old")
    for attempt in range(_MOST_TRIES):
        try:
            if not place.exists():
                fresh.rename(place)
                return
            if _swapped(fresh, place):
                return
            place.rename(aside)
        except OSError as error:
            # Another run has put its own there meanwhile, or taken it away.
            met = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY}
            if error.errno not in met or attempt == _MOST_TRIES - 1:
                raise
            continue
        try:
            fresh.rename(place)
        except OSError:
            if not place.exists():
                aside.rename(place)
                raise
        shutil.rmtree(aside, ignore_errors=True)
        if not fresh.exists():
            return


def _swapped(one: Path, other: Path) -> bool:
    """Change the names of two folders in one step; False where the system has no such call."""
    import ctypes

    # renameat2(2) with RENAME_EXCHANGE, and Darwin's renamex_np(2) with RENAME_SWAP.
    here, flag = -100, 2
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, flag) == 0)
        return bool(library.renameat2(here, names[0], here, names[1], flag) == 0)
    except (OSError, AttributeError, TypeError):
        return False


def listing(folder: Location, *, sweep: bool = True) -> dict[str, int]:
    """Give the name and size of each file in a folder, and sweep what killed runs left there."""
    if isinstance(folder, ObjectPath):
        _, files = folder.objects.right_in(folder.key)
        return {each.key.rpartition("/")[2]: each.size for each in files}
    found: dict[str, int] = {}
    nothing = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with nothing, os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                # A folder is an export's, which sweeps them itself.
                if sweep and not entry.is_dir(follow_symlinks=False) and is_left(Path(entry.path)):
                    Path(entry.path).unlink(missing_ok=True)
            elif entry.is_file(follow_symlinks=False):
                found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def sweep(folder: Location) -> None:
    """Remove what dead runs have left unfinished in a folder, as far as that may be done."""
    if isinstance(folder, ObjectPath):
        return
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(TEMPORARY) and is_left(path):
                _remove(path)


def remove(path: Path) -> None:
    """Remove a folder so that nobody ever finds a part of it; one that is not there is no error."""
    with contextlib.suppress(FileNotFoundError), temporary(path) as aside:
        path.rename(aside)
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_left(path: Location) -> bool:
    """Tell whether an unfinished file or folder was left by a run that is no more."""
    if isinstance(path, ObjectPath):
        return True
    return ownership.is_free(path.name, untouched=lambda: _untouched(path))


def _untouched(path: Path) -> float:
    """Tell for how many seconds nothing in a file or folder changed, by the clock of its disk."""
    try:
        with temporary(path) as probe:
            probe.write_bytes(b"")
            now = probe.stat().st_mtime
        times = [path.lstat().st_mtime]
        for folder, _, names in os.walk(path):
            times += (Path(folder, name).lstat().st_mtime for name in [".", *names])
    except OSError:
        return 0.0
    return now - max(times)


def stamp(path: Location) -> Stamp | None:
    """Tell one state of a file from another; None where there is none."""
    if isinstance(path, ObjectPath):
        facts = path.objects.facts(path.key)
        return (facts.etag, facts.size, int(facts.changed)) if facts else None
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def fingerprint(data: bytes) -> str:
    """Give the MD5 of some content as the manifest writes it."""
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()


def digest(path: Location) -> str:
    """Give the MD5 of a file as the manifest writes it."""
    with path.open("rb") as file:
        return (
            "md5:"
            + hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        )


def matches(data: bytes, check: str) -> bool:
    """Tell whether some content is the one that a record's check was made of."""
    kind, _, value = check.partition(":")
    return zlib.crc32(data) == int(value, 16) if kind == "crc32" else fingerprint(data) == check


def holds(path: Location, *, size: int, check: str) -> bool:
    """Tell whether a file has the size and the content that a record says it has."""
    try:
        if path.is_symlink() or path.stat().st_size != size:
            return False
        if not check:
            return True
        if check.startswith("crc32:"):
            return matches(path.read_bytes(), check)
        return digest(path) == check
    except (OSError, ValueError):
        return False


def check_writable(folder: Location) -> None:
    """Make the folder if it is not there, and try that a file can be written into it.

    Into a bucket that is the empty object ``lock``: to remove one may not be allowed.

    Raises:
        DiskError: the folder cannot be made, or nothing can be written there.

    """
    if isinstance(folder, ObjectPath):
        (folder / "lock").write(b"")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary(folder / "probe") as probe:
            probe.write_bytes(b"")
    except OSError as error:
        # Named is the folder, not the file that was to try it.
        plain = OSError(error.errno, error.strerror)
        raise DiskError.from_os(plain, path=folder) from error


def check_no_link(path: Location, *, whole: str) -> None:
    """Refuse a link to elsewhere within a folder of ours; *whole* names what may be one.

    Raises:
        DiskError: it is one.

    """
    if path.is_symlink():
        remedy = f"remove the link, or link the whole {whole}"
        raise DiskError(path, because="it is a link", remedy=remedy)


def check_place(folder: Location) -> None:
    """Try, without making anything that stays, that *folder* could be written or made.

    In a bucket nothing is tried, as that would leave an object.

    Raises:
        DiskError: it could not.
        UsageError: an object stands there, and nothing below it.

    """
    if isinstance(folder, ObjectPath):
        # Azure has empty objects as folders, where somebody has made one.
        if not folder.is_dir() and (found := folder.objects.facts(folder.key)) and found.size:
            raise UsageError(f"{folder} is an object, not a folder", remedy="choose another --out")
        return
    place = folder.absolute()
    if place.is_dir():
        check_writable(place)
        return
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise DiskError(folder, because=f"{place} is a file", remedy="choose another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        # Tells a file system that is read-only from a folder without permission.
        check_writable(place)


@contextlib.contextmanager
def locked(path: Location, *, waiting: object = None) -> Iterator[None]:
    """Hold the lock at *path*: one run at a time; the lock of a killed run is free again.

    It spares work that is done twice. Nothing rests on it: on a disk whose locks do nothing, or
    hold on one machine only, and in a bucket, runs go on beside each other. *waiting*, a callable
    without arguments, is called once if somebody else holds the lock.
    """
    if isinstance(path, ObjectPath):
        yield
        return
    import filelock

    # No soft lock, which is a file that stays when its owner is killed.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if callable(waiting):
                waiting()
            lock.acquire()
    except NotImplementedError:
        yield
        return
    except OSError as error:
        if path.is_symlink():
            raise DiskError(path, because="it is a link", remedy="remove it") from error
        if error.errno not in _NO_LOCKS:
            raise DiskError.from_os(error, path=path) from error
        yield
        return
    try:
        yield
    finally:
        lock.release()
