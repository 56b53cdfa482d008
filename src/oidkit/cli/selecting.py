"""Flags of `oid download` that say what is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oidkit.cli.parsing import Parser, add_labels, add_splits, labels_of, share, splits_of, whole
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from oidkit.recipe import Recipe
    from oidkit.selection import Selection

__all__ = ["add_classes", "add_selection", "recipe_of", "selection_of"]

_FLAGS = {
    "occluded": "whose object is, or is not, hidden in part by another",
    "truncated": "whose object reaches, or does not reach, beyond the image",
    "group_of": "that are, or are not, around a group of more than five",
    "depiction": "whose object is, or is not, a drawing, a statue or the like",
    "inside": "whose object was, or was not, taken from inside",
}


def add_classes(parser: Parser) -> None:
    """Add the classes, by name and out of a file."""
    parser.add_argument(
        "classes", nargs="*", metavar="CLASS", help="a name in any case, or a MID such as /m/0gxl3"
    )
    parser.add_argument(
        "--classes-from",
        metavar="FILE",
        help="more classes, one a line; blank lines and lines that begin with # are skipped",
    )


def add_selection(parser: Parser) -> None:
    """Add the flags that say which images and annotations of the classes are wanted."""
    parser.add_argument(
        "--image-ids",
        metavar="FILE",
        help="images to take in besides those of the classes, or without any class: train/<id> or "
        "<id>, one a line",
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
        "--exclude",
        action="append",
        default=[],
        metavar="CLASS",
        help="drop images that carry this class in any of the chosen labels; may be repeated",
    )
    parser.add_argument(
        "--subclasses",
        action="store_true",
        help="each class stands for itself and all below it in the hierarchy; files and folders "
        "are named by the class asked for",
    )
    parser.add_argument(
        "--limit",
        type=whole,
        metavar="N",
        help="at most N images for each class in each split; a larger N keeps what a smaller chose",
    )
    parser.add_argument(
        "--total",
        type=whole,
        metavar="N",
        help="at most N images in each split, taken from the classes in turn, after --limit; a "
        "larger N keeps what a smaller chose",
    )
    parser.add_argument(
        "--seed",
        type=whole,
        default=0,
        metavar="N",
        help="which images a limit or total keeps (default: 0)",
    )
    for name, meaning in _FLAGS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            default="any",
            metavar="yes|no|any",
            help=f"keep boxes {meaning}; where that is unknown, any alone keeps them "
            "(default: any)",
        )
    parser.add_argument(
        "--min-area",
        type=share,
        default=0.0,
        metavar="F",
        help="keep boxes, and masks by their box, of at least this share of the image, 0 to 1 "
        "(default: 0)",
    )
    parser.add_argument(
        "--annotations",
        default="requested",
        metavar="requested|all",
        help="annotations of the classes, or besides them every annotation of the chosen images, "
        "in csv/all_<split>_<label>.csv, with its mask (default: requested)",
    )
    parser.add_argument(
        "--layout",
        default="class",
        metavar="class|flat",
        help="a folder for each class, or one for all (default: class)",
    )
    parser.add_argument(
        "--upright",
        action="store_true",
        help="turn images, masks and coordinates by the Rotation of the image list, which is read "
        "for it even with --no-metadata; a folder is so altogether or not at all",
    )
    parser.add_argument("--no-images", action="store_true", help="annotations and masks only")
    parser.add_argument(
        "--no-metadata",
        action="store_true",
        help="leave out attribution.csv, ATTRIBUTION.md and images_<split>.csv, and with them the "
        "image list (638 MB for train, once)",
    )


def selection_of(options: Namespace) -> Selection:
    """Give the selection that the flags name."""
    names = [*options.classes, *_listed(options.classes_from, flag="--classes-from")]
    if not names and not options.image_ids:
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
        total=options.total,
        seed=options.seed,
        layout=options.layout,
        images=not options.no_images,
        metadata=not options.no_metadata,
        min_area=options.min_area,
        exclude=tuple(options.exclude),
        subclasses=options.subclasses,
        annotations=options.annotations,
        upright=options.upright,
        image_ids=tuple(_listed(options.image_ids, flag="--image-ids")),
        **{name: getattr(options, name) for name in _FLAGS},
    )


def recipe_of(options: Namespace) -> Recipe:
    """Read the recipe that ``--recipe`` names; nothing else may then say what is wanted.

    Raises:
        UsageError: there is another flag, or the file is no recipe.

    """
    bare = Parser(prog="")
    add_classes(bare)
    add_selection(bare)
    for name, default in vars(bare.parse_args([])).items():
        if getattr(options, name) != default:
            flag = "a class" if name == "classes" else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"--recipe says all that is wanted, and {flag} was given too",
                remedy="leave out one of them, or edit a copy of the recipe",
            )
    from oidkit.recipe import Recipe

    return Recipe.from_toml(_text(options.recipe, flag="--recipe"), name=options.recipe)


def _text(path: str, *, flag: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read {path}: {reason}", remedy=f"check {flag}") from error


def _listed(path: str | None, *, flag: str) -> list[str]:
    if path is None:
        return []
    names = (line.strip() for line in _text(path, flag=flag).splitlines())
    return [name for name in names if name and not name.startswith("#")]
