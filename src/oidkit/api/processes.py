"""The pictures of an export, made in this process or in several, and given in their order."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from oidkit.errors import OidError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from concurrent.futures import ProcessPoolExecutor

    from oidkit.api.pictures import Pictures
    from oidkit.formats.frames import Resizing
    from oidkit.formats.making import Made, Making
    from oidkit.formats.model import Picture

    Batches = Generator[tuple[list[Picture], list[Made]], None, None]

__all__ = ["made_by", "processes_for"]

_FEW = 512
"""Up to so many pictures that are only linked are made without other processes."""
_FEW_RESIZED = 64


def processes_for(pictures: Pictures, resizing: Resizing, *, asked: int | None) -> int:
    """Say how many processes are worth their start.

    Raises:
        UsageError: fewer than one were asked for.

    """
    if asked is not None and asked < 1:
        raise UsageError(
            "the number of processes has to be at least 1", remedy="leave it out for every core"
        )
    few = _FEW if resizing.size is None else _FEW_RESIZED
    if asked is None and len(pictures) <= few:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return asked or cores or 1


def made_by(processes: int, pictures: Pictures, making: Making) -> Batches:
    """Make all pictures, some hundreds at a time; one process is this one.

    Whoever closes it early ends the processes, and what they wrote is not whole.

    Raises:
        OidError: a process ended before its work was done.

    """
    if processes > 1:
        return _together(processes, pictures, making)
    return ((batch, making.make(batch)) for batch in pictures.batches())


def _together(processes: int, pictures: Pictures, making: Making) -> Batches:
    """Make batches in processes of their own; no more are under way than keep them busy."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    from oidkit.formats.making import in_worker, make_in_worker

    # Spawned, not forked: a fork copies the threads' locks, and Windows and macOS have none.
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=in_worker,
        initargs=(making,),
    )
    waiting: deque[tuple[list[Picture], Any]] = deque()
    done = False
    try:
        for batch in pictures.batches():
            with _deaf_to_interrupts() if not waiting else contextlib.nullcontext():
                waiting.append((batch, pool.submit(make_in_worker, batch)))
            if len(waiting) > 2 * processes:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
        done = True
    except BrokenProcessPool as error:
        raise OidError(
            "a process of the export ended before its work was done",
            remedy="use one process (--processes 1, in Python workers=1), or put the call below: "
            "if __name__ == '__main__'",
        ) from error
    finally:
        # A second Ctrl-C as the pool ends would leave workers that the interpreter waits for.
        with _deaf_to_interrupts():
            if not done:
                _kill(pool)
            pool.shutdown(wait=True, cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    """End the workers of an export that is not wanted any more; what they wrote goes with it."""
    # Python 3.14 has pool.kill_workers(); before that there is nothing public.
    processes = [*(getattr(pool, "_processes", None) or {}).values()]
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
    # One that was killed within an answer leaves a part of it, and the pool waits for the rest as
    # long as anybody may still write it: this process is the last one.
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if processes and writer is not None:
        writer.close()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait while workers start: they inherit that they are not to hear it.

    A terminal sends it to all of them, and one that is still importing would print a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
