"""How each program is asked for the images of the benchmark, as its own guide says.

Where a program takes a number of requests in flight, it gets the one that it was faster with when
this was written: 64 without a delay, and 256 with one, which is as many as ours takes at the most.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.made import PEERS as _PEERS
from bench.measure import OURS
from bench.peers import by_img2dataset, by_oid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.peers import Job

__all__ = ["ADAPTIVE", "CURL", "FLOOR", "OFFICIAL", "UNCHECKED", "WAYS", "Way", "fixed"]

OFFICIAL = "official way (boto3, 5 threads)"
CURL = "curl --parallel"
FLOOR = "floor: curl, nothing kept"
UNCHECKED = ("rclone, http", CURL)
"""What checks nothing of what has come."""
ADAPTIVE = "adaptive"
_HERE = Path(__file__).parent
PEERS = _PEERS.absolute()
_MANY, _MOST = 64, 256


@dataclass(frozen=True, slots=True)
class Way:
    """A program, what it is started by, and how many images it gets of 6,000.

    A slow one gets fewer, so that all take some seconds.
    """

    name: str
    command: Callable[[Job, int], list[str]]
    share: int
    program: str = ""
    late: bool = False
    """Whether its start alone takes longer than all that is measured at the small size."""

    @property
    def lacking(self) -> str:
        """Say how what is not there can be had; "" where all is."""
        if not self.program:
            return ""
        if self.program.startswith(str(PEERS)):
            return "" if Path(self.program).exists() else "was not measured: make peers"
        found = shutil.which(self.program)
        return "" if found else f"was not measured: apt-get install {_DEBIAN[self.program]}"


_DEBIAN = {"curl": "curl", "rclone": "rclone", "aria2c": "aria2"}
ENVIRONMENT: Mapping[str, str] = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


def _oid(job: Job, delay: int) -> list[str]:
    return by_oid(job)


def fixed(workers: int, share: int) -> Way:
    """Give our own program with a fixed number of requests in flight."""

    def command(job: Job, delay: int) -> list[str]:
        return [*by_oid(job), "--num_processes", str(workers)]

    return Way(str(workers), command, share)


def _boto3(threads: int) -> Callable[[Job, int], list[str]]:
    def command(job: Job, delay: int) -> list[str]:
        words = [str(_HERE / "official.py"), job.url, str(job.ids), str(job.folder), str(threads)]
        return [sys.executable, *words]

    return command


def _aiohttp(job: Job, delay: int) -> list[str]:
    script = str(_HERE / "with_aiohttp.py")
    return [str(PEERS / "python"), script, str(job.listed_urls), str(job.folder), _flying(delay)]


def _s5cmd(job: Job, delay: int) -> list[str]:
    keys = [f"s3://open-images-dataset/{each}.jpg" for each in job.images]
    listed = job.write("s5cmd.txt", "".join(f"cp {key} {job.folder}/\n" for key in keys))
    options = ["--no-sign-request", "--endpoint-url", job.url, "--log", "error"]
    return [str(PEERS / "s5cmd"), *options, "run", str(listed)]


def _rclone(source: str) -> Callable[[Job, int], list[str]]:
    def command(job: Job, delay: int) -> list[str]:
        config = job.write("rclone.conf", "")
        place = source.format(url=job.url)
        wanted = ["--files-from", str(job.listed_files), "--no-traverse", "--config", str(config)]
        many = ["--transfers", _flying(delay), "--checkers", _flying(delay)]
        # Its s3 backend refuses to begin where this names certificates, of which none is needed.
        plain = ["env", "-u", "AWS_CA_BUNDLE"]
        return [*plain, "rclone", "copy", place, str(job.folder), *wanted, *many]

    return command


def _aria2c(job: Job, delay: int) -> list[str]:
    places = ["-d", str(job.folder), "-i", str(job.listed_urls)]
    return ["aria2c", "-q", f"-j{_flying(delay)}", *places]


def _curl(job: Job, delay: int) -> list[str]:
    names = [each.rpartition("/")[2] for each in job.images]
    return _curl_to(job, delay, [str(job.folder / f"{name}.jpg") for name in names])


def _curl_nowhere(job: Job, delay: int) -> list[str]:
    return _curl_to(job, delay, ["/dev/null"] * len(job.images))


def _curl_to(job: Job, delay: int, places: list[str]) -> list[str]:
    pairs = zip(job.urls, places, strict=True)
    text = "".join(f'url = "{url}"\noutput = "{place}"\n' for url, place in pairs)
    listed = job.write("curl.txt", text)
    many = ["--parallel", "--parallel-max", _flying(delay)]
    return ["curl", "--silent", "--show-error", "--fail", *many, "--config", str(listed)]


def _img2dataset(job: Job, delay: int) -> list[str]:
    return by_img2dataset(
        job,
        PEERS / "img2dataset",
        processes_count=2,
        thread_count=int(_flying(delay)),
        number_sample_per_shard=max(1, len(job.images) // 4),
    )


def _flying(delay: int) -> str:
    return str(_MOST if delay else _MANY)


WAYS = (
    Way(OURS, _oid, 6_000),
    Way(OFFICIAL, _boto3(5), 300),
    Way("boto3, 64 threads", _boto3(64), 600),
    Way("aiohttp", _aiohttp, 2_000, str(PEERS / "python")),
    Way("s5cmd", _s5cmd, 2_000, str(PEERS / "s5cmd")),
    Way("rclone, http", _rclone(":http,url='{url}/open-images-dataset':"), 6_000, "rclone"),
    Way(
        "rclone, s3",
        _rclone(":s3,provider=Other,endpoint='{url}':open-images-dataset"),
        2_000,
        "rclone",
    ),
    Way("aria2c", _aria2c, 1_500, "aria2c"),
    Way(CURL, _curl, 6_000, "curl"),
    Way("img2dataset", _img2dataset, 1_000, str(PEERS / "img2dataset"), late=True),
    Way(FLOOR, _curl_nowhere, 6_000, "curl"),
)
"""Ours, every peer, and what the network and the server alone take."""
