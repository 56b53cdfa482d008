"""Writes the pages of the reference that the code itself knows: commands, calls and files.

``python docs/reference/generate.py`` writes them, ``--check`` says which are out of date. Nothing
depends on the version of Python: argparse and inspect format differently from one to the next.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import oidkit
from oidkit import catalog, cluster, errors, events
from oidkit.cli import COMMANDS, EXAMPLES, parser_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["PAGES", "main", "pages"]

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Made by docs/reference/generate.py; do not edit. -->"
CALLS = (
    "download",
    "plan",
    "fetch",
    "verify",
    "stats",
    "review",
    "report",
    "draw",
    "split",
    "classes",
    "class_tree",
    "index_build",
    "index_info",
    "index_push",
    "index_pull",
    "demo",
)
_FOR_THE_LIBRARY = {"checked", "connected", "count"}
_EVENTS = [name for name in events.__all__ if name not in ("Event", "Listener", "ignore")]
_PARAGRAPH = re.compile(r"\n\s*\n")
_NAMED = re.compile(r"^(\w+):")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


# -- commands ------------------------------------------------------------------------------------


def cli_page() -> Iterator[str]:
    """Write a section for each command, out of its parser."""
    yield from ["# Commands and flags", "", NOTE, ""]
    yield "`oid COMMAND --help` prints the same. `oid --version` prints the version. What"
    yield "follows a command's name may stand in any order, and flags are not abbreviated."
    yield ""
    yield "Results go to stdout; progress, warnings and errors to stderr."
    yield "[Exit codes](exit-codes.md) are the same for all commands."
    yield ""
    for command in COMMANDS:
        yield from _command(command)
    yield from ["## Flags that every command has", ""]
    yield "`stats`, `review`, `report` and `demo` read no source: to them the first three change"
    yield "nothing."
    yield ""
    yield from _table(("flag", "meaning"), [_flag(each) for each in _common()])


def _actions(command: str) -> list[argparse.Action]:
    found = parser_of(command)._actions  # noqa: SLF001 - argparse has no other way to ask
    return [each for each in found if each.dest != "help"]


def _common() -> list[argparse.Action]:
    shared = {"source", "cache", "release", "debug"}
    return [each for each in _actions("download") if each.dest in shared]


def _command(command: str) -> Iterator[str]:
    shared = {each.dest for each in _common()}
    own = [each for each in _actions(command) if each.dest not in shared]
    yield from [f"## oid {command}", "", COMMANDS[command], "", "```"]
    yield " ".join([f"oid {command}", *dict.fromkeys(map(_usage, own))])
    yield from ["```", ""]
    rows = [_flag(each) for each in own]
    yield from _table(("argument or flag", "meaning"), rows)
    for group in parser_of(command)._action_groups:  # noqa: SLF001 - as above
        if group.description:
            yield from [f"The {group.title}:", "", "```", group.description, "```", ""]
    yield from [f"Example: `{EXAMPLES[command]}`", ""]


def _usage(action: argparse.Action) -> str:
    """Show an argument or a flag that is always needed; other flags are left to the table."""
    name = str(action.metavar or action.dest)
    if action.option_strings:
        return f"{action.option_strings[0]} {name}" if action.required else "[FLAGS]"
    shapes = {"*": f"[{name} …]", "?": f"[{name}]", "+": f"{name} […]"}
    return shapes.get(str(action.nargs), name)


def _flag(action: argparse.Action) -> tuple[str, str]:
    value = f" {action.metavar}" if action.metavar and action.option_strings else ""
    names = [f"`{name}{value}`" for name in action.option_strings] or [f"`{action.metavar}`"]
    text = (action.help or "").strip()
    return ", ".join(names), f"{text[:1].upper()}{text[1:]}."


# -- calls ---------------------------------------------------------------------------------------


def python_page() -> Iterator[str]:
    """Write a section for each public name, out of its docstring and signature."""
    yield from ["# Python", "", NOTE, ""]
    yield "Every command is a call in `oidkit`. Calls print nothing; pass `on_event` to be told"
    yield "what happens. `import oidkit` is cheap: a name's module is imported when the name is"
    yield "first used."
    yield ""
    yield from ["## Calls", ""]
    for name in CALLS:
        yield from _call(name)
    yield from ["## What goes in and comes out", ""]
    others = [name for name in oidkit.__all__ if name not in CALLS and name != "OidError"]
    for name in others:
        yield from _class(getattr(oidkit, name), name)
    yield from ["## Engines", ""]
    yield "`oidkit.cluster`, for `engine` of `download`; it needs the extra `oidkit[ray]`."
    yield ""
    yield from _class(cluster.Ray, "Ray")
    yield from ["## Events", ""]
    yield "`oidkit.events`: frozen values, given to `on_event` in the order in which they became"
    yield "true, always on the thread that made the call."
    yield ""
    rows = [(f"`{_shape(name)}`", _first(getattr(events, name))) for name in _EVENTS]
    yield from _table(("event", "when"), rows)
    yield from ["## Errors", ""]
    yield "`oidkit.errors`, of which `oidkit.OidError` is the root. See"
    yield "[exit codes and errors](exit-codes.md)."
    yield ""
    named = [(name, getattr(errors, name)) for name in errors.__all__]
    kinds: list[tuple[str, type[errors.OidError]]] = [
        (name, kind) for name, kind in named if isinstance(kind, type)
    ]
    listed = [(f"`{name}`", str(kind.exit_code), _first(kind)) for name, kind in kinds]
    yield from _table(("error", "exit code", "meaning"), listed)


def _shape(name: str) -> str:
    kind = getattr(events, name)
    return f"{name}({', '.join(field.name for field in dataclasses.fields(kind))})"


def _doc(thing: object) -> str:
    return inspect.cleandoc(getattr(thing, "__doc__", "") or "")


def _first(thing: object) -> str:
    return " ".join(_PARAGRAPH.split(_doc(thing))[0].split()).replace("``", "`")


def _call(name: str) -> Iterator[str]:
    found: Callable[..., object] = getattr(oidkit, name)
    yield from [f"### {name}", "", "```text", *_signature(name, found), "```", ""]
    yield from _prose(_doc(found))


def _signature(name: str, call: Callable[..., object]) -> Iterator[str]:
    signature = inspect.signature(call)
    yield f"oidkit.{name}("
    starred = False
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            starred = True
            yield "    *,"
        default = "" if each.default is each.empty else f" = {_value(each.default)}"
        yield f"    {each.name}: {each.annotation}{default},"
    yield f") -> {signature.return_annotation}"


def _value(value: object) -> str:
    return str(getattr(value, "__name__", None) or repr(value))


def _prose(doc: str) -> Iterator[str]:
    """Turn a docstring into Markdown: its sections of names and meanings become lists."""
    for block in _PARAGRAPH.split(doc):
        lines = block.splitlines()
        head = lines[0].strip()
        if head in ("Raises:", "Returns:", "Args:"):
            yield from [f"**{head[:-1]}**", ""]
            rest = inspect.cleandoc("\n".join(["", *lines[1:]]))
            entries = re.split(r"\n(?=\S)", rest)
            for entry in entries if head != "Returns:" else [rest]:
                text = _NAMED.sub(r"`\1`:", " ".join(entry.split()))
                yield f"- {text}"
        else:
            yield " ".join(line.strip() for line in lines).replace("``", "`")
        yield ""


def _class(kind: type, name: str) -> Iterator[str]:
    yield from [f"### {name}", ""]
    yield from _prose(_doc(kind))
    if dataclasses.is_dataclass(kind):
        rows = [
            (f"`{field.name}`", f"`{field.type}`", _default(field))
            for field in dataclasses.fields(kind)
        ]
        yield from _table(("field", "type", "default"), rows)
    members = [
        (member, found)
        for member, found in vars(kind).items()
        if not member.startswith("_")
        and member not in _FOR_THE_LIBRARY
        and (isinstance(found, property | classmethod) or inspect.isfunction(found))
    ]
    for member, found in members:
        sign = "" if isinstance(found, property) else "()"
        yield f"- `.{member}{sign}`: {_first(found)}"
    if members:
        yield ""


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    return ""


# -- files ---------------------------------------------------------------------------------------


def files_page() -> Iterator[str]:
    """Write the files of each release, out of the catalog."""
    yield from ["# Files of each release", "", NOTE, ""]
    yield "A key names an object with its bucket first. At the official source the buckets are"
    yield ""
    rows = [(f"`{bucket}/`", url) for bucket, url in catalog.OFFICIAL_HOSTS.items()]
    yield from _table(("bucket", "address"), rows)
    yield "In a mirror the key is the path below its root. Sizes and MD5s are those published for"
    yield "the official source, where any are known."
    yield ""
    for release in reversed(catalog.RELEASES):
        yield from [f"## {release.upper()}", ""]
        yield from _table(("what", "key", "bytes", "MD5"), [*_release(release)])
    yield from ["## Mask zips", ""]
    yield "V5 to V7 share them. The last letter is the first hex digit of the image ids inside."
    yield ""
    zips = [each for split in catalog.SPLITS for each in catalog.mask_zips(split)]
    yield from _table(("key", "bytes", "MD5"), [_cells(each) for each in zips])
    yield from ["## Images", ""]
    yield f"`{catalog.image_key('train', '<ImageID>')}` and likewise for validation and test:"
    yield ", ".join(f"{count:,} {split}" for split, count in catalog.SPLIT_IMAGES.items()) + "."
    yield ""


def _release(release: catalog.Release) -> Iterator[tuple[str, str, str, str]]:
    named = [
        ("boxable classes", catalog.class_file(release)),
        ("all classes", catalog.all_classes_file(release)),
        ("classes with masks", catalog.segmentable_file(release)),
        ("hierarchy", catalog.hierarchy_file()),
        ("attributes", catalog.attributes_file(release)),
        ("relationship names", catalog.relationships_file(release)),
        ("triplets", catalog.triplets_file(release)),
    ]
    for what, file in named:
        if file is not None:
            yield what, *_cells(file)
    for split in catalog.SPLITS:
        yield f"images, {split}", *_cells(catalog.image_list(release, split))
    if (whole := catalog.whole_image_list(release, "train")) is not None:
        yield "images, train, with those in no bucket", *_cells(whole)
    for label in catalog.labels_of(release):
        for split in catalog.SPLITS:
            for file in catalog.tables(release, label, split):
                gone = " (no longer given out)" if file.gone else ""
                yield f"{label}, {split}{gone}", *_cells(file)
            if label == "narratives":
                yield f"captions, {split}", *_cells(catalog.captions_file(release, split))


def _cells(file: catalog.File) -> tuple[str, str, str]:
    size = f"{file.size:,}" if file.size is not None else ""
    return f"`{file.key}`", size, f"`{file.md5}`" if file.md5 else ""


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "cli.md": cli_page,
    "python.md": python_page,
    "files.md": files_page,
}
"""File name below docs/reference -> what writes its lines."""


def pages() -> dict[Path, str]:
    """Give the text that each of the pages should have."""
    return {HERE / name: "\n".join(write()).rstrip() + "\n" for name, write in PAGES.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` name those that are out of date and give 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check: bool = parser.parse_args(arguments).check
    stale = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if not check:
            path.write_text(pages()[path], encoding="utf-8", newline="\n")
        sys.stdout.write(f"{path.name} {'is out of date' if check else 'written'}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
