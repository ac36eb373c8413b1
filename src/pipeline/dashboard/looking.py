"""Looks into topics for the topics page: what viewers may ask, and what one look may cost.

Each look reads anew, joins no group and commits nothing. It is bounded in records, bytes and seconds, few go on at a
time, and an answer is kept for a moment: so many viewers who follow one topic cost no more than one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError

from pipeline.errors import PipelineError, QueryError, SettingError
from pipeline.kafka_refusals import broker_error
from pipeline.peek import facts
from pipeline.peek.facts import Reader, Setting
from pipeline.peek.scan import Budget, Found, Peek, Wanted, start_time
from pipeline.registry import Version
from pipeline.settings import Settings
from pipeline.status import TopicStatus
from pipeline.status.parts import collect_topics
from pipeline.timebase import now_ms

T = TypeVar("T")
COUNTS = (20, 50, 100, 200)
MOST_LOOKED_AT = 50_000
MOST_BYTES = 32 * 1024 * 1024
SCAN_S, LONGEST_S = 8.0, 15.0
AT_ONCE = 3
KEPT_S, KEPT = 1.5, 64
MOST_TEXT = 200
MOST_NUMBER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """Which records a viewer wants: the newest `count`, or the first from a time or from an offset on.

    `partition` None: of all partitions. `key` is a key's whole text, `text` a part of key, value or headers.
    """

    count: int = COUNTS[0]
    start: str = ""
    partition: int | None = None
    offset: int | None = None
    key: str = ""
    text: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Asked":
        """From the parameters of an address; raises SettingError, in a sentence, for what makes no sense."""
        count = _number("count", given.get("count", "")) or COUNTS[0]
        if count not in COUNTS:
            raise SettingError(f"count is {count}, but must be one of {', '.join(map(str, COUNTS))}")
        start = given.get("from", "").strip()[:MOST_TEXT]
        partition, offset = (_number(name, given.get(name, "")) for name in ("partition", "offset"))
        if offset is not None and partition is None:
            raise SettingError("offset needs a partition: offsets count within one")
        if offset is not None and start:
            raise SettingError("offset and from both say where to begin: give one")
        if start and start != "beginning":
            start_time(start, now_ms(), "from")
        key, text = (given.get(name, "")[:MOST_TEXT] for name in ("key", "text"))
        return cls(count, start, partition, offset, key, text)

    @property
    def is_newest(self) -> bool:
        """Whether the newest are asked for."""
        return not self.start and self.offset is None

    @property
    def wanted(self) -> Wanted:
        """The same as the scan knows it."""
        partitions = None if self.partition is None else {self.partition}
        return Wanted(partitions, self.key or None, self.text or None)


def _number(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > MOST_NUMBER:
        raise SettingError(f"{name} is {text[:MOST_TEXT]!r}, but must be a whole number from 0 on")
    return int(text)


class Readers(NamedTuple):
    """Who reads a topic, and groups that this user may not ask."""

    found: list[Reader]
    refused: list[str]


class Looks:
    """Everything that the topics page asks a cluster; each method raises PipelineError with one sentence."""

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock_s = clock_s
        self._free = BoundedSemaphore(AT_ONCE)
        self._kept: dict[tuple[Any, ...], tuple[float, Any]] = {}
        self._lock = Lock()

    def topics(self) -> dict[str, TopicStatus]:
        """Every topic that this user may see, but Kafka's own."""
        return self._run(("topics",), lambda: collect_topics(self._settings))

    def records(self, topic: str, asked: Asked) -> Found:
        """The records that are asked for, oldest first."""
        return self._run(("records", topic, asked), lambda: self._scanned(topic, asked))

    def schemas(self, topic: str) -> dict[str, list[Version]]:
        """{subject: its versions} of its keys and values."""
        return self._run(("schemas", topic), lambda: facts.schemas(self._settings, topic))

    def configuration(self, topic: str) -> list[Setting]:
        """Its settings, those of its own first."""
        return self._run(("configuration", topic), lambda: facts.configuration(self._settings, topic))

    def readers(self, topic: str) -> Readers:
        """The groups that have read it."""

        async def asked() -> Readers:
            return Readers(*await facts.readers(self._settings, topic))

        return self._run(("readers", topic), asked)

    async def _scanned(self, topic: str, asked: Asked) -> Found:
        peek = Peek(self._settings, topic, asked.wanted, Budget(MOST_LOOKED_AT, MOST_BYTES, SCAN_S))
        bounds = await peek.bounds()
        if asked.offset is not None:
            return await peek.onwards(bounds, dict.fromkeys(bounds, asked.offset), asked.count)
        if not asked.start:
            return await peek.newest(bounds, asked.count)
        if asked.start == "beginning":
            return await peek.onwards(bounds, {tp: begin for tp, (begin, _) in bounds.items()}, asked.count)
        starts = await peek.at_time(bounds, start_time(asked.start, now_ms(), "from"))
        return await peek.onwards(bounds, starts, asked.count)

    def _run(self, key: tuple[Any, ...], ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer, from a moment ago or asked for now."""
        with self._lock:
            now_s = self._clock_s()
            self._kept = {name: kept for name, kept in self._kept.items() if now_s - kept[0] < KEPT_S}
            if key in self._kept:
                found: T = self._kept[key][1]
                return found
        if not self._free.acquire(timeout=2.0):
            raise QueryError(f"{AT_ONCE} looks into topics are under way already: try again in a moment")
        try:
            found = asyncio.run(self._bounded(ask()))
        finally:
            self._free.release()
        with self._lock:
            if len(self._kept) < KEPT:
                self._kept[key] = self._clock_s(), found
        return found

    async def _bounded(self, asked: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(LONGEST_S):
                return await asked
        except TimeoutError:
            raise QueryError(
                f"there was no answer within {LONGEST_S:.0f} s: ask for one partition, or for fewer records"
            ) from None
        except PipelineError:
            raise
        except (KafkaError, OSError) as error:
            raise broker_error(self._settings, "the topic cannot be read", error) from error
