"""Ranges that are ignored, wrong, packed or not there: nothing of them is used."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from faults.changing import CUT, Changing, changing, cut_first, versions
from faults.kinds import BOXES, KINDS, always, asked, lacking
from faults.proxy import Proxy, Toxics
from faults.runs import Folder, Undisturbed, tree
from oidkit.schema import BOXES as BOX_SCHEMA
from oidkit.store import Checksums
from oidkit.tables.build import TableBuilder
from oidkit.testing import Fault, RequestInfo
from servers import nginx

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["changing", "versions"]

# -- rows 20 and 21: ranges that are ignored or wrong ----------------------------------------------

_WRONG = {
    "another start": "bytes {next}-{last}/{total}",
    "another end": "bytes {start}-{before}/{total}",
    "another total": "bytes {start}-{last}/{more}",
    "no range": "",
    "junk": "bytes of mine",
}


def wrong(changing: Folder, request: RequestInfo, form: str) -> Fault:
    """Answer a range with a Content-Range of this form."""
    total = (changing.undisturbed.mirror / request.path).stat().st_size
    first, last = (request.range or "").removeprefix("bytes=").split("-")
    start = int(first) if first else max(0, total - int(last))
    end = int(last) if first and last else total - 1
    numbers = {"next": start + 1, "start": start, "last": end, "before": end - 1}
    return Fault.wrong_range(form.format(**numbers, total=total, more=total + 1))


@pytest.mark.row(20)
def test_a_table_of_a_source_that_ignores_ranges_is_begun_anew(changing: Changing) -> None:
    """The whole comes in answer to the rest: it is not appended."""
    cut_first(changing, lambda request: Fault(ignore_range=True))
    changing.folder.check_complete(changing.folder.run())
    assert [each.status for each in changing.asked()] == [200, 200]


@pytest.mark.row(20)
@pytest.mark.whole
def test_nginx_without_ranges(changing: Changing, tmp_path: Path) -> None:
    """Tables are begun anew, and masks refused before any image: exit 2; boxes alone can be had."""
    for path in changing.root.glob("openimages/v5/*-masks/*.zip"):
        path.write_bytes(bytes(100_000) + path.read_bytes())
    with (
        nginx(changing.root, tmp_path / "nginx", server="max_ranges 0;") as url,
        Proxy(url) as proxy,
    ):
        proxy.choose = lambda number: Toxics(limit_data=CUT) if number <= 2 else Toxics()
        folder = replace(changing.folder, source=proxy.url)
        done = folder.run()
        assert done.code == 2, done.err
        assert "refuses byte ranges" in done.err
        assert not list(folder.out.rglob("*.jpg"))
        done = folder.run(*folder.download("--labels", "boxes"))
        assert done.code == 0, done.err
        log = (tmp_path / "nginx" / "access.log").read_text().splitlines()
    told = [line for line in log if BOXES in line and '" 200 ' in line]
    assert len(told) >= 2
    boxes = [path for path in tree(folder.out) if path.endswith("_boxes.csv")]
    assert boxes
    for name in boxes:
        assert tree(folder.out)[name] == folder.undisturbed.tree[name]


@pytest.mark.row(21)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(each, marks=[] if at == 0 else pytest.mark.whole)
        for at, each in enumerate(_WRONG)
    ],
)
def test_a_table_whose_rest_is_another_range(changing: Changing, form: str) -> None:
    """It is refused by what Content-Range says, and the table is begun anew: three requests."""
    cut_first(
        changing,
        lambda r: wrong(changing.folder, r, _WRONG[form]) if r.attempt == 2 else None,
    )
    changing.folder.check_complete(changing.folder.run())
    assert [each.range is None for each in changing.asked()] == [True, False, True]


@pytest.mark.row(21)
@pytest.mark.parametrize(
    "kind", [pytest.param("zip directory", marks=pytest.mark.whole), "mask span"]
)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(each, marks=[] if at == 1 else pytest.mark.whole)
        for at, each in enumerate(_WRONG)
    ],
)
def test_another_range_of_a_zip(folder: Folder, kind: str, form: str) -> None:
    """It is refused, and the right one is asked for again."""
    always(folder, kind, lambda r: wrong(folder, r, _WRONG[form]), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(21)
@pytest.mark.whole
def test_another_range_of_a_zip_for_ever(folder: Folder) -> None:
    """After six tries the masks of the span have failed, exit 4."""
    always(folder, "mask span", lambda r: wrong(folder, r, _WRONG["another start"]))
    folder.check(folder.run(), code=4, lacking=lacking(folder, "mask span", "failed"))
    assert asked(folder, "mask span") == 6


@pytest.mark.row(21)
@pytest.mark.parametrize("kind", [KINDS[0], KINDS[1], KINDS[4]])
@pytest.mark.whole
def test_a_part_that_nobody_asked_for(folder: Folder, kind: str) -> None:
    """206 to a request for the whole is refused, whatever it holds."""
    fault = Fault(status=206, body=b"ImageID,", headers={"Content-Range": "bytes 0-7/8"})
    always(folder, kind, fault, times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(21)
@pytest.mark.parametrize("kind", [pytest.param(KINDS[0], marks=pytest.mark.whole), KINDS[1]])
def test_a_304_that_nobody_asked_for(folder: Folder, kind: str) -> None:
    """Nothing has changed, says the source to one who has nothing: that is no answer."""
    always(folder, kind, Fault(status=304, body=b""), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(21)
@pytest.mark.whole
def test_416_for_a_table_begins_anew(changing: Changing) -> None:
    """A source that no longer has so many bytes is asked for all of them."""
    cut_first(changing, lambda r: Fault.answer(416) if r.attempt == 2 else None)
    changing.folder.check_complete(changing.folder.run())
    assert [each.status for each in changing.asked()] == [200, 416, 200]


@pytest.mark.row(21)
def test_what_is_complete_is_not_asked_for(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """A table whose size nobody told, killed while it is sorted, needs no further byte."""
    make = partial(TableBuilder, tmp_path / "table", tmp_path / "work", BOX_SCHEMA, name="boxes")
    text = (undisturbed.mirror / BOXES).read_bytes()
    builder = make()
    builder.begin('"it"', Checksums())
    builder.feed(text)
    builder.cancel()
    with pytest.raises(Exception, match="interrupted"):
        builder.finish()
    builder.close()
    assert json.loads((tmp_path / "work" / "state.json").read_bytes())["offset"] == len(text)
    again = make()
    assert (again.rewind(), again.complete) == (len(text), True)
    assert again.finish().rows == text.count(b"\n") - 1


# -- row 22: packed --------------------------------------------------------------------------------


@pytest.mark.row(22)
def test_nginx_that_packs_whatever_it_may(folder: Folder, tmp_path: Path) -> None:
    """Identity is asked for, so nothing comes packed, and the tree is the undisturbed one."""
    packing = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any; gzip_vary on;"
    with nginx(folder.undisturbed.mirror, tmp_path / "nginx", server=packing) as url:
        other = replace(folder, source=url)
        other.check_complete(other.run())


@pytest.mark.row(22)
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k == "mask span" else pytest.mark.whole) for k in KINDS]
)
def test_a_packed_answer_that_comes_once(folder: Folder, kind: str) -> None:
    """What comes packed though it was asked for as it is, is asked for again."""
    always(folder, kind, Fault(headers={"Content-Encoding": "gzip"}), times=1)
    folder.check_complete(folder.run())
    assert asked(folder, kind) == 2


@pytest.mark.row(22)
@pytest.mark.whole
def test_a_rest_that_comes_packed(changing: Changing) -> None:
    """Packed bytes are never appended: the rest is asked for again."""
    packed = Fault(headers={"Content-Encoding": "gzip"})
    cut_first(changing, lambda r: packed if r.attempt == 2 else None)
    changing.folder.check_complete(changing.folder.run())
    assert [each.range is None for each in changing.asked()] == [True, False, False]
    assert {each.headers["accept-encoding"] for each in changing.server.log} == {"identity"}
