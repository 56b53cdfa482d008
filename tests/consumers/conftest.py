"""What the tests of consumers share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _torchvision_of_another_build() -> None:
    """Let torchvision be imported whose compiled operators are for another build of torch.

    No registry serves its build for the CPU alone. Two operators declared without a body let the
    rest of it, which is plain Python, be imported; nothing that is tested calls them.
    """
    try:
        import torch
    except ImportError:
        return
    if not hasattr(torch.ops.torchvision, "nms"):
        for name in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{name}",
                "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            )
