"""What a program does, seen from outside: committed offsets and ends of topics every 100 ms, CPU and memory from /proc.

Ends are read-committed ones: with exactly-once processing a row counts when its transaction is committed.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline import kafka
from pipeline.kafka_security import client_options
from pipeline.settings import Settings

INTERVAL_S = 0.1
MB = 1_000_000
WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: seconds since the process was started, input records committed, rows' end, CPU and memory so far."""

    at_s: float
    consumed: int
    output: int
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one program.

    `events_per_second` leaves out the first tenth of the input, `with_start_per_second` is the whole input over the
    whole time from the process's start until its output was complete. `startup_s` is how long it took until the first
    commit or row. CPU and memory are the process's and its children's, brokers not counted.
    """

    records: int
    events_per_second: float
    with_start_per_second: float
    seconds: float
    startup_s: float
    rss_mb: float
    cpu_s: float
    cpu_us_per_event: float


def evaluate(samples: list[Sample], records: int) -> Measurement:
    """A measurement from samples, the last of which saw the complete output of `records` events."""
    final = samples[-1].output
    done = next(s for s in samples if s.consumed >= records and s.output >= final)
    started = next(s for s in samples if s.consumed > 0 or s.output > samples[0].output)
    warm = next(s for s in samples if s.consumed >= records * WARM_UP)
    if done.at_s <= warm.at_s:  # everything was committed at once: nothing to leave out
        warm = Sample(0.0, 0, 0, 0.0, 0)
    cpu_s = done.cpu_s
    return Measurement(
        records=records,
        events_per_second=(records - warm.consumed) / (done.at_s - warm.at_s),
        with_start_per_second=records / done.at_s,
        seconds=done.at_s,
        startup_s=started.at_s,
        rss_mb=max(s.rss_bytes for s in samples if s.at_s <= done.at_s) / MB,
        cpu_s=cpu_s,
        cpu_us_per_event=cpu_s / records * 1e6,
    )


@dataclass
class Usage:
    """CPU seconds and memory of processes and their children, from /proc; what a dead child used is kept."""

    pids: tuple[int, ...]
    _cpu: dict[int, float] = field(default_factory=dict)

    def now(self) -> tuple[float, int]:
        """(CPU seconds so far, resident bytes now)."""
        rss = 0
        for pid in self.pids:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                for one in (process, *process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        times = one.cpu_times()
                        self._cpu[one.pid] = times.user + times.system
                        rss += one.memory_info().rss
        return sum(self._cpu.values()), rss


class Probe:
    """A light client that asks the brokers how far a group and its outputs are."""

    def __init__(self, settings: Settings, group: str, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        self._settings = settings
        self._group = group
        self._inputs = [TopicPartition(name, n) for name in inputs for n in range(settings.partitions)]
        self._outputs = [TopicPartition(name, n) for name in outputs for n in range(settings.partitions)]
        self._coordinator: int | None = None

    async def __aenter__(self) -> "Probe":
        self._admin = AIOKafkaAdminClient(**client_options(self._settings))
        self._consumer = AIOKafkaConsumer(**client_options(self._settings), isolation_level=kafka.READ_COMMITTED)
        await asyncio.gather(self._admin.start(), self._consumer.start())
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self._admin.close(), self._consumer.stop())

    async def consumed(self) -> int:
        """Input records committed by the group."""
        try:
            if self._coordinator is None:
                self._coordinator = int(await self._admin.find_coordinator(self._group))
            found = await self._admin.list_consumer_group_offsets(self._group, self._coordinator, list(self._inputs))
        except KafkaError:
            self._coordinator = None
            return 0
        return sum(max(0, meta.offset) for meta in found.values())

    async def output(self) -> int:
        """Sum of the read-committed ends of the outputs; 0 while a topic is not there yet."""
        try:
            return sum((await self._consumer.end_offsets(self._outputs)).values())
        except KafkaError:
            return 0

    async def sample(self, began: float, usage: Usage) -> Sample:
        """One look; the time is that at which the brokers had answered."""
        consumed, output = await asyncio.gather(self.consumed(), self.output())
        return Sample(time.perf_counter() - began, consumed, output, *usage.now())
