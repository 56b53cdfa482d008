"""What comes is not what was promised: cut, flipped, empty, something else."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import google_crc32c
import pytest

from faults.kinds import KINDS, UNCHECKED, always, asked, first_image, lacking, places_of
from faults.runs import tree
from oidkit.testing import Fault, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.runs import Folder

_ONCE = pytest.mark.parametrize("kind", KINDS)
_WHOLE = [pytest.param(kind, marks=pytest.mark.whole) for kind in KINDS]
_XML = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
_PAGES = {
    "html": Fault.html(),
    "xml": Fault(status=200, body=_XML),
    "xml without a type": Fault(status=200, body=_XML, headers={"Content-Type": ""}),
}
_QUICK_PAGES = (("boxes", "xml without a type"), ("mask span", "html"))


def chunked(folder: Folder, *, whole: bool, unchecked: bool = False) -> Callable[..., Fault]:
    """Send a body in chunks, with the chunk that ends it or cut before it."""

    def answer(request: RequestInfo) -> Fault:
        body = (folder.undisturbed.mirror / request.path).read_bytes()
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or ""):
            first, last = found.groups()
            body = body[int(first) : int(last) + 1] if first else body[-int(last) :]
        body = body if whole else body[: len(body) // 2]
        sent = b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if whole else b"")
        headers = {"Transfer-Encoding": "chunked"} | (UNCHECKED if unchecked else {})
        return Fault(no_length=True, body=sent, headers=headers)

    return answer


def check_given_up(folder: Folder, kind: str, status: str, *, code: int, most: int) -> None:
    """Check a run for which one object never comes: what it loses, and how often it is asked."""
    done = folder.run()
    if kind in ("mask span", "zip directory", "image"):
        folder.check(done, code=code, lacking=lacking(folder, kind, status))
    else:
        assert done.code == code, done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not [path for path in tree(folder.out) if not path.startswith(".oid/")]
    assert 0 < asked(folder, kind) <= most
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


# -- row 6: cut ------------------------------------------------------------------------------------


@pytest.mark.row(6)
@pytest.mark.parametrize("kind", [_WHOLE[0], KINDS[1], _WHOLE[2], KINDS[3], _WHOLE[4]])
def test_a_body_that_is_cut_once(folder: Folder, kind: str) -> None:
    """A connection that ends in the middle costs one more request, whatever it brought."""
    always(folder, kind, Fault(cut=100), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(6)
@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.whole) for k in KINDS[:-2]])
def test_metadata_that_is_always_cut(folder: Folder, kind: str) -> None:
    """After six tries it is given up with exit 4; the same command completes later."""
    always(folder, kind, Fault(cut=100))
    check_given_up(folder, kind, "failed", code=4, most=6)


@pytest.mark.row(6)
@pytest.mark.parametrize("kind", [_WHOLE[3], _WHOLE[4]])
def test_a_body_that_is_always_cut(folder: Folder, kind: str) -> None:
    """It counts as failed, exit 4, after six tries; everything else is there."""
    always(folder, kind, Fault(cut=100))
    check_given_up(folder, kind, "failed", code=4, most=6)


# -- row 7: nothing says how long it is ------------------------------------------------------------


@pytest.mark.row(7)
@pytest.mark.parametrize("kind", [KINDS[0], _WHOLE[1], KINDS[2], _WHOLE[3], _WHOLE[4]])
def test_a_chunked_body_that_is_cut(folder: Folder, kind: str) -> None:
    """Without its last chunk a body is not whole, though nothing told its length."""
    always(folder, kind, chunked(folder, whole=False, unchecked=True), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(7)
def test_chunked_bodies_without_checksums_are_fine(folder: Folder) -> None:
    """A server that sends everything in chunks, and tells no identity, is a source as any other."""
    server = folder.undisturbed.server
    answer = chunked(folder, whole=True, unchecked=True)
    server.hook = lambda request: None if request.path.endswith(".zip") else answer(request)
    folder.check_complete(folder.run())


@pytest.mark.row(7)
@pytest.mark.parametrize("kind", [_WHOLE[0], KINDS[1], _WHOLE[2], _WHOLE[3], KINDS[4]])
def test_a_body_without_a_length_that_is_cut(folder: Folder, kind: str) -> None:
    """A checksum, the range or the structure shows that the end of the connection came early."""
    unchecked = UNCHECKED if kind == "image" else {}
    always(folder, kind, Fault(no_length=True, cut=100, headers=unchecked), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(7)
@pytest.mark.parametrize("kind", [_WHOLE[0], KINDS[1]])
def test_a_text_that_could_be_cut_unnoticed_is_refused(folder: Folder, kind: str) -> None:
    """Neither length nor chunks nor a checksum: exit 2 before a byte of it is used."""
    always(folder, kind, Fault(no_length=True, cut=100, headers=UNCHECKED))
    check_given_up(folder, kind, "failed", code=2, most=1)


# -- row 8: flipped --------------------------------------------------------------------------------


@pytest.mark.row(8)
@pytest.mark.seeds(1, 8)
def test_a_bit_that_is_flipped_once(folder: Folder, seed: int) -> None:
    """A flipped bit under the right ETag is refused, and the image is fetched again."""
    always(folder, "image", Fault(flip=37 * seed + 5), times=1)
    folder.check_complete(folder.run())


@pytest.mark.row(8)
@pytest.mark.parametrize("kind", [_WHOLE[0], KINDS[1], _WHOLE[2], KINDS[3]])
def test_a_bit_that_is_flipped_once_in_metadata_or_masks(folder: Folder, kind: str) -> None:
    """`x-goog-hash` and the CRC-32 of the zip find it, and what it is in is fetched again."""
    always(folder, kind, Fault(flip=-30), times=1)
    folder.check_complete(folder.run())


def always_flipped(folder: Folder) -> None:
    """Run with a bit flipped whenever one image is asked for: damaged, exit 6, in no place."""
    key = first_image(folder)
    always(folder, "image", Fault(flip=400))
    folder.check(folder.run(), code=6, lacking=dict.fromkeys(places_of(folder, key), "damaged"))


@pytest.mark.row(8)
def test_a_bit_that_is_always_flipped(folder: Folder) -> None:
    """After every retry it is damaged, exit 6; without the fault the same command completes."""
    always_flipped(folder)
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


@pytest.mark.row(8)
def test_a_flipped_bit_of_an_object_that_has_a_crc32c_alone(folder: Folder) -> None:
    """A composite object of Google's store has no MD5: its CRC-32C is checked in its place."""

    def composite(request: RequestInfo) -> Fault:
        content = (folder.undisturbed.mirror / request.path).read_bytes()
        value = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        headers = {"ETag": '"CJ+composite"', "x-goog-hash": f"crc32c={value}"}
        return Fault(flip=len(content) // 2, headers=headers)

    always(folder, "image", composite, times=1)
    folder.check_complete(folder.run())
    assert asked(folder, "image") == 2


@pytest.mark.control(8)
def test_without_checksums_a_flipped_bit_goes_unnoticed(folder: Folder) -> None:
    """The test above fails where content is not checked."""
    with pytest.raises(AssertionError):
        always_flipped(replace(folder, without="checksums"))


# -- rows 9 and 10: something else, or nothing -----------------------------------------------------


_WITH_A_RANGE = ("zip directory", "mask span")
_PAGE_OF = [
    pytest.param(kind, page, marks=() if (kind, page) in _QUICK_PAGES else pytest.mark.whole)
    for kind in KINDS
    for page in _PAGES
    # That one, in answer to a range, is taken for a source that ignores ranges: row 20.
    if kind not in _WITH_A_RANGE or page != "xml without a type"
]


@pytest.mark.row(9)
@pytest.mark.parametrize(("kind", "page"), _PAGE_OF)
def test_a_page_that_comes_once(folder: Folder, kind: str, page: str) -> None:
    """What says 200 and is a page is refused, and asked for again."""
    always(folder, kind, _PAGES[page], times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(9)
@pytest.mark.whole
@pytest.mark.parametrize(("kind", "code"), [("class list", 2), *[(each, 6) for each in KINDS[1:]]])
def test_a_page_that_always_comes(folder: Folder, kind: str, code: int) -> None:
    """It is never written: damaged, exit 6, after three tries; a class list says: no mirror."""
    always(folder, kind, Fault.html())
    check_given_up(folder, kind, "damaged", code=code, most=3)


@pytest.mark.row(10)
@pytest.mark.parametrize("kind", [KINDS[0], KINDS[1], _WHOLE[2], _WHOLE[3], _WHOLE[4]])
def test_an_empty_body_that_comes_once(folder: Folder, kind: str) -> None:
    """No byte is not the object, though nothing tells its size or checksum."""
    always(folder, kind, Fault(body=b"", headers=UNCHECKED), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(10)
@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("class list", "", 2), ("boxes", "", 6), ("mask span", "failed", 4), ("image", "damaged", 6)],
)
def test_an_empty_body_that_always_comes(folder: Folder, kind: str, status: str, code: int) -> None:
    """It is given up after a few tries, and no empty file is left."""
    headers = {name: "" for name in UNCHECKED if kind != "mask span" or name != "ETag"}
    always(folder, kind, Fault(body=b"", headers=headers))
    check_given_up(folder, kind, status, code=code, most=6)
