"""The rows of one class out of an annotation CSV, as the seed's script gave them."""

from __future__ import annotations

import contextlib
import csv
import filecmp
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oidkit import catalog
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.disk import naming, temporary
from oidkit.errors import OidError, UsageError
from oidkit.taxonomy import MID_PATTERN, mid_stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SplitResult", "split"]

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What was found of one class: rows, images, and the two files that hold them."""

    mid: str
    rows: int
    images: int
    ids_file: Path
    annotations_file: Path

    def as_dict(self) -> dict[str, object]:
        """Give it as plain values, as ``--json`` prints it."""
        files = {"ids_file": str(self.ids_file), "annotations_file": str(self.annotations_file)}
        return {"mid": self.mid, "rows": self.rows, "images": self.images, **files}


@dataclass(slots=True)
class _Sink:
    """The two files of one class while they are written."""

    mid: str
    ids: BinaryIO
    rows: BinaryIO
    seen: set[bytes]
    count: int = 0


def split(
    labels: Sequence[str] | str,
    source_csv: Path | str,
    *,
    subset: str,
    out: Path | str = ".",
    force: bool = False,
    settings: Settings | None = None,
) -> list[SplitResult]:
    """Cut the rows of each label out of *source_csv*, and list their images.

    For each label two files are written into *out*: ``downloader_IDs_for_<mid>_<subset>.txt`` and
    ``<mid>_annotations.csv``, the header and the matching rows byte for byte in the CSV's order;
    the images once each, in order of first appearance. Labels are MIDs, matched exactly, or names.

    Raises:
        UsageError: the CSV is not there or has no ImageID and LabelName, a label is unknown, or a
            file with other content would be lost and *force* is off.
        DiskError: something could not be written; the path is named.

    """
    asked = [labels] if isinstance(labels, str) else list(labels)
    _check_subset(subset)
    mids = _mids(asked, settings or Settings())
    path, folder = Path(source_csv), Path(out)
    targets = {
        mid: (
            folder / f"downloader_IDs_for_{mid_stem(mid)}_{subset}.txt",
            folder / f"{mid_stem(mid)}_annotations.csv",
        )
        for mid in mids
    }
    try:
        source = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", remedy="check --input") from error
    with naming(folder), source, contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        found, fresh = _cut(source, targets, subset=subset, stack=stack)
        empty = [result.mid for result in found if not result.rows]
        _refuse_unknown(empty, settings or Settings())
        _publish(fresh, force=force)
        return found


def _check_subset(subset: str) -> None:
    if subset not in catalog.SPLITS:
        raise UsageError(
            f"there is no split '{subset}'", remedy=f"choose from {', '.join(catalog.SPLITS)}"
        )


def _mids(asked: Sequence[str], settings: Settings) -> list[str]:
    """Resolve the names; a MID stands for itself, as the CSV decides whether it is there."""
    with Session(settings) as session:
        mids = [
            label if MID_PATTERN.fullmatch(label) else _named(session, label) for label in asked
        ]
    return list(dict.fromkeys(mids))


def _named(session: Session, label: str) -> str:
    """Find a class by its name, among those of image labels as well."""
    known = session.class_list([label])
    if known.has(label):
        return known.resolve(label).mid
    return (session.every_class() or known).resolve(label).mid


def _refuse_unknown(empty: Sequence[str], settings: Settings) -> None:
    """Refuse a MID of which the CSV has no row and which no class has, such as one cut short.

    Where the class list cannot be had without the network, nobody is asked.
    """
    if not empty:
        return
    with Session(settings) as session:
        if session.source.official and not session.knows_classes():
            return
        try:
            known, every = session.class_list(), session.every_class()
        except OidError:
            return
        for mid in empty:
            if every is None or mid not in every.by_mid:
                known.resolve(mid)


def _cut(
    source: BinaryIO,
    targets: dict[str, tuple[Path, Path]],
    *,
    subset: str,
    stack: contextlib.ExitStack,
) -> tuple[list[SplitResult], dict[Path, Path]]:
    """Write the files of every class under temporary names, which the stack removes again."""
    header = source.readline()
    at_image, at_label = _columns(header, name=getattr(source, "name", "the CSV"))
    sinks = {}
    fresh: dict[Path, Path] = {}
    for mid, paths in targets.items():
        files = []
        for path in paths:
            fresh[path] = stack.enter_context(temporary(path))
            files.append(stack.enter_context(fresh[path].open("xb")))
        sinks[mid.encode()] = _Sink(mid, files[0], files[1], set())
        files[1].write(header)
    for line in _lines(source):
        fields = _fields(line)
        if len(fields) <= max(at_image, at_label):
            continue
        sink = sinks.get(fields[at_label])
        if sink is None:
            continue
        sink.rows.write(line)
        sink.count += 1
        if fields[at_image] not in sink.seen:
            sink.seen.add(fields[at_image])
            sink.ids.write(subset.encode() + b"/" + fields[at_image] + b"\n")
    for sink in sinks.values():
        sink.ids.close()
        sink.rows.close()
    found = [
        SplitResult(sink.mid, sink.count, len(sink.seen), *targets[sink.mid])
        for sink in sinks.values()
    ]
    return found, fresh


def _columns(header: bytes, *, name: str) -> tuple[int, int]:
    """Say where a CSV has the image and the class."""
    columns = next(csv.reader([header.decode("utf-8-sig", "replace").rstrip("\r\n")]), [])
    if not {"ImageID", "LabelName"} <= set(columns):
        raise UsageError(
            f"{name} has no columns ImageID and LabelName",
            remedy="give --input a CSV of boxes, masks or image labels",
        )
    return columns.index("ImageID"), columns.index("LabelName")


def _lines(source: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while data := source.read(_READ):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _fields(line: bytes) -> list[bytes]:
    if b'"' not in line:
        return line.rstrip(b"\r\n").split(b",")
    text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    return [field.encode("utf-8", "surrogateescape") for field in next(csv.reader([text]), [])]


def _publish(fresh: dict[Path, Path], *, force: bool) -> None:
    """Give the files their names, unless one with other content would be lost."""
    if not force:
        for path, made in fresh.items():
            if path.exists() and not (path.is_file() and filecmp.cmp(made, path, shallow=False)):
                raise UsageError(
                    f"{path} is there with other content", remedy="move it away, or give --force"
                )
    for path, made in fresh.items():
        made.replace(path)
