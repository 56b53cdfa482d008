"""A dataset folder as a value that shows itself in a notebook."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from oidkit.api.contact import contact_sheet
from oidkit.api.counting import stats
from oidkit.api.exporting import read_folder
from oidkit.api.opening import class_names, opened
from oidkit.markup import escaped

__all__ = ["DatasetFolder"]

_MOST_SHOWN = 6
_FRAME = "display:inline-block;margin:.4em .6em 0 0;vertical-align:top"


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """The dataset in the folder `root`, to be looked at.

    As the last line of a notebook's cell it shows its numbers and a few of its images with their
    boxes and masks. It holds nothing: every look is at the folder as it is then.

    Raises:
        UsageError: there is no dataset in the folder.

    """

    root: Path | str

    def __post_init__(self) -> None:
        """Check that there is a dataset."""
        opened(Path(self.root))

    def image_ids(self) -> list[str]:
        """List the images that are there, as ``<split>/<ImageID>``, by split and id."""
        pictures, _ = read_folder(Path(self.root))
        rows = zip(pictures.split.tolist(), pictures.ids.tolist(), strict=True)
        return [f"{pictures.splits[split]}/{image:016x}" for split, image in rows]

    def _repr_html_(self) -> str:
        folder = Path(self.root)
        pictures, _ = read_folder(folder)
        shown, _ = contact_sheet(pictures, class_names(folder), most=_MOST_SHOWN)
        figures = "".join(
            f'<figure style="{_FRAME}"><img alt="" width="{each.size[0] // 2}" '
            f'src="data:image/jpeg;base64,{b64encode(each.jpeg).decode()}">'
            f"<figcaption><code>{escaped(f'{each.split}/{each.image_id}')}</code></figcaption>"
            "</figure>"
            for each in shown
        )
        return f"{stats(folder)._repr_html_()}<div>{figures}</div>"
