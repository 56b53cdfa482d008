"""Masks to COCO's run lengths and to polygons, beside what others do, on two cores.

python -m bench.masks_to_rle [--full] [--rounds N] [--place DIR]

Masks are the first of a made zip. Each way has two processes, each with half of them, and goes
through them several times: see bench/mask_ways.py for what each does. Ratios are of the
processor's time, as both cores belong to whoever runs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.alone import alone
from bench.made import peers_python, plain_environment, release
from bench.measure import OURS, Cost, Scale, Sheet, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]

_RLE, _POLYGONS = "COCO run lengths", "polygons"
_PILLOW, _FLOOR = "Pillow and pycocotools", "floor: decoding the PNGs by Pillow"
_PEERS = {
    _RLE: {_PILLOW: "pillow_rle", "FiftyOne's way": "fiftyone_rle", _FLOOR: "decode"},
    _POLYGONS: {
        "FiftyOne's way (scikit-image)": "fiftyone_polygons",
        "OpenCV's contours": "opencv_polygons",
        _FLOOR: "decode",
    },
}
_OURS = {_RLE: "ours_rle", _POLYGONS: "ours_polygons"}
_LIMITS = {
    _RLE: "inflating the rows, by the zlib of the interpreter, is half of ours",
    _POLYGONS: (
        "tracing and simplifying outlines is Python over numpy, 10 ms a mask; OpenCV's contours"
        " are compiled, and lose half a pixel all around (an IoU of 0.98 in the median, 0.70 for"
        " small masks), where ours give the same mask back"
    ),
}
_UNKNOWN = "was not measured: the versions of its source that could be read convert boxes alone"
_TIMES_FASTER, _CORES = 3.0, 2


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure run lengths, then polygons."""
    folder, digests = _masks(scale), {}
    python, script = peers_python(), Path(__file__).with_name("mask_ways.py")
    for what, peers in _PEERS.items():
        ways: dict[str, Callable[[], Cost]] = {}

        def measured(who: str, way: str, interpreter: str | Path) -> Cost:
            cost, said = _cost([interpreter, script, way, folder], scale)
            digests[who] = said
            return cost

        ways[OURS] = partial(measured, OURS, _OURS[what], sys.executable)
        for who, way in peers.items():
            if python is None or not _runs(python, way):
                sheet.notes[f"{what} | {who}"] = "was not measured: make peers"
            else:
                ways[who] = partial(measured, who, way, python)
        sheet.notes[f"{what} | openimages2coco"] = _UNKNOWN
        in_turns(sheet, what, ways, rounds=scale.rounds)
        if what == _RLE and _PILLOW in ways:
            same = digests[OURS] == digests[_PILLOW]
            found = "the same" if same else "others"
            sheet.target("run lengths", must="those of pycocotools", found=found, met=same)
        if scale.full:
            _targets(sheet, what)


def _runs(python: Path, way: str) -> bool:
    """Tell whether the peers' libraries for a way are there."""
    needs = {"fiftyone_polygons": "skimage", "opencv_polygons": "cv2"}.get(way, "pycocotools, PIL")
    tried = subprocess.run([python, "-c", f"import {needs}"], capture_output=True, check=False)
    return tried.returncode == 0


def _targets(sheet: Sheet, what: str) -> None:
    peers = [who for who in sheet.costs[what] if who not in (OURS, _FLOOR)]
    for who in peers:
        times = sheet.ratio(what, who, OURS, "cpu")
        sheet.target(
            f"{what}, beside {who}",
            must=f"{_TIMES_FASTER:.0f} times as fast",
            found=f"{times:.1f} times",
            met=times >= _TIMES_FASTER,
            limit="" if times >= _TIMES_FASTER else _LIMITS[what],
        )


def _masks(scale: Scale) -> Path:
    """Take the first masks out of a zip."""
    folder = scale.made / "some-masks"
    if not folder.exists():
        path = release(scale) / "openimages/v5/train-masks/train-masks-0.zip"
        making = scale.made / "some-masks.part"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist()[: 300 if scale.full else 40]:
                (making / name).write_bytes(archive.read(name))
        making.rename(folder)
    return folder


def _cost(command: list[str | Path], scale: Scale) -> tuple[Cost, list[str]]:
    """Run a way in one process for each core, all at once."""
    times = "2" if scale.full else "1"
    started = [
        subprocess.Popen(
            [*command, str(part), str(_CORES), times],
            stdout=subprocess.PIPE,
            env=plain_environment(),
        )
        for part in range(_CORES)
    ]
    said = [json.loads(process.communicate()[0]) for process in started]
    seconds, cpu = max(each["seconds"] for each in said), sum(each["cpu"] for each in said)
    return Cost(seconds, cpu), [each["digest"] for each in said]


if __name__ == "__main__":
    alone("masks_to_rle", run)
