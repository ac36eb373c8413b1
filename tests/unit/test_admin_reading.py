"""Reading between offsets: everything in it once, end markers passed over, a stall reported."""

from collections import namedtuple
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition

from pipeline import reading
from pipeline.errors import StackError
from pipeline.settings import Settings

Record = namedtuple("Record", "topic partition offset")
A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """Serves records at most two at a time; `holes` are offsets without a record, such as end markers."""

    def __init__(self, ends, holes=(), stuck=()):
        self.ends, self.holes, self.stuck, self.at, self.asked = ends, set(holes), set(stuck), {}, []

    def assign(self, partitions):
        self.at = dict.fromkeys(partitions, None)

    def seek(self, partition, offset):
        self.at[partition] = offset

    async def position(self, partition):
        return self.at[partition]

    async def getmany(self, *partitions, timeout_ms, max_records):
        self.asked.append(partitions)
        found = {}
        for tp in partitions:
            if tp in self.stuck:
                continue
            until = min(self.at[tp] + 2, self.ends[tp])
            records = [Record(*tp, o) for o in range(self.at[tp], until) if (tp, o) not in self.holes]
            self.at[tp] = until
            if records:
                found[tp] = records
        return found


@pytest.fixture
def serve(monkeypatch):
    def use(consumer):
        @asynccontextmanager
        async def reader(settings, isolation_level):
            yield consumer

        monkeypatch.setattr(reading, "reader", reader)
        return consumer

    return use


async def read(bounds):
    return [(r.partition, r.offset) async for batch in reading.read_between(Settings(), bounds) for r in batch]


async def test_exactly_the_offsets_between_are_read(serve):
    serve(Consumer({A: 10, B: 9}))
    got = await read({A: (3, 6), B: (0, 5)})
    assert sorted(got) == [(0, 3), (0, 4), (0, 5), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
    assert [o for p, o in got if p == 1] == [0, 1, 2, 3, 4]


async def test_end_markers_end_a_partition_too(serve):
    consumer = serve(Consumer({A: 4, B: 2}, holes={(A, 1), (A, 3), (B, 0), (B, 1)}))
    assert await read({A: (0, 4), B: (0, 2)}) == [(0, 0), (0, 2)]
    assert consumer.asked[-1] == (A,)


async def test_empty_ranges_need_no_consumer(serve):
    assert await read({A: (5, 5), B: (7, 2)}) == []


async def test_a_stall_is_an_error_with_the_place(serve, monkeypatch):
    monkeypatch.setattr(reading, "STALL_S", 0.0)
    serve(Consumer({A: 4}, stuck={A}))
    with pytest.raises(StackError, match="t/0 at 1 of 4"):
        await read({A: (1, 4)})


async def test_lag_counts_records_where_it_is_small_and_offsets_where_it_is_not(serve, monkeypatch):
    class Client:
        async def list_consumer_group_offsets(self, group):
            meta = namedtuple("Meta", "offset")
            unknown = TopicPartition("gone", 0)
            return {A: meta(2), B: meta(10), unknown: meta(1), TopicPartition("t", 2): meta(-1)}

    @asynccontextmanager
    async def admin_client(settings):
        yield Client()

    async def describe_topics(settings):
        return {"t": None}

    async def end_offsets(settings, names, *, isolation_level):
        assert (names, isolation_level) == (["t"], "read_committed")
        return {A: 6, B: 5_000}

    monkeypatch.setattr(reading, "admin_client", admin_client)
    monkeypatch.setattr(reading, "describe_topics", describe_topics)
    monkeypatch.setattr(reading, "end_offsets", end_offsets)
    serve(Consumer({A: 6, B: 5_000}, holes={(A, 3), (A, 5)}))
    assert await reading.group_lag(Settings(), "g") == {"t": {0: 2, 1: 4_990}}
