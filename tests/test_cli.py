"""The command `oid`: flags, exit codes and sentences, what it costs and how it ends."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cli_runs
from cli_runs import sentence
from oidkit.catalog import LABELS
from oidkit.cli import COMMANDS, EXAMPLES, main, parser_of

if TYPE_CHECKING:
    from oidkit.testing import MirrorServer

COMMON = {"--source", "--cache", "--release", "--debug"}
SELECTION = {
    *("--split", "--labels", "--limit", "--seed", "--layout", "--match", "--classes-from"),
    *("--no-images", "--no-metadata", "--label-source", "--min-confidence", "--negatives"),
    *("--captions", "--occluded", "--truncated", "--group-of", "--depiction", "--inside"),
    *("--min-area", "--exclude", "--subclasses", "--total", "--annotations", "--image-ids"),
    *("--original", "--upright"),
}
FLAGS = {
    "classes": {"--tree", "--all", "--counts", "--json", "--csv", "--quiet", "--index"},
    "download": SELECTION
    | {
        *("--out", "--workers", "--dry-run", "--recipe", "--export", "--export-out"),
        *("--json", "--quiet", "--index", "--no-folder", "--shard-size"),
        *("--engine", "--ray-address", "--requests-per-second"),
    },
    "split": {"--label", "--subset", "--input", "--output-dir", "--force", "--json"},
    "fetch": {
        *("--download_folder", "--download-folder", "--num_processes", "--num-processes"),
        *("--json", "--quiet"),
    },
    "export": {
        *("--format", "--out", "--split", "--split-ratio", "--seed", "--annotations", "--map"),
        *("--class-order", "--supercategory", "--image-size", "--resize", "--quality", "--upright"),
        *("--processes", "--polygons", "--task", "--shard-size", "--shard-megabytes"),
        *("--multi-label", "--several", "--drop-reviewed", "--json", "--quiet"),
    },
    "view": SELECTION | {"--plan", "--port", "--no-browser", "--quiet", "--index"},
    "review": {"--merge", "--json"},
    "stats": {"--top", "--json"},
    "report": {"--out", "--json", "--quiet"},
    "verify": {"--repair", "--json", "--quiet", "--index"},
    "index info": {"--check", "--json"},
    "index build": {"--check", "--split", "--labels", "--no-metadata", "--json", "--quiet"},
    "index push": {"--json", "--quiet"},
    "index pull": {"--json", "--quiet"},
    "demo": {"--out", "--quiet"},
}
HEAVY = ("polars", "numpy", "rich", "pycurl", "PIL", "asyncio", "filelock", "oidkit.api")
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and devices as POSIX has them")


own_settings = pytest.fixture(autouse=True)(cli_runs.own_settings)
mirror = pytest.fixture(scope="session")(cli_runs.made_mirror)
served = pytest.fixture(cli_runs.served_mirror)


# -- parsers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_exactly_the_flags_of_the_contract(command: str) -> None:
    """No flag is missing, and none is there that is not promised."""
    flags = {flag for action in parser_of(command)._actions for flag in action.option_strings}
    assert flags - {"-h", "--help"} == FLAGS[command] | COMMON


@pytest.mark.parametrize("command", COMMANDS)
def test_help_documents_every_flag(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of a command exits with 0 and says something of each of its arguments."""
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: oid {command}")
    for action in parser_of(command)._actions:
        assert action.help
        if action.help != argparse.SUPPRESS:
            assert all(flag in text for flag in action.option_strings)


@pytest.mark.parametrize("command", ["", "index", *COMMANDS])
def test_help_fits_into_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal that is as narrow as they used to be breaks no line of it."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_that_is_taken(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it shows is a line of that command, with flags and arguments that it has."""
    assert main([*command.split(), "--help"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    words = last.removeprefix("example: ").split()
    assert " ".join(words) == EXAMPLES[command]
    at = 1 + len(command.split())
    assert words[:at] == ["oid", *command.split()]
    parser_of(command).parse_intermixed_args(words[at:])


def test_a_flag_that_means_the_same_reads_the_same() -> None:
    """A flag has one value and one text in all commands, but for those that mean their own."""
    own = {"--out", "--annotations", "--check", "--json", "--no-metadata", "--seed"}
    own |= {"--shard-size", "--upright"}
    found: dict[str, set[tuple[object, ...]]] = {}
    for command in COMMANDS:
        for action in parser_of(command)._actions:
            if action.help != argparse.SUPPRESS:
                told = (action.metavar, repr(action.default), action.help)
                for flag in action.option_strings:
                    found.setdefault(flag, set()).add(told if flag not in own else ())
    assert [flag for flag, told in found.items() if len(told) > 1] == []


@pytest.mark.parametrize("command", ["stats", "review", "report", "demo"])
def test_what_reads_no_source_takes_its_flags_and_does_not_show_them(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script may give every command the same flags; its reader is told of those that count."""
    folder = [] if command == "demo" else ["DIR"]
    given = parser_of(command).parse_args([*folder, "--source", "here", "--release", "v6"])
    assert (given.source, given.release) == ("here", "v6")
    assert main([command, "--help"]) == 0
    assert "--source" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["download", "index build"])
def test_help_names_every_label_type(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the help learns what `--labels` takes."""
    assert main([*command.split(), "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    assert not [label for label in LABELS if label not in text.split("--labels LIST")[-1][:200]]


def test_a_list_without_an_image_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty list in place of classes is told from a command without any class."""
    (tmp_path / "none.txt").write_text("# nothing yet\n", encoding="utf-8")
    assert main(["download", "--image-ids", str(tmp_path / "none.txt")]) == 2
    assert "none.txt lists no image; check --image-ids" in capsys.readouterr().err


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`oid --help` lists the commands with a sentence each; `oid index --help` its own two."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert not [
        name for name, about in COMMANDS.items() if not (f"  {name}" in text and about in text)
    ]
    assert main(["index", "--help"]) == 0
    text = capsys.readouterr().out
    assert "index info" in text
    assert "download" not in text


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """`oid --version` prints the version that is installed."""
    try:
        version = importlib.metadata.version("oidkit")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("oidkit is not installed, only on the path")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"oid {version}\n"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    """Neither the overview nor a command's help waits for the table engine and its like."""
    program = (
        "import sys; from oidkit.cli import main; code = main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "libraries"), [("--help", ()), ("classes x", ("google_crc32c",))]
)
def test_a_short_command_imports_what_it_needs(
    mirror: Path, tmp_path: Path, words: str, libraries: tuple[str, ...]
) -> None:
    """The overview imports no library and no part of ours but the parser, the class list but one.

    That one tells whether what came is what the source has; a server would need pycurl besides.
    """
    program = (
        "import sys; from oidkit.cli import main; code = main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, *words.split()],
        env=os.environ
        | {"OID_SOURCE": str(mirror), "OID_CACHE": str(tmp_path / "classes")}
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stderr.split("\n")[-2].split())
    packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert packages - {"__main__", "oidkit"} == set(libraries)
    parts = {name.split(".")[1] for name in imported if name.startswith("oidkit.")}
    assert parts == {"cli", "errors"} or libraries
    assert parts.isdisjoint({"tables", "choice", "selection", "formats", "dataset", "testing"})
    assert imported.isdisjoint({"zipfile", "tempfile", "importlib.resources", "asyncio"})


# -- wrong command lines ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dowload", "oid: there is no command 'dowload' (did you mean 'download'?); see"),
        ("index", "oid index: name one of build, info, pull, push; see: oid index --help"),
        ("index buld", "there is no command 'buld' (did you mean 'build'?)"),
        ("--cache x classes", "there is no flag --cache before the command; flags come after"),
        ("download Dog --splt train", "oid download: unrecognized arguments: --splt train; see"),
        ("download Dog --limit x", "argument --limit: 'x' is not a whole number; see: oid down"),
        ("download Dog --lim 3", "unrecognized arguments: --lim 3"),
        ("download Dog --out", "oid download: argument --out: expected one argument; see: oid"),
        ("split --label Dog", "oid split: the following arguments are required: --subset, --in"),
        ("download", "oid: no class was named; name one, as in: oid download Handgun"),
        ("download Dog --split foo", "there is no split 'foo'; choose from train, validation"),
        ("download Dog --labels bxs", "there is no label type 'bxs'; choose from boxes, masks"),
        ("download Dog --labels ,", "--labels names no label type"),
        ("download Dog --match some", "there is no match 'some'; choose from any, all"),
        ("download Dog --layout tree", "there is no layout 'tree'; choose from class, flat"),
        ("download Dog --limit -1", "a limit of -1 images makes no sense"),
        ("download Dog --annotations no", "there is no kind of annotations 'no'; choose from req"),
        ("download --image-ids none", "cannot read none: No such file or directory; check --image"),
        ("download Dog --total 0", "a total of 0 images makes no sense"),
        ("download --recipe none", "cannot read none: No such file or directory; check --recipe"),
        ("download Dog --inside maybe", "there is no value of inside 'maybe'; choose from yes, no"),
        ("download Dog --min-area x", "argument --min-area: 'x' is not a number; see: oid down"),
        ("download Dog --min-area 1.5", "a smallest area of 1.5 makes no sense; give a share of"),
        ("download Dog --min-area nan", "a smallest area of nan makes no sense; give a share of"),
        ("download Dog --release v9", "there is no release 'v9' of Open Images; choose from v4"),
        ("download Dog --workers 0", "the number of workers has to be at least 1"),
        ("download Dog --source none", "source 'none' does not exist"),
        ("download --classes-from none", "cannot read none: No such file or directory; check"),
        ("fetch none", "cannot read none"),
        ("verify none", "none is no dataset of oidkit"),
        ("split --label /m/0gxl3 --subset all --input x", "there is no split 'all'"),
        ("split --label /m/0gxl3 --subset test --input x", "cannot read x"),
        ("classes --tree --csv", "--tree and --csv do not go together; leave out one of them"),
        ("classes --json --csv", "--json and --csv do not go together"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with the arguments: exit 2, one line on stderr that says it."""
    assert main(line.split()) == 2
    assert said in sentence(capsys)


def test_no_command_shows_the_overview_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that forgot the command fails, and who typed `oid` sees what there is."""
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "usage: oid COMMAND" in printed.err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Hangun", "unknown class 'Hangun' (did you mean Handgun"),
        ("/m/0gxl", "did you mean /m/0gxl3 (Handgun)?); list the classes with: oid classes"),
    ],
)
def test_an_unknown_class_fetches_nothing(
    mirror: Path, asked: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest class is named, and no folder is made."""
    assert main(["download", "Handgun", asked, "--source", str(mirror), "--out", "here"]) == 2
    assert said in sentence(capsys)
    assert not Path("here").exists()


# -- what ends a command ------------------------------------------------------------------------


def test_an_unexpected_error_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug shows its type and the way to its traceback, which only --debug prints."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr("oidkit.api.index.index_info", broken)
    assert main(["index", "info"]) == 4
    said = "oid: unexpected ZeroDivisionError: seven; run again with --debug to see where"
    assert sentence(capsys) == said
    assert main(["index", "info", "--debug"]) == 4
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith(f"{said}\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "a.jpg"), 5, "cannot write a.jpg: no space left"),
        (PermissionError(13, "Permission denied", "b"), 5, "cannot write b: permission denied"),
        (FileNotFoundError(2, "No such file", "c"), 4, "unexpected FileNotFoundError"),
        (KeyboardInterrupt(), 130, "interrupted; what was finished stays"),
    ],
)
def test_errors_of_the_system_have_the_code_of_the_contract(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A full or forbidden disk is 5 wherever it comes from, Ctrl-C is 130."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("oidkit.api.index.index_info", broken)
    assert main(["index", "info"]) == code
    assert said in sentence(capsys)


def test_an_error_cannot_steer_the_terminal(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences and newlines of an argument are not passed on."""
    assert main(["download", "a\x1b[2J\nb", "--source", str(mirror)]) == 2
    assert "\x1b" not in sentence(capsys)


def test_a_reader_that_has_gone_ends_the_command_quietly(mirror: Path) -> None:
    """With nobody to read stdout the command ends as git does, without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "oidkit", "classes", "--source", str(mirror)],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_under_stdout_is_an_error(mirror: Path) -> None:
    """Results that could not be written are not passed over in silence."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "oidkit", "classes", "--source", str(mirror)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"standard output: no space left" in done.stderr


_STOPPED = """
import atexit, os, signal, sys, time
from oidkit import cli

class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

def dropped():
    Dropped()
    time.sleep(20)

def another():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(20)
    except KeyboardInterrupt:
        raise TypeError("as compiled code says") from None

def late():
    atexit.register(lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(20)))
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)

def said():
    say = cli.output.say
    def twice(text):
        os.kill(os.getpid(), signal.SIGINT)
        say(text)
        os.kill(os.getpid(), signal.SIGINT)
    cli.output.say = twice
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)

cli._run = lambda arguments: locals_[sys.argv[1]]()
locals_ = {"dropped": dropped, "another": another, "said": said, "late": late}
sys.exit(cli.main())
"""


@POSIX
@pytest.mark.parametrize("how", ["dropped", "another", "said", "late"])
def test_ctrl_c_is_heard_in_any_line(how: str) -> None:
    """Where it is dropped, makes another error, comes twice, and as the interpreter leaves."""
    command = [sys.executable, "-c", _STOPPED, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == (-signal.SIGINT if how == "late" else 130), done.stderr
    assert done.stderr.count("interrupted") == 1
    assert "Traceback" not in done.stderr


@POSIX
def test_ctrl_c_ends_a_download_with_130(served: MirrorServer) -> None:
    """In the middle of the images: one sentence, no traceback, and the next run completes."""
    line = ["download", "Handgun", "--source", served.url, "--out", "out", "--workers", "1"]
    served.delay = 0.15
    running = subprocess.Popen(
        [sys.executable, "-m", "oidkit", *line], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while sum("open-images-dataset" in each.path for each in served.log) < 3:
        assert time.monotonic() < deadline, "no image is asked for"
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert err.rstrip().splitlines()[-1].startswith("oid: ")
    served.delay = 0
    assert main([*line, "--quiet"]) == 0
