"""`oid download`: everything that classes have, into a folder."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from oidkit.cli.export import listed, tell
from oidkit.cli.output import drawing, json_value, lines, say
from oidkit.cli.parsing import Parser, add_index, add_json, add_quiet, settings_of, share, whole
from oidkit.cli.results import (
    in_a_bucket,
    planned,
    summed_up,
    tell_none,
    tell_shards,
    tell_troubles,
)
from oidkit.cli.selecting import add_classes, add_selection, recipe_of, selection_of
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from oidkit.api.exporting import ExportSummary
    from oidkit.api.settings import Settings
    from oidkit.api.spreading import Engine
    from oidkit.api.summary import Summary
    from oidkit.recipe import Recipe
    from oidkit.selection import Selection

__all__ = ["arguments", "run"]

# Complete, or but for what the source does not have.
_WORTH_EXPORTING = (0, 3)


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid download``."""
    add_classes(parser)
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="take all that says what is wanted, and the release, from a recipe, such as the "
        "DIR/.oid/recipe.toml of another dataset",
    )
    parser.add_argument(
        "--out",
        default="open-images",
        metavar="DIR",
        help="dataset folder, or the address of a bucket that you may write to, such as "
        "s3://bucket/prefix, gs:// or az:// (default: open-images)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be done, the bytes to receive and the disk needed; "
        "fetch nothing but tables",
    )
    add_json(parser, "the summary")
    add_quiet(parser)
    add_selection(parser)
    _add_ways(parser)
    _add_export(parser)
    add_index(parser)


def _add_ways(parser: Parser) -> None:
    """Add the flags that say how images are fetched."""
    ways = parser.add_argument_group("how images are fetched")
    ways.add_argument(
        "--workers",
        type=whole,
        metavar="N",
        help="requests in flight at the most (default: adaptive)",
    )
    ways.add_argument(
        "--requests-per-second",
        type=share,
        metavar="N",
        help="requests to a host in a second at the most, for the whole run (default: what the "
        "source allows; 5000 with --engine ray)",
    )
    ways.add_argument(
        "--engine",
        default="local",
        metavar="local|ray",
        help="who fetches the images: this process, or the workers of a Ray cluster, which needs "
        "oidkit[ray] (default: local)",
    )
    ways.add_argument(
        "--ray-address",
        metavar="ADDR",
        help="the host:port of the head of the Ray cluster, or auto for the one of this machine "
        "(RAY_ADDRESS; default: a Ray of its own on this machine)",
    )


def _add_export(parser: Parser) -> None:
    """Add the flags that make a training format as well."""
    export = parser.add_argument_group("a training format besides")
    export.add_argument(
        "--export",
        metavar="NAME",
        help="write the dataset as a training format afterwards, as oid export does without flags",
    )
    export.add_argument(
        "--export-out",
        metavar="DIR",
        help="folder of the export (default: that of --out with -NAME at its end)",
    )
    export.add_argument(
        "--no-folder",
        action="store_true",
        help="write the shards of --export webdataset or parquet straight into --out, and no "
        "dataset folder",
    )
    export.add_argument(
        "--shard-size",
        type=whole,
        metavar="N",
        help="images in each shard of --no-folder (default: 1000)",
    )


def run(options: Namespace) -> int:
    """Download, or with ``--dry-run`` plan it."""
    selection = recipe_of(options) if options.recipe else selection_of(options)
    settings = _settings(options)
    engine = _engine(options)
    _check_export(options)
    if options.dry_run:
        return _plan(options, selection)
    if options.no_folder:
        return _straight(options, selection)
    from oidkit.api.downloading import download

    with drawing(quiet=options.quiet) as on_event:
        summary = download(
            selection, options.out, settings=settings, on_event=on_event, engine=engine
        )
    exported = _exported(options) if summary.exit_code in _WORTH_EXPORTING else None
    if options.json:
        more = {"export": exported.as_dict()} if exported else {}
        json_value(summary.as_dict() | more)
    else:
        shown = summed_up(summary, then=_to_look_at(options, summary))
        lines([*shown, *(["", *listed(exported)] if exported else [])])
    tell_troubles(summary)
    if exported is not None:
        tell(exported)
    elif options.export:
        say(f"nothing was exported as {options.export}, as files failed")
    return summary.exit_code


def _straight(options: Namespace, selection: Selection | Recipe) -> int:
    from oidkit.api.sharding import SHARD_SIZE, download_shards

    with drawing(quiet=options.quiet) as on_event:
        summary = download_shards(
            selection,
            options.out,
            options.export,
            shard_size=SHARD_SIZE if options.shard_size is None else options.shard_size,
            settings=_settings(options),
            on_event=on_event,
        )
    if options.json:
        json_value(summary.as_dict())
    else:
        lines(summed_up(summary))
    tell_shards(summary)
    return summary.exit_code


def _settings(options: Namespace) -> Settings:
    rate = options.requests_per_second
    return settings_of(options, workers=options.workers, requests_per_second=rate)


def _engine(options: Namespace) -> Engine | None:
    """Give what fetches the images, unless it is this process."""
    if options.engine == "ray":
        from oidkit.cluster import Ray

        return Ray(options.ray_address)
    if options.engine != "local":
        raise UsageError(f"there is no engine '{options.engine}'", remedy="choose from local, ray")
    if options.ray_address is not None:
        raise UsageError("--ray-address needs --engine ray", remedy="add --engine ray")
    return None


def _to_look_at(options: Namespace, summary: Summary) -> str:
    """Name the command that shows what has come, where anything has."""
    import shlex

    if not (summary.images.fetched or summary.images.present):
        return ""
    command = "stats" if in_a_bucket(options.out) else "report"
    return f"oid {command} {shlex.quote(options.out)}"


def _place_of_export(options: Namespace) -> str:
    default = f"{options.out.rstrip('/')}-{options.export}"
    return str(options.export_out or default)


def _check_export(options: Namespace) -> None:
    """Refuse an export that could not be made, before anything is fetched."""
    if options.shard_size is not None and not options.no_folder:
        raise UsageError("--shard-size needs --no-folder", remedy="add it, or leave it out")
    if options.no_folder and (options.export is None or options.export_out is not None):
        raise UsageError(
            "--no-folder writes the shards of --export NAME straight into --out",
            remedy="give --export webdataset or parquet, and no --export-out",
        )
    if options.no_folder and options.engine != "local":
        raise UsageError(
            "the shards of --no-folder are made by one process",
            remedy="leave out --engine, or --no-folder and export afterwards",
        )
    if options.export is None:
        if options.export_out is not None:
            raise UsageError("--export-out needs --export", remedy="add --export NAME")
        return
    from oidkit.formats.folder import check_out
    from oidkit.formats.registry import format_named
    from oidkit.shelf import folder_of, location_of

    format_named(options.export, {})
    if options.no_images:
        raise UsageError(
            "--export needs the images, and --no-images leaves them out",
            remedy="leave out one of them",
        )
    if options.no_folder:
        return
    if options.export_out is None and in_a_bucket(options.out):
        raise UsageError(
            "an export needs a folder, and --out is none",
            remedy="add --export-out DIR, or --no-folder",
        )
    place = folder_of(_place_of_export(options), what="an export")
    check_out(place, dataset=location_of(options.out))


def _exported(options: Namespace) -> ExportSummary | None:
    if options.export is None:
        return None
    from oidkit.api.exporting import export

    with drawing(quiet=options.quiet) as on_event:
        return export(
            options.out,
            _place_of_export(options),
            options.export,
            settings=settings_of(options),
            on_event=on_event,
        )


def _plan(options: Namespace, selection: Selection | Recipe) -> int:
    from oidkit.api.downloading import plan

    settings = _settings(options)
    with drawing(quiet=options.quiet) as on_event:
        # Of shards nothing is known before they are made: the plan is that of all of them.
        out = None if options.no_folder else options.out
        made = plan(selection, out, settings=settings, on_event=on_event)
    if options.json:
        json_value(made.as_dict())
    else:
        lines(planned(made, out=options.out))
    # Only as far as is needed: to count the images of a plan sorts through millions of ids.
    masks, images = (each.asked for each in made.masks), (each.asked for each in made.images)
    tell_none(itertools.chain(made.rows.values(), masks, images))
    return 0
