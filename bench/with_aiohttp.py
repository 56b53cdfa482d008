"""The way of aiohttp: one session, a number of workers, each body to a temporary file and renamed.

    python bench/with_aiohttp.py URLS_FILE FOLDER WORKERS

Nothing is checked but that the whole body came.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp


async def fetch_all(urls: list[str], folder: Path, workers: int) -> None:
    """Fetch every image of the list into one folder."""
    waiting = iter(urls)
    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:

        async def work() -> None:
            for url in waiting:
                async with session.get(url) as reply:
                    body = await reply.read()
                place = folder / url.rpartition("/")[2]
                fresh = place.with_suffix(".part")
                fresh.write_bytes(body)
                fresh.replace(place)

        await asyncio.gather(*(work() for _ in range(workers)))


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    listed = Path(sys.argv[1]).read_text(encoding="utf-8").split()
    asyncio.run(fetch_all(listed, Path(sys.argv[2]), int(sys.argv[3])))
