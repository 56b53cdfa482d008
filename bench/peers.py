"""The programs that people would use instead, each with the command that its own guide gives.

All of them get the same list of images from one server, into one flat folder.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.made import PEERS, oid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["TOOLS", "Job", "Tool", "available", "by_img2dataset", "by_oid"]

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Job:
    """The images to fetch, as `train/<ImageID>`, from the mirror at `url`, in a place of its own.

    The files end up below `folder`; `root` is for what a tool needs beside them.
    """

    url: str
    images: Sequence[str]
    root: Path

    @property
    def folder(self) -> Path:
        """Where the images go."""
        return self.root / "images"

    def write(self, name: str, text: str) -> Path:
        """Write a list that a tool reads."""
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def ids(self) -> Path:
        """The list as the official script reads it."""
        return self.write("ids.txt", "".join(f"{each}\n" for each in self.images))

    @property
    def urls(self) -> list[str]:
        """The addresses of the images."""
        return [f"{self.url}/open-images-dataset/{each}.jpg" for each in self.images]

    @property
    def listed_urls(self) -> Path:
        """The addresses, a line each."""
        return self.write("urls.txt", "".join(f"{url}\n" for url in self.urls))

    @property
    def listed_files(self) -> Path:
        """The images by their paths in the bucket, a line each."""
        return self.write("files.txt", "".join(f"{each}.jpg\n" for each in self.images))


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: how it is called, where an image ends up, and how it tells of a failure.

    `temporary` tells whether a file is one that it has not finished, by its name.
    """

    name: str
    command: Callable[[Job], list[str]]
    place: Callable[[Job, str], Path]
    tells: Callable[[Job, int], bool]
    temporary: Callable[[str], bool]
    environment: Mapping[str, str]


def _flat(job: Job, image: str) -> Path:
    return job.folder / f"{image.rpartition('/')[2]}.jpg"


def _numbered(job: Job, image: str) -> Path:
    at = list(job.images).index(image)
    return job.folder / "00000" / f"{at:09d}.jpg"


def _by_code(job: Job, code: int) -> bool:
    del job
    return code != 0


def _by_statistics(job: Job, code: int) -> bool:
    """Tell by the counts that img2dataset writes, for it ends with 0."""
    found = list(job.folder.glob("*_stats.json"))
    if not found:
        return code != 0
    counts = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    return any(each["successes"] != each["count"] for each in counts)


def by_oid(job: Job) -> list[str]:
    """Give the command of our own."""
    places = ["--download_folder", str(job.folder), "--cache", str(job.root / "cache")]
    return [oid(), "fetch", str(job.ids), *places, "--source", job.url, "--quiet"]


def _official(job: Job) -> list[str]:
    script = str(HERE / "official.py")
    return [sys.executable, script, job.url, str(job.ids), str(job.folder)]


def _aria2c(job: Job) -> list[str]:
    return ["aria2c", "-c", "-j16", "-q", "-d", str(job.folder), "-i", str(job.listed_urls)]


def _rclone(job: Job) -> list[str]:
    source = f":http,url='{job.url}/open-images-dataset':"
    options = ["--no-traverse", "--transfers", "16", "--config", str(job.root / "rclone.conf")]
    (job.root / "rclone.conf").touch()
    return [
        "rclone",
        "copy",
        source,
        str(job.folder),
        "--files-from",
        str(job.listed_files),
        *options,
    ]


def _in_splits(job: Job, image: str) -> Path:
    return job.folder / f"{image}.jpg"


def by_img2dataset(job: Job, program: Path | str, **more: int) -> list[str]:
    """Give the command of img2dataset that keeps the files as they come, with *more* options."""
    options = {
        "url_list": job.listed_urls,
        "output_folder": job.folder,
        "output_format": "files",
        "resize_mode": "no",
        "disable_all_reencoding": "True",
        "enable_wandb": "False",
    }
    return [str(program), *(f"--{name}={value}" for name, value in (options | more).items())]


def _img2dataset(job: Job) -> list[str]:
    found = PEERS / "img2dataset"
    program = found if found.exists() else "img2dataset"
    return by_img2dataset(job, program, processes_count=1, thread_count=16, retries=5)


_KEYS = {"AWS_EC2_METADATA_DISABLED": "true"}
TOOLS = (
    Tool("oidkit", by_oid, _flat, _by_code, lambda name: name.startswith(".oid-tmp-"), {}),
    Tool(
        "official way (boto3)",
        _official,
        _flat,
        _by_code,
        lambda name: not name.endswith(".jpg"),
        _KEYS,
    ),
    Tool("aria2c", _aria2c, _flat, _by_code, lambda name: name.endswith(".aria2"), {}),
    Tool("rclone", _rclone, _in_splits, _by_code, lambda name: not name.endswith(".jpg"), {}),
    Tool(
        "img2dataset",
        _img2dataset,
        _numbered,
        _by_statistics,
        lambda name: not name.endswith((".jpg", ".json", ".txt", ".parquet")),
        {"NO_ALBUMENTATIONS_UPDATE": "1"},
    ),
)
"""oidkit, and the peers beside it."""


def available(tool: Tool, job: Job) -> bool:
    """Tell whether the program is on this machine."""
    program = tool.command(job)[0]
    return Path(program).exists() or shutil.which(program) is not None
