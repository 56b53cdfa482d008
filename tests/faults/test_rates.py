"""A source that answers 503 above a rate: nginx with `limit_req`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from faults.runs import kill_group
from mirrors import environment
from servers import nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.runs import Undisturbed

_RATE, _BURST = 50, 20
_SETTLED = 300
_PATIENCE = 300.0
_HTTP = f"""
    limit_req_zone $binary_remote_addr zone=all:1m rate={_RATE}r/s;
    limit_req_log_level info;
    log_format timed "$msec $status $uri";
"""
_LOCATION = 'limit_req zone=all burst={burst}; access_log "{log}" timed;'
# What `oid fetch` does, with the events that tell of the pace as lines of JSON.
_FETCH = """
import dataclasses, json, pathlib, sys, oidkit
from oidkit import Settings
from oidkit.events import PaceChanged

def tell(event):
    if isinstance(event, PaceChanged):
        print(json.dumps(dataclasses.asdict(event)))

ids, out, source, cache = sys.argv[1:]
settings = Settings(source, pathlib.Path(cache))
summary = oidkit.fetch(pathlib.Path(ids), pathlib.Path(out), settings=settings, on_event=tell)
print(json.dumps({"code": summary.exit_code, "fetched": summary.images.fetched}))
"""


@dataclass
class Limited:
    """A run against a source with a limit: its process, and the log of the source."""

    process: subprocess.Popen[str]
    log: Path
    out: Path
    count: int


@pytest.fixture(scope="module")
def limited(
    undisturbed: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, Limited]]:
    """Fetch the same images side by side from a source that queues and from one that does not."""
    count = 4_000 if request.config.getoption("whole") else 700
    home = tmp_path_factory.mktemp("limited")
    folder = home / "mirror" / "open-images-dataset" / "train"
    folder.mkdir(parents=True)
    picture = next(undisturbed.mirror.glob("open-images-dataset/train/*.jpg"))
    (folder / "first").write_bytes(picture.read_bytes())
    ids = [f"{number:016x}" for number in range(count)]
    for each in ids:
        os.link(folder / "first", folder / f"{each}.jpg")
    (home / "ids.txt").write_text("".join(f"train/{each}\n" for each in ids))
    found = {}
    with contextlib.ExitStack() as stack:
        for name, burst in (("queued", f"{_BURST}"), ("refused", f"{_BURST} nodelay")):
            place = home / name
            log = place / "timed.log"
            location = _LOCATION.format(burst=burst, log=log)
            url = stack.enter_context(nginx(home / "mirror", place, http=_HTTP, location=location))
            arguments = [home / "ids.txt", place / "out", url, place / "cache"]
            process = subprocess.Popen(
                [sys.executable, "-c", _FETCH, *map(str, arguments)],
                env=environment(),
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            stack.callback(kill_group, process)  # type: ignore[arg-type]
            found[name] = Limited(process, log, place / "out", count)
        yield found


@pytest.mark.row(16)
@pytest.mark.parametrize("name", ["queued", "refused"])
def test_a_source_that_refuses_above_a_rate(
    limited: dict[str, Limited], name: str, record_property: Callable[[str, object], None]
) -> None:
    """All images come; after some hundred, at 80 % of the rate and with less than 5 % of 503."""
    run = limited[name]
    said, _ = run.process.communicate(timeout=_PATIENCE)
    *curve, last = [json.loads(line) for line in said.splitlines()]
    assert last == {"code": 0, "fetched": run.count}
    assert len(list(run.out.glob("*.jpg"))) == run.count
    time.sleep(0.2)
    answers = sorted(
        (float(at), int(status))
        for at, status, uri in (line.split() for line in run.log.read_text().splitlines())
        if uri.endswith(".jpg")
    )
    good = [at for at, status in answers if status == 200]
    assert len(good) == run.count
    settled = [status for at, status in answers if at > good[_SETTLED]]
    goodput = settled.count(200) / (good[-1] - good[_SETTLED])
    refused = settled.count(503) / len(settled)
    record_property(f"row16 curve, {name}", curve)
    record_property(f"row16 goodput of the rate, {name}", round(goodput / _RATE, 3))
    record_property(f"row16 share of 503, {name}", round(refused, 4))
    record_property(f"row16 share of 503 from the start, {name}", 1 - len(good) / len(answers))
    assert goodput >= 0.8 * _RATE
    assert refused < 0.05
    assert any(each["reason"] == "503" for each in curve)
