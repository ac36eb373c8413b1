"""Chaos of an application that is declared: its load, its poison, and the faults that have something to strike."""

import time
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from pipeline import (
    Application,
    Bulk,
    Count,
    DatabaseTable,
    Generator,
    Incrementing,
    Stream,
    Table,
    c,
    one_of,
    topics,
)
from pipeline.applications.hooks import EVERYTHING, NOTHING
from pipeline.applications.loading import declared, load, runnable
from pipeline.chaos import inspection as inspecting
from pipeline.chaos import load as loading
from pipeline.chaos.checks import Check, Presence
from pipeline.chaos.faults import FAULTS, KINDS, kinds_for
from pipeline.chaos.inspection import Inspection
from pipeline.chaos.ledger import Ledger
from pipeline.chaos.load import DeclaredLoad, FlashSalesLoad, load_of
from pipeline.chaos.poison import Poisons, bad_records_of
from pipeline.chaos.report import ChaosReport, markdown
from pipeline.chaos.tables import TablesWriter, compare
from pipeline.cli import main
from pipeline.codecs import Encoder
from pipeline.errors import ChaosError, SettingError
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings

FOLDER = Path(__file__).parents[1] / "integration"
CLICKS = load("clicks", FOLDER)
PEOPLE = DatabaseTable(Stream("people", {"id": "BIGINT"}, key="id"), "people", Incrementing("id"))


class Registry:
    async def encoder(self, topic):
        return Encoder(topic.schema, 1)


class Sender:
    """Acknowledges everything at once."""

    sent: list

    def __init__(self, settings, stop, *, told):
        self._told = told

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def send(self, topic, key, value, timestamp_ms):
        self.sent.append((topic, key, value, timestamp_ms))
        record = SimpleNamespace(topic=topic, value=value)
        self._told(record, SimpleNamespace(partition=0, offset=len(self.sent)))

    async def settle(self):
        """Nothing is on its way."""

    async def drain(self):
        """Nothing is on its way."""


@pytest.fixture
def sender(monkeypatch):
    monkeypatch.setattr(Sender, "sent", [], raising=False)
    monkeypatch.setattr(loading, "Sender", Sender)
    monkeypatch.setattr(loading, "Registry", lambda settings: Registry())
    return Sender


def test_the_load_is_what_the_application_declares():
    assert isinstance(load_of(Settings(), runnable(Settings()), per_s=1, poison=True, seed=1), FlashSalesLoad)
    made = load_of(Settings(), declared(CLICKS), per_s=1, poison=True, seed=1)
    assert isinstance(made, DeclaredLoad)
    assert (made.topics, made.steady) == ({"clicks", "sources"}, "clicks")


async def test_rows_come_first_then_records_at_the_rate_and_all_are_in_the_ledger(sender):
    made = DeclaredLoad(Settings(), declared(CLICKS), per_s=500, poison=True, seed=1)
    await made.begin()
    assert [(topic, key) for topic, key, *_ in sender.sent] == [("sources", b"search"), ("sources", b"mail")]
    began_s = time.monotonic()

    async def pause(stop, seconds):
        if time.monotonic() - began_s > 0.5:
            made.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "wait", pause)
        await made.run()
    count = Counter(topic for topic, *_ in sender.sent)
    good = count["clicks"] - made.poisoned
    assert good == pytest.approx(500 * (time.monotonic() - began_s), rel=0.3)
    assert made.poisoned >= 2
    assert made.acknowledged == len(sender.sent)
    assert set(made.ledger.places()) == {("clicks", 0), ("sources", 0)}


async def test_generators_share_the_rate_as_they_declare():
    A, B = (Stream(name, {"id": "STRING"}, key="id") for name in "ab")
    results = [s.group_by(c.id).aggregate(n=Count()).to(f"N_{s.name}") for s in (A, B)]
    application = Application("shares", *results, data=[Generator(A, per_s=30), Generator(B, per_s=10)])
    made = DeclaredLoad(Settings(), declared(application), per_s=100, poison=False, seed=1)
    assert {feed.topic: feed.per_s for feed in await made.feeds(Registry())} == {"a": 75, "b": 25}
    assert made.steady == "a"


def test_without_a_generator_there_is_no_load():
    orders = Stream("orders", {"id": "STRING"}, key="id")
    application = Application("idle", orders.group_by(c.id).aggregate(n=Count()).to("N"))
    with pytest.raises(ChaosError, match="application idle declares no generator"):
        load_of(Settings(), declared(application), per_s=1, poison=True, seed=1)


CLICKS_ALONE = Stream("clicked", FOLDER / "clicks" / "click.avsc", key="user", time="at")
PLAIN = Stream("plain", {"id": "STRING", "n": "INT"}, key="id", value_format="json")
TABLE = Table("compacted", {"id": "STRING", "name": "STRING"}, key="id")
POISONED = Application(
    "poisoned",
    CLICKS_ALONE.group_by(c.source).aggregate(n=Count()).to("BY_SOURCE"),
    PLAIN.join("row", TABLE).group_by(name=c.row.name).aggregate(n=Count()).to("BY_NAME"),
    data=[Generator(CLICKS_ALONE, source=one_of("mail")), Generator(PLAIN), Generator(TABLE)],
)


async def test_every_kind_of_poison_is_one_letter_and_is_known_again():
    poisons = Poisons()
    async with LocalApplication(Settings(), declared(POISONED)).running() as local:

        class Schemas:
            async def encoder(self, topic):
                return lambda row: local.encode(topic.name, row)

        found = declared(POISONED)
        makers = {made.topic.name: made.maker(1) for made in POISONED.data}
        bad = list(islice(await bad_records_of(Schemas(), found, makers, 1), 8))
        assert Counter(record.topic for record in bad) == {"clicked": 6, "plain": 2}
        for record in bad:
            poisons.note(record)
            time_ms = 1 if record.timestamp_ms is None else record.timestamp_ms
            assert poisons.holds(record.topic, record.key, record.value, time_ms)
            await local.feed(record.topic, record.key, record.value, time_ms)
        letters = [row for _, row in await local.rows(topics.DEAD_LETTERS.name)]
        assert len({(letter["topic"], letter["offset"]) for letter in letters}) == len(letters) == len(bad)
        assert local.broker.topics.keys() == {"clicked", "plain", topics.DEAD_LETTERS.name}
    good = local.encode("clicked", makers["clicked"](1))
    assert not poisons.holds("clicked", b"user-1", good, 1)


def test_faults_are_those_of_what_the_application_has():
    assert kinds_for(EVERYTHING, None) == KINDS
    gone = set(KINDS) - set(kinds_for(NOTHING, None))
    assert gone == {"mysql-down", "mysql-kill", "poller-kill", "pinot-down"}
    assert {kind for kind, fault in FAULTS.items() if fault.needs} == gone
    assert kinds_for(NOTHING, ("worker-kill", "poison")) == ("worker-kill", "poison")
    with pytest.raises(SettingError, match="--kinds names pinot-down, but the application has no pinot"):
        kinds_for(NOTHING, ("worker-kill", "pinot-down"))


def test_the_command_tells_of_a_kind_that_cannot_strike(app_folder):
    result = CliRunner().invoke(main, ["chaos", "--app", "clicks", "--kinds", "mysql-down"])
    assert result.exit_code == 1
    assert "the application has no database" in result.output.replace("\n", " ")


def test_only_the_topics_that_are_looked_at_are_missed():
    ledger = Ledger()
    ledger.note("a", 0, 1, b"x")
    ledger.note("compacted", 0, 1, b"x")
    presence = Presence(ledger, {"a"})
    presence.take(("a", 0), 1, b"x")
    assert presence.result() == Check(True, {"present": 1, "missing": 0, "extra": 0, "wrong": []})


@pytest.fixture
def inspected(monkeypatch):
    """What an inspection of the poisoned application reads: {topic: records}; letters are those of `letters`."""
    made = DeclaredLoad(Settings(), declared(POISONED), per_s=1, poison=True, seed=1)
    records = {"clicked": [], "plain": [], "compacted": []}

    async def read_batches(settings, name):
        if records[name]:
            yield records[name]

    monkeypatch.setattr(inspecting.reading, "read_batches", read_batches)
    monkeypatch.setattr(inspecting, "Registry", lambda settings: None)
    inspection = Inspection(Settings(), declared(POISONED), made)
    return made, records, inspection


def record(topic, offset, value):
    return SimpleNamespace(topic=topic, partition=0, offset=offset, key=b"k", value=value, timestamp=1)


async def test_what_was_acknowledged_and_is_gone_is_found(inspected, monkeypatch):
    made, records, inspection = inspected

    async def letters():
        return Counter()

    monkeypatch.setattr(inspection, "_letters", letters)
    for offset in range(3):
        made.ledger.note("clicked", 0, offset, b"%d" % offset)
    records["clicked"] = [record("clicked", 0, b"0"), record("clicked", 2, b"2")]
    await inspection._sources()
    assert not inspection.checks["ledger"].ok
    assert inspection.checks["ledger"].found["wrong"] == ["clicked/0/1: acknowledged, and not there"]
    assert inspection.checks["dead_letters"].ok
    assert set(inspection.checks) == {"ledger", "dead_letters"}  # no sales, no rows of theirs


async def test_verify_that_is_not_there_is_told_and_no_difference(inspected, monkeypatch):
    *_, inspection = inspected

    async def verified(settings, timeout_s):
        return "there is no oracle"

    monkeypatch.setattr(inspecting, "verified", verified)
    await inspection._verify(1.0)
    report = ChaosReport(1, "exactly_once", "poisoned", checks=inspection.checks)
    assert report.ok
    assert report.as_json()["checks"]["verify"] == {"ok": True, "made": False, "found": "there is no oracle"}
    assert "everything is equal, but for verify: not checked" in markdown(report)
    assert "| verify | not checked: there is no oracle |" in markdown(report)


@pytest.mark.parametrize("made", [True, False])
async def test_the_workers_are_waited_for_where_verify_has_not(inspected, monkeypatch, made):
    *_, inspection = inspected
    left, asked = [3, 1, 0], []

    async def group_lag(settings, group):
        asked.append(group)
        return {topic.name: {0: left[min(len(asked), 3) - 1]} for topic in inspection._found.sources}

    monkeypatch.setattr(inspecting.reading, "group_lag", group_lag)
    monkeypatch.setattr(inspecting, "LOOK_S", 0.0)
    inspection.checks["verify"] = Check(True, "", made=made)
    await inspection._lag(5.0)
    assert inspection.checks["lag"].ok is not made
    assert len(asked) == (1 if made else 3)


@pytest.mark.parametrize("guarantee", [None, "at_least_once"])
def test_the_guarantee_is_known_to_the_checks_as_well_as_to_the_workers(monkeypatch, guarantee):
    """Rows that may repeat would be differences else."""
    given = []

    def run_plan(plan, options, console):
        given.append(options)
        raise ChaosError("seen")

    monkeypatch.setattr("pipeline.chaos.run.run_plan", run_plan)
    CliRunner().invoke(main, ["chaos", *(() if guarantee is None else ("--guarantee", guarantee))])
    (options,) = given
    assert options.overrides == ({} if guarantee is None else {"processing_guarantee": guarantee})
    assert options.environment == {}


def test_a_topic_is_held_against_its_table():
    rows = [("1", b"a"), ("2", b"b")]
    assert compare(PEOPLE, rows, [("1", b"old"), ("2", b"b"), ("1", b"a")]) == []
    wrong = compare(PEOPLE, rows, [("1", b"a"), ("1", b"old"), ("3", b"c"), ("3", b"c")])
    assert sorted(wrong) == [
        "people 1: the topic has another row",
        "people 2: in the table, and not in the topic",
        "people 3: a version is 2 times in the topic",
        "people 3: in the topic, and not in the table",
    ]
    whole = DatabaseTable(PEOPLE.into, "people", Bulk())
    assert compare(whole, rows, [*rows, *rows]) == []


async def test_what_goes_into_a_table_is_neither_sent_nor_poisoned():
    application = Application(
        "mixed",
        PEOPLE.into.group_by(c.id).aggregate(n=Count()).to("PEOPLE_N"),
        CLICKS_ALONE.group_by(c.source).aggregate(n=Count()).to("CLICKED_N"),
        sources=[PEOPLE],
        data=[Generator(PEOPLE.into, per_s=30), Generator(CLICKS_ALONE, per_s=10)],
    )
    made = DeclaredLoad(Settings(), declared(application), per_s=100, poison=True, seed=1)
    assert {feed.topic: feed.per_s for feed in await made.feeds(Registry())} == {"clicked": 25}
    assert {bad.topic for bad in islice(await made.bad(Registry()), 20)} == {"clicked"}
    assert made.steady == "people"
    writer = TablesWriter(Settings(), application, per_s=100, seed=1)
    assert [(one.topic.name, one.per_s * writer._factor) for one, _ in writer._made] == [("people", 75)]
    alone = Application("alone", *application_of_people(), sources=[PEOPLE], data=[Generator(PEOPLE.into)])
    assert DeclaredLoad(Settings(), declared(alone), per_s=10, poison=True, seed=1).steady == "people"


def application_of_people():
    return (PEOPLE.into.group_by(c.id).aggregate(n=Count()).to("PEOPLE_N"),)
