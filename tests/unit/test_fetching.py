"""What is taken of a fetched response: the same records that aiokafka shows, as columns."""

import asyncio
import gc
import weakref
from collections.abc import Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException, NotLeaderForPartitionError, OffsetOutOfRangeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kafka import follow_leaders
from pipeline.transport.fetching import PART_WAIT_MS, TAKE_S, fetch_promptly, look_again, next_batches, take
from pipeline.transport.turns import Turns

TP = TopicPartition("t", 2)
ABORT, COMMIT = b"\0\0\0\0", b"\0\0\0\1"


def kafka_batch(
    base: int, values: Iterable[bytes | None], producer: int = -1, *, transactional: bool = False, control: bytes = b""
) -> bytes:
    """A Kafka record batch at an offset; a control batch has one record with this key."""
    builder = DefaultRecordBatchBuilder(2, 0, int(transactional), producer, 0, 0, 1 << 20)
    for number, value in enumerate(values):
        assert builder.append(number, 1_000 + base + number, control or b"k%d" % (base + number), value, []) is not None
    data = bytearray(builder.build())
    data[0:8] = base.to_bytes(8, "big")
    if control:
        data[22] |= 0x20
        data[17:21] = crc(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def crc(data: bytes) -> int:
    from aiokafka.record.util import calc_crc32c

    return int(calc_crc32c(data))


class State:
    """An assigned partition at a position."""

    active = True
    paused = False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _: TopicPartition) -> "State":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def response(data: bytes, position: int = 0, aborted: list[tuple[int, int]] | None = None) -> tuple[FetchResult, State]:
    state = State(position)
    records = PartitionRecords(TP, MemoryRecords(data), aborted, position, None, None, True, 1)
    return FetchResult(TP, assignment=state, partition_records=records, backoff=0), state


def log(batches: list[tuple[int, int, bool, bool]]) -> tuple[bytes, list[tuple[int, int]]]:
    """A log of (producer, records, transactional, aborted); each transaction is one batch and its marker."""
    data, offset, aborted = b"", 0, []
    for producer, count, transactional, abort in batches:
        data += kafka_batch(offset, [b"v%d" % n for n in range(count)], producer, transactional=transactional)
        if transactional and abort:
            aborted.append((producer, offset))
        offset += count
        if transactional:
            marker = ABORT if abort else COMMIT
            data += kafka_batch(offset, [b"\0" * 6], producer, transactional=True, control=marker)
            offset += 1
    return data, aborted


batches = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.booleans(), st.booleans()), min_size=1, max_size=6
)


@given(batches, st.integers(0, 8), st.integers(1, 12))
def test_the_same_records_as_aiokafka_shows_and_the_same_position(
    written: list[tuple[int, int, bool, bool]], position: int, most: int
) -> None:
    data, aborted = log(written)
    theirs, their_state = response(data, position, aborted)
    expected = theirs.getall()
    ours, our_state = response(data, position, aborted)
    found: list[Any] = []
    while ours.has_more():
        batch = take(ours, TP, most)
        if batch is not None:
            assert (batch.topic, batch.partition, batch.next_offset) == ("t", 2, our_state.position)
            found += zip(batch.offsets, batch.timestamps, batch.keys, batch.values, strict=True)
    assert found == [(r.offset, r.timestamp, r.key, r.value) for r in expected]
    assert our_state.position == their_state.position


def test_a_batch_ends_with_the_kafka_batch_that_fills_it() -> None:
    result, state = response(kafka_batch(0, [b"a", b"b"]) + kafka_batch(2, [b"c", b"d"]) + kafka_batch(4, [b"e"]))
    taken = take(result, TP, 3)
    assert taken is not None
    assert (list(taken.values), state.position) == ([b"a", b"b", b"c", b"d"], 4)
    assert result.has_more()


def test_a_damaged_batch_is_refused_and_fetched_again_from_where_reading_stood() -> None:
    good, damaged = kafka_batch(0, [b"a"]), bytearray(kafka_batch(1, [b"b"]))
    damaged[-3] ^= 1
    result, state = response(good + bytes(damaged))
    with pytest.raises(CorruptRecordException):
        take(result, TP, 10)
    assert (state.position, result.has_more()) == (0, False)


def test_a_response_to_an_earlier_position_is_dropped() -> None:
    result, state = response(kafka_batch(0, [b"a"]))
    state.position = 7
    assert take(result, TP, 10) is None
    assert (state.position, result.has_more()) == (7, False)


def test_a_null_value_and_a_null_key_stay_what_they_are() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
    builder.append(0, 5, None, b"v", [])
    builder.append(1, -3, b"k", None, [])
    taken = take(response(bytes(builder.build()))[0], TP, 10)
    assert taken is not None
    assert (taken.keys, taken.values, taken.timestamps) == ([None, b"k"], [b"v", None], [5, -3])


def test_what_was_taken_is_freed_at_once_not_when_the_collector_comes() -> None:
    gc.disable()
    try:
        fetched, _ = response(log([(1, 3, True, False)])[0])
        records = weakref.ref(fetched._partition_records)
        while fetched.has_more():
            take(fetched, TP, 10)
        assert records() is None
    finally:
        gc.enable()


class FakeFetcher(SimpleNamespace):
    """aiokafka's fetcher, as far as it is used, with what it has fetched."""

    def __init__(self, records: dict[TopicPartition, Any]) -> None:
        super().__init__(
            _records=records,
            _closed=False,
            _fetch_waiters=set(),
            _wait_consume_future=None,
            _subscriptions=SimpleNamespace(reassignment_in_progress=False, subscription=None),
            _fetch_max_wait_ms=0,
            _prefetch_backoff=0.0,
        )
        self.waits: list[int] = []

    def _create_fetch_waiter(self) -> "asyncio.Future[None]":
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fetch_waiters.add(waiter)
        waiter.add_done_callback(self._fetch_waiters.remove)
        return waiter

    def _notify(self, future: Any) -> None:
        if future is not None and not future.done():
            future.set_result(None)

    def _get_actions_per_node(self, assignment: Any) -> Any:
        self.waits.append(self._fetch_max_wait_ms)
        return assignment


def consumer(fetcher: FakeFetcher) -> Any:
    return SimpleNamespace(
        _fetcher=fetcher, _closed=False, _subscription=SimpleNamespace(fetch_context=lambda: nullcontext())
    )


async def test_nothing_is_taken_of_a_busy_topic_until_it_no_longer_is() -> None:
    fetched, _ = response(kafka_batch(0, [b"v"]))
    reader, busy = consumer(FakeFetcher({TP: fetched})), {TP.topic}
    assert await next_batches(reader, {TP}, 0.01, 9, Turns((), lambda: busy)) == {}
    waiting = asyncio.create_task(next_batches(reader, {TP}, 5.0, 9, Turns((), lambda: busy)))
    await asyncio.sleep(0.01)
    look_again(reader)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    busy.clear()
    look_again(reader)
    assert [batch.values for batch in (await asyncio.wait_for(waiting, 1.0)).values()] == [[b"v"]]


def test_a_fetch_that_leaves_partitions_out_comes_back_soon() -> None:
    fetcher = FakeFetcher({})
    fetch_promptly(consumer(fetcher))
    assert fetcher._get_actions_per_node("assignment") == "assignment"
    fetcher._records[TP] = "something to be taken"
    fetcher._get_actions_per_node("assignment")
    assert fetcher.waits[0] > fetcher.waits[1] == PART_WAIT_MS
    assert fetcher._prefetch_backoff == TAKE_S


def test_headers_come_where_they_are_asked_for_and_stay_with_their_records() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
    for offset, headers in enumerate([[], [("a", b"x"), ("a", None)], [("b", b"")]]):
        builder.append(offset, 5, b"k", b"v", headers)
    data = bytes(builder.build())
    plain, taken = take(response(data)[0], TP, 10), take(response(data)[0], TP, 10, with_headers=True)
    assert plain is not None
    assert taken is not None
    assert (plain.headers, plain.between(0, 1).headers) == (None, None)
    assert taken.headers is not None
    assert list(map(list, taken.headers)) == [[], [("a", b"x"), ("a", None)], [("b", b"")]]
    assert taken.between(2, 3).headers == taken.headers[2:]


async def test_a_partition_whose_leader_has_moved_is_looked_for_where_it_is_now() -> None:
    """aiokafka asks the broker that it knows for the beginning of a partition, whatever that answers."""
    answers: list[Any] = [NotLeaderForPartitionError(), OffsetOutOfRangeError(), {TP: (7, None)}]
    updates: list[int] = []

    async def ask(node: int, topics: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def update() -> None:
        updates.append(len(answers))

    fetcher = SimpleNamespace(_proc_offset_request=ask)
    follow_leaders(SimpleNamespace(_fetcher=fetcher, _client=SimpleNamespace(force_metadata_update=update)))  # type: ignore[arg-type]
    for error in (NotLeaderForPartitionError, OffsetOutOfRangeError):
        with pytest.raises(error):
            await fetcher._proc_offset_request(2, {})
    assert await fetcher._proc_offset_request(3, {}) == {TP: (7, None)}
    assert updates == [2], "only where the metadata are wrong"
