"""Sources that are not there, or are something else than a mirror of Open Images."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from bad_inputs import ASKED, CLASSES, MASKS, run_oid, tree
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from pathlib import Path

    from bad_inputs import Bench

pytest_plugins = ["bad_fixtures"]


def test_a_folder_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    """The real command names the folder and the flag, with exit 2."""
    source = tmp_path / "nowhere"
    where = ("--source", source, "--cache", bench.cache, "--out", bench.out)
    ended = run_oid("download", *ASKED, *where)
    assert ended.code == 2, ended.err
    assert f"'{source}' does not exist" in ended.sentence
    assert "--source" in ended.sentence
    assert tree(bench.out) == bench.before


def test_a_file_as_a_source_is_refused(bench: Bench, tmp_path: Path) -> None:
    """A zip or a CSV that is given as the source is not taken for a missing one."""
    (tmp_path / "mirror.zip").write_bytes(b"PK")
    ended = bench.refused(source=str(tmp_path / "mirror.zip"))
    assert ended.code == 2, ended.err
    assert "is not a folder" in ended.sentence


@pytest.mark.parametrize("source", ["ftp://127.0.0.1/x", "http://", "s3://"])
def test_an_address_of_no_use_is_refused(source: str, bench: Bench) -> None:
    """An address that nothing can be read from says which forms there are."""
    ended = bench.refused(source=source)
    assert ended.code == 2, ended.err
    assert source in ended.sentence


def test_a_server_that_does_not_answer_ends_the_command_in_time(bench: Bench) -> None:
    """Nobody listens at the port: exit 4 after the retries, in well under 40 seconds."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    begun = time.monotonic()
    where = ("--source", f"http://127.0.0.1:{port}", "--cache", bench.cache, "--out", bench.out)
    ended = run_oid("download", *ASKED, *where, timeout=60)
    assert ended.code == 4, ended.err
    assert time.monotonic() - begun < 40
    assert "could not be read" in ended.sentence
    assert "--source" in ended.sentence
    assert tree(bench.out) == bench.before


def test_a_folder_that_is_no_mirror_is_refused(bench: Bench, tmp_path: Path) -> None:
    """A folder without the buckets is called no mirror, and what it lacks is named."""
    (tmp_path / "photos").mkdir()
    ended = bench.refused(source=str(tmp_path / "photos"))
    assert ended.code == 2, ended.err
    assert "is not a mirror of Open Images" in ended.sentence
    assert CLASSES in ended.sentence
    assert "openimages/" in ended.sentence


def test_a_bucket_given_as_the_root_is_refused(bench: Bench) -> None:
    """One level too deep is the usual mistake; the remedy says what the root has to hold."""
    ended = bench.refused(source=str(bench.mirror / "openimages"))
    assert ended.code == 2, ended.err
    assert "the root that holds the folder openimages/" in ended.sentence


def test_a_web_server_that_is_no_mirror_is_refused(bench: Bench, tmp_path: Path) -> None:
    """A server that answers 404 to everything is no mirror: one request for each class file."""
    (tmp_path / "photos").mkdir()
    with MirrorServer(tmp_path / "photos") as server:
        ended = bench.refused(source=server.url)
        assert server.requests <= 2
    assert ended.code == 2, ended.err
    assert "is not a mirror of Open Images" in ended.sentence


def test_a_mirror_without_one_table_is_refused_and_the_table_named(bench: Bench) -> None:
    """A CSV that is not there is what the mirror lacks; no image is fetched."""
    bench.path(MASKS).unlink()
    ended = bench.refused()
    assert ended.code == 2, ended.err
    assert f"has no {MASKS}" in ended.sentence
    assert "--labels" in ended.sentence


def test_a_portal_that_answers_html_to_everything_is_no_mirror(bench: Bench) -> None:
    """A page where the class list should be is exit 2, not an unknown class."""
    with MirrorServer(bench.mirror, hook=lambda _: Fault.html()) as server:
        ended = bench.refused(source=server.url)
    assert ended.code == 2, ended.err
    assert "is not a mirror of Open Images" in ended.sentence
    assert CLASSES in ended.sentence


def test_html_is_not_kept_in_the_cache(bench: Bench) -> None:
    """After the log-in at the portal the same command works: no page stands in for the list."""
    with MirrorServer(bench.mirror, hook=lambda _: Fault.html()) as server:
        assert bench.refused(source=server.url).code == 2
        server.hook = None
        assert bench.download(source=server.url).code == 0


def test_html_for_a_table_is_said_to_be_no_table(bench: Bench) -> None:
    """A page in place of a CSV has not its columns: exit 6, and the next run is well."""

    def hook(request: RequestInfo) -> Fault | None:
        return Fault.html() if request.path == MASKS else None

    with MirrorServer(bench.mirror, hook=hook) as server:
        ended = bench.refused(source=server.url)
        assert ended.code == 6, ended.err
        assert MASKS in ended.sentence
        assert "<!DOCTYPE html>" in ended.sentence
        server.hook = None
        assert bench.download(source=server.url).code == 0


def test_a_server_that_refuses_ranges_is_found_out_before_any_image(bench: Bench) -> None:
    """The directories of the zips are read first: exit 2, no image asked for, no zip swallowed."""
    # large enough that the end of the zip is not the whole of it
    for path in bench.mirror.glob("openimages/v5/validation-masks/*.zip"):
        path.write_bytes(b"\0" * 3_000_000 + path.read_bytes())

    def hook(request: RequestInfo) -> Fault | None:
        return Fault(ignore_range=True) if request.path.endswith(".zip") else None

    with MirrorServer(bench.mirror, hook=hook) as server:
        ended = bench.refused(source=server.url)
        fetched = [request.path for request in server.log if request.path.endswith(".jpg")]
        assert server.bytes_sent < 60_000_000
    assert ended.code == 2, ended.err
    assert "refuses byte ranges" in ended.sentence
    assert "--labels boxes" in ended.sentence
    assert not fetched


def test_the_boxes_of_a_server_that_refuses_ranges_can_be_had(bench: Bench) -> None:
    """The remedy that the sentence gives works."""

    def hook(request: RequestInfo) -> Fault | None:
        return Fault(ignore_range=True)

    with MirrorServer(bench.mirror, hook=hook) as server:
        ended = bench.download("--labels", "boxes", source=server.url)
    assert ended.code == 0, ended.err


def test_a_password_of_the_source_is_never_printed(bench: Bench) -> None:
    """Neither an error nor the files of the dataset hold the password of the address."""
    with MirrorServer(bench.mirror, hook=lambda _: Fault.answer(403)) as server:
        address = server.url.replace("://", "://ann:s3cr3t@")
        ended = bench.refused(source=address)
        assert ended.code == 4, ended.err
        server.hook = None
        done = bench.download(source=address)
    assert done.code == 0, done.err
    said = ended.err + ended.out + done.out + done.err
    kept = b"".join(tree(bench.out, records=True).values())
    kept += b"".join(p.read_bytes() for p in bench.cache.rglob("*.txt"))
    assert "s3cr3t" not in said
    assert b"s3cr3t" not in kept
