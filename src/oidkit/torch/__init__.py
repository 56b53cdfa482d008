"""Open Images for PyTorch: a dataset folder, or shards of it, in torchvision's conventions.

::

    from oidkit.torch import OpenImagesDataset, collate

    dataset = OpenImagesDataset("handguns", split="train", transforms=transforms)
    loader = DataLoader(dataset, batch_size=4, num_workers=4, collate_fn=collate)

Nothing here imports PyTorch before one of the names is used; without it that is one clear error.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from oidkit.errors import UsageError

if TYPE_CHECKING:
    from oidkit.torch.pictures import OpenImagesDataset
    from oidkit.torch.shards import OpenImagesShards
    from oidkit.torch.targets import collate

__all__ = ["OpenImagesDataset", "OpenImagesShards", "collate"]

_PLACES = {
    "OpenImagesDataset": "oidkit.torch.pictures",
    "OpenImagesShards": "oidkit.torch.shards",
    "collate": "oidkit.torch.targets",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'oidkit.torch' has no attribute '{name}'")
    if find_spec("torch") is None:
        raise UsageError(
            f"oidkit.torch.{name} needs PyTorch, which is not installed",
            remedy='install it: pip install "oidkit[torch]"',
        )
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
