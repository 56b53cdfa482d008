"""What a killed run left behind whole counts, though no record says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.api import Settings, download
from oidkit.testing import MirrorServer, ReleaseSpec, make_release

if TYPE_CHECKING:
    from pathlib import Path

CLASS = "Handgun"


def forget(out: Path, kind: str) -> int:
    """Take the rows of a kind out of the manifest; give how many there were."""
    manifest = out / ".oid" / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if f",{kind}," not in line]
    manifest.write_text("".join(kept), encoding="utf-8")
    return len(lines) - len(kept)


def test_masks_and_images_without_a_record_are_not_asked_for_again(tmp_path: Path) -> None:
    """A mask is known by its CRC-32 in the zip's directory, an image by its structure."""
    make_release(tmp_path / "mirror", ReleaseSpec.tiny())
    with MirrorServer(tmp_path / "mirror") as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        first = download(CLASS, tmp_path / "out", settings=settings)
        before = (tmp_path / "out" / ".oid" / "manifest.csv").read_bytes()
        assert forget(tmp_path / "out", "mask") == first.masks.fetched > 0
        forget(tmp_path / "out", "image")
        server.reset()
        second = download(CLASS, tmp_path / "out", settings=settings)
        paths = [request.path for request in server.log]
    assert second.masks.present == second.masks.asked == first.masks.asked
    assert second.images.present == first.images.fetched
    assert not [path for path in paths if path.endswith(".zip")]
    assert (tmp_path / "out" / ".oid" / "manifest.csv").read_bytes() == before


def test_a_mask_without_a_record_and_with_other_content_is_fetched_again(tmp_path: Path) -> None:
    """A whole PNG under the right name is not enough: its bytes have to be the published ones."""
    make_release(tmp_path / "mirror", ReleaseSpec.tiny())
    settings = Settings(source=str(tmp_path / "mirror"), cache=tmp_path / "cache")
    first = download(CLASS, tmp_path / "out", settings=settings)
    mask = min((tmp_path / "out" / "masks").rglob("*.png"))
    published = mask.read_bytes()
    mask.write_bytes(published[:-1] + bytes([published[-1] ^ 1]))
    forget(tmp_path / "out", "mask")
    second = download(CLASS, tmp_path / "out", settings=settings)
    assert (second.masks.fetched, second.masks.present) == (1, first.masks.asked - 1)
    assert mask.read_bytes() == published
