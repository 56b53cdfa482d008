"""Makes every picture of the documentation out of what the program itself writes.

``python docs/pictures.py`` (``make pictures``) makes a release, downloads from it, exports what
came, draws that, and writes docs/pictures. Names after it make these alone.

To add a picture, add a function and its line in `PICTURES`. The function is given a `Studio`, whose
`dataset` and `export` run the program, and gives a Pillow image: drawn here, given by a call of the
package, or opened from the screenshot of a browser. What such a function needs beside the package,
as a browser, stands in `needs`: where that is absent the picture that is there is left as it is.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

import oidkit
from oidkit.colours import rgb_of
from oidkit.explorer import explore
from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PICTURES", "Picture", "Studio", "main"]

HERE = Path(__file__).resolve().parent / "pictures"
HANDGUN = "/m/0gxl3"
IMAGES, MASKS, CLASSES = "images/train", "masks/train", "csv/class-descriptions-boxable.csv"
_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_LINE = 34  # pixels that the name of a class takes
_SEVERAL = 4  # objects on an image that shows more than what was asked for

Row = dict[str, str]


class Studio:
    """A made release in a folder, and what is downloaded and exported from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_release(folder / "mirror", replace(ReleaseSpec.demo(), images=PerSplit(48, 1, 1)))
        self._settings = oidkit.Settings(source=str(folder / "mirror"), cache=folder / "cache")

    def dataset(self, name: str, **fields: Any) -> Path:
        """Download the handguns of train, with these fields of the selection."""
        out = self.folder / name
        if not out.exists():
            selection = oidkit.Selection(
                ("Handgun",), splits=("train",), layout="flat", annotations="all", **fields
            )
            oidkit.download(selection, out, settings=self._settings)
        return out

    def export(self, name: str, form: str, **options: Any) -> Path:
        """Export that dataset."""
        out = self.folder / name
        oidkit.export(self.dataset("handguns"), out, form, workers=1, **options)
        return out


# -- reading a dataset folder --------------------------------------------------------------------


def rows(root: Path, name: str) -> list[Row]:
    """Read one of the CSVs of a dataset folder."""
    with (root / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names_of(root: Path) -> dict[str, str]:
    """Read the display name of each class."""
    return {row["LabelName"]: row["DisplayName"] for row in rows(root, CLASSES)}


def opened(path: Path) -> Image.Image:
    """Read a picture in colour."""
    with Image.open(path) as image:
        return image.convert("RGB")


def image_of(root: Path, image_id: str) -> Image.Image:
    """Read an image of a dataset folder."""
    return opened(root / IMAGES / f"{image_id}.jpg")


def best(root: Path) -> Row:
    """Find the mask of a whole handgun in the open, on an image that shows more and lies flat."""
    boxes = rows(root, "csv/all_train_boxes.csv")
    whole = {
        row["ImageID"]
        for row in boxes
        if row["LabelName"] == HANDGUN and row["IsOccluded"] == row["IsTruncated"] == "0"
    }
    found = []
    for row in rows(root, "csv/m0gxl3_train_masks.csv"):
        width, height = image_of(root, row["ImageID"]).size
        several = sum(same_image(each, row) for each in boxes) >= _SEVERAL
        if row["ImageID"] in whole and several and width > height:
            found.append(row)
    return max(found, key=lambda row: (area(row), row["MaskPath"]))


def same_image(one: Row, other: Row) -> bool:
    """Tell whether two rows are about one image."""
    return one["ImageID"] == other["ImageID"]


def area(row: Row) -> float:
    """Give the share of its image that the box of a mask takes."""
    width = float(row["BoxXMax"]) - float(row["BoxXMin"])
    return width * (float(row["BoxYMax"]) - float(row["BoxYMin"]))


# -- drawing -------------------------------------------------------------------------------------


def with_mask(image: Image.Image, mask: Path, mid: str) -> Image.Image:
    """Lay a mask over its image, in the colour of its class and with its edge."""
    with Image.open(mask) as published:
        fitting = published.convert("L").resize(image.size, Image.Resampling.NEAREST)
    colour = Image.new("RGB", image.size, rgb_of(mid))
    half = Image.composite(Image.blend(image, colour, 0.55), image, fitting)
    wider, narrower = ImageFilter.MaxFilter(5), ImageFilter.MinFilter(5)
    edge = ImageChops.difference(fitting.filter(wider), fitting.filter(narrower))
    return Image.composite(colour, half, edge)


def with_boxes(image: Image.Image, boxes: Sequence[Row], names: dict[str, str]) -> Image.Image:
    """Draw boxes with the names of their classes."""
    drawn = image.copy()
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(26)
    for row in boxes:
        left, right = (float(row[edge]) * image.width for edge in ("XMin", "XMax"))
        top, bottom = (float(row[edge]) * image.height for edge in ("YMin", "YMax"))
        colour, name = rgb_of(row["LabelName"]), names[row["LabelName"]]
        pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=5)
        # Above the box, or below it where the image begins there.
        at = (left + 6, top - _LINE if top > _LINE else bottom + 6)
        label = pen.textbbox(at, name, font=font)
        pen.rectangle((label[0] - 6, label[1] - 6, label[2] + 6, label[3] + 6), fill=colour)
        pen.text(at, name, font=font, fill=_PAPER)
    return drawn


def beside(parts: Sequence[tuple[str, Image.Image]], *, scale: float) -> Image.Image:
    """Put pictures side by side, all at one scale, with a line of words below each."""
    scaled = [
        (words, part.resize((round(part.width * scale), round(part.height * scale))))
        for words, part in parts
    ]
    height = max(part.height for _, part in scaled)
    width = sum(part.width for _, part in scaled) + 16 * (len(scaled) - 1)
    sheet = Image.new("RGB", (width, height + 34), _PAPER)
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(17), 0
    for words, part in scaled:
        sheet.paste(part, (left, 0))
        pen.text((left + 2, height + 8), words, font=font, fill=_INK)
        left += part.width + 16
    return sheet


def smaller(image: Image.Image, width: int = 640) -> Image.Image:
    """Scale a picture down to a width."""
    return image.resize((width, round(image.height * width / image.width)))


# -- the pictures --------------------------------------------------------------------------------


def handgun_mask(studio: Studio) -> Image.Image:
    """Draw a handgun with its mask and its box."""
    root = studio.dataset("handguns")
    row = best(root)
    image = image_of(root, row["ImageID"])
    masked = with_mask(image, root / MASKS / row["MaskPath"], HANDGUN)
    boxes = [each for each in rows(root, "csv/m0gxl3_train_boxes.csv") if same_image(each, row)]
    return smaller(with_boxes(masked, boxes, names_of(root)))


def mask_size(studio: Studio) -> Image.Image:
    """Show an image, its mask in the size that it was published in, and one on the other."""
    root = studio.dataset("handguns")
    row = best(root)
    image = image_of(root, row["ImageID"])
    path = root / MASKS / row["MaskPath"]
    mask = opened(path)
    parts = [
        (f"image, {image.width} x {image.height}", image),
        (f"mask, {mask.width} x {mask.height}", mask),
        ("mask resized by the nearest pixel", with_mask(image, path, HANDGUN)),
    ]
    return beside(parts, scale=0.3)


def requested_and_all(studio: Studio) -> Image.Image:
    """Show the boxes of the class that was asked for, and all boxes of the same image."""
    root = studio.dataset("handguns")
    row, names = best(root), names_of(root)
    image = image_of(root, row["ImageID"])
    parts = []
    for words, name in (("requested", "m0gxl3"), ("all", "all")):
        boxes = [
            each for each in rows(root, f"csv/{name}_train_boxes.csv") if same_image(each, row)
        ]
        parts.append((f"--annotations {words}", with_boxes(image, boxes, names)))
    return beside(parts, scale=0.4)


def rotation(studio: Studio) -> Image.Image:
    """Show an image with its box as it was published, and turned by --upright."""
    published, upright = studio.dataset("handguns"), studio.dataset("upright", upright=True)
    turned = {
        row["ImageID"]: row["Rotation"]
        for row in rows(published, "csv/images_train.csv")
        if row["Rotation"].removesuffix(".0") in ("90", "270")
    }
    image_id = min(turned)
    parts = []
    for words, root in (
        (f"as published, Rotation {turned[image_id]}", published),
        ("--upright", upright),
    ):
        boxes = [
            row for row in rows(root, "csv/m0gxl3_train_boxes.csv") if row["ImageID"] == image_id
        ]
        parts.append((words, with_boxes(image_of(root, image_id), boxes, names_of(root))))
    return beside(parts, scale=0.4)


def yolo_outlines(studio: Studio) -> Image.Image:
    """Draw what a YOLO export says of a letterboxed image: the outlines of its text file."""
    image_id = best(studio.dataset("handguns"))["ImageID"]
    out = studio.export("yolo", "yolo", task="segment", image_size=416, resize="letterbox")
    image = opened(out / IMAGES / f"{image_id}.jpg")
    drawn = image.copy()
    lines = (out / "labels" / "train" / f"{image_id}.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        shares = [float(word) for word in line.split()[1:]]
        points = [
            (x * image.width, y * image.height)
            for x, y in zip(shares[::2], shares[1::2], strict=True)
        ]
        ImageDraw.Draw(drawn).line([*points, points[0]], fill=rgb_of(HANDGUN), width=3)
    return beside([("exported image", image), ("with the outline of its label", drawn)], scale=0.87)


def explorer_grid(studio: Studio) -> Image.Image:
    """Show the grid of the explorer, with boxes and masks."""
    return explored(studio, "?show=boxes,masks", ready="#grid a img")


def explorer_image(studio: Studio) -> Image.Image:
    """Show an image in the explorer, with all that is known of it."""
    image_id = best(studio.dataset("handguns"))["ImageID"]
    address = f"?show=boxes,masks,clicks&image=train/{image_id}"
    return explored(studio, address, ready="#frame .mark.mask")


def explored(studio: Studio, address: str, *, ready: str) -> Image.Image:
    """Open an address of the explorer in Chromium, and take a picture of it when it is *ready*."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.add_argument("--window-size=1200,860")
    settings = oidkit.Settings(cache=studio.folder / "cache")
    with explore(studio.dataset("handguns"), settings=settings) as explorer:
        browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            browser.get(explorer.url + address)
            waiting = WebDriverWait(browser, 60)
            waiting.until(lambda page: page.find_elements(By.CSS_SELECTOR, ready))
            loaded = "return [...document.images].every(image => image.complete)"
            waiting.until(lambda page: page.execute_script(loaded))
            shot = browser.get_screenshot_as_png()
        finally:
            browser.quit()
    with Image.open(io.BytesIO(shot)) as picture:
        return smaller(picture.convert("RGB"), 900)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the documentation: what draws it, and the programs that this takes."""

    draw: Callable[[Studio], Image.Image]
    needs: tuple[str, ...] = ()


_BROWSER = ("chromium", "chromedriver")
PICTURES: dict[str, Picture] = {
    "explorer-grid.jpg": Picture(explorer_grid, needs=_BROWSER),
    "explorer-image.jpg": Picture(explorer_image, needs=_BROWSER),
    "handgun-mask.jpg": Picture(handgun_mask),
    "mask-size.jpg": Picture(mask_size),
    "requested-and-all.jpg": Picture(requested_and_all),
    "rotation.jpg": Picture(rotation),
    "yolo-outlines.jpg": Picture(yolo_outlines),
}
"""File name below docs/pictures -> the picture."""


def write(name: str, studio: Studio, folder: Path) -> Path:
    """Make one of the pictures."""
    path = folder / name
    PICTURES[name].draw(studio).save(path, quality=85, optimize=True)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", choices=[*PICTURES, []], help="pictures (default: all)")
    chosen: list[str] = parser.parse_args(arguments).name or [*PICTURES]
    with tempfile.TemporaryDirectory(prefix="oid-pictures-") as folder:
        studio = Studio(Path(folder))
        for name in chosen:
            if absent := [each for each in PICTURES[name].needs if not shutil.which(each)]:
                sys.stdout.write(f"{name} left as it is: {', '.join(absent)} is not there\n")
                continue
            path = write(name, studio, HERE)
            sys.stdout.write(f"{name} {path.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
