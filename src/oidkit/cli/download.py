"""`oid download`: everything that classes have, into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, lines
from oidkit.cli.parsing import (
    Parser,
    add_json,
    add_labels,
    add_quiet,
    add_splits,
    labels_of,
    settings_of,
    splits_of,
    whole,
)
from oidkit.cli.results import planned, summed_up, tell_troubles
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from oidkit.selection import Selection

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid download``."""
    parser.add_argument(
        "classes", nargs="*", metavar="CLASS", help="a name in any case, or a MID such as /m/0gxl3"
    )
    parser.add_argument(
        "--classes-from",
        metavar="FILE",
        help="more classes, one a line; blank lines and lines that begin with # are skipped",
    )
    parser.add_argument(
        "--out", default="open-images", metavar="DIR", help="dataset folder (default: open-images)"
    )
    add_splits(parser)
    add_labels(parser)
    parser.add_argument(
        "--match",
        default="any",
        metavar="any|all",
        help="an image needs one, or every, of the classes (default: any)",
    )
    parser.add_argument(
        "--limit",
        type=whole,
        metavar="N",
        help="at most N images for each class in each split; a larger N keeps what a smaller chose",
    )
    parser.add_argument(
        "--seed",
        type=whole,
        default=0,
        metavar="N",
        help="which images a limit keeps (default: 0)",
    )
    parser.add_argument(
        "--layout",
        default="class",
        metavar="class|flat",
        help="a folder for each class, or one for all (default: class)",
    )
    parser.add_argument("--no-images", action="store_true", help="annotations and masks only")
    parser.add_argument(
        "--no-metadata",
        action="store_true",
        help="leave out attribution.csv and images_<split>.csv, and with them the image list "
        "(638 MB for train, once)",
    )
    parser.add_argument(
        "--workers",
        type=whole,
        metavar="N",
        help="requests in flight at the most (default: adaptive)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be done, the bytes to receive and the disk needed; "
        "fetch nothing but tables",
    )
    add_json(parser, "the summary")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Download, or with ``--dry-run`` plan it."""
    selection = _selection(options)
    settings = settings_of(options, workers=options.workers)
    if options.dry_run:
        return _plan(options, selection)
    from oidkit.api.downloading import download

    with drawing(quiet=options.quiet) as on_event:
        summary = download(selection, options.out, settings=settings, on_event=on_event)
    if options.json:
        json_value(summary.as_dict())
    else:
        lines(summed_up(summary))
    tell_troubles(summary)
    return summary.exit_code


def _plan(options: Namespace, selection: Selection) -> int:
    from oidkit.api.downloading import plan

    settings = settings_of(options, workers=options.workers)
    with drawing(quiet=options.quiet) as on_event:
        made = plan(selection, options.out, settings=settings, on_event=on_event)
    if options.json:
        json_value(made.as_dict())
    else:
        lines(planned(made, out=options.out))
    return 0


def _selection(options: Namespace) -> Selection:
    names = [*options.classes, *_listed(options.classes_from)]
    if not names:
        raise UsageError(
            "no class was named",
            remedy="name one, as in: oid download Handgun; list them with: oid classes",
        )
    from oidkit.selection import Selection

    return Selection(
        tuple(names),
        splits=splits_of(options),
        labels=labels_of(options),
        match=options.match,
        limit=options.limit,
        seed=options.seed,
        layout=options.layout,
        images=not options.no_images,
        metadata=not options.no_metadata,
    )


def _listed(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read {path}: {reason}", remedy="check --classes-from") from error
    names = (line.strip() for line in text.splitlines())
    return [name for name in names if name and not name.startswith("#")]
