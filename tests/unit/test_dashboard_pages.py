"""Health is judged by rules, and saved queries run with checked values only."""

from dataclasses import replace
from typing import Any

import pytest
from dashboard_data import NEXT, shop

from pipeline.dashboard.app import create_app
from pipeline.dashboard.health import AMBER, GREEN, RED, Light, Report, Watch, following, lights, worst
from pipeline.dashboard.saved import AT_ONCE, MOST_ROWS, Desk, as_csv, chart, load, parse
from pipeline.dashboard.snapshot import Freshness, Poller
from pipeline.errors import ProvisionError, QueryError
from pipeline.settings import load as settings
from pipeline.status import Broker, GroupStatus, Letter, Letters, PollerStatus, Status, TopicStatus

GOOD = Status(
    brokers=(Broker(1, "kafka", 9092, True),),
    topics={"PageView": TopicStatus(5, 2, 2, 0, 0, 1000)},
    groups={"pipeline": GroupStatus(0, {"PageView": 0})},
    poller=PollerStatus(7, 0, NEXT - 1000),
)
LIVE = Freshness("live", 0.5, 0.5, 0.5)


def light(part: str, status: Status, page: Freshness = LIVE, read: dict[str, float] | None = None) -> Light:
    report = Report(status, NEXT, {}, {"PageView": 100.0} if read is None else read)
    (found,) = (one for one in lights(report, settings(), page) if one.part == part)
    return found


def test_when_all_is_well_everything_is_green() -> None:
    assert {one.state for one in lights(Report(GOOD, NEXT, {}, {"PageView": 9.0}), settings(), LIVE)} == {GREEN}


def lagging(records: int) -> Status:
    return replace(GOOD, groups={"pipeline": GroupStatus(records, {"PageView": records})})


@pytest.mark.parametrize(
    ("records", "rate", "state"),
    [(0, 0.0, GREEN), (900, 100.0, GREEN), (1500, 100.0, AMBER), (7000, 100.0, RED), (1, 0.0, RED)],
)
def test_workers_are_judged_by_the_seconds_that_they_are_behind(records: int, rate: float, state: str) -> None:
    assert light("Workers", lagging(records), read={"PageView": rate}).state == state


@pytest.mark.parametrize(
    ("part", "status", "state"),
    [
        ("Brokers", replace(GOOD, problems={"brokers": "away"}), RED),
        ("Pinot", replace(GOOD, problems={"pinot": "away"}), RED),
        ("Topics", replace(GOOD, problems={"topics": "1 topics have partitions with a replica out of sync"}), AMBER),
        ("Topics", replace(GOOD, problems={"topics": "3 of 9 topics are missing"}), RED),
        ("Poller", replace(GOOD, poller=PollerStatus(7, 0, NEXT - 31_000)), AMBER),
        ("Poller", replace(GOOD, poller=None), AMBER),
        ("Dead letters", replace(GOOD, dead_letters=Letters(2, (Letter("t", 0, 1, NEXT - 9, "no"),))), AMBER),
        ("Dead letters", replace(GOOD, dead_letters=Letters(2, (Letter("t", 0, 1, NEXT - 3_600_000, "no"),))), GREEN),
        ("Late records", replace(GOOD, late_records=Letters(2, (Letter("t", 0, 1, NEXT - 9, "late"),))), GREEN),
        ("Late records", replace(GOOD, problems={"late_records": "away"}), AMBER),
    ],
)
def test_what_is_wrong_has_its_light(part: str, status: Status, state: str) -> None:
    assert light(part, status).state == state


def test_the_pages_own_light_and_the_worst() -> None:
    assert light("Dashboard", GOOD, Freshness("unreachable")).state == RED
    assert light("Dashboard", GOOD, Freshness("stale")).state == AMBER
    assert worst([Light("a", GREEN, ""), Light("b", RED, ""), Light("c", AMBER, "")]) == RED
    assert worst([]) == GREEN


def test_rates_come_from_two_reports() -> None:
    first = following(None, lagging(100), NEXT, "pipeline")
    assert (first.written, first.read) == ({}, {})
    later = replace(lagging(50), topics={"PageView": TopicStatus(5, 2, 2, 0, 0, 1200)})
    second = following(first, later, NEXT + 10_000, "pipeline")
    assert second.written == {"PageView": 20.0}
    assert second.read == {"PageView": 25.0}


def test_the_watch_collects_without_viewers_waiting() -> None:
    async def ask(_: Any) -> Status:
        return GOOD

    watch = Watch(settings(health_interval_s=1000), ask, lambda: NEXT)
    watch.collect()
    assert watch.current() == Report(GOOD, NEXT, {}, {})


SQL = "SELECT a FROM T WHERE t >= ago('PT1H' /*:period*/) LIMIT 10 /*:rows*/"
COMMENT = "What it is. :period choice PT1H PT6H: How far back :rows integer 1..100: Rows"


def test_parameters_replace_marked_literals() -> None:
    query = parse("best", COMMENT, SQL)
    assert query.meaning == "What it is."
    assert [(p.name, p.default, p.meaning) for p in query.parameters] == [
        ("period", "PT1H", "How far back"),
        ("rows", "10", "Rows"),
    ]
    assert query.filled({}) == "SELECT a FROM T WHERE t >= ago('PT1H') LIMIT 10"
    assert query.filled({"period": "PT6H", "rows": "7"}) == "SELECT a FROM T WHERE t >= ago('PT6H') LIMIT 7"


@pytest.mark.parametrize(
    "given", [{"period": "PT2H"}, {"period": "') OR 1=1 --"}, {"rows": "0"}, {"rows": "101"}, {"rows": "1; DROP"}]
)
def test_a_value_that_is_not_allowed_is_one_sentence(given: dict[str, str]) -> None:
    with pytest.raises(QueryError, match=f"parameter {next(iter(given))} is"):
        parse("best", COMMENT, SQL).filled(given)


@pytest.mark.parametrize(("comment", "sql"), [(COMMENT, "SELECT 1"), ("Nothing declared.", SQL)])
def test_marks_and_declarations_belong_together(comment: str, sql: str) -> None:
    with pytest.raises(ProvisionError, match="query best"):
        parse("best", comment, sql)


def test_the_files_are_good_and_two_of_them_have_parameters() -> None:
    found = load(settings().pinot_dir)
    assert {p.name for p in found["best_selling_products"].parameters} == {"period", "rows"}
    assert all("/*" not in query.filled({}) for query in found.values())


def test_answers_are_kept_for_a_moment_and_cut() -> None:
    clock, asked = [0.0], []

    def ask(sql: str) -> list[dict[str, Any]]:
        asked.append(sql)
        return [{"n": n} for n in range(MOST_ROWS + 1)]

    desk = Desk(ask, lambda: clock[0])
    assert len(desk.run("a")) == len(desk.run("a")) == MOST_ROWS
    clock[0] = 6.0
    desk.run("a")
    assert asked == ["a", "a"]
    for _ in range(AT_ONCE):
        desk._free.acquire()
    with pytest.raises(QueryError, match="under way already"):
        desk.run("b")


def test_csv_is_harmless_to_spreadsheets() -> None:
    assert as_csv([{"a": "=1+1", "b": 2}]) == "a,b\r\n'=1+1,2\r\n"
    assert as_csv([]) == ""


def test_a_chart_shows_the_first_text_and_number() -> None:
    assert chart([{"t": "x", "n": 4}, {"t": "y", "n": 1}]) == ("t", "n", [("x", 1.0), ("y", 0.25)])
    assert chart([{"n": 4}]) is None
    assert chart([]) is None


def test_pages_escape_what_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"name": "<script>alert(1)</script>", "n": 3}]
    monkeypatch.setattr("pipeline.serving.pinot.Pinot.query", lambda *_: rows)
    poller = Poller(shop, 60.0)
    browser = create_app(settings(), poller).server.test_client()
    try:
        page = browser.get("/queries/best_selling_products?rows=5")
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text
        assert browser.get("/queries/best_selling_products?rows=x").status_code == 400
        assert browser.get("/queries/nothing").status_code == 404
        answer = browser.get("/queries/best_selling_products.csv")
        assert answer.mimetype == "text/csv"
        assert answer.text.startswith("name,n")
        assert "Every part is being asked" in browser.get("/health").text
    finally:
        poller.stop()
