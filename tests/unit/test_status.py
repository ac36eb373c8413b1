"""Status: what is wrong becomes a sentence, and never hides what is known."""

import asyncio
import json

import httpx
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline import topics
from pipeline.applications.loading import runnable
from pipeline.codecs import Decoder, Encoder, schema
from pipeline.errors import PipelineError, StackError
from pipeline.settings import Settings
from pipeline.sources.position import Position, Range, Stored
from pipeline.status import (
    Broker,
    CarriedTable,
    GroupStatus,
    Letter,
    Letters,
    PinotTable,
    PollerStatus,
    Status,
    SubjectStatus,
    TopicStatus,
    collect,
    parts,
    view,
)
from pipeline.status.collector import pinot_problem, poller_problem, schema_problem, topic_problem
from pipeline.status.view import as_json, command, poller_lines, show

GOOD_TOPIC = TopicStatus(5, 2, 2, 0, 0, 7)
SUBJECT = SubjectStatus(1, 4, "BACKWARD")
LETTER = Letter("PageView", 1, 42, 1_700_000_000_000, "null key")
LATE = Letter("PageView", 2, 7, 1_690_000_000_000, "1.500 s after per_hour had closed its window")


def all_topics(**changed):
    return {topic.name: GOOD_TOPIC for topic in topics.ALL} | changed


def all_subjects():
    return {topic.subject: SUBJECT for topic in topics.ALL if topic.schema}


TABLES = {
    "flash_sales": CarriedTable("incrementing", "sale_id", 1_700_000_000_000, PollerStatus(99, 2, 1_700_000_000_000)),
    "product": CarriedTable("bulk", "product_id"),
}


def everything():
    return Status(
        brokers=(Broker(1, "127.0.0.1", 9092, True), Broker(2, "127.0.0.1", 9093, False)),
        topics=all_topics(),
        groups={"pipeline": GroupStatus(3, {"PageView": 3})},
        schemas=all_subjects(),
        pinot={"sales": PinotTable(12, 1_700_000_000_000)},
        dead_letters=Letters(1, (LETTER,)),
        late_records=Letters(2, (LATE,)),
        poller=PollerStatus(99, 2, 1_700_000_000_000),
        tables=TABLES,
    )


def test_all_well_has_no_problem():
    assert topic_problem(all_topics()) is None
    assert schema_problem(all_subjects()) is None
    assert pinot_problem({"a": PinotTable(0)}) is None
    assert everything().ok


def test_topic_troubles_are_named():
    found = all_topics(PageView=TopicStatus(5, 2, 1, 3, 0, 7), Users_=TopicStatus(5, 2, 0, 5, 1, 0))
    del found["MysqlSource-pages"]
    sentence = topic_problem(found)
    assert f"1 of {len(topics.ALL)} topics are missing (MysqlSource-pages): run `pipeline provision`" in sentence
    assert "1 topics have partitions without a leader (Users_)" in sentence
    assert "2 topics have partitions with a replica out of sync (PageView, Users_)" in sentence


def test_missing_subjects_are_named():
    count = sum(topic.schema is not None for topic in topics.ALL)
    assert schema_problem({}).startswith(f"{count} of {count} subjects are missing (PageView-value, Users_-value, ")


def test_a_pinot_answer():
    answer = {"resultTable": {"rows": [[12]]}, "numServersQueried": 1, "numServersResponded": 1}
    assert parts.pinot_table(answer | {"minConsumingFreshnessTimeMs": 5}) == PinotTable(12, 5)
    assert parts.pinot_table(answer | {"minConsumingFreshnessTimeMs": 0}) == PinotTable(12, None)
    assert parts.pinot_table(answer | {"numServersResponded": 0}).problem == "1 of 1 servers did not respond"
    bad = parts.pinot_table({"exceptions": [{"errorCode": 305, "message": "no segment\nat x.y.Z"}]})
    assert bad == PinotTable(None, problem="no segment")
    sentence = pinot_problem({"a": bad, "b": PinotTable(1)})
    assert sentence == "1 of 2 tables cannot be counted (a: no segment)"


def test_a_letter_that_cannot_be_read_is_still_a_letter():
    decode = Decoder("dead_letter")
    decode.learn(1, schema("dead_letter"))
    fields = {
        "topic": "PageView",
        "partition": 1,
        "offset": 42,
        "timestamp_ms": 1_700_000_000_000,
        "reason": "null key",
    }
    assert parts.letter(decode, Encoder("dead_letter", 1)(fields)) == LETTER
    assert "cannot be read" in parts.letter(decode, b"?").reason


def test_a_late_record_says_how_late():
    decode = Decoder("late_record")
    decode.learn(1, schema("late_record"))
    fields = {
        "topic": "PageView",
        "partition": 2,
        "offset": 7,
        "aggregate": "per_hour",
        "event_time_ms": 1_690_000_000_000,
        "window_start_ms": 1_689_998_400_000,
        "window_end_ms": 1_690_002_000_000,
        "late_by_ms": 1_500,
    }
    assert parts.letter(decode, Encoder("late_record", 1)(fields)) == LATE


@pytest.fixture
def answers(monkeypatch):
    """Every part answers at once; a test may replace some."""
    status = everything()
    values = {
        "brokers": status.brokers,
        "topics": status.topics,
        "groups": status.groups,
        "schemas": status.schemas,
        "pinot": status.pinot,
        "tables": status.tables,
    }

    async def letters(settings, topic, of):
        return status.late_records if topic is topics.LATE_RECORDS else status.dead_letters

    monkeypatch.setattr(parts, "collect_letters", letters)
    for name, value in values.items():

        async def answer(settings, names=None, value=value):
            return value

        monkeypatch.setattr(parts, f"collect_{name}", answer)
    return monkeypatch


async def test_everything_is_collected(answers):
    assert await collect(Settings()) == everything()


async def test_a_part_that_is_down_leaves_the_others(answers):
    async def down(settings, names):
        raise StackError("no Kafka broker answers")

    async def hangs(settings, names):
        await asyncio.sleep(60)

    answers.setattr(parts, "collect_topics", down)
    answers.setattr(parts, "collect_pinot", hangs)
    answers.setattr("pipeline.status.collector.PART_TIMEOUT_S", 0.01)
    status = await collect(Settings())
    assert not status.ok
    assert status.problems == {"pinot": "no answer within 0 s", "topics": "no Kafka broker answers"}
    assert (status.topics, status.pinot) == ({}, {})
    assert status.brokers == everything().brokers


async def test_parts_are_asked_at_the_same_time(answers):
    started = []

    async def waits_for_the_others(settings, names=None):
        started.append(1)
        while len(started) < 2:
            await asyncio.sleep(0)
        return {}

    answers.setattr(parts, "collect_groups", waits_for_the_others)
    answers.setattr(parts, "collect_pinot", waits_for_the_others)
    assert (await asyncio.wait_for(collect(Settings()), 5)).ok


def test_the_json_has_the_agreed_shape():
    found = json.loads(json.dumps(as_json(everything())))
    assert found["ok"] is True
    assert found["brokers"][0] == {"id": 1, "host": "127.0.0.1", "port": 9092, "controller": True}
    assert found["topics"]["PageView"] == {
        "partitions": 5,
        "replicas": 2,
        "in_sync": 2,
        "under_replicated": 0,
        "leaderless": 0,
        "messages": 7,
    }
    assert found["groups"] == {"pipeline": {"lag": 3, "topics": {"PageView": 3}}}
    assert found["schemas"]["PageView-value"] == {"version": 1, "id": 4, "compatibility": "BACKWARD"}
    assert found["pinot"] == {"sales": 12}
    assert found["dead_letters"]["count"] == 1
    assert found["dead_letters"]["latest"][0]["reason"] == "null key"
    assert found["late_records"]["count"] == 2
    assert found["poller"] == {
        "last_id": 99,
        "missing": 2,
        "at_ms": 1_700_000_000_000,
        "given_up": 0,
        "given_up_latest": "",
        "early_ms": 0,
    }


def printed(status):
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show(status, console)
    console.file.close()
    return console.export_text()


def test_people_see_everything():
    text = printed(everything())
    for expected in (
        "TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW",
        "127.0.0.1:9093",
        "null key",
        "Late records: 2",
        "1.500 s after per_hour",
        "sale_id 99",
        "2023-11-14 22:13:20",
        "everything is up",
    ):
        assert expected in text


def test_people_see_each_trouble_once():
    text = printed(Status(problems={"brokers": "gone", "groups": "gone", "pinot": "slow"}))
    assert "brokers, groups: gone" in text
    assert "pinot: slow" in text
    assert "everything is up" not in text
    assert "Brokers" not in text


@pytest.mark.parametrize(("status", "code"), [(everything(), 0), (Status(problems={"pinot": "gone"}), 1)])
def test_the_exit_code(monkeypatch, status, code):
    async def found(settings):
        return status

    monkeypatch.setattr(view, "collect", found)
    result = CliRunner().invoke(command, ["--json"])
    assert result.exit_code == code
    assert json.loads(result.stdout)["ok"] is status.ok


@pytest.fixture
def http(monkeypatch):
    """Answer HTTP from a {(method, path): answer}; others are 404."""
    real = httpx.AsyncClient

    def serve(pages):
        def handler(request):
            page = pages.get((request.method, request.url.path))
            return httpx.Response(404) if page is None else httpx.Response(200, json=page)

        monkeypatch.setattr(
            httpx, "AsyncClient", lambda **options: real(transport=httpx.MockTransport(handler), **options)
        )

    return serve


async def test_subjects_come_from_the_registry(http):
    http(
        {
            ("GET", "/base/subjects"): ["b-value", "a-value"],
            ("GET", "/base/subjects/a-value/versions/latest"): {"version": 2, "id": 9},
            ("GET", "/base/subjects/b-value/versions/latest"): {"version": 1, "id": 3},
            ("GET", "/base/config/a-value"): {"compatibilityLevel": "BACKWARD"},
            ("GET", "/base/config/b-value"): {"compatibilityLevel": "NONE"},
        }
    )
    found = await parts.collect_schemas(Settings(registry_url="http://registry/base"))
    assert list(found.items()) == [
        ("a-value", SubjectStatus(2, 9, "BACKWARD")),
        ("b-value", SubjectStatus(1, 3, "NONE")),
    ]


def test_what_is_retired_is_not_counted():
    for topic in topics.OUTPUTS:
        retires = topic in (topics.USER_TRANSFORMED, topics.PAGEVIEWS_SESSION, topics.SALES_SESSION)
        assert ("retired = false" in parts.live_rows(topic.name)) == retires
    assert parts.live_rows("somebody's") == 'SELECT COUNT(*) FROM "somebody\'s" LIMIT 1'


async def test_rows_come_from_pinot(http):
    answer = {"resultTable": {"rows": [[5]]}, "numServersQueried": 1, "numServersResponded": 1}
    routes = {("GET", "/tables"): {"tables": ["t"]}, ("POST", "/query/sql"): answer}
    states = {"t__0__0__20261128T1435Z": {"server": "OFFLINE"}, "t__0__1__20261128T1439Z": {"server": "CONSUMING"}}
    http(routes | {("GET", "/tables/t/idealstate"): {"OFFLINE": None, "REALTIME": states}})
    assert await parts.collect_pinot(Settings()) == {"t": PinotTable(5)}


async def test_a_table_with_partitions_that_pinot_gave_up_is_a_problem(http):
    answer = {"resultTable": {"rows": [[5]]}, "numServersQueried": 1, "numServersResponded": 1}
    states = {f"a__b__{n}__{m}__20261128T1435Z": {"s": "OFFLINE"} for n, m in ((2, 9), (0, 10), (1, 0))}
    states["a__b__0__9__20261128T1435Z"] = states["a__b__1__1__20261128T1435Z"] = {"s": "CONSUMING"}
    routes = {("GET", "/tables"): {"tables": ["a__b"]}, ("POST", "/query/sql"): answer}
    http(routes | {("GET", "/tables/a__b/idealstate"): {"REALTIME": states}})
    found = await parts.collect_pinot(Settings())
    assert found["a__b"].rows is None
    assert "reads partitions 0, 2 no more" in pinot_problem(found)


async def test_a_server_that_refuses_is_named(http):
    http({})
    with pytest.raises(PipelineError, match="the Pinot controller at http://p:1 cannot be asked: HTTP 404 for /tables"):
        await parts.collect_pinot(Settings(pinot_controller_url="http://p:1"))
    with pytest.raises(
        PipelineError, match="the schema registry at http://r:1 cannot be asked: HTTP 404 for /subjects"
    ):
        await parts.collect_schemas(Settings(registry_url="http://r:1"))


async def test_the_poller_position(monkeypatch):
    async def stored(settings):
        lost = (Range(1, 2, 40), Range(6, 7, 30))
        return {"flash_sales": Stored(Position(9, 1, (Range(3, 4, 1),), lost, given_up_ids=4, early_s=40), "me", 5)}

    async def nothing(settings):
        return {}

    monkeypatch.setattr(parts, "stored_positions", stored)
    application = runnable(Settings()).application
    found = await parts.collect_tables(Settings(), application)
    assert list(found) == ["flash_sales", "product", "region", "pages"]
    assert found["flash_sales"].incrementing == PollerStatus(9, 2, 5, 4, "1..2", 40_000)
    assert found["flash_sales"].written_ms == 5
    assert {found[name].mode for name in ("product", "region", "pages")} == {"bulk"}
    monkeypatch.setattr(parts, "stored_positions", nothing)
    found = await parts.collect_tables(Settings(), application)
    assert (found["flash_sales"].incrementing, found["flash_sales"].written_ms) == (None, None)


def test_ids_that_were_given_up_are_told():
    early = PollerStatus(9, 2, 5, 4, "1..2", 40_000)
    carried = CarriedTable("incrementing", "sale_id", 5, early)
    (line,) = poller_lines(Status(tables={"flash_sales": carried}))
    assert "; 4 not looked for any more (the latest: 1..2; `pipeline poll --again" in line
    carried = CarriedTable("incrementing", "sale_id", 5, PollerStatus(9, 2, 5))
    (line,) = poller_lines(Status(tables={"flash_sales": carried}))
    assert "not looked for" not in line


def test_ids_given_up_before_their_time_are_a_problem_for_as_long_as_they_would_have_been_looked_for():
    settings = Settings(poll_gap_wait_s=60)
    early = PollerStatus(9, 2, 5, 4, "1..2", 40_000)
    sentence = poller_problem(early, settings, 99_999)
    assert sentence is not None
    assert "the latest of 4: 1..2" in sentence
    assert "PIPELINE_POLL_GAPS=1000" in sentence
    assert "pipeline poll --again 1..2" in sentence
    assert poller_problem(early, settings, 100_000) is None
    assert poller_problem(PollerStatus(9, 2, 5, 4, "1..2"), settings, 50_000) is None
    assert poller_problem(None, settings, 50_000) is None
