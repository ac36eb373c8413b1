"""What a consumer has fetched, as batches of columns: no object per record, no step of a generator per record.

aiokafka's fetcher keeps whole responses by partition, and makes a `ConsumerRecord` of each record when it is asked for
records. Here the same responses are taken a Kafka record batch at a time, with the same rules: damaged batches are
refused, aborted transactions and control batches are passed over, and a response to an earlier position is dropped.
"""

import asyncio
from collections.abc import Collection
from math import inf
from operator import attrgetter
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException

from pipeline.records import RecordBatch
from pipeline.transport.turns import Turns, lookahead

COLUMNS = [attrgetter(name) for name in ("offset", "timestamp", "key", "value")]

FETCH_WAIT_MS = 500
"""How long a broker may keep a fetch waiting for the first record of any partition."""
PART_WAIT_MS = 10
"""The same for a fetch that leaves out partitions of which something is still to be taken: they wait for its end."""
TAKE_S = 0.005
"""How long a node is not asked again while something from it is to be taken, so that nothing need be left out."""
HELD_S = 0.005
"""How long is waited for a table's turn before looking again."""
ANY_ORDER = Turns()


def fetch_promptly(consumer: AIOKafkaConsumer, turns: Turns = ANY_ORDER) -> None:
    """Keep a started consumer's partitions from waiting for each other; aiokafka's and Faust's own waits are longer."""
    fetcher = consumer._fetcher
    requests = fetcher._get_actions_per_node

    def prompt_requests(assignment: Any) -> Any:
        fetcher._fetch_max_wait_ms = PART_WAIT_MS if fetcher._records or turns.is_asking(fetcher) else FETCH_WAIT_MS
        return requests(assignment)

    fetcher._get_actions_per_node = prompt_requests
    fetcher._prefetch_backoff = TAKE_S


async def next_batches(
    consumer: AIOKafkaConsumer,
    partitions: Collection[TopicPartition],
    timeout_s: float,
    most: int,
    turns: Turns = ANY_ORDER,
    headers_of: Collection[str] = (),
) -> dict[TopicPartition, RecordBatch]:
    """{partition: what has been fetched of it}, of these partitions; waits up to `timeout_s` for something to come.

    It ends with the Kafka record batch that brings it to `most` records in all; partitions take `turns`. `look_again`
    tells that a topic is no longer busy. Records of topics in `headers_of` come with their headers.
    Raises what aiokafka's `getmany` would.
    """
    if consumer._closed or consumer._fetcher._closed:
        raise ConsumerStoppedError()
    with consumer._subscription.fetch_context():
        return await _fetched(consumer._fetcher, partitions, timeout_s, most, turns, headers_of)


def look_again(consumer: AIOKafkaConsumer) -> None:
    """Let `next_batches` see that a topic is no longer busy; to be called in the consumer's event loop."""
    fetcher = consumer._fetcher
    for waiter in fetcher._fetch_waiters:
        fetcher._notify(waiter)


async def _fetched(
    fetcher: Fetcher,
    partitions: Collection[TopicPartition],
    timeout_s: float,
    most: int,
    turns: Turns,
    headers_of: Collection[str],
) -> dict[TopicPartition, RecordBatch]:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        taken, is_held = _taken(fetcher, partitions, most, turns, headers_of)
        left_s = deadline - asyncio.get_running_loop().time()
        if taken or left_s <= 0:
            return taken
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=min(left_s, HELD_S) if is_held else left_s)
        if not done or fetcher._closed:
            waiter.cancel()
            if fetcher._closed or not is_held:
                return {}
        else:
            waiter.result()


def _taken(
    fetcher: Fetcher,
    partitions: Collection[TopicPartition],
    most: int,
    turns: Turns,
    headers_of: Collection[str],
) -> tuple[dict[TopicPartition, RecordBatch], bool]:
    """What may be taken now, and whether something has to wait for its turn."""
    taken: dict[TopicPartition, RecordBatch] = {}
    is_held = False
    for tp in turns.order(fetcher):
        if tp not in partitions:
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
            continue
        before_ms = turns.before_ms(fetcher, tp, taken)
        if before_ms == -inf:
            is_held = True
            continue
        found = fetcher._records[tp]
        if not isinstance(found, FetchResult):
            if taken:
                break  # the error is for the next call
            _drop(fetcher, tp)
            found.check_raise()
            continue
        try:
            batch = take(found, tp, most, before_ms, tp.topic in headers_of)
        finally:
            if not found.has_more():
                _drop(fetcher, tp)
        is_held = is_held or found.has_more()
        turns.note(fetcher, tp)
        if batch is not None:
            taken[tp] = batch
            most -= len(batch)
            if most <= 0:
                break
    return taken, is_held


def _drop(fetcher: Fetcher, tp: TopicPartition) -> None:
    """What was fetched of a partition has been taken: the next fetch may begin."""
    del fetcher._records[tp]
    fetcher._notify(fetcher._wait_consume_future)


def take(
    result: FetchResult, tp: TopicPartition, most: int, before_ms: float = inf, with_headers: bool = False
) -> RecordBatch | None:
    """The next `most` records or a few more, and the position behind them; None where there is none.

    It ends before the first Kafka record batch that holds a time of `before_ms` or later.
    """
    if not result.has_more() or not result.check_assignment(tp):
        return None
    fetched = result._partition_records
    fetched._records_iterator = None  # its own way out: a circle that would keep the bytes until the collector comes
    records: list[Any] = []
    left = lookahead(result)
    try:
        while len(records) < most and left.has_next():
            if before_ms < inf and not left.peek().is_control_batch and left.peek().max_timestamp >= before_ms:
                break
            records += _next(fetched, tp)
    except CorruptRecordException:
        result._partition_records = None  # it is fetched again, from the position of before
        raise
    result._update_position()
    if not fetched._records.has_next():
        result._partition_records = None
    if not records:
        return None
    offsets, timestamps, keys, values = (list(map(column, records)) for column in COLUMNS)
    headers = [record.headers for record in records] if with_headers else None
    return RecordBatch(tp.topic, tp.partition, offsets, timestamps, keys, values, fetched.next_fetch_offset, headers)


def _next(fetched: PartitionRecords, tp: TopicPartition) -> list[Any]:
    """The records of the next Kafka record batch that are to be seen; the position moves behind the batch."""
    batch = fetched._records.next_batch()
    if fetched._check_crcs and not batch.validate_crc():
        raise CorruptRecordException(f"Invalid CRC - {tp}")
    if fetched._isolation_level == READ_COMMITTED and batch.producer_id is not None:
        fetched._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and fetched._contains_abort_marker(batch):
            fetched._aborted_producers.discard(batch.producer_id)
        if batch.is_transactional and batch.producer_id in fetched._aborted_producers:
            fetched.next_fetch_offset = batch.next_offset
            return []
    position, fetched.next_fetch_offset = fetched.next_fetch_offset, batch.next_offset
    if batch.is_control_batch:
        return []
    records = list(batch)
    if records and records[0].offset < position:  # a fetch returns the whole batch in which it begins
        records = [record for record in records if record.offset >= position]
    return records
