"""What the flash-sales topic says about what was sent, also when retention has deleted a part of it."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shops import DECLARED

from pipeline.settings import Settings
from pipeline.sources import feed, topic_positions
from pipeline.sources.feed import read_again
from pipeline.sources.position import LOWEST_ID, Position, Range
from pipeline.sources.topic_positions import SentIds, position_of_topic, sent_ids
from pipeline.topics import FLASH_SALES

SALES = DECLARED["flash_sales"]


@pytest.fixture
def topic(monkeypatch):
    """Put keys by partition into the topic, after so many deleted ones."""

    def fill(keys, deleted=None):
        deleted = deleted or {}

        async def offsets(settings, names, *, isolation_level):
            return {
                TopicPartition(FLASH_SALES.name, p): (deleted.get(p, 0), deleted.get(p, 0) + len(found))
                for p, found in keys.items()
            }

        async def read_batches(settings, name):
            for partition, found in keys.items():
                for start in range(0, len(found), 3):
                    yield [SimpleNamespace(key=key, partition=partition) for key in found[start : start + 3]]

        monkeypatch.setattr(topic_positions, "offsets", offsets)
        monkeypatch.setattr(topic_positions, "read_batches", read_batches)
        for module in (feed, topic_positions):
            monkeypatch.setattr(module, "now_ms", lambda: 5_000)

    return fill


async def test_the_position_of_a_whole_topic_has_all_its_gaps(topic):
    topic({0: [b"1", b"4", b"-3"], 1: [b"2", b"9", None, b"x"]})
    gaps = (Range(-2, 0, 5), Range(3, 3, 5), Range(5, 8, 5))
    assert await position_of_topic(Settings(), SALES) == Position(9, -3, gaps)


async def test_an_empty_topic_is_no_position(topic):
    topic({0: [], 1: []})
    assert await position_of_topic(Settings(), SALES) == Position()


async def test_what_retention_may_have_deleted_counts_as_sent(topic):
    topic({0: [b"10", b"14"] + [b"20"] * topic_positions.BEGINNING + [b"32"], 1: [b"3", b"7", b"25", b"30"]}, {0: 7})
    position = await position_of_topic(Settings(), SALES)
    assert position.first_id == LOWEST_ID
    assert position.gaps == (Range(21, 24, 5), Range(26, 29, 5), Range(31, 31, 5))
    assert not any(position.is_new(row_id) for row_id in (-4, 1, 5, 15, 20))
    assert position.is_new(33)


async def test_a_partition_of_which_nothing_is_left_says_that_everything_may_have_been_sent(topic):
    topic({0: [], 1: [b"3", b"9"]}, {0: 7})
    assert (await position_of_topic(Settings(), SALES)).gaps == ()


@given(st.lists(st.integers(-30, 60), unique=True, min_size=1), st.integers(0, 40), st.integers(1, 4), st.data())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_id_that_was_sent_is_ever_new(topic, order, deleted, partitions, data):
    """Ids sent in about this order, of which each partition loses a beginning: none of them is sent again."""
    order = sorted(order, key=lambda row_id: row_id + data.draw(st.integers(0, 5)))
    sent = {p: [row_id for row_id in order if row_id % partitions == p] for p in range(partitions)}
    lost = {p: max(0, min(deleted // partitions, len(found) - 7)) for p, found in sent.items()}  # 7: more than 5
    topic({p: [str(row_id).encode() for row_id in found[lost[p] :]] for p, found in sent.items()}, lost)
    position = asyncio.run(position_of_topic(Settings(), SALES))
    assert not any(position.is_new(row_id) for row_id in order)
    if not any(lost.values()):
        assert all(position.is_new(row_id) for row_id in set(range(-40, 70)) - set(order))


async def test_what_is_not_in_the_topic_is_unsent_above_what_may_have_been_deleted(topic):
    topic({0: [b"1", b"4"]})
    found = await sent_ids(Settings(), SALES)
    assert found.unsent(0, 6, 9) == [Range(0, 0, 9), Range(2, 3, 9), Range(5, 6, 9)]
    assert SentIds({8}, 5).unsent(0, 9, 9) == [Range(6, 7, 9), Range(9, 9, 9)]
    assert SentIds({8}, 5).unsent(0, 4, 9) == []


async def test_reading_again_leaves_the_owner_and_asks_for_what_was_not_sent(topic, monkeypatch):
    published = []

    class Opened:
        def __init__(self):
            self.positions = {"flash_sales": Position(9, 1, (Range(8, 8, 1),), (Range(2, 3, 1),), given_up_ids=2)}

        async def publish(self, records, positions):
            published.append((records, positions["flash_sales"]))

        async def close(self):
            pass

    async def opened(settings, owner):
        assert owner is None
        return Opened()

    monkeypatch.setattr(feed.Feed, "open", opened)
    topic({0: [b"1", b"4", b"5", b"7", b"9"]})
    assert await read_again(Settings(), SALES, -10, 100) == 3
    ((records, position),) = published
    assert records == []
    assert [(gap.first, gap.last) for gap in position.gaps] == [(2, 3), (6, 6), (8, 8)]
    assert position.given_up == ()
