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
from pipeline.sources import readers
from pipeline.sources.asking import Asking
from pipeline.sources.poller import Poller
from pipeline.sources.position import Position, Range, Stored
from pipeline.sources.rows import Carrier
from pipeline.topics import DEAD_LETTERS, FLASH_SALES


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
        self.letters: list[str] = []
        self.bulk = 0
        self.stored: Stored | None = None
        self.fates = list(fates)
        self.opened = 0

    async def open(self, settings, owner):
        self.opened += 1
        feed = Feed(self, owner)
        feed.positions = {"flash_sales": self.stored.position if self.stored else Position()}
        self.stored = Stored(feed.positions["flash_sales"], owner, 0)
        return feed


class Feed:
    def __init__(self, kafka, owner):
        self.kafka, self.owner, self.positions = kafka, owner, {}

    async def publish(self, records, positions=None):
        fate = self.kafka.fates.pop(0) if self.kafka.fates else "committed"
        if fate == "fenced":
            self.kafka.stored = Stored(self.kafka.stored.position, "somebody else", 0)
            raise ProducerFenced
        if fate != "aborted":
            self.kafka.keys += [r.key.decode() for r in records if r.topic == FLASH_SALES.name]
            self.kafka.letters += [r.key.decode() for r in records if r.topic == DEAD_LETTERS.name]
            self.kafka.bulk += sum(r.topic not in (FLASH_SALES.name, DEAD_LETTERS.name) for r in records)
            if positions is not None:
                self.kafka.stored = Stored(positions["flash_sales"], self.owner, 0)
        if fate != "committed":
            raise KafkaConnectionError(fate)
        self.positions |= positions or {}

    async def close(self):
        pass


@pytest.fixture
def run(monkeypatch):
    """Run a poller once over these sales, against this Kafka; returns it."""

    async def no_wait(stop, seconds):
        return stop.is_set()

    def runner(kafka, ids, batch_rows=4, odd=None, references=(REFERENCE,), **update):
        odd = odd or {}

        async def stored(settings):
            return {"flash_sales": kafka.stored} if kafka.stored else {}

        async def rows_of(self, queries):
            text = str(queries[0])
            if "max(" in text:
                return [[{"last": max(ids, default=None)}]]
            if "flash_sales" not in text:
                return [references]
            position = seen[0]
            first = position.first_id is None
            above = sorted(i for i in ids if first or i > position.last_id)
            below = sorted(i for i in ids if not first and i <= position.last_id and position.is_new(i))
            return [[sale(i) | odd.get(i, {}) for i in found[:batch_rows]] for found in (above, below)][: 2 - first]

        seen = [Position()]

        async def unchanged(self):
            pass

        class ById(readers.ById):
            batch_rows = 4

            async def poll(self, feed):
                seen[0] = feed.positions["flash_sales"]
                return await super().poll(feed)

        class Seen(Poller):
            async def _register(self):
                letter = Encoder(DEAD_LETTERS.schema, 2)
                self._carriers = {
                    table.name: Carrier(table, Encoder(table.topic.schema, 1), letter) for table in self._tables
                }

        monkeypatch.setattr(module, "wait", no_wait)
        monkeypatch.setattr("pipeline.sources.runtime.wait", no_wait)
        monkeypatch.setattr(module, "stored_positions", stored)
        monkeypatch.setattr(module, "ById", ById)
        monkeypatch.setattr(Asking, "each", rows_of)
        monkeypatch.setattr(Asking, "require_columns", unchanged)
        ById.batch_rows = batch_rows
        monkeypatch.setattr(module.Feed, "open", kafka.open)
        poller = Seen(Settings(**update), asyncio.Event(), once=True)
        asyncio.run(poller.run())
        return poller

    return runner


def test_all_rows_go_out_in_batches(run):
    kafka = Kafka()
    poller = run(kafka, set(range(1, 11)))
    assert kafka.keys == [str(i) for i in range(1, 11)]
    assert kafka.bulk == 3
    assert poller.sent == 10
    assert kafka.stored.position == Position(10, 1)


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


def test_a_transaction_of_any_size_that_commits_late_is_sent_whole(run):
    kafka = Kafka()
    run(kafka, {1, 1_502})
    run(kafka, set(range(1, 1_503)), batch_rows=100)
    assert sorted(map(int, kafka.keys)) == list(range(1, 1_503))
    assert kafka.stored.position == Position(1_502, 1)


def test_a_bad_row_is_a_letter_and_the_position_goes_on(run, caplog):
    kafka = Kafka()
    poller = run(kafka, {1, 2, 3}, odd={2: {"quantity": 2**40}})
    assert kafka.keys == ["1", "3"]
    assert kafka.letters == ["MysqlSource-flash_sales/-1/-1/2"]
    assert "dead letter: MysqlSource-flash_sales/-1/-1/2" in caplog.text
    assert (kafka.stored.position.last_id, kafka.stored.position.missing) == (3, 0)
    assert [(found.first, found.last) for found in kafka.stored.position.letters] == [(2, 2)]
    assert poller.sent == 2
    assert metric(poller, "pipeline_poller_dead_letters_total") == 1
    run(kafka, {1, 2, 3}, odd={2: {"quantity": 2**40}})
    assert len(kafka.letters) == 1


def test_a_gap_that_is_given_up_is_told_in_a_warning_and_a_metric(run, caplog):
    kafka = Kafka()
    poller = run(kafka, {1, 5, 9}, poll_gap_wait_s=0)
    assert "sale_ids 2..4, 6..8 were given up" in caplog.text
    assert metric(poller, "pipeline_poller_given_up_ids_total") == 6
    assert metric(poller, "pipeline_poller_missing_ids") == 0
    assert metric(poller, "pipeline_poller_last_id") == 9
    assert kafka.stored.position.given_up_ids == 6
    run(kafka, {1, 3, 5, 9}, poll_gap_wait_s=0)
    assert kafka.keys == ["1", "5", "9"]


def test_a_gap_is_looked_for_once_more_before_it_is_given_up(run):
    """After a long pause all gaps are old: what turned up meanwhile is sent."""
    kafka = Kafka()
    run(kafka, {1, 9})
    kafka.stored = Stored(Position(9, 1, (Range(2, 8, 0),)), "x", 0)
    run(kafka, {1, 2, 3, 4, 5, 6, 7, 9}, batch_rows=2, poll_gap_wait_s=0)
    assert kafka.keys == ["1", "9", "2", "3", "4", "5", "6", "7"]
    assert kafka.stored.position.given_up_ids == 1


def test_a_bad_reference_row_is_told_once(run, caplog):
    kafka = Kafka()
    bad = {**REFERENCE, "product_name": 5, "region_name": 5, "page_name": 5}
    run(kafka, {1, 2, 3}, batch_rows=2, references=(REFERENCE, bad), bulk_interval_s=1e-9)
    assert kafka.bulk == 2 * 3, "the tables were read twice"
    assert len(kafka.letters) == 3


def metric(poller, name):
    return poller.metrics.registry.get_sample_value(name)
