"""The application in one process: real agents, operators and wire format; no broker, no registry."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

from aiokafka import TopicPartition

from pipeline.app import new_app
from pipeline.applications.loading import Runnable, runnable
from pipeline.codecs import Encoder, Record, schema
from pipeline.declare.application import aggregated
from pipeline.errors import BadRecord, CaseError
from pipeline.formats import (
    Learning,
    ValueEncoder,
    decoder,
    encoder,
    encoders_of,
    key_decoder,
    key_encoder,
    registered,
    registrations,
)
from pipeline.records import Headers, Outgoing, RecordBatch
from pipeline.settings import FLASH_SALES, Settings
from pipeline.tables.windows import Session
from pipeline.topics import Schema, Topic
from pipeline.transport.app import BatchApp
from pipeline.transport.consumer import BatchConsumer
from pipeline.transport.group import Member
from pipeline.transport.outbox import partition_for

PROTOBUF = "PROTOBUF"


class PackagedSchemas:
    """Stands where the registry does: the topics' schemas under numbers of their own, from 1."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self._known: list[Any] = []
        self.ids: dict[str, int] = {}
        for subject, kind, text in (needed for topic in topics for needed in registrations(topic)):
            given = text if kind == PROTOBUF else json.loads(text)
            if given not in self._known:
                self._known.append(given)
            self.ids[subject] = self._known.index(given) + 1

    def encoder(self, given: Schema) -> Encoder:
        """The Avro encoder of one of the schemas."""
        return Encoder(given, self._known.index(schema(given)) + 1)

    def encoder_of(self, topic: Topic) -> ValueEncoder:
        """The encoder of one of the topics."""
        return encoder(topic, self.ids.get(topic.subject))

    async def prepare(self, decoder: Learning, values: Iterable[bytes | None]) -> None:
        """Teach a decoder the ids in these values; one that is no packaged schema is unknown."""
        for number in decoder.unknown(values):
            if 0 < number <= len(self._known):
                decoder.learn(number, self._known[number - 1])


class LocalBroker:
    """Topics in memory. What agents send to is appended and, in order, given to who consumes it."""

    commits_offsets = True
    is_open = False
    commits = 0

    def __init__(self, partitions: int) -> None:
        self.topics: dict[str, list[Outgoing]] = {}
        self._partitions = partitions
        self._ends: dict[tuple[str, int], int] = {}
        self._pending: deque[tuple[int, Outgoing, Headers]] = deque()

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Append records; safe at once."""
        for record in records:
            self.append(record)

    async def deliver(self, records: Iterable[Outgoing], source: RecordBatch | None = None) -> None:
        """Append records; safe and visible at once."""
        await self.send(records)

    async def flush(self) -> None:
        """Everything is safe at once."""

    def assigned(self, member: Member, positions: Mapping[TopicPartition, int]) -> None:
        """There is no group."""

    async def commit(self) -> None:
        """Nothing is ever open."""

    def append(self, record: Outgoing, headers: Headers = ()) -> None:
        """Append one record to its topic, in the partition that it names or that its key belongs to."""
        if record.partition is None:
            record = record._replace(partition=partition_for(record.key or b"", self._partitions))
        self.topics.setdefault(record.topic, []).append(record)
        assert record.partition is not None
        place = (record.topic, record.partition)
        offset = self._ends[place] = self._ends.get(place, -1) + 1
        self._pending.append((offset, record, headers))

    def next_record(self) -> tuple[int, Outgoing, Headers] | None:
        """The oldest record that has not been given out yet, with its offset and its headers."""
        return self._pending.popleft() if self._pending else None


class LocalApplication:
    """Feeds records one by one through the agents, and shows what lies in each topic."""

    def __init__(self, settings: Settings, application: Runnable, partitions: int = 1) -> None:
        made = aggregated(application.application.statements)
        self._sessions = {one.output.name for one in made if isinstance(one.aggregate.window, Session)}
        self.settings = settings.model_copy(update={"partitions": partitions})
        self.topics = {topic.name: topic for topic in application.topics}
        self.schemas = PackagedSchemas(self.topics.values())
        self.broker = LocalBroker(partitions)
        self._compose = application.compose
        self._agents: dict[str, Any] = {}
        self._references: set[str] = set()
        self.app: BatchApp

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LocalApplication"]:
        """The application while the block runs."""
        self.app = app = new_app(self.settings)
        app.loop = asyncio.get_running_loop()
        app.outbox = self.broker
        encoders = self._encoders()
        self._compose(self.settings, app, self.schemas, encoders)
        app.finalize()
        app.flow_control.resume()
        app.serving_generation = app.consumer_generation_id
        self._references = app.references.topics if app.references is not None else set()
        async with AsyncExitStack() as contexts:
            contexts.callback(cast(BatchConsumer, app.consumer).discard)
            for agent in list(app.agents.values()):
                topic = agent.channel.get_topic_name()
                self._agents[topic] = await contexts.enter_async_context(agent.test_context())
            yield self

    def _encoders(self) -> dict[str, ValueEncoder]:
        made = encoders_of(self.topics.values())
        registered(self.topics.values(), made, self.schemas.ids)
        return made

    async def feed(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int, headers: Headers = ()
    ) -> None:
        """Append a record to a topic and let everything that follows from it happen."""
        self.broker.append(Outgoing(topic, key, value, timestamp_ms), headers)  # type: ignore[arg-type]
        await self.settled()

    async def feed_batch(self, batch: RecordBatch) -> None:
        """Give an agent a batch as it would come from a broker, and let everything that follows from it happen."""
        await self._agents[batch.topic].put(batch, partition=batch.partition)
        await self.settled()

    async def settled(self) -> None:
        """Give what has been sent to whoever consumes it, until nothing is left."""
        while (pending := self.broker.next_record()) is not None:
            offset, record, headers = pending
            partition = record.partition or 0
            batch = RecordBatch(record.topic, partition, [offset], [record.timestamp_ms], [record.key], [record.value])
            if record.topic in self.app.header_topics:
                batch.headers = [headers]
            if self.app.references is not None and record.topic in self._references:
                await self.app.references.take(batch)
            elif record.topic in self._agents:
                await self._agents[record.topic].put(batch, partition=partition)

    def schema_of(self, topic: str) -> Schema:
        """A topic's value schema; raises CaseError when there is no such topic."""
        return self._topic(topic).schema or ""

    def is_session(self, topic: str) -> bool:
        """Whether the windows of a topic's rows are sessions."""
        return topic in self._sessions

    def _topic(self, name: str) -> Topic:
        known = self.topics.get(name)
        if known is None or known.schema is None:
            names = ", ".join(sorted(name for name, t in self.topics.items() if t.schema is not None))
            raise CaseError(f"there is no topic {name!r}; the application's topics are {names}")
        return known

    def encode(self, topic: str, value: Record) -> bytes:
        """A record in the topic's value format; raises CaseError when it does not fit the schema."""
        try:
            return self.schemas.encoder_of(self._topic(topic))(value)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise CaseError(f"an input to {topic} does not fit its schema: {error}: {value}") from None

    def encode_key(self, topic: str, text: str) -> bytes:
        """The key that has this text in the topic's key format; raises CaseError when it is none."""
        try:
            return key_encoder(self._topic(topic), self._encoders()).of_text(text)
        except (ValueError, TypeError) as error:
            raise CaseError(f"the key of an input to {topic} does not fit its type: {error}") from None

    async def rows(self, topic: str) -> list[tuple[Outgoing, Record | None]]:
        """The records of a topic with their decoded values, None for a tombstone."""
        decode = decoder(self._topic(topic))
        records = self.broker.topics.get(topic, [])
        await self.schemas.prepare(decode, [record.value for record in records])
        return [(record, None if record.value is None else decode(record.value)) for record in records]

    async def key_texts(self, topic: str) -> list[str | None]:
        """The texts of the keys of a topic's records, None for a null key; raises CaseError for one that is none."""
        read = key_decoder(self._topic(topic))
        keys: list[bytes | None] = [record.key for record in self.broker.topics.get(topic, [])]
        await self.schemas.prepare(read, keys)
        try:
            return [None if key is None else read(key).text for key in keys]
        except BadRecord as error:
            raise CaseError(f"topic {topic} has a key that cannot be read: {error}") from None


def flash_sales_application(settings: Settings) -> LocalApplication:
    """The flash-sales application, not yet running."""
    return LocalApplication(settings, runnable(settings.model_copy(update={"app": FLASH_SALES})))
