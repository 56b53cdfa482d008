"""The classes of a dataset as the categories of an export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oidkit.api.session import Session
from oidkit.api.settings import settings_as_of
from oidkit.errors import UsageError
from oidkit.formats.categories import Categories, parse_map, parse_order
from oidkit.objectpath import matching
from oidkit.taxonomy import ClassList, mid_stem, parse_class_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oidkit.api.settings import Settings
    from oidkit.dataset import Dataset, Description
    from oidkit.events import Listener

__all__ = ["Naming", "categories_of", "stems_of", "with_hierarchy"]

_ALL = "all"


@dataclass(frozen=True, slots=True)
class Naming:
    """Which annotations count, and what their classes are called and numbered.

    The three are those of `oidkit.api.ExportOptions`.
    """

    annotations: str | None = None
    class_map: str | Mapping[str, str] | None = None
    class_order: Path | str | None = None


def categories_of(
    dataset: Dataset, description: Description, naming: Naming
) -> tuple[Categories, dict[str, str]]:
    """Give the categories, and the beginnings of the annotation files to read, as `stems_of`.

    Raises:
        UsageError: a part of the naming makes no sense.

    """
    selections = description.selections
    own = tuple(sorted({mid for each in selections for mid in each.get("classes", ())}))
    every = _takes_all(selections, own, naming.annotations)
    names = _names(dataset)
    mids = own if not every else (*own, *_classes_in(dataset))
    classes = {mid: names.by_mid[mid].name if mid in names.by_mid else mid for mid in mids}
    order: tuple[str, ...] = ()
    if naming.class_order is not None:
        path = Path(naming.class_order)
        try:
            order = parse_order(path.read_bytes(), name=str(path))
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}", remedy="check --class-order"
            ) from error
    renamed = parse_map(naming.class_map or {}, names)
    # A kind of a class that was downloaded with its subclasses may be mapped by its own name.
    classes |= {mid: name for mid, name in renamed.items() if mid not in classes}
    categories = Categories.of(classes, renamed=renamed, order=order)
    return categories, stems_of(own, every=every)


def stems_of(mids: Sequence[str], *, every: bool) -> dict[str, str]:
    """Give the beginnings of the names of the annotation files that are read, in their order.

    Each comes with the MID that it is for, or "" for the file of all classes.
    """
    own = {mid_stem(mid): mid for mid in sorted(mids)}
    return {_ALL: "", **own} if every else own


def _takes_all(
    selections: Sequence[Mapping[str, Any]], own: Sequence[str], asked: str | None
) -> bool:
    has = any(each.get("annotations") == _ALL or not each.get("classes") for each in selections)
    if asked not in (None, "requested", _ALL):
        raise UsageError(
            f"there is no kind of annotations '{asked}'", remedy="choose from requested, all"
        )
    if asked == _ALL and not has:
        raise UsageError(
            "the dataset has the annotations of the requested classes alone",
            remedy="download it with --annotations all",
        )
    return asked == _ALL or (asked is None and has and not own)


def _names(dataset: Dataset) -> ClassList:
    """Give the names of classes as the dataset has them."""
    found: dict[str, str] = {}
    for name in ("class-descriptions.csv", "class-descriptions-boxable.csv"):
        data = dataset.read(f"csv/{name}")
        if data is not None:
            found |= parse_class_file(data, name=f"{dataset.root}/csv/{name}")
    return ClassList.build(found)


def _classes_in(dataset: Dataset) -> list[str]:
    """List the classes that the objects of a dataset have; those of labels where it has none."""
    from oidkit.tables import classes_in

    folder = dataset.root / "csv"
    objects = matching(folder, "all_*_boxes.csv") + matching(folder, "all_*_masks.csv")
    return classes_in(objects or matching(folder, "all_*_image-labels.csv"))


def with_hierarchy(
    categories: Categories, description: Description, settings: Settings, on_event: Listener
) -> Categories:
    """Name the classes above; the hierarchy comes from the cache or the dataset's own source."""
    # An index that OID_INDEX names may be of another source.
    wanted = replace(settings_as_of(settings, description), index="")
    with Session(wanted, on_event) as session:
        return categories.with_supercategories(session.hierarchy(), session.class_list())
