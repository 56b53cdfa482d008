"""How others find the images of a class before a download, as a script of their own libraries.

    python bench/filters.py oidv4|fiftyone CSV MID

Runs with the peers' Python (`make peers`) and needs pandas.

- OIDv4_ToolKit (a806180, modules/csv_downloader.py and bounding_boxes.py): `pandas.read_csv` of the
  whole, then the rows of the class, and the set of their images.
- FiftyOne (1.22.1, fiftyone/utils/openimages.py): the ids of all images by `csv.reader` over every
  column, then the whole by `pandas.read_csv`, an index on the images, and the rows of the class;
  its importer does the second part once more.
"""

from __future__ import annotations

import csv
import sys

import pandas as pd


def oidv4(path: str, mid: str) -> int:
    """Find the images of a class as OIDv4_ToolKit does."""
    rows = pd.read_csv(path)
    return len(set(rows["ImageID"][rows.LabelName == mid].values))


def fiftyone(path: str, mid: str) -> int:
    """Find the images of a class as FiftyOne does."""
    with open(path, newline="") as file:  # noqa: PTH123 - as there
        ids = {row[0] for row in csv.reader(file)}
    found = 0
    for _ in ("download", "importer"):
        rows = pd.read_csv(path).set_index("ImageID")
        rows = rows.loc[rows.index.intersection(pd.Index(sorted(ids)))]
        found = len(rows[rows["LabelName"] == mid].index.unique())
    return found


if __name__ == "__main__":
    print({"oidv4": oidv4, "fiftyone": fiftyone}[sys.argv[1]](sys.argv[2], sys.argv[3]))
