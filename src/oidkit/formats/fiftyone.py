"""The folder of a split that FiftyOne imports as Open Images, beside Open Images' own layout.

::

    fiftyone/<split>/data/<ImageID>.jpg
    fiftyone/<split>/labels/{detections,classifications,segmentations}.csv
    fiftyone/<split>/labels/{relationships,points}.csv                      the header alone
    fiftyone/<split>/labels/masks/<first digit of ImageID, upper case>/<MaskPath>
    fiftyone/<split>/metadata/image_ids.csv                                 the published columns
    fiftyone/<split>/metadata/{classes,attributes}.csv                      id, name; no header
    fiftyone/<split>/metadata/point_classes.csv                             id, name; a header
    fiftyone/<split>/metadata/segmentation_classes.csv                      ids alone
    fiftyone/<split>/metadata/hierarchy.json                                names, not ids

It is what OpenImagesV6DatasetImporter and OpenImagesV7DatasetImporter of FiftyOne 1.22
(fiftyone/utils/openimages.py) read. They want every one of these files, but for image_ids.csv,
which their downloads have. All that stands elsewhere in the export is linked.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import TYPE_CHECKING

from oidkit.formats.making import write_file
from oidkit.formats.model import OutFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from oidkit.formats.model import Category, Picture

__all__ = ["image_file", "mask_file", "write_split"]

_HEADERS = {
    "relationships": "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,"
    "XMin2,XMax2,YMin2,YMax2,RelationshipLabel",
    "points": "ImageId,X,Y,Label,EstimatedYesNo,Source,YesVotes,NoVotes,UnsureVotes,TextLabel",
}
# Of relationships there are none, but the importer cannot read a file without a row: these are the
# attributes of V4 and V5 (2019_01/challenge-2018-attributes-description.csv).
_ATTRIBUTES = [
    ("/m/02gy9n", "Transparent"),
    ("/m/05z87", "Plastic"),
    ("/m/0dnr7", "(made of)Textile"),
    ("/m/04lbp", "(made of)Leather"),
    ("/m/083vt", "Wooden"),
]
_TOP = "Entity"
"""The name that FiftyOne gives to the root of the hierarchy."""
_GUESSED_FROM = 10_240
"""Characters that the importer looks at."""
_TYPOGRAPHIC = str.maketrans(
    "'\"", "\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
)


def image_file(picture: Picture, image: OutFile) -> OutFile:
    """Give the picture a second time, where FiftyOne looks for it."""
    place = f"fiftyone/{picture.split}/data/{picture.image_id}.jpg"
    return OutFile(place, image.source, image.content)


def mask_file(picture: Picture, name: str, mask: OutFile) -> OutFile:
    """Give a mask a second time, in the folder of the first digit of its image."""
    folder = f"fiftyone/{picture.split}/labels/masks/{picture.image_id[0].upper()}"
    return OutFile(f"{folder}/{name}", mask.source, mask.content)


def write_split(
    out: Path,
    split: str,
    *,
    tables: Mapping[str, Path],
    classes: Sequence[tuple[str, Category]],
    masked: Iterable[str],
) -> None:
    """Write what the pictures of a split share, when all of them are there.

    *tables* are files to link, by their place in the folder of the split; *classes* are the
    categories with the ids that stand in the tables, *masked* the ids of those that have masks.
    """
    folder = f"fiftyone/{split}"
    for place, path in tables.items():
        write_file(out, OutFile(f"{folder}/{place}", source=path))
    named = [(mid, category.name) for mid, category in classes]
    texts = {f"labels/{name}.csv": f"{header}\n" for name, header in _HEADERS.items()}
    texts |= {
        "metadata/classes.csv": _guessable(named),
        "metadata/attributes.csv": _guessable(_ATTRIBUTES),
        "metadata/point_classes.csv": _guessable([("LabelName", "DisplayName"), *named]),
        "metadata/segmentation_classes.csv": "".join(f"{mid}\n" for mid in sorted(masked)),
        "metadata/hierarchy.json": _hierarchy([category for _, category in classes]),
    }
    for place, text in texts.items():
        write_file(out, OutFile(f"{folder}/{place}", content=text.encode()))


def _guessable(rows: Sequence[tuple[str, str]]) -> str:
    """Write rows for a reader that guesses the dialect, as the importer does (csv.Sniffer).

    With every field quoted the guess is right for all but two of the 20,941 names of Open Images:
    one in quotation marks far down the file, and "Dark 'n' stormy" alone. Such marks are replaced.
    """
    text = _quoted(rows)
    with contextlib.suppress(csv.Error):
        dialect = csv.Sniffer().sniff(text[:_GUESSED_FROM])
        if [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), dialect)] == rows:
            return text
    return _quoted([(key, name.translate(_TYPOGRAPHIC)) for key, name in rows])


def _quoted(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _hierarchy(categories: Iterable[Category]) -> str:
    """Give the classes below those above them, as far as the export knows them."""
    above: dict[str, list[str]] = {}
    for each in categories:
        parent = each.supercategory if each.supercategory != each.name else ""
        above.setdefault(parent, []).append(each.name)
    tops = dict.fromkeys([*above.pop("", []), *above])
    below = [_branch(name, above.get(name, ())) for name in tops]
    return json.dumps({"LabelName": _TOP, "Subcategory": below}, ensure_ascii=False, indent=2)


def _branch(name: str, below: Iterable[str]) -> dict[str, object]:
    leaves = [{"LabelName": each} for each in below]
    return {"LabelName": name, "Subcategory": leaves} if leaves else {"LabelName": name}
