"""`oid classes`: which classes there are, what they have, and how they hang together."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from oidkit.cli.output import can_encode, drawing, json_value, line, lines, number, say, speak_utf8
from oidkit.cli.parsing import Parser, add_index, add_json, add_quiet, settings_of
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from oidkit.api.listing import ClassRow
    from oidkit.api.settings import Settings

__all__ = ["arguments", "drawn", "run"]

_KINDS = ("images", "boxes", "masks")
_FINE = ("├── ", "└── ", "│   ")
_PLAIN = ("|-- ", "`-- ", "|   ")


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid classes``."""
    parser.add_argument(
        "pattern",
        nargs="?",
        default="",
        metavar="PATTERN",
        help="list only classes that contain this in a name or the MID, in any case",
    )
    parser.add_argument("--tree", action="store_true", help="draw the hierarchy below the matches")
    parser.add_argument(
        "--all", action="store_true", help="take in the 20,000 classes of image labels"
    )
    parser.add_argument(
        "--counts",
        action="store_true",
        help="add images, boxes and masks of each split; builds the tables if they are not there",
    )
    add_json(parser, "the classes")
    parser.add_argument(
        "--csv", action="store_true", help="print the classes as CSV in UTF-8, with a header"
    )
    add_quiet(parser)
    add_index(parser)


def run(options: Namespace) -> int:
    """List the classes, or draw the tree."""
    _check(options)
    settings = settings_of(options)
    found = _print_tree(options, settings) if options.tree else _print_rows(options, settings)
    if not found:
        say(_nothing(options, settings))
    return 0


def _check(options: Namespace) -> None:
    rivals = [("--json", "--csv"), ("--tree", "--csv"), ("--tree", "--counts"), ("--tree", "--all")]
    for one, other in rivals:
        if getattr(options, one[2:]) and getattr(options, other[2:]):
            raise UsageError(
                f"{one} and {other} do not go together", remedy="leave out one of them"
            )


def _print_rows(options: Namespace, settings: Settings) -> int:
    from oidkit.api.listing import classes

    with drawing(quiet=options.quiet) as on_event:
        rows = classes(
            options.pattern,
            every=options.all,
            counts=options.counts,
            settings=settings,
            on_event=on_event,
        )
    if options.json:
        json_value([row.as_dict() for row in rows])
    elif options.csv:
        speak_utf8()
        line(_as_csv(rows, counts=options.counts))
    else:
        lines(_columns(rows))
    return len(rows)


def _columns(rows: Sequence[ClassRow]) -> Iterator[str]:
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        has = "boxes masks" if row.segmentable else "boxes" if row.boxable else ""
        yield f"{row.name:<{width}}  {row.mid:<12} {has}".rstrip()
        for split, counts in row.counts.items():
            numbers = [number(counts[k], k[:-1] if k != "boxes" else "box", k) for k in _KINDS]
            yield f"  {split:<10}  " + "  ".join(f"{text:>16}" for text in numbers)


def _as_csv(rows: Sequence[ClassRow], *, counts: bool) -> str:
    from oidkit.catalog import SPLITS

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = [(split, kind) for split in SPLITS for kind in _KINDS] if counts else []
    header = [f"{split}_{kind}" for split, kind in cells]
    writer.writerow(["LabelName", "DisplayName", "Boxable", "Segmentable", *header])
    for row in rows:
        numbers = [row.counts[split][kind] for split, kind in cells]
        writer.writerow([row.mid, row.name, int(row.boxable), int(row.segmentable), *numbers])
    return text.getvalue().removesuffix("\n")


def _print_tree(options: Namespace, settings: Settings) -> int:
    from oidkit.api.listing import class_tree

    with drawing(quiet=options.quiet) as on_event:
        tree = class_tree(options.pattern, settings=settings, on_event=on_event)
    if options.json:
        keys = ("depth", "mid", "name", "part")
        json_value([dict(zip(keys, node, strict=True)) for node in tree])
    else:
        lines(drawn(tree, plain=not can_encode("".join(_FINE))))
    return len(tree)


def drawn(tree: Sequence[tuple[int, str, str, bool]], *, plain: bool = False) -> list[str]:
    """Draw (depth, MID, name, whether a part) in the order of the tree, each before those below.

    With *plain* the branches are ASCII.
    """
    branch, corner, rail = _PLAIN if plain else _FINE
    # Backwards, a node is the last of its parent's when none of its depth came since the parent.
    follows: list[bool] = []
    texts = []
    for depth, mid, name, is_part in reversed(tree):
        follows += [False] * (depth + 1 - len(follows))
        rails = "".join(rail if each else "    " for each in follows[1:depth])
        front = rails + (branch if follows[depth] else corner) if depth else ""
        texts.append(f"{front}{name} ({mid}){' (part)' if is_part else ''}")
        del follows[depth + 1 :]
        follows[depth] = True
    return texts[::-1]


def _nothing(options: Namespace, settings: Settings) -> str:
    from difflib import get_close_matches

    from oidkit.api.listing import classes

    names = {row.name.casefold(): row for row in classes(settings=settings)}
    mids = {row.mid: row for row in names.values()}
    asked = options.pattern.casefold().replace("_", " ")
    near = [names[name] for name in get_close_matches(asked, names)]
    near += [mids[mid] for mid in get_close_matches(asked, mids, cutoff=0.8)]
    said = f"no class contains '{options.pattern}'"
    if near:
        said += "; the nearest: " + ", ".join(f"{row.name} ({row.mid})" for row in near)
    elif not options.all and not options.tree:
        said += "; --all looks among the classes of image labels too"
    return said
