"""Row 11: connections that are reset, before the header or in the body."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults.kinds import KINDS, always, asked, lacking, places_of
from faults.proxy import Proxy, Toxics
from oidkit.testing import Fault

if TYPE_CHECKING:
    from faults.runs import Folder

_WHOLE = [pytest.param(kind, marks=pytest.mark.whole) for kind in KINDS]


@pytest.mark.row(11)
@pytest.mark.parametrize("kind", [_WHOLE[0], KINDS[1], _WHOLE[2], KINDS[3], _WHOLE[4]])
@pytest.mark.parametrize("cut", [None, 100], ids=["before the header", "in the body"])
def test_a_reset_costs_one_more_request(folder: Folder, kind: str, cut: int | None) -> None:
    """Whatever object it meets, the run goes on and completes."""
    always(folder, kind, Fault(reset=True, cut=cut), times=1)
    folder.check_complete(folder.run())
    # libcurl itself asks again at once where a connection that was kept open turns out to be dead
    assert asked(folder, kind) == 2


@pytest.mark.row(11)
@pytest.mark.parametrize("cut", [None, 100], ids=["before the header", "in the body"])
def test_an_image_that_always_ends_in_a_reset(folder: Folder, cut: int | None) -> None:
    """It counts as failed, exit 4, and everything else is there; the same command completes."""
    always(folder, "image", Fault(reset=True, cut=cut))
    folder.check(folder.run(), code=4, lacking=lacking(folder, "image", "failed"))
    assert asked(folder, "image") <= 12
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


@pytest.mark.row(11)
def test_some_images_that_are_always_reset_are_not_an_outage(folder: Folder) -> None:
    """Objects that no connection survives, as behind a filter: they fail, all others come."""
    keys = sorted(
        {
            f"open-images-dataset/{path.split('/')[1]}/{path.rpartition('/')[2]}": None
            for path in folder.undisturbed.tree
            if path.endswith(".jpg")
        }
    )[:5]
    server = folder.undisturbed.server
    server.hook = lambda request: Fault(reset=True) if request.path in keys else None
    gone = {place: "failed" for key in keys for place in places_of(folder, key)}
    done = folder.run()
    folder.check(done, code=4, lacking=gone)
    assert done.seconds < 60
    server.hook = None
    folder.check_complete(folder.run())


@pytest.mark.row(11)
@pytest.mark.seeds(2, 30)
def test_connections_that_are_reset_again_and_again(folder: Folder, seed: int) -> None:
    """A third of all connections is reset after a random number of bytes; the run completes.

    Where chance spoils every try of an image, that one is told, and the next run completes.
    """
    rng = random.Random(f"resets {seed}")
    with Proxy(folder.undisturbed.server.url) as proxy:
        ends = [rng.choice([0, rng.randrange(1, 60_000)]) for _ in range(10_000)]
        spoiled = [rng.random() < 1 / 3 for _ in ends]

        def toxics(number: int) -> Toxics:
            return Toxics(reset_peer=ends[number]) if spoiled[number] else Toxics()

        proxy.choose = toxics
        behind = replace(folder, source=proxy.url)
        done = behind.run()
        if done.code:
            told = re.findall(r"^failed: (\S+): .*Connection reset", done.err, re.MULTILINE)
            assert 0 < len({path.rpartition("/")[2] for path in told}) <= 2, done.err
            behind.check(done, code=4, lacking=dict.fromkeys(told, "failed"))
            done = behind.run()
        behind.check_complete(done)
