"""`oid view`: the command that serves a dataset or a plan, and what a plan shows."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import oidkit
from explorer_asks import ask, told
from mirrors import CLASSES, environment, made_mirror
from oidkit import Settings
from oidkit.cli import main
from oidkit.explorer import explore_plan
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from pathlib import Path


def _started(
    *arguments: object, browser: bool = False, **env: str
) -> tuple[subprocess.Popen[str], str]:
    flags = [] if browser else ["--no-browser"]
    command = [sys.executable, "-m", "oidkit", "view", *map(str, arguments), *flags]
    process = subprocess.Popen(
        command,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process")
def test_the_command_serves_until_it_is_interrupted(copied: Path, tmp_path: Path) -> None:
    """`oid view DIR` prints an address with a token; Ctrl-C is its usual end."""
    process, url = _started(copied, OID_CACHE=str(tmp_path / "cache"))
    with process:
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}api/about", timeout=30) as answer:
            assert json.load(answer)["mode"] == "dataset"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="the browser is a shell script of GNU's")
def test_no_other_user_sees_the_token(copied: Path, tmp_path: Path) -> None:
    """The browser is started with the name of a file that its user alone can read.

    That leads to the page, which is served while the browser holds on to whoever started it.
    """
    script, seen_by_all, page = tmp_path / "browser", tmp_path / "arguments", tmp_path / "page"
    script.write_text(
        "#!/bin/sh\n"
        f'stat -c %a "${{1#file://}}" > "{seen_by_all}"; echo "$1" >> "{seen_by_all}"\n'
        "url=$(sed 's#.*url=##; s#[^A-Za-z0-9:/._-].*##' \"${1#file://}\")\n"
        f'curl -s "$url" > "{page}.part"\n'
        f'mv "{page}.part" "{page}"\n',
        encoding="utf-8",
    )
    script.chmod(0o700)
    process, url = _started(
        copied, browser=True, BROWSER=f"{script} %s", OID_CACHE=str(tmp_path / "cache")
    )
    with process:
        for _ in range(600):
            if page.exists():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    mode, argument = seen_by_all.read_text(encoding="utf-8").split()
    assert mode == "600", said
    assert argument.startswith("file://")
    assert url.split("/")[3] not in argument
    assert "<!doctype html>" in page.read_text(encoding="utf-8").lower()
    assert not [*(tmp_path / "cache").glob("open-*")]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process")
def test_a_plan_shows_what_a_download_would_bring(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """`oid view --plan` has the images and boxes of the download, and pictures of the source."""
    mirror = made_mirror(tmp_path_factory)
    flags = ("--limit", 9, "--quiet", "--source", mirror)
    process, url = _started("--plan", *CLASSES, *flags, OID_CACHE=str(tmp_path / "cache"))
    with process:
        with urllib.request.urlopen(f"{url}api/images?count=500", timeout=30) as answer:
            planned = json.load(answer)["images"]
        with urllib.request.urlopen(f"{url}api/about", timeout=30) as answer:
            about = json.load(answer)
        shown = {}
        for one in planned:
            try:
                with urllib.request.urlopen(f"{url}thumb/{one['image']}.jpg") as answer:
                    shown[one["image"]] = Image.open(io.BytesIO(answer.read())).size
            except urllib.error.HTTPError as error:
                error.close()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert (about["mode"], about["review"]) == ("plan", False)
    out = tmp_path / "out"
    chosen = oidkit.Selection(CLASSES, limit=9)
    summary = oidkit.download(chosen, out, settings=Settings(str(mirror), tmp_path / "cache"))
    assert len(planned) == summary.images.asked
    assert sum(len(one["boxes"]) for one in planned) == summary.annotations["boxes"]
    files = {f"{path.parts[-3]}/{path.stem}" for path in (out / "images").rglob("*.jpg")}
    assert {*shown} == files
    assert not [size for size in shown.values() if not 0 < max(size) <= 320]
    assert not [path for path in (tmp_path / "cache").iterdir() if "plan-" in path.name]


def test_small_pictures_of_the_list_are_taken_first(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """What the image list names in the mirror's own network is asked for, all else is not."""
    mirror = tmp_path / "mirror"
    shutil.copytree(made_mirror(tmp_path_factory), mirror)
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, "jpeg")
    (mirror / "small.jpg").write_bytes(out.getvalue())
    (mirror / "page.jpg").write_bytes(b"<html>log in</html>")
    with MirrorServer(mirror) as server:
        (path,) = mirror.rglob("validation-images-with-rotation.csv")
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [*csv.reader(lines)]
        at = rows[0].index("Thumbnail300KURL")
        names = ("small.jpg", "page.jpg")
        for number, row in enumerate(rows[1:]):
            row[at] = f"{server.url}/{names[number % 2]}"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        selection = oidkit.Selection(CLASSES, splits=("validation",))
        settings = Settings(server.url, tmp_path / "cache")
        with explore_plan(selection, settings=settings) as explorer, explorer:
            names_shown = [each["image"] for each in told(explorer, "api/images")["images"]]
            sizes = set()
            for name in names_shown:
                status, data = ask(explorer, f"thumb/{name}.jpg")
                if status == 200:
                    sizes.add(Image.open(io.BytesIO(data)).size)
    assert (64, 48) in sizes
    assert len(sizes) > 1


def test_a_source_that_hangs_holds_nobody_up(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Pictures that do not come are given up; answers come meanwhile, and the end does too."""

    def hook(request: RequestInfo) -> Fault | None:
        return Fault(delay=600) if request.path.endswith(".jpg") else None

    with MirrorServer(made_mirror(tmp_path_factory), hook=hook) as server:
        settings = Settings(server.url, tmp_path / "cache")
        selection = oidkit.Selection(CLASSES, splits=("validation",))
        with explore_plan(selection, settings=settings) as explorer, explorer:
            names = [each["image"] for each in told(explorer, "api/images")["images"]]
            with ThreadPoolExecutor(16) as asking:
                waiting = [asking.submit(ask, explorer, f"thumb/{name}.jpg") for name in names[:16]]
                assert told(explorer, "api/counts")["total"] == len(names)
                assert not all(each.done() for each in waiting)
                assert {each.result()[0] for each in waiting} == {404}
            asked = server.requests
            assert ask(explorer, f"thumb/{names[-1]}.jpg")[0] == 404
            assert server.requests == asked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "takes the folder of one download"),
        (["a", "b"], "takes the folder of one download"),
        (["{root}", "--limit", "5"], "--limit chooses nothing here: only --plan takes it"),
        (["{tmp}"], "is no dataset of oidkit"),
        (["--plan", "Handgunn"], "Handgun"),
        (["{root}", "--port", "99999"], "port 99999"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    arguments: list[str],
    said: str,
    copied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Exit 2, and one sentence with the remedy."""
    places = {"root": copied, "tmp": tmp_path}
    source = ["--source", str(made_mirror(tmp_path_factory)), "--cache", str(tmp_path / "c")]
    given = [each.format(**places) for each in arguments]
    assert main(["view", *given, *source, "--no-browser", "--quiet"]) == 2
    assert said in capsys.readouterr().err
