"""The whole verification over a cluster in memory: what it waits for, reads, compares with Pinot, and tells."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from click.testing import CliRunner
from judged import Lying, changed, cuts
from rich.console import Console
from test_oracle_flash_sales import CAME, SETTINGS, SUBJECT, VIEWS, run, user, view

from pipeline import topics
from pipeline.errors import VerifyError
from pipeline.formats import decoder
from pipeline.runner.local import LocalApplication
from pipeline.topics import BY_NAME, DEAD_LETTERS, LATE_RECORDS, OUTPUTS
from pipeline.verify import verification
from pipeline.verify.command import show, verify
from pipeline.verify.report import Noted, OutputReport, Report
from pipeline.verify.verification import differences, verify_subject

USER_ROWS, BY_PAGE = topics.USER_TRANSFORMED.name, topics.PAGEVIEWS_BY_PAGEGROUP.name


class Cluster:
    """Brokers, registry and Pinot with what an application has made; any of it may be changed."""

    def __init__(self, application: LocalApplication, records: Lying) -> None:
        self.application = application
        self.records: Lying = {topic: list(there) for topic, there in records.items()}
        self.begins: dict[str, dict[int, int]] = {}
        self.behind: dict[str, int] = {}
        self.pinot: dict[str, list[dict[str, Any]]] = {topic.name: self.rows(topic.name) for topic in OUTPUTS}
        self.when_asked: Callable[[], None] = lambda: None
        self.reads: list[str] = []

    def decoded(self, topic: str) -> list[tuple[Any, dict[str, Any] | None]]:
        decode = decoder(BY_NAME[topic])
        for number, known in enumerate(self.application.schemas._known):
            decode.learn(number + 1, known)
        return [(r, None if r.value is None else decode(r.value)) for r in self.records.get(topic, [])]

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """A topic's rows as Pinot has them: the last of each key and window, and texts in the place of nulls."""
        rows: dict[Any, dict[str, Any]] = {}
        for record, row in self.decoded(topic):
            assert row is not None
            texts = dict.fromkeys((name for name in ("state", "zipcode") if name in row and row[name] is None), "null")
            rows[record.key, row.get("window_start_ms")] = row | texts
        return list(rows.values())

    def change(self, topic: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
        self.records = changed(self.application, self.records, topic, change)

    def ends(self, topic: str) -> dict[int, int]:
        return {0: 0, 1: 0} | cuts(self.records.get(topic, []))

    async def offsets(self, settings: Any, names: Iterable[str], **_: Any) -> dict[TopicPartition, tuple[int, int]]:
        return {
            TopicPartition(topic, partition): (self.begins.get(topic, {}).get(partition, 0), end)
            for topic in names
            for partition, end in self.ends(topic).items()
        }

    async def end_offsets(self, settings: Any, names: Iterable[str], **_: Any) -> dict[TopicPartition, int]:
        return {tp: end for tp, (_, end) in (await self.offsets(settings, names)).items()}

    async def committed(self, settings: Any, group: str) -> dict[TopicPartition, int]:
        assert group == SETTINGS.app_id
        return {
            TopicPartition(topic, partition): end - self.behind.get(topic, 0)
            for topic in BY_NAME
            for partition, end in self.ends(topic).items()
        }

    async def read_between(
        self, settings: Any, bounds: Mapping[TopicPartition, tuple[int, int]], **_: Any
    ) -> AsyncIterator[list[Any]]:
        for tp, (start, end) in bounds.items():
            begin = max(start, self.begins.get(tp.topic, {}).get(tp.partition, 0))
            lying = [record for record in self.records.get(tp.topic, []) if record.partition == tp.partition]
            if there := [record for record in lying if begin <= record.offset < end]:
                self.reads += [f"{tp.topic}/{tp.partition}/{record.offset}" for record in there]
                yield [SimpleNamespace(**vars(record), topic=tp.topic) for record in there]

    async def read_batches(self, settings: Any, topic: str, **_: Any) -> AsyncIterator[list[Any]]:
        async for records in self.read_between(settings, await self.offsets(settings, [topic])):
            yield records

    def table(self, topic: str) -> list[dict[str, Any]]:
        self.when_asked()
        return self.pinot[topic]


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(*await run(CAME))
    for name in ("offsets", "end_offsets", "committed", "read_between", "read_batches"):
        monkeypatch.setattr(f"pipeline.reading.{name}", getattr(made, name))
    monkeypatch.setattr(verification, "Registry", lambda settings: made.application.schemas)
    monkeypatch.setattr(verification, "client", lambda settings: SimpleNamespace(rows=made.table))
    return made


async def report(timeout_s: float = 0.0) -> Report:
    return await verify_subject(SETTINGS, SUBJECT, timeout_s)


async def test_all_is_right_and_every_record_read_once(cluster: Cluster) -> None:
    found = await report()
    assert found.differences == [] and found.ok
    assert set(found.outputs) == {topic.name for topic in (*topics.ENRICHED, *OUTPUTS)}
    assert all(found.outputs[t.name].pinot == found.outputs[t.name].topic > 0 for t in OUTPUTS)
    assert found.consumed == len(CAME)
    assert found.dead_letters == len(cluster.records[DEAD_LETTERS.name]) == 2
    assert found.late == len({record.key for record in cluster.records[LATE_RECORDS.name]}) > 0
    assert (found.noted, found.not_compared) == ({}, {})
    assert len(cluster.reads) == len(set(cluster.reads))
    assert {place.partition("/")[0] for place in cluster.reads} >= {t.name for t in (*topics.EVENTS, *OUTPUTS)}
    assert await differences(SETTINGS, SUBJECT) == []


async def test_differences_are_those_of_the_topics_as_they_are(cluster: Cluster) -> None:
    cluster.behind[topics.PAGEVIEW.name] = 1  # nobody is waited for
    cluster.change(BY_PAGE, lambda rows: rows[-1].update(count_view=7))
    cluster.pinot = {}
    (sentence,) = await differences(SETTINGS, SUBJECT)
    assert re.match(f"{BY_PAGE} topic: page_group=G.: expected count_view=.*, found count_view=7", sentence)


async def test_workers_that_are_behind_are_waited_for(cluster: Cluster) -> None:
    cluster.behind[topics.PAGEVIEW_PARTIALS.name] = 1
    with pytest.raises(VerifyError, match=rf"have not caught up in time: behind in {topics.PAGEVIEW_PARTIALS.name} by"):
        await report()


async def test_a_dead_letter_that_is_missing_is_a_difference(cluster: Cluster) -> None:
    *_, (_, letter) = cluster.decoded(DEAD_LETTERS.name)
    assert letter is not None
    cluster.records[DEAD_LETTERS.name].pop()
    place = f"{letter['topic']} partition {letter['partition']} offset {letter['offset']}"
    assert (await report()).differences == [f"{place} is bad, but has no dead letter"]


async def test_a_dead_letter_that_retention_may_have_removed_is_not_missed(cluster: Cluster) -> None:
    letter = cluster.records[DEAD_LETTERS.name].pop()
    cluster.begins[DEAD_LETTERS.name] = {letter.partition: 1}
    assert (await report()).differences == []


@pytest.mark.parametrize("topic", [topics.PAGEVIEW.name, topics.USERS.name, topics.FLASH_SALES.name, VIEWS])
async def test_a_dead_letter_without_cause_is_a_difference(cluster: Cluster, topic: str) -> None:
    record = cluster.records[topic][0]
    where = {"topic": topic, "partition": record.partition, "offset": record.offset, "reason": "bad"}
    cluster.change(DEAD_LETTERS.name, lambda rows: rows[0].update(where))
    cluster.records[DEAD_LETTERS.name].append(cluster.records[DEAD_LETTERS.name][0])
    wrong = (await report()).differences
    place = f"{topic} partition {record.partition} offset {record.offset}"
    assert f"{place} has a dead letter, but is good: bad" in wrong
    cluster.begins[topic] = {record.partition: record.offset + 1}  # what retention has removed, nobody can judge
    assert not any(text.startswith(place) for text in (await report()).letters_wrong)


async def test_a_record_that_cannot_be_read_must_have_a_dead_letter(cluster: Cluster) -> None:
    """Poison in each topic that others write."""
    places = set()
    for topic in (topics.PAGEVIEW, topics.USERS, topics.FLASH_SALES):
        last = cluster.records[topic.name][-1]
        bad = SimpleNamespace(**{**vars(last), "offset": last.offset + 1, "value": b"\1poison"})
        cluster.records[topic.name].append(bad)
        places.add(f"{topic.name} partition {bad.partition} offset {bad.offset} is bad, but has no dead letter")
    assert set((await report()).differences) == places


async def test_a_schema_that_was_learned_later_is_no_fault(cluster: Cluster) -> None:
    """The letter says that it was not known then; now the record can be read, and nothing has come of it."""
    last = cluster.records[topics.PAGEVIEW.name][-1]
    late = SimpleNamespace(**{**vars(last), "offset": last.offset + 1})
    cluster.records[topics.PAGEVIEW.name].append(late)
    where = {"topic": topics.PAGEVIEW.name, "partition": late.partition, "offset": late.offset}
    letter = cluster.records[DEAD_LETTERS.name][0]
    for reason, is_right in (("unknown schema id 99", True), ("null value", False)):
        value = cluster.application.encode(DEAD_LETTERS.name, {**where, "timestamp_ms": 0, "reason": reason})
        cluster.records[DEAD_LETTERS.name][2:] = [SimpleNamespace(**{**vars(letter), "offset": 9, "value": value})]
        assert (await report()).ok == is_right


@pytest.mark.parametrize("topic", [VIEWS, USER_ROWS, BY_PAGE])
async def test_a_row_of_an_output_that_cannot_be_read_is_a_difference(cluster: Cluster, topic: str) -> None:
    """Nobody may write such ones: it hides behind the row that is there after it, or before it."""
    first = cluster.records[topic][0]
    end = cluster.ends(topic)[first.partition]
    cluster.records[topic].append(SimpleNamespace(**{**vars(first), "offset": end, "value": first.value[:-1]}))
    assert f"{topic} topic: partition {first.partition} offset {end}: cannot be read" in (await report()).differences


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
async def test_a_joined_row_that_comes_twice_is_wrong_unless_it_may(cluster: Cluster, guarantee: str) -> None:
    first = cluster.records[VIEWS][0]
    end = cluster.ends(VIEWS)[first.partition]
    cluster.records[VIEWS].append(SimpleNamespace(**{**vars(first), "offset": end}))
    settings = SETTINGS.model_copy(update={"processing_guarantee": guarantee})
    found = await verify_subject(settings, SUBJECT, 0)
    assert found.outputs[VIEWS].repeated == 1
    assert found.as_json()["outputs"][VIEWS]["repeated"] == 1
    if guarantee == "exactly_once":
        (sentence,) = found.differences
        assert sentence.endswith(": expected once, found 2 times")
    else:
        assert found.ok


def altered(change: Callable[[dict[str, Any]], Any]) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: change(rows[0])


@pytest.mark.parametrize(
    ("topic", "change", "sentence"),
    [
        (
            USER_ROWS,
            altered(lambda row: row.update(regionid="9")),
            "Pinot: userid=.*: expected .*found regionid=9",
        ),
        (BY_PAGE, altered(lambda row: row.update(count_view=9)), "Pinot: page_group=G.: expected count_view=., found"),
        (BY_PAGE, lambda rows: rows.pop(), "Pinot: page_group=G.: expected count_view=.*, found nothing"),
        (BY_PAGE, lambda rows: rows.append({**rows[0], "page_group": "?"}), "Pinot: page_group=.: not expected, found"),
        (USER_ROWS, lambda rows: [row.update(retired=False) for row in rows], "Pinot: userid=User_2: not expected"),
    ],
)
async def test_whatever_is_wrong_in_pinot_is_found(
    cluster: Cluster, topic: str, change: Callable[[Any], Any], sentence: str
) -> None:
    change(cluster.pinot[topic])
    wrong = (await report()).outputs[topic].wrong
    assert any(re.match(sentence, text) for text in wrong), wrong


async def test_rows_that_retention_removed_of_the_topic_must_still_be_in_pinot(cluster: Cluster) -> None:
    tumbling = topics.PAGEVIEWS_TUMBLING.name
    cluster.begins[tumbling] = cluster.ends(tumbling)
    assert (await report()).ok
    row = cluster.pinot[tumbling].pop()
    at = f"page_group={row['page_group']}, window_start_ms={row['window_start_ms']}"
    assert f"Pinot: {at}: expected" in (await report()).outputs[tumbling].wrong[0]


async def test_pinot_follows_a_moment_later(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "POLL_S", 0)
    rows, cluster.pinot[BY_PAGE] = cluster.pinot[BY_PAGE], []
    asked = []

    def catch_up() -> None:
        asked.append(1)
        if len(asked) == len(OUTPUTS) + 3:
            cluster.pinot[BY_PAGE] = rows

    cluster.when_asked = catch_up
    assert (await report(60)).ok
    assert len(asked) == len(OUTPUTS) + 3  # what was equal is not asked for again


async def test_sources_that_move_are_read_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view comes after the topics were read, and Pinot has its results already."""
    moved = Cluster(*await run([*CAME, view(7 * 3_600_000)]))
    asked = []

    def move() -> None:
        if not asked:
            asked.append(1)
            cluster.records, cluster.pinot = moved.records, moved.pinot

    cluster.when_asked = move
    found = await report()
    assert found.differences == []
    assert found.outputs[BY_PAGE].pinot == found.outputs[BY_PAGE].topic
    assert found.consumed == len(CAME) + 1
    cluster.records, cluster.pinot = moved.records, moved.pinot
    assert len(cluster.reads) == len(set(cluster.reads))


async def test_what_is_let_pass_is_told(cluster: Cluster) -> None:
    raced = await run([user("1", 3_600_000), view(6 * 3_600_000), user("2", 6 * 3_600_000 - 30_000)])
    cluster.records = raced[1]
    cluster.pinot = Cluster(*raced).pinot
    found = await report()
    assert found.ok
    assert found.noted == {"views_that_raced_with_their_user": Noted(1, 6 * 3_600_000)}
    assert found.as_json()["noted"] == {"views_that_raced_with_their_user": 1}


def shown(found: Report) -> str:
    out = StringIO()
    show(found, Console(file=out, width=200, color_system=None))
    return out.getvalue()


def test_the_report_for_people_says_all_of_it() -> None:
    text = shown(
        Report(
            {"OUT": OutputReport(3, 2, 1, ["topic: a=1: expected n=1, found n=2"], repeated=4)},
            1_234,
            5,
            6,
            ["clicks partition 0 offset 7 is bad, but has no dead letter"],
            {"rows_that_raced": Noted(8, 0), "others": Noted(9)},
            {"OUT": 10},
        )
    )
    for said in (
        "1,234 records consumed, 5 late, 6 dead letters",
        "4 rows of OUT are there more than once",
        "8 rows that raced: let pass, the first of 1970-01-01 00:00:00 UTC",
        "9 others: let pass\n",
        "10 of OUT not compared",
        "OUT topic: a=1: expected n=1, found n=2",
        "1 dead letters missing or without cause",
        "clicks partition 0 offset 7 is bad",
        "there are differences",
    ):
        assert said in text
    clean = shown(Report({"OUT": OutputReport(3, 3, 3)}, 1, 0, 0))
    assert "everything is equal" in clean
    assert "let pass" not in clean and "more than once" not in clean and "missing" not in clean


@pytest.mark.parametrize("wrong", [[], ["a letter"]])
def test_the_exit_code_and_json_tell_whether_all_is_right(monkeypatch: pytest.MonkeyPatch, wrong: list[str]) -> None:
    async def verified(settings: Any, timeout_s: float) -> Report:
        return Report({"OUT": OutputReport(1, 1, 1)}, 1, 0, 0, wrong)

    monkeypatch.setattr("pipeline.verify.run.verify", verified)
    done = CliRunner().invoke(verify, ["--json"])
    assert done.exit_code == len(wrong)
    told = json.loads(done.output)
    assert told["ok"] == (wrong == [])
    assert told["dead_letter_differences"] == len(wrong)
    assert told["outputs"]["OUT"] == {"expected": 1, "topic": 1, "pinot": 1, "differences": 0, "repeated": 0}
