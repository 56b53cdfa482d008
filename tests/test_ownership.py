"""Whose unfinished work is, also where the system tells little of other processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from oidkit import ownership
from oidkit.ownership import claim, drop, is_free, release


def of(pid: int, began: str) -> str:
    """Name work of a process of this machine and boot."""
    machine, boot = claim().split("-")[:2]
    return f"{machine}-{boot}-{pid}-{began}-{'0' * 12}"


def test_work_is_free_when_it_is_let_go() -> None:
    """What this process holds is not free; what it let go is anybody's."""
    token = claim()
    assert not is_free(f".oid-tmp-{token}", untouched=lambda: 1e9)
    assert is_free(f".oid-tmp-{release(token)}", untouched=lambda: 0.0)
    assert is_free(f".oid-tmp-{token}", untouched=lambda: 0.0)


def test_work_of_the_dead_is_free_at_once() -> None:
    """A process that has ended, and one that has the number of another, own nothing."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert is_free(of(process.pid, "1"), untouched=lambda: 0.0)
    assert is_free(of(1, "999999999999"), untouched=lambda: 0.0)


@pytest.mark.parametrize("began", ["0", "12345"])
def test_a_process_of_which_the_system_tells_nothing_is_left_for_a_day(
    began: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hidepid, or where there is no /proc, a number that is in use may be the owner's."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        work = of(process.pid, began)
        monkeypatch.setattr(ownership, "_text", lambda _: "")
        assert not is_free(work, untouched=lambda: 80_000.0)
        assert is_free(work, untouched=lambda: 90_000.0)
        process.communicate(b"\n")
    assert is_free(work, untouched=lambda: 0.0)


def test_tokens_of_one_process_differ_in_their_last_part_alone() -> None:
    """A thousand pieces of work have a thousand names, and one owner."""
    tokens = [claim() for _ in range(1_000)]
    assert len(set(tokens)) == len(tokens)
    assert len({token.rpartition("-")[0] for token in tokens}) == 1
    for token in tokens:
        drop(token)
        assert is_free(f".oid-tmp-{token}", untouched=lambda: 0.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_claims_in_its_own_name() -> None:
    """What it has under way is its own, and not its parent's."""
    ours = claim()
    # A process that may fork without harm to the threads of the tests.
    code = (
        "import os; from oidkit.ownership import claim; ours = claim()\n"
        "if os.fork(): os.wait()\n"
        "print(claim().rpartition('-')[0], flush=True)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    child, parent = said.stdout.split()
    pids = [front.split("-")[2] for front in (child, parent, ours)]
    assert len(set(pids)) == 3
    drop(ours)
