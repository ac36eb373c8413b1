"""What the parts of the transport ask of the application that they belong to."""

from collections.abc import Callable
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer

from pipeline.transport.metrics import Counted
from pipeline.transport.outbox import Outbox


class Host(faust.App):
    """A Faust application with what the transport knows of it while it runs.

    `outbox` and `changelog_reader`, which makes a consumer that belongs to no group, are set by whoever composes the
    application. `processors` are those behind the agents, by agent. `header_topics` are those whose records' headers
    are read. `tables_of_streams` names the tables' topics of each stream's topic that is joined with some: tables go
    first, see `transport/turns.py`. Callbacks in `state_listeners` run whenever partitions of state have come or gone.
    Batches are counted as they wait for an agent, are in work, and done; `serving_generation` is the group's generation
    whose batches may be processed.
    """

    outbox: Outbox
    changelog_reader: Callable[..., AIOKafkaConsumer]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state_listeners: list[Callable[[], None]] = []
        self.serving_generation: int | None = None
        self.batches_waiting = 0
        self.batches_in_work = 0
        self.batches_done = 0
        self.processors: dict[str, Counted] = {}
        self.header_topics: set[str] = set()
        self.own_topics: set[str] = set()
        self.tables_of_streams: dict[str, tuple[str, ...]] = {}
        super().__init__(*args, **kwargs)
