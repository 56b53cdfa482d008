"""`oid export`: a dataset folder into a training format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oidkit.cli.output import drawing, json_value, lines, number, number_is, say
from oidkit.cli.parsing import (
    Parser,
    add_folder,
    add_json,
    add_quiet,
    add_splits,
    settings_of,
    share,
    whole,
)
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from oidkit.api.exporting import ExportSummary

__all__ = ["arguments", "listed", "run", "tell"]

_READERS: dict[type, Callable[[str], Any]] = {int: whole, float: share, str: str}


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid export``."""
    add_folder(parser, buckets=True)
    parser.add_argument(
        "--format", required=True, metavar="NAME", help="training format, one of those below"
    )
    parser.add_argument_group("formats", _formats())
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder of the export; an earlier export there is replaced as a whole",
    )
    add_splits(parser)
    parser.add_argument(
        "--split-ratio",
        metavar="NAME=F,…",
        help="new splits in place of the published ones, as in train=0.8,val=0.1,test=0.1; an "
        "image's split depends on its id and --seed alone",
    )
    parser.add_argument(
        "--seed", type=whole, metavar="N", help="which image goes to which new split (default: 0)"
    )
    _add_classes(parser)
    _add_pictures(parser)
    _add_format_flags(parser)
    add_json(parser, "the summary")
    add_quiet(parser)


def _add_classes(parser: Parser) -> None:
    """Add which annotations are written, and what their classes are called."""
    parser.add_argument(
        "--annotations",
        metavar="requested|all",
        help="annotations of the classes that were downloaded, or of all classes, if the dataset "
        "has them (default: requested)",
    )
    parser.add_argument(
        "--map",
        metavar="CLASS=NAME,…",
        help="rename classes, and merge those of one name, as in 'Handgun=gun,Rifle=gun'",
    )
    parser.add_argument(
        "--class-order",
        metavar="FILE",
        help="keep the class numbers of an earlier export, by its classes.txt; new classes follow "
        "(default: by name)",
    )
    parser.add_argument(
        "--supercategory",
        action="store_true",
        help="name the class above each one in the hierarchy",
    )


def _add_pictures(parser: Parser) -> None:
    """Add which pictures are written, and how large."""
    parser.add_argument(
        "--image-size", type=whole, metavar="N", help="resize the images, to N pixels"
    )
    parser.add_argument(
        "--resize",
        metavar="shortest|longest|letterbox|stretch",
        help="make the shortest or the longest side N pixels long, or both: with grey around the "
        "image, or out of shape (default: longest)",
    )
    parser.add_argument(
        "--quality",
        type=whole,
        metavar="Q",
        help="quality of resized JPEGs, 1 to 100 (default: 90)",
    )
    parser.add_argument(
        "--upright",
        action="store_true",
        help="turn images, masks and coordinates by the Rotation of attribution.csv, unless the "
        "dataset was downloaded so",
    )
    parser.add_argument(
        "--drop-reviewed",
        metavar="bad",
        help="leave out images and annotations that a review found bad (see: oid view, oid review)",
    )
    parser.add_argument(
        "--processes", type=whole, metavar="N", help="processes at work (default: one a core)"
    )


def _add_format_flags(parser: Parser) -> None:
    """Add the flags that only some formats take."""
    from oidkit.formats.registry import FLAGS

    group = parser.add_argument_group("of some formats only")
    for name, flag in FLAGS.items():
        meaning = f"{'/'.join(flag.formats)}: {flag.meaning}"
        spelled = f"--{name.replace('_', '-')}"
        if flag.kind is bool:
            group.add_argument(spelled, action="store_true", default=None, help=meaning)
            continue
        group.add_argument(
            spelled,
            type=_READERS[flag.kind],
            metavar=flag.metavar or "|".join(flag.choices) or None,
            help=meaning,
        )


def run(options: Namespace) -> int:
    """Export, and say what came of it."""
    from oidkit.api.exporting import export
    from oidkit.cli.parsing import splits_of

    told = _told(options)
    if options.split:
        told["splits"] = splits_of(options)
    if options.split_ratio is not None:
        told["split_ratio"] = _ratio(options.split_ratio)
    if options.seed is not None:
        if not options.split_ratio:
            raise UsageError(
                "--seed says which image goes to which new split, and there are none",
                remedy="add --split-ratio, or leave it out",
            )
        told["seed"] = options.seed
    with drawing(quiet=options.quiet) as on_event:
        summary = export(
            options.folder,
            options.out,
            options.format,
            settings=settings_of(options),
            on_event=on_event,
            **told,
        )
    if options.json:
        json_value(summary.as_dict())
    else:
        lines(listed(summary))
    tell(summary)
    return 0


def _told(options: Namespace) -> dict[str, Any]:
    """Give what the flags say of classes, pictures and the format itself."""
    from oidkit.formats.registry import FLAGS

    names = {"map": "class_map", "processes": "workers"}
    common = (
        *("annotations", "map", "class_order", "image_size", "resize", "quality"),
        *("drop_reviewed", "processes"),
    )
    told = {names.get(each, each): getattr(options, each) for each in (*common, *FLAGS)}
    told["supercategory"] = options.supercategory or None
    told["upright"] = options.upright or None
    return {name: value for name, value in told.items() if value is not None}


def listed(summary: ExportSummary) -> Iterator[str]:
    """Write what an export came to, for people."""
    pictures = ", ".join(f"{count:,} {split}" for split, count in summary.pictures.items())
    yield f"images   {pictures}"
    yield f"classes  {summary.categories:,}"
    both = f" ({summary.joined:,} of them with a mask)" if summary.joined else ""
    yield f"boxes    {summary.boxes:,}{both}"
    if summary.masks:
        alone = f" ({summary.lone_masks:,} of them without a box)" if summary.lone_masks else ""
        yield f"masks    {summary.masks:,}{alone}"
    yield f"folder   {summary.out}"


def tell(summary: ExportSummary) -> None:
    """Say on stderr what was left out."""
    if summary.missing:
        say(
            f"{number_is(summary.missing, 'image of the dataset', 'images of the dataset')} not in "
            "its folder and left out; the same download again fetches what can be had"
        )
    if summary.damaged:
        say(
            f"{number_is(summary.damaged, 'image')} damaged and left out, the first: "
            f"{summary.left_out[-1]}; see: oid verify DIR"
        )
    if summary.masks_absent:
        say(f"{number_is(summary.masks_absent, 'mask')} not in the folder and left out")
    if summary.dropped:
        images, objects = summary.dropped["images"], summary.dropped["objects"]
        say(f"the review left out {number(images, 'image')} and {number(objects, 'object')}")
        if strange := summary.dropped["unmatched"]:
            fit = "fits" if strange == 1 else "fit"
            say(f"{number(strange, 'bad verdict')} {fit} nothing that is exported here")
    for note in summary.notes:
        say(note)


def _formats() -> str:
    from oidkit.formats.registry import FORMATS

    width = max(map(len, FORMATS))
    return "\n".join(f"{name:<{width}}  {home.summary}" for name, home in FORMATS.items())


def _ratio(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for piece in text.split(","):
        name, sign, value = piece.partition("=")
        try:
            number_of = float(value)
        except ValueError:
            sign = ""
        if not sign or name.strip() in found:
            raise UsageError(
                f"'{piece}' is not the share of one split",
                remedy="write NAME=F, as in --split-ratio train=0.8,val=0.1,test=0.1",
            )
        found[name.strip()] = number_of
    return found
