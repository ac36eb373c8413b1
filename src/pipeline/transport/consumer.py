"""One Faust event carries the record batches that one fetch has brought of a topic: the consumer side.

Faust's cost is per event, not per record, so batches make the worker fast; at low rates an event is one record.
Faust's own acknowledgements (one per event, given even when the event's processing failed) are not used for batches:
offsets are committed by the outbox within its transactions or, at least once, exactly up to the batches that were
acknowledged with `ack_batch`.
Everything of Faust's private parts that the transport touches is listed in docs/architecture.md.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, StreamT
from faust.types.tuples import ConsumerMessage, Message

from pipeline.kafka import follow_leaders
from pipeline.records import RecordBatch
from pipeline.transport.fetching import fetch_promptly, look_again, next_batches
from pipeline.transport.group import Member, seek_to_stable, stable_offsets
from pipeline.transport.host import Host
from pipeline.transport.turns import Turns

FETCH_S = 0.2
CREATE_TIME = 0


class BatchSchema(faust.Schema[Any, Any]):
    """Hands the batch through as it is: decoding is one loop per batch, done by whoever processes it."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> None:
        """Keys are in the batch."""
        return

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:
        """The batch itself."""
        return message.value


class BatchConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, which fetches batches, and never shows records of open or aborted transactions."""

    _turns: Turns

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        return consumer

    async def on_start(self) -> None:
        """Connect."""
        await super().on_start()
        ours = cast(BatchConsumer, self.consumer)
        self._turns = Turns(ours.app.own_topics, ours.topics_in_hand, ours.app.tables_of_streams)
        fetch_promptly(self._ensure_consumer(), self._turns)
        follow_leaders(self._ensure_consumer())

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        if not self.consumer.flow_active:
            return {}
        partitions = consumer.assignment() if active_partitions is None else active_partitions
        headers_of = cast(BatchConsumer, self.consumer).app.header_topics
        return await next_batches(consumer, partitions, timeout or 0.0, max_records or 1, self._turns, headers_of)

    def look_again(self) -> None:
        """A topic is no longer in hand; from any thread."""
        if not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(look_again, self._ensure_consumer())


class BatchConsumer(Consumer):
    """Faust's consumer, yielding batches and committing by position."""

    app: Host
    _positions: dict[TP, int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._positions = {}
        self._in_hand: dict[str, int] = {}
        self._fetch_generation: int | None = None
        self._not_fetching = asyncio.Event()
        self._not_fetching.set()
        super().__init__(*args, **kwargs)

    def topics_in_hand(self) -> set[str]:
        """The topics of which an event is on its way to its agent or in work.

        No other is taken up meanwhile: what waits would only grow older, and what comes can be taken together.
        """
        generation = self.app.serving_generation
        return {topic for topic, taken_in in list(self._in_hand.items()) if taken_in == generation}

    def finished(self, message: Message) -> None:
        """An agent has come to the end of an event."""
        if self._in_hand.get(message.topic) == message.generation_id:
            del self._in_hand[message.topic]
            cast(BatchConsumerThread, self._thread).look_again()

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def member(self) -> Member:
        """Our membership of the group as of now."""
        return Member.of(self._thread._ensure_consumer())

    async def stable_offsets(self) -> dict[TopicPartition, int]:
        """{partition: committed offset, or -1} of what is assigned; waits while a transaction may still change it."""
        found: dict[TopicPartition, int] = await self._thread.call_thread(
            stable_offsets, self._thread._ensure_consumer()
        )
        return found

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go on from the stable committed offsets, from the beginning where there is none."""
        offsets = await self._thread.call_thread(seek_to_stable, self._thread._ensure_consumer())
        return {TP(*tp): offset for tp, offset in offsets.items()}

    def fetch_positions(self) -> dict[TopicPartition, int]:
        """{partition: offset of the next record to be fetched} of what is assigned; 0 where nothing was fetched yet."""
        subscription = self._thread._ensure_consumer()._subscription.subscription
        assignment = subscription and subscription.assignment
        if assignment is None:
            return {}
        states = {tp: assignment.state_value(tp) for tp in assignment.tps}
        return {tp: state._position or 0 for tp, state in states.items() if state is not None}

    def discard(self) -> None:
        """Give back what a consumer that was never started holds: its thread's event loop."""
        self._thread.thread_loop.close()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch once, and yield one message per topic: its value is the batches, one of each partition."""
        fetched, _ = await self._wait_next_records(timeout)
        generation = self._fetch_generation
        if fetched is None or self.should_stop:
            return
        by_topic: defaultdict[str, list[RecordBatch]] = defaultdict(list)
        for batch in cast("dict[TP, RecordBatch]", fetched).values():
            by_topic[batch.topic].append(batch)
        for batches_of_topic in by_topic.values():
            if not self.flow_active or generation is None or self.app.serving_generation != generation:
                return  # a rebalance came in between: reading goes on from the committed offsets
            message = batch_message(batches_of_topic, generation)
            self._in_hand[message.topic] = generation
            yield message.tp, message
            if self.app.serving_generation == generation:
                for batch in batches_of_topic:
                    tp = TP(batch.topic, batch.partition)
                    self._read_offset[tp] = batch.offsets[-1]
                    self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        self._fetch_generation = self.app.serving_generation
        self._not_fetching.clear()
        try:
            return await super()._getmany(active_partitions, min(timeout, FETCH_S))
        finally:
            self._not_fetching.set()

    async def fetches_ended(self) -> None:
        """Return when no fetch of a former generation is under way any more, while the flow is stopped.

        A fetch that ended after the seek to the committed offsets would have taken records of the new generation
        with it when it is dropped.
        """
        await self._not_fetching.wait()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Holes between batches need no book-keeping: what is committed is a position."""

    def ack(self, message: Message) -> bool:
        """Faust's own acknowledgement, which is given even to events that failed: means nothing for a batch."""
        self._unacked_messages.discard(message)
        return False

    def ack_batch(self, message: Message, batch: RecordBatch) -> None:
        """Acknowledge a batch of a message that was delivered; ignored when its partition was revoked."""
        if not self.app.outbox.commits_offsets and message.generation_id == self.app.serving_generation:
            self._positions[TP(batch.topic, batch.partition)] = batch.next_offset
        message.acked = True
        self._unacked_messages.discard(message)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._positions) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._positions.get(tp)

    def on_buffer_full(self, tp: TP) -> None:
        """Go on with the partition: a stream whose buffer is full holds up the fetching until it has taken a batch.

        Faust takes a partition out of the fetching instead, and brings back one of them at a time, in the order of a
        set, while the buffer is nearly empty: under load a partition stood still for minutes.
        """

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's look for partitions that stand still knows nothing of batches; the watchdog does this."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the batches in work come to their end and commit them; only then does the rebalance go on.

        What cannot be finished in time must not be finished later, when it may be another's: the worker ends.
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        try:
            async with asyncio.timeout(self.app.conf.broker_session_timeout * 0.8):
                while self.app.batches_in_work:
                    await asyncio.sleep(0.005)
                self.app.serving_generation = None
                await self.app.outbox.commit()
                await self.commit()
        except Exception as error:
            await self.app.crash(error)
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._positions.pop(tp, None)


def batch_message(batches: Sequence[RecordBatch], generation: int) -> ConsumerMessage:
    """The Faust message that carries batches of a topic: it has the place and time of the very first record."""
    first = batches[0]
    tp = TP(first.topic, first.partition)
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        first.offsets[0],
        max(first.timestamps[0], 0) / 1000.0,
        CREATE_TIME,
        [],
        None,
        cast(Any, tuple(batches)),
        None,
        tp=tp,
        generation_id=generation,
    )


class BatchTransport(Transport):
    """Faust's aiokafka transport with the batch consumer."""

    Consumer = BatchConsumer


async def batches(
    stream: StreamT[Any], prepare: Callable[[RecordBatch], Awaitable[None]]
) -> AsyncIterator[RecordBatch]:
    """The batches of an agent's stream, whose events carry one or a tuple of them.

    The batches of an event are acknowledged when the loop's body has come to its end for all of them, and what they
    brought forth is flushed.

    `prepare` fetches what a batch needs, and may take as long as an outage lasts: a rebalance does not wait for it.

    A body that raises leaves its batch unacknowledged: the agent crashes the worker, and the batch is read again.
    Batches that were fetched before a rebalance are dropped: after it reading goes on from the committed offsets.
    """
    unacknowledged = cast("faust.Stream[Any]", stream).noack()
    app = cast(Host, unacknowledged.app)
    consumer = cast(BatchConsumer, app.consumer)
    async for event in unacknowledged.events():
        together = event.value if isinstance(event.value, tuple) else (event.value,)
        app.batches_waiting += len(together)
        try:
            for batch in together:
                if event.message.generation_id == app.serving_generation:
                    await prepare(batch)
        finally:
            app.batches_waiting -= len(together)
        if event.message.generation_id != app.serving_generation:
            consumer.finished(event.message)
            continue
        app.batches_in_work += len(together)
        try:
            for batch in together:
                yield batch
            await app.outbox.flush()
            for batch in together:
                consumer.ack_batch(event.message, batch)
        finally:
            app.batches_in_work -= len(together)
            app.batches_done += len(together)
            consumer.finished(event.message)
