"""The poller's loop against a made-up database and made-up transactions that fail at every point."""

import asyncio
from datetime import datetime
from decimal import Decimal

import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.codecs import Encoder
from pipeline.errors import SourceError
from pipeline.settings import Settings
from pipeline.sources import poller as module
from pipeline.sources.poller import Poller
from pipeline.sources.position import Position, Stored
from pipeline.topics import FLASH_SALES, REFERENCES


def sale(sale_id):
    nothing = dict.fromkeys(("customer_id", "province_id", "product_id", "region_id", "quantity"))
    prices = dict.fromkeys(("discount", "original_price", "sale_price"), Decimal("1.00"))
    return {"sale_id": sale_id, "sale_datetime": datetime(2024, 1, 1), **nothing, **prices}  # noqa: DTZ001


REFERENCE = {"product_id": "P1", "region_id": "R", "page_id": "p"} | dict.fromkeys(
    ("product_group", "product_name", "region_name", "page_group", "page_name")
)


class Kafka:
    """What is committed: keys by topic, and the position; fails as told."""

    def __init__(self, fates=()):
        self.keys: list[str] = []
        self.bulk = 0
        self.stored: Stored | None = None
        self.fates = list(fates)
        self.opened = 0

    async def open(self, settings, owner):
        self.opened += 1
        feed = Feed(self, owner)
        feed.position = self.stored.position if self.stored else Position()
        self.stored = Stored(feed.position, owner, 0)
        return feed


class Feed:
    def __init__(self, kafka, owner):
        self.kafka, self.owner, self.position = kafka, owner, Position()

    async def publish(self, records, position=None):
        fate = self.kafka.fates.pop(0) if self.kafka.fates else "committed"
        if fate == "fenced":
            self.kafka.stored = Stored(self.kafka.stored.position, "somebody else", 0)
            raise ProducerFenced
        if fate != "aborted":
            self.kafka.keys += [r.key.decode() for r in records if r.topic == FLASH_SALES.name]
            self.kafka.bulk += sum(r.topic != FLASH_SALES.name for r in records)
            if position is not None:
                self.kafka.stored = Stored(position, self.owner, 0)
        if fate != "committed":
            raise KafkaConnectionError(fate)
        if position is not None:
            self.position = position

    async def close(self):
        pass


@pytest.fixture
def run(monkeypatch):
    """Run a poller once over these sales, against this Kafka; returns it."""

    async def no_wait(stop, seconds):
        return stop.is_set()

    def runner(kafka, ids, batch_rows=4):
        async def stored(settings):
            return kafka.stored

        async def sales_of(self, database, queries):
            text = str(queries[0])
            if "max(" in text:
                return [{"last": max(ids, default=None)}]
            if "flash_sales" not in text:
                return [REFERENCE]
            position = self.seen
            above = sorted(i for i in ids if i > position.last_id)[:batch_rows]
            return [sale(i) for i in [*above, *sorted(ids & position.missing)]]

        class Seen(Poller):
            async def _sales(self, database, feed):
                self.seen = feed.position
                return await super()._sales(database, feed)

            _read = sales_of

            async def _require_columns(self, database):
                pass

            async def _register(self):
                self._encoders = {topic.name: Encoder(topic.schema, 1) for topic in (FLASH_SALES, *REFERENCES)}

        monkeypatch.setattr(module, "wait", no_wait)
        monkeypatch.setattr("pipeline.sources.runtime.wait", no_wait)
        monkeypatch.setattr(module, "stored_position", stored)
        monkeypatch.setattr(module.Feed, "open", kafka.open)
        monkeypatch.setattr(module, "BATCH_ROWS", batch_rows)
        poller = Seen(Settings(), asyncio.Event(), once=True)
        asyncio.run(poller.run())
        return poller

    return runner


def test_all_rows_go_out_in_batches(run):
    kafka = Kafka()
    poller = run(kafka, set(range(1, 11)))
    assert kafka.keys == [str(i) for i in range(1, 11)]
    assert kafka.bulk == 3
    assert poller.sent == 10
    assert kafka.stored.position == Position(10)


def test_a_restart_sends_only_what_is_new(run):
    kafka = Kafka()
    run(kafka, {1, 2, 4})
    run(kafka, {1, 2, 3, 4, 5})
    assert kafka.keys == ["1", "2", "4", "3", "5"]


@given(st.lists(st.sampled_from(["committed", "aborted", "committed, answer lost"]), max_size=12))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_whatever_transactions_come_to_every_row_is_there_once(run, fates):
    kafka = Kafka(fates)
    run(kafka, {1, 2, 3, 5, 8, 9, 10, 11, 12})
    assert sorted(map(int, kafka.keys)) == [1, 2, 3, 5, 8, 9, 10, 11, 12]


def test_a_table_that_was_made_anew_is_told(run, caplog):
    kafka = Kafka()
    run(kafka, {1, 2, 3})
    assert "made anew" not in caplog.text
    run(kafka, {1})
    assert "the table ends at sale_id 1, but rows up to 3 have been sent" in caplog.text


def test_a_poller_whose_place_is_taken_ends_with_a_sentence(run):
    kafka = Kafka(["committed", "fenced"])
    with pytest.raises(SourceError, match="another poller with app_id=pipeline has taken over at sale_id 0"):
        run(kafka, {1, 2})
    assert kafka.keys == []


def test_a_transaction_that_ran_out_is_no_takeover(run):
    kafka = Kafka(["committed", "aborted"])
    run(kafka, {1, 2})
    assert kafka.keys == ["1", "2"]
    assert kafka.opened == 2
