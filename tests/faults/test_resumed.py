"""Objects that are replaced while they come: a table, the directory of a zip, the zip itself."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from faults.changing import BLOCK, CUT, Changing, changing, cut_first, put, versions
from faults.kinds import ZIP
from faults.runs import Folder, tree
from oidkit.testing import Fault, RequestInfo

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["changing", "versions"]


# -- rows 6 and 23: resumed, or begun anew ---------------------------------------------------------


@pytest.mark.row(6)
def test_a_cut_table_goes_on_at_its_last_block(changing: Changing) -> None:
    """The second request carries If-Range and asks for what is not put down yet."""
    cut_first(changing, lambda request: None)
    changing.folder.check_complete(changing.folder.run())
    first, second = changing.asked()
    assert first.range is None
    start = int((second.range or "").removeprefix("bytes=").removesuffix("-"))
    # A block ends with a line.
    assert BLOCK - 1000 < start < CUT
    assert second.headers["if-range"].strip('"')
    assert second.sent == len(changing.other) - start


@dataclass(frozen=True)
class Identity:
    """What a server tells of the two versions, and whether it goes by If-Range."""

    tags: tuple[str, str]
    ranged: bool
    heeds: bool = True
    just_now: bool = False

    def answer(self, request: RequestInfo, version: int) -> Fault:
        """Answer for one version, without a checksum that would show a splice."""
        tag, if_range = self.tags[version], request.headers.get("if-range")
        headers = {"ETag": tag, "x-goog-hash": ""}
        if self.just_now:
            # by this alone nobody can tell two versions of the same second apart
            headers["Last-Modified"] = formatdate(usegmt=True)
        ignores = self.heeds and if_range is not None and if_range != tag
        return Fault(headers=headers, ignore_range=ignores, ignore_conditions=True)


_IDENTITIES = {
    "ETags": Identity(('"one"', '"two"'), ranged=True),
    "ETags, no heed of If-Range": Identity(('"one"', '"two"'), ranged=True, heeds=False),
    "weak ETags": Identity(('W/"same"', 'W/"same"'), ranged=False, heeds=False),
    "no identity": Identity(("", ""), ranged=False, heeds=False),
    "the second of now": Identity(("", ""), ranged=False, heeds=False, just_now=True),
}


def replaced(changing: Changing, folder: Folder, identity: Identity) -> None:
    """Replace the box file after it was cut, and check that no splice of the two comes of it."""

    def then(request: RequestInfo) -> Fault:
        if request.attempt == 2:
            changing.replace_boxes()
        return identity.answer(request, int(request.attempt > 1))

    cut_first(changing, then)
    folder.check_complete(folder.run())


@pytest.mark.row(23)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "ETags" else pytest.mark.whole) for n in _IDENTITIES],
)
def test_a_table_that_is_replaced_while_it_comes(changing: Changing, name: str) -> None:
    """It is begun anew: by If-Range, by the ETag of the answer, or since nothing else is safe."""
    identity = _IDENTITIES[name]
    replaced(changing, changing.folder, identity)
    second = changing.asked()[1]
    assert (second.range is not None, "if-range" in second.headers) == (identity.ranged,) * 2
    assert len(changing.asked()) == (3 if identity.ranged and not identity.heeds else 2)


@pytest.mark.control(23)
def test_without_identities_two_versions_are_spliced(changing: Changing) -> None:
    """The test above fails where If-Range is not sent and ETags are not compared."""
    with pytest.raises(AssertionError):
        replaced(changing, replace(changing.folder, without="if-range"), _IDENTITIES["ETags"])


@pytest.mark.row(23)
@pytest.mark.whole
@pytest.mark.parametrize("changes", [True, False], ids=["replaced", "as it was"])
def test_a_table_that_is_replaced_between_two_runs(changing: Changing, *, changes: bool) -> None:
    """The next run asks with If-Range for the rest, and gets that or the whole of the new one."""
    identity, runs = _IDENTITIES["ETags"], [1]

    def then(request: RequestInfo) -> Fault:
        if runs[0] == 1 and request.attempt > 1:
            return Fault.answer(403)
        return identity.answer(request, int(changes and runs[0] == 2))

    cut_first(changing, then)
    done = changing.folder.run()
    assert done.code == 4, done.err
    runs[0] = 2
    if changes:
        changing.replace_boxes()
    changing.folder.check_complete(changing.folder.run())
    last = changing.asked()[-1]
    assert last.headers["if-range"] == '"one"'
    assert last.status == (200 if changes else 206)
    assert len(changing.asked()) == 3


def larger(zipped: Path, *, turned: bool) -> bytes:
    """Fill a mask zip up until its directory takes two ranges; or the same in another order."""
    with zipfile.ZipFile(zipped) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    some = next(iter(members.values()))
    members |= {f"{number:016x}_m0gxl3_{number:08x}.png": some for number in range(1500)}
    made = zipped.with_suffix(".made")
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in sorted(members.items(), reverse=turned):
            archive.writestr(zipfile.ZipInfo(name), data)
    data = made.read_bytes()
    made.unlink()
    return data


@pytest.mark.row(23)
@pytest.mark.whole
@pytest.mark.parametrize("heeds", [True, False], ids=["If-Match heeded", "If-Match ignored"])
def test_a_directory_that_is_replaced_while_it_comes(changing: Changing, *, heeds: bool) -> None:
    """Its second range is refused, or found to be of another zip, and it is read from its end."""
    path = changing.root / ZIP
    one, two = (larger(path, turned=each) for each in (False, True))
    put(path, one)

    def hook(request: RequestInfo) -> Fault | None:
        if request.path != ZIP or request.attempt != 2:
            return None
        put(path, two)
        return Fault(ignore_conditions=not heeds)

    changing.server.hook = hook
    changing.folder.check_complete(changing.folder.run())
    first, second, third, *_ = changing.asked(ZIP)
    assert (first.range or "").startswith("bytes=-")
    assert not (second.range or "").startswith("bytes=-")
    assert second.headers["if-match"]
    assert second.status == (412 if heeds else 206)
    assert third.range == first.range


# -- row 24: between the directory and a member ----------------------------------------------------


def reordered(zipped: Path, *, repacked: bool) -> bytes:
    """Give a mask zip with its members in another order, and *repacked* with other PNGs."""
    with zipfile.ZipFile(zipped) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    made = zipped.with_suffix(".made")
    with zipfile.ZipFile(made, "w") as archive:
        for info, data in reversed(members):
            # A chunk of text before the last one: another file, the same picture.
            archive.writestr(info, data[:-12] + _TEXT + data[-12:] if repacked else data)
    whole = made.read_bytes()
    made.unlink()
    return whole


_TEXT = b"\x00\x00\x00\x05tEXta\x00new" + zlib.crc32(b"tEXta\x00new").to_bytes(4, "big")


@pytest.mark.row(24)
@pytest.mark.parametrize(
    "name",
    [
        "If-Match",
        *[
            pytest.param(each, marks=pytest.mark.whole)
            for each in ("no heed of If-Match", "weak ETags", "no identity")
        ],
    ],
)
def test_a_zip_that_is_replaced_after_its_directory(
    changing: Changing, name: str, tmp_path: Path
) -> None:
    """Its members are refused, the directory is read again, and the new zip's masks are there."""
    path, strong = changing.root / ZIP, "If-Match" in name
    old, new = path.read_bytes(), reordered(path, repacked=strong)
    put(path, new)
    expected = Folder(tmp_path / "expected", changing.folder.undisturbed)
    assert expected.run().code == 0
    after = replace(changing.folder.undisturbed, tree=tree(expected.out, expected.url))
    put(path, old)
    changing.server.reset()
    spans = [0]
    headers = {} if strong else {"ETag": 'W/"zip"' if "weak" in name else "", "Last-Modified": ""}

    def hook(request: RequestInfo) -> Fault | None:
        if request.path != ZIP:
            return None
        if not (request.range or "").startswith("bytes=-"):
            spans[0] += 1
            if spans[0] == 1:
                put(path, new)
        return Fault(headers=headers, ignore_conditions=name != "If-Match")

    changing.server.hook = hook
    folder = replace(changing.folder, undisturbed=after)
    folder.check_complete(folder.run())
    ranges = [each.range for each in changing.asked(ZIP)]
    assert sum((each or "").startswith("bytes=-") for each in ranges) == 2
