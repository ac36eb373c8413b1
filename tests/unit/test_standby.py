"""Standby state: what is followed, from where, and what whoever takes it over gets."""

import asyncio
from collections.abc import AsyncIterator, Collection
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from pipeline.records import RecordBatch
from pipeline.transport import standby
from pipeline.transport.standby import Standby

ONE, TWO = TopicPartition("changelog", 1), TopicPartition("changelog", 2)


class Changelogs:
    """A consumer of changelogs in memory, at most two records a fetch; what was found waits for `going`."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[tuple[str, Any]]] = {ONE: [], TWO: []}
        self.positions: dict[TopicPartition, int] = {}
        self.going = asyncio.Event()
        self.going.set()

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        self.positions = {tp: len(self.records[tp]) for tp in partitions}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp] = offset

    async def fetch(
        self, _: object, partitions: Collection[TopicPartition], timeout_s: float, most: int
    ) -> dict[TopicPartition, RecordBatch]:
        fetched = {}
        for tp in partitions:
            offset = self.positions[tp]
            records = self.records[tp][offset : offset + 2]
            if records:
                keys = [orjson.dumps([key]) for key, _ in records]
                values = [None if value is None else orjson.dumps(value) for _, value in records]
                offsets = range(offset, offset + len(records))
                fetched[tp] = RecordBatch(tp.topic, tp.partition, offsets, [0] * len(records), keys, values)
                self.positions[tp] = offsets[-1] + 1
        await asyncio.sleep(0.001)
        if fetched:
            await self.going.wait()
        return fetched


@pytest.fixture
async def changelogs() -> Changelogs:
    return Changelogs()


@pytest.fixture
async def follower(changelogs: Changelogs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Standby]:
    """A standby that runs over the changelogs."""
    monkeypatch.setattr(standby, "next_batches", changelogs.fetch)
    monkeypatch.setattr(standby, "FETCH_S", 0.001)
    follower = Standby(SimpleNamespace(changelog_reader=lambda: changelogs))  # type: ignore[arg-type]
    async with follower:
        yield follower


async def followed_to(follower: Standby, tp: TopicPartition, offset: int) -> None:
    async with asyncio.timeout(5):
        while follower._positions.get(tp) != offset:
            await asyncio.sleep(0.001)


async def test_rows_are_those_of_the_changelog_and_are_taken_once(changelogs: Changelogs, follower: Standby) -> None:
    changelogs.records[ONE] = [("a", [1]), ("b", [1]), ("a", [2]), ("b", None), ("c", [3])]
    follower.follow([ONE, TWO])
    await followed_to(follower, ONE, 5)
    changelogs.records[ONE].append(("d", [4]))
    await followed_to(follower, ONE, 6)
    assert follower.take(ONE) == ({("a",): [2], ("c",): [3], ("d",): [4]}, 6)
    assert follower.take(ONE) == ({}, 0)


async def test_what_stays_is_followed_on_and_what_comes_back_is_read_from_the_beginning(
    changelogs: Changelogs, follower: Standby
) -> None:
    changelogs.records = {ONE: [("a", [1])], TWO: [("x", [1])]}
    follower.follow([ONE, TWO])
    await followed_to(follower, ONE, 1)
    await followed_to(follower, TWO, 1)
    follower.follow([ONE])
    changelogs.records[ONE].append(("b", [2]))
    changelogs.records[TWO].append(("x", None))
    await followed_to(follower, ONE, 2)
    follower.follow([ONE, TWO])
    await followed_to(follower, TWO, 2)
    assert follower.take(ONE) == ({("a",): [1], ("b",): [2]}, 2)
    assert follower.take(TWO) == ({}, 2)


async def test_a_fetch_that_was_under_way_when_the_changelogs_changed_is_dropped(
    changelogs: Changelogs, follower: Standby
) -> None:
    changelogs.records[ONE] = [("a", [1])]
    follower.follow([ONE])
    await followed_to(follower, ONE, 1)
    changelogs.going.clear()
    changelogs.records[ONE].append(("b", [1]))
    while changelogs.positions[ONE] != 2:
        await asyncio.sleep(0.001)
    assert follower.take(ONE) == ({("a",): [1]}, 1)
    follower.follow([ONE])
    changelogs.going.set()
    await followed_to(follower, ONE, 2)
    assert follower.take(ONE) == ({("a",): [1], ("b",): [1]}, 2)
