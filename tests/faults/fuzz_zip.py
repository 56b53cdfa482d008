"""A coverage-guided fuzzer of the reader of zip directories and members, against `zipfile`.

`python fuzz_zip.py CORPUS -runs=N -seed=S ...`: the arguments are libFuzzer's. It ends with an
error, and leaves the bytes that led to it, where anything but an `IntegrityError` is raised, or
where a member comes out in another way than `zipfile` reads it.
"""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
import zlib

import atheris

with atheris.instrument_imports(
    include=["oidkit.zipindex", "oidkit.zipcolumns", "oidkit.zipentries", "oidkit.zipmember"]
):
    from oidkit.errors import IntegrityError
    from oidkit.zipindex import MASK_NAME, DirectoryReader, ZipIndex, extract


def read(data: bytes, tail: int) -> ZipIndex:
    """Feed the reader what it needs."""
    reader = DirectoryReader(name="fuzzed.zip", tail=tail)
    for _ in range(12):
        need = reader.need()
        if need is None:
            return reader.index()
        start = max(0, len(data) - (need.suffix or 0)) if need.suffix else need.start or 0
        stop = len(data) if need.suffix else need.stop or 0
        if not 0 <= start < stop <= len(data):
            raise AssertionError(f"it asks for bytes {start} to {stop} of {len(data)}")
        reader.feed(data[start:stop], start=start, total=len(data))
    raise AssertionError("it is never content")


def members(index: ZipIndex, data: bytes) -> dict[str, bytes]:
    """Take out what can be taken out, and check that it is what the directory says."""
    found = {}
    before = 0
    for name, row in index.rows().items():
        if not MASK_NAME.fullmatch(name):
            raise AssertionError(f"{name!r} is no name of a mask")
        try:
            member = index.member(row)
            if not before <= member.offset < member.stop <= index.directory_start:
                raise AssertionError("members overlap")
            before = member.stop
            span = data[member.offset : member.stop]
            found[name] = extract(member, span, start=member.offset)
        except IntegrityError:
            continue
        if zlib.crc32(found[name]) != member.crc32 or len(found[name]) != member.usize:
            raise AssertionError("another CRC-32 or size than the directory's")
    return found


def compare(found: dict[str, bytes], index: ZipIndex, data: bytes) -> None:
    """Read the same with zipfile, and find no difference."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception:  # noqa: BLE001 - it raises half a dozen kinds
        return
    if archive.start_dir != index.directory_start:
        # it takes the last signature of a comment for the end record, whatever follows
        return
    for name, content in found.items():
        try:
            theirs = archive.read(name)
        except Exception:  # noqa: BLE001, S112 - likewise
            continue
        if theirs != content:
            raise AssertionError(f"zipfile reads another {name}")


def one(data: bytes) -> None:
    """Try one input; its first byte is how much of the end is asked for at first."""
    if len(data) < 2:
        return
    tail, data = 22 + 16 * data[0], data[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            index = read(data, tail)
        except IntegrityError:
            return
        compare(members(index, data), index, data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
