"""Tables go before the streams that meet them: whatever lies on the brokers, and in whichever order it was fetched."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st
from test_fetching import FakeFetcher, consumer

from pipeline.records import RecordBatch
from pipeline.transport.fetching import FETCH_WAIT_MS, PART_WAIT_MS, fetch_promptly, next_batches
from pipeline.transport.turns import Turns

VIEWS, USERS, OTHER = TopicPartition("views", 0), TopicPartition("users", 0), TopicPartition("users", 1)
TABLES = {"views": ("users",)}


class State:
    """aiokafka's state of an assigned partition."""

    active, paused, has_valid_position, highwater = True, False, True, 0

    def __init__(self) -> None:
        self.position, self.lso, self.timestamp = 0, 0, None

    def consumed_to(self, position: int) -> None:
        self.position = position


@dataclass
class Log:
    """A partition on a broker: Kafka record batches, each a list of times."""

    batches: list[list[int]] = field(default_factory=list)
    end: int = 0
    data: list[tuple[int, bytes]] = field(default_factory=list)

    def append(self, *times_ms: int) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
        for number, time_ms in enumerate(times_ms):
            builder.append(number, time_ms, None, b"v", [])
        data = bytearray(builder.build())
        data[0:8] = self.end.to_bytes(8, "big")
        self.data.append((self.end, bytes(data)))
        self.end += len(times_ms)
        self.batches.append(list(times_ms))


class Cluster:
    """The partitions, what a consumer has fetched of them, and what it has taken."""

    def __init__(self, *tps: TopicPartition) -> None:
        self.logs = {tp: Log() for tp in tps}
        self.states = {tp: State() for tp in tps}
        assignment = SimpleNamespace(tps=set(tps), state_value=self.states.__getitem__, active=True)
        self.assignment = assignment
        self.fetcher = FakeFetcher({})
        self.fetcher._subscriptions.subscription = SimpleNamespace(assignment=assignment)
        self.busy: set[str] = set()
        self.turns = Turns((), lambda: self.busy, TABLES)
        self.reader = consumer(self.fetcher)
        self.taken: list[tuple[TopicPartition, list[int]]] = []

    def fetch(self, tp: TopicPartition, most: int = 9) -> None:
        """A broker answers with the record batches from the position on."""
        if tp in self.fetcher._records:
            return
        state, log = self.states[tp], self.logs[tp]
        state.timestamp, state.lso = 1, log.end
        found = [data for base, data in log.data if base >= state.position][:most]
        if found:
            records = PartitionRecords(tp, MemoryRecords(b"".join(found)), None, state.position, None, None, True, 1)
            self.fetcher._records[tp] = FetchResult(
                tp, assignment=self.assignment, partition_records=records, backoff=0
            )

    async def take(self, most: int = 100) -> dict[TopicPartition, RecordBatch]:
        batches = await next_batches(self.reader, set(self.logs), 0.0, most, self.turns)
        self.taken += [(tp, list(batch.timestamps)) for tp, batch in batches.items()]
        return batches


async def test_a_backlog_is_taken_in_the_order_of_its_times_the_table_first() -> None:
    cluster = Cluster(VIEWS, USERS)
    for times in ((0, 10), (20, 30), (40,)):
        cluster.logs[VIEWS].append(*times)
    for times in ((5,), (20,), (41,)):
        cluster.logs[USERS].append(*times)
    cluster.fetch(VIEWS)
    assert await cluster.take() == {}, "nobody has said yet what there is of the table"
    cluster.fetch(USERS)
    while await cluster.take(most=1):
        cluster.fetch(USERS)
    assert cluster.taken == [
        (USERS, [5]),
        (VIEWS, [0, 10]),
        (USERS, [20]),
        (VIEWS, [20, 30]),
        (VIEWS, [40]),
        (USERS, [41]),
    ]


async def test_a_table_with_nothing_left_holds_nobody_up() -> None:
    cluster = Cluster(VIEWS, USERS)
    cluster.fetch(USERS)
    cluster.logs[VIEWS].append(1)
    cluster.fetch(VIEWS)
    await cluster.take()
    assert cluster.taken == [(VIEWS, [1])]


async def test_after_something_was_taken_of_the_table_a_broker_has_to_say_that_there_is_no_more() -> None:
    cluster = Cluster(VIEWS, USERS)
    cluster.logs[USERS].append(1)
    cluster.fetch(USERS)
    await cluster.take()
    cluster.logs[USERS].append(2)
    cluster.logs[VIEWS].append(3)
    cluster.fetch(VIEWS)
    assert await cluster.take() == {}
    cluster.fetch(USERS)
    await cluster.take()
    cluster.fetch(USERS)
    await cluster.take()
    assert cluster.taken == [(USERS, [1]), (USERS, [2]), (VIEWS, [3])]


async def test_an_answer_without_room_for_the_table_is_none() -> None:
    """A response is full before it comes to the table: empty for it, though there is more on the broker."""
    cluster = Cluster(VIEWS, USERS)
    cluster.logs[USERS].append(1)
    cluster.logs[VIEWS].append(3)
    cluster.fetch(VIEWS)
    cluster.fetch(USERS, most=0)
    assert await cluster.take() == {}


async def test_a_stream_waits_while_the_tables_records_are_in_work_or_taken_with_them() -> None:
    cluster = Cluster(VIEWS, USERS)
    cluster.logs[USERS].append(1)
    cluster.logs[VIEWS].append(3)
    cluster.fetch(USERS)
    cluster.fetch(VIEWS)
    assert set(await cluster.take()) == {USERS}
    cluster.fetch(USERS)
    cluster.busy = {"users"}
    assert await cluster.take() == {}
    cluster.busy = set()
    assert set(await cluster.take()) == {VIEWS}


async def test_the_table_of_another_partition_holds_nobody_up() -> None:
    cluster = Cluster(VIEWS, USERS, OTHER)
    cluster.logs[OTHER].append(1)
    cluster.logs[VIEWS].append(3)
    for tp in (USERS, VIEWS, OTHER):
        cluster.fetch(tp)
    assert set(await cluster.take()) == {VIEWS, OTHER}


def test_a_broker_that_has_to_answer_for_a_table_does_not_take_its_time() -> None:
    cluster = Cluster(VIEWS, USERS)
    fetch_promptly(cluster.reader, cluster.turns)
    cluster.fetcher._get_actions_per_node("assignment")
    cluster.fetch(USERS)
    cluster.fetcher._get_actions_per_node("assignment")
    assert cluster.fetcher.waits == [PART_WAIT_MS, FETCH_WAIT_MS]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"), st.sampled_from([VIEWS, USERS]), st.lists(st.integers(0, 30), min_size=1, max_size=3)
        ),
        st.tuples(st.just("fetch"), st.sampled_from([VIEWS, USERS]), st.integers(0, 3)),
        st.tuples(st.just("take"), st.none(), st.integers(1, 5)),
        st.tuples(st.just("busy"), st.none(), st.sampled_from([(), ("users",), ("views",)])),
    ),
    max_size=40,
)


@given(STEPS)
async def test_no_row_is_taken_while_an_earlier_one_of_the_table_is_known_to_lie_on_the_broker(
    steps: list[tuple[str, Any, Any]],
) -> None:
    """And nothing waits for ever: with everything answered, all of it is taken in the end, each once and in order."""
    cluster = Cluster(VIEWS, USERS)
    answered = 0
    for step, tp, given_value in steps:
        if step == "append":
            cluster.logs[tp].append(*sorted(given_value))
        elif step == "fetch":
            cluster.fetch(tp, given_value)
            answered = cluster.states[USERS].lso
        elif step == "busy":
            cluster.busy = set(given_value)
        else:
            await _take_and_check(cluster, answered, given_value)
    cluster.busy = set()
    for _ in range(200):
        cluster.fetch(VIEWS)
        cluster.fetch(USERS)
        await _take_and_check(cluster, cluster.states[USERS].lso, 1)
    for tp, log in cluster.logs.items():
        assert [t for at, times in cluster.taken if at == tp for t in times] == [t for b in log.batches for t in b]


async def _take_and_check(cluster: Cluster, answered: int, most: int) -> None:
    position = cluster.states[USERS].position
    batches = await cluster.take(most)
    if VIEWS in batches:
        assert USERS not in batches or min(batches[USERS].timestamps) > max(batches[VIEWS].timestamps)
        times = [t for b in cluster.logs[USERS].batches for t in b]
        buffered = times[position:answered]
        first = min(buffered[: _first_batch(cluster, position)], default=99)
        assert first > max(batches[VIEWS].timestamps)


def _first_batch(cluster: Cluster, position: int) -> int:
    """How many records the table's next record batch has: what lies behind it may be older, as in Kafka Streams."""
    sizes = {
        base: len(times) for (base, _), times in zip(cluster.logs[USERS].data, cluster.logs[USERS].batches, strict=True)
    }
    return sizes.get(position, 0)
