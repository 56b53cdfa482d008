"""The documentation: what it shows runs, what it says of the code is so, and its links lead on."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import re
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oidkit import errors
from oidkit.cli import COMMANDS, main, parser_of
from oidkit.formats.registry import FORMATS
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
GENERATOR = DOCS / "reference" / "generate.py"

FENCE = re.compile(r"^```(?P<language>[a-z]*)$")
COMMENT = re.compile(r"^<!-- (?P<word>not run|exit|file|copy):? (?P<rest>.+) -->$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and the comment on the line before it, which says how it is to be run."""

    page: Path
    line: int
    language: str
    text: str
    word: str = ""
    rest: str = ""

    @property
    def where(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Give its lines as a shell would, without comments and blank lines."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def name_of(page: Path) -> str:
    """Give the path of a page from the top of the project."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Read the fenced blocks of a page, in order."""
    found: list[Block] = []
    lines: list[str] = []
    before, opened, language = "", 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened and line == "```":
            note = COMMENT.match(before)
            word, rest = (note["word"], note["rest"]) if note else ("", "")
            found.append(Block(page, opened, language, "\n".join(lines) + "\n", word, rest))
            opened, before = 0, ""
        elif opened:
            lines.append(line)
        elif fence := FENCE.match(line):
            opened, language, lines = number, fence["language"], []
        else:
            before = line
    assert not opened, f"{name_of(page)}: the block of line {opened} is not closed"
    return found


BLOCKS = {page: blocks_of(page) for page in PAGES}
ALL = [block for blocks in BLOCKS.values() for block in blocks]
RUN = [page for page in PAGES if any(block.language in ("sh", "python") for block in BLOCKS[page])]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release that has images of every class that the pages download."""
    root = tmp_path_factory.mktemp("docs") / "mirror"
    make_release(root, replace(ReleaseSpec.tiny(), images=PerSplit(40, 12, 14)))
    return root


@pytest.fixture(scope="module")
def url(mirror: Path) -> Iterator[str]:
    """Serve the release as long as the pages are run."""
    with MirrorServer(mirror) as server:
        yield server.url


@pytest.fixture
def desk(
    mirror: Path,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Sit in an empty folder, with the made release as the source, and in `mirror` beside us."""
    monkeypatch.setenv("OID_SOURCE", url)
    monkeypatch.setenv("OID_CACHE", str(tmp_path_factory.getbasetemp() / "cache-of-docs"))
    monkeypatch.delenv("OID_RELEASE", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(mirror, tmp_path / "mirror")
    return tmp_path


def run_shell(block: Block) -> None:
    """Run each line, a command of ours, and look at its exit code."""
    expected = int(block.rest) if block.word == "exit" else 0
    for command in block.commands:
        words = shlex.split(command, comments=True)
        assert words[0] == "oid", f"{block.where}: '{command}' is no command of ours"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(words[1:])
        assert code == expected, f"{block.where}: '{command}' gave {code}\n{said.getvalue()}"


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run the code with the names of the blocks before it, as a notebook would."""
    code = compile(
        "\n" * block.line + block.text, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = eval(code, names)  # noqa: S307 - the code is that of our own pages
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(result)


def run_page(page: Path, mirror: Path, *, python: Container[str]) -> None:
    """Run the commands of a page, and its code in these languages, from top to bottom."""
    names: dict[str, Any] = {}
    for block in BLOCKS[page]:
        if block.word == "not run":
            continue
        if block.word == "file":
            Path(block.rest).write_text(block.text, encoding="utf-8")
        if block.word == "copy":
            key, _, place = block.rest.partition(" to ")
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mirror / key, place)
        if block.language == "sh":
            run_shell(block)
        elif block.language in python:
            run_python(block, names)


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_what_a_page_shows_runs(page: Path, desk: Path, mirror: Path) -> None:
    """Commands and Python of a page run from top to bottom, against a release over HTTP."""
    run_page(page, mirror, python=("python",))


def test_pages_are_run_at_all() -> None:
    """The reader of pages finds the blocks that are known to be there."""
    assert {"README.md", "docs/getting-started.md", "docs/guides/masks.md"} <= set(
        map(name_of, RUN)
    )
    assert len([block for block in ALL if block.language == "sh"]) > 20
    assert len([block for block in ALL if block.language == "python"]) > 20


def test_no_command_hides_from_being_run() -> None:
    """A command of ours stands in a block that is run, or beside the reason why it is not."""
    hidden = [
        block.where
        for block in ALL
        if block.word != "not run"
        and block.language != "sh"
        and name_of(block.page) != "docs/reference/cli.md"
        and any(line.startswith(("oid ", "python3 -m oidkit")) for line in block.commands)
    ]
    assert hidden == []


def test_what_is_not_run_says_why() -> None:
    """The reason of a block that is not run is a few words at least, and such blocks are few."""
    left_out = [block for block in ALL if block.word == "not run"]
    assert [block.where for block in left_out if len(block.rest.split()) < 4] == []
    assert len(left_out) < 14


# -- what the pages say of the code -----------------------------------------------------------


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """Load the program that writes the reference."""
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_reference_is_up_to_date(generator: ModuleType) -> None:
    """The pages are what the code says now; `make docs` writes them again."""
    for path, text in generator.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{name_of(path)}: run make docs"


def test_the_generator_tells_a_stale_page_and_mends_it(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--check` a page that differs gives 1 and stays; without it is written."""
    monkeypatch.setattr(generator, "HERE", tmp_path)
    (tmp_path / "cli.md").write_text("old\n")
    assert generator.main(["--check"]) == 1
    assert (tmp_path / "cli.md").read_text() == "old\n"
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


HOW_TO = [
    page
    for page in PAGES
    if name_of(page).startswith(("README.md", "docs/getting-started", "docs/guides/"))
]
"""The pages that show how to do things."""


def shown(language: str) -> list[Block]:
    """Give the blocks of one language on the pages that show how to do things."""
    return [block for page in HOW_TO for block in BLOCKS[page] if block.language == language]


def not_named(command: str, text: str, *, before: str = "") -> list[str]:
    """List the flags of a command that a text names in none of their spellings."""
    flags = [action.option_strings for action in parser_of(command)._actions]
    return [
        ", ".join(spellings)
        for spellings in flags
        if spellings
        and "--help" not in spellings
        and not any(re.search(rf"{before}{flag}(?![\w-])", text) for flag in spellings)
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_flag_is_in_the_reference(command: str) -> None:
    """The page of commands has a section for each, which names each of its flags."""
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    own, _, after = page.partition(f"## oid {command}\n")[2].partition("\n## ")
    shared = after.rpartition("## Flags that every command has")[2]
    assert own, f"no section for {command}"
    assert not_named(command, own + shared, before="`") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_shown_in_use(command: str) -> None:
    """A guide shows each command with each of its own flags, in a block or in a sentence."""
    lines = [line for block in shown("sh") for line in block.commands]
    assert [line for line in lines if line.startswith(f"oid {command}")]
    assert not_named(command, "\n".join(page.read_text("utf-8") for page in HOW_TO)) == []


def test_commands_in_sentences_and_tables_are_there() -> None:
    """A command that a page names in a sentence or a table has the flags that stand with it."""
    wrong, seen = [], 0
    for page in PAGES:
        for text in re.findall(r"`(oid [a-z][^`]*)`", prose(page)):
            named = [each for each in COMMANDS if f"{text} ".startswith(f"oid {each} ")]
            actions = [action for each in named for action in parser_of(each)._actions]
            known = {flag for action in actions for flag in action.option_strings}
            seen += len(named)
            if not set(re.findall(r"--[\w-]+", text)) <= known:
                wrong.append(f"{name_of(page)}: {text}")
    assert wrong == []
    assert seen > 50


def test_flags_beside_other_programs_are_ours() -> None:
    """The page that sets features side by side names flags of oidkit alone, and they are there."""
    page = prose(DOCS / "reference" / "peers.md")
    named = set(re.findall(r"`(--[\w-]+)", page))
    actions = [action for command in COMMANDS for action in parser_of(command)._actions]
    assert named <= {flag for action in actions for flag in action.option_strings}
    formats = set(re.findall(r"`--format (\w+)`", page))
    assert formats == set(FORMATS)


def test_every_call_is_shown_in_use(generator: ModuleType) -> None:
    """What a command does is shown as a call too; the demo has nothing to show in code."""
    code = "\n".join(block.text for block in shown("python"))
    called = set(re.findall(r"oidkit\.(\w+)\(", code))
    assert set(generator.CALLS) - called == {"demo"}


def test_every_error_and_its_exit_code_is_listed() -> None:
    """The page of exit codes has a row for each class of error, with its code."""
    page = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name in errors.__all__:
        assert f"| {getattr(errors, name).exit_code} |" in rows[name]


def test_the_architecture_names_every_module() -> None:
    """The note on the architecture has a row for each module and package, and for no other."""
    page = (DOCS / "design" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    source = ROOT / "src" / "oidkit"
    there = {path.stem for path in source.glob("[!_]*.py")}
    there |= {path.parent.name for path in source.glob("*/__init__.py")}
    assert named == there


def test_every_variable_that_is_read_is_listed() -> None:
    """The page of variables names each one that the code looks up."""
    page = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    look_up = re.compile(
        r'environ(?:\.get\(|\[)\s*"(\w+)"|"((?:OID|AWS|CURL|SSL|REQUESTS)_[A-Z_]+)"'
    )
    sources = (ROOT / "src" / "oidkit").rglob("*.py")
    found = {a or b for path in sources for a, b in look_up.findall(path.read_text("utf-8"))}
    assert {"OID_SOURCE", "OID_CACHE", "OID_RELEASE", "AWS_ENDPOINT_URL"} <= found
    assert {name for name in found if f"`{name}`" not in page} == set()


# -- the pages among themselves ---------------------------------------------------------------


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def anchors(page: Path) -> set[str]:
    """Name the headings as links write them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """A link within the project leads to a file that is there, and to a heading in it."""
    lost = []
    for target in LINK.findall(prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        if not path.is_file() or (anchor and anchor not in anchors(path)):
            lost.append(target)
    assert lost == []


def test_every_page_is_in_the_contents() -> None:
    """The page of contents links all others."""
    contents = DOCS / "README.md"
    linked = {(DOCS / target).resolve() for target in LINK.findall(prose(contents))}
    assert {name_of(page) for page in DOCS.rglob("*.md") if page not in linked} == {
        name_of(contents)
    }


def test_the_changelog_keeps_its_form() -> None:
    """It is as keepachangelog.com has it: versions with dates, newest first, and known sections."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert text.startswith("# Changelog\n")
    assert versions[0] == "[Unreleased]"
    form = re.compile(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d")
    assert [version for version in versions[1:] if not form.fullmatch(version)] == []
    sections = set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE))
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert sections <= known
    assert sections


def test_design_notes_are_dated() -> None:
    """A note says of which day it is: numbers and code go on."""
    day = re.compile(r"\A# .+\n\n\d{1,2} [A-Z][a-z]+ 20\d\d\.")
    notes = sorted((DOCS / "design").glob("*.md"))
    assert len(notes) >= 5
    text = {name_of(note): note.read_text(encoding="utf-8") for note in notes}
    assert [name for name, content in text.items() if not day.match(content)] == []
