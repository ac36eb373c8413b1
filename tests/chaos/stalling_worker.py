"""A worker that stands still once: its consumer fetches nothing more after a while, as Faust's users have seen it.

Run as a program in the place of `pipeline worker`; STALLED names the file by which it knows that it has done so.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pipeline.transport.consumer import BatchConsumer

STALLED = Path(os.environ["STALLED"])
FETCHES = 100

fetching = BatchConsumer.getmany
fetches = 0


async def getmany(self: BatchConsumer, timeout: float) -> AsyncIterator[Any]:
    """Fetch, or stand still for ever."""
    global fetches
    fetches += 1
    if fetches > FETCHES and not STALLED.exists():
        STALLED.touch()
        await asyncio.Event().wait()
    async for fetched in fetching(self, timeout):
        yield fetched


BatchConsumer.getmany = getmany  # type: ignore[method-assign]

if __name__ == "__main__":
    from pipeline.cli import main

    main(["worker"])
