"""`GET /tables/NAME/changes`: a table's changes as server-sent events, from now on or from where a client was."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pipeline.api.answers import dumped
from pipeline.api.replica import Change, Recent, Replica

MOST_AT_ONCE = 100
ALIVE_S = 15.0
"""A comment that often, so that both ends see that the other one is there."""


async def events(replica: Replica, name: str, last_id: str) -> AsyncIterator[bytes]:
    """The events of one follower.

    `change`: the rows of a group, or of one of its windows, after a change; without rows they are kept no longer. Each
    has an id, by which a client that comes back goes on. Where the changes since then are not kept any more, or it
    comes for the first time, a `table` event for each group comes first: from there on nothing is missing.
    """
    generation, number = _place(last_id)
    recent: Recent | None = None
    while True:
        if recent is not replica.recent[name] or generation != replica.generation:
            recent = replica.recent[name]
            recent.is_followed = True
            if generation != replica.generation or recent.since(number, 0) is None:
                generation, number = replica.generation, recent.next
                for group in list(replica.totals.tables[name].groups()):
                    rows = list(replica.totals.tables[name].rows(group))
                    if rows:
                        yield _event("table", None, {"group": group, "rows": rows})
                    if replica.generation != generation:
                        break
                yield _event("ready", f"{generation}-{number}", {})
                continue
        found = recent.since(number, MOST_AT_ONCE)
        if found is None:  # too slow: begin again with the table
            generation = -1
            continue
        if not found:
            more = recent.more
            try:
                await asyncio.wait_for(more.wait(), ALIVE_S)
            except TimeoutError:
                yield b": alive\n\n"
            continue
        number = found[-1].number + 1
        yield b"".join(_change(generation, one) for one in found)


def _place(last_id: str) -> tuple[int, int]:
    generation, _, number = last_id.partition("-")
    if generation.isascii() and generation.isdigit() and number.isascii() and number.isdigit() and len(last_id) < 64:
        return int(generation), int(number)
    return -1, 0


def _change(generation: int, change: Change) -> bytes:
    body = {"group": change.group, "start_ms": change.start_ms, "rows": change.rows}
    return _event("change", f"{generation}-{change.number + 1}", body)


def _event(kind: str, place: str | None, body: Any) -> bytes:
    at = "" if place is None else f"id: {place}\n"
    return f"event: {kind}\n{at}data: ".encode() + dumped(body) + b"\n\n"
