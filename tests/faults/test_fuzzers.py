"""Rows 25 and 27 under a coverage-guided fuzzer: so many runs, with one seed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.hostile_csvs import KINDS, hostile
from faults.hostile_zips import CASES
from made_zips import contents
from mirrors import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
SEED = 20_260_101
MEGABYTES = 1024
SMALL_PARENT = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
"""Starts a command. A process counts what its parent held when it was started as its own peak; the
tests hold more than the fuzzer may."""
SCHEMAS = (
    "boxes", "masks", "human image labels", "relationships", "points", "images", "narratives",
)  # fmt: skip


def zips() -> Iterator[bytes]:
    """Give every hostile zip that is small."""
    for case in CASES.values():
        made = case.make(contents(3))
        if len(made) < 4000:
            yield b"\4" + made


def csvs() -> Iterator[bytes]:
    """Give the beginnings of some seeded files, with the kind in front."""
    assert {*SCHEMAS} == {*KINDS}
    for seed in range(60):
        given = hostile(seed)
        short = given.data[: given.data.find(b"\n", 1200) + 1 or 1500]
        yield bytes([SCHEMAS.index(given.kind)]) + short[:4000]


def fuzzed(name: str, corpus: Iterator[bytes], runs: int, place: Path) -> str:
    """Run a fuzzer to its end, and give what it said."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: there is no build of it for this platform")
    folder, left = place / "corpus", place / "left"
    folder.mkdir()
    left.mkdir()
    for number, data in enumerate(corpus):
        (folder / f"{number:03d}").write_bytes(data)
    assert len(list(folder.iterdir())) > 40
    flags = (f"-runs={runs}", f"-seed={SEED}", f"-rss_limit_mb={MEGABYTES}", "-max_len=4096")
    quiet = ("-timeout=20", "-print_final_stats=1", f"-artifact_prefix={left}/")
    fuzzer = [sys.executable, str(HERE / f"{name}.py"), str(folder), *flags, *quiet]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SMALL_PARENT, *fuzzer],
        env=environment(POLARS_MAX_THREADS="1"),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=1800,
        check=False,
    )
    found = [path.read_bytes()[:300] for path in left.iterdir()]
    assert done.returncode == 0, f"{found}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert not found
    return done.stderr


def executed(said: str) -> int:
    """Read how many inputs were tried, and make sure that they led to new code."""
    numbers = [line for line in said.splitlines() if "stat::number_of_executed_units" in line]
    assert "NEW" in said
    return int(numbers[0].rpartition(":")[2])


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that hands the peak on")
def test_what_the_tests_hold_is_not_the_fuzzers(tmp_path: Path) -> None:
    """The most memory that a fuzzer may hold is its own, however much this process holds."""
    held = b"\1" * ((MEGABYTES + 64) << 20)
    said = fuzzed("fuzz_zip", zips(), 200, tmp_path)
    (peak,) = (line for line in said.splitlines() if "stat::peak_rss_mb" in line)
    assert int(peak.rpartition(":")[2]) < MEGABYTES < len(held) >> 20


@pytest.mark.row(25)
def test_the_reader_of_zips_under_a_fuzzer(
    tmp_path: Path, request: pytest.FixtureRequest, record_property: Callable[..., None]
) -> None:
    """20,000 zips, 200,000 in the whole: nothing but what zipfile reads, or a refusal."""
    runs = 200_000 if request.config.getoption("whole") else 20_000
    tried = executed(fuzzed("fuzz_zip", zips(), runs, tmp_path))
    assert tried >= runs
    record_property("zips under the coverage-guided fuzzer", tried)


@pytest.mark.row(27)
def test_the_reader_of_annotation_files_under_a_fuzzer(
    tmp_path: Path, request: pytest.FixtureRequest, record_property: Callable[..., None]
) -> None:
    """5,000 files, 30,000 in the whole: each line is kept or set aside, on both ways alike."""
    runs = 30_000 if request.config.getoption("whole") else 5_000
    tried = executed(fuzzed("fuzz_csv", csvs(), runs, tmp_path))
    assert tried >= runs
    record_property("annotation files under the coverage-guided fuzzer", tried)
