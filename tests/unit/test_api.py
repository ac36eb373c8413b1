"""What `pipeline api` answers, over state as changelogs bring it; the brokers are not needed."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from pipeline import Application, Count, Endpoint, Hopping, Session, SqlEndpoint, Stream, Sum, Tumbling, c
from pipeline.api.answers import dumped
from pipeline.api.changes import events
from pipeline.api.replica import NotFreshError, Replica
from pipeline.api.server import create_app
from pipeline.applications.loading import declared
from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.tables.fold import PartitionFold
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Rows
from pipeline.tables.state import State

visits = Stream("visits", {"page": "STRING", "user": "INT", "paid": "DECIMAL(10, 2)"}, key="page")
BY_PAGE = visits.group_by(c.page).aggregate(visits=Count(), paid=Sum(c.paid)).to("BY_PAGE")
PER_MINUTE = visits.window(Tumbling(60_000)).group_by(c.page, c.user).aggregate(visits=Count()).to("PER_MINUTE")
BUSY = visits.group_by(user=c.user).aggregate(visits=Count()).having(c.visits > 1).to("BUSY")
LAST_MINUTE = visits.window(Hopping(60_000, 1_000, 0)).group_by().aggregate(visits=Count()).materialize("LAST_MINUTE")
SESSIONS = visits.window(Session(1_000, 0)).group_by(c.page).aggregate(visits=Count()).to("SESSIONS")
FINAL = visits.window(Tumbling(60_000)).group_by(c.page).aggregate(visits=Count()).final().to("FINAL")


def of_minute(ask: Any, at: int, times: int = 1) -> dict[str, Any]:
    """Visits of the minute before a moment, times something."""
    if at % 1_000:
        raise ValueError(f"at is {at}, but must be a whole second")
    row = ask.row("LAST_MINUTE", at - 60_000)
    return {"visits": times * (row["visits"] if row else 0), "busy": [one["user"] for one in ask.rows("BUSY")]}


APPLICATION = Application(
    "visits",
    *(BY_PAGE, PER_MINUTE, BUSY, LAST_MINUTE, SESSIONS, FINAL),
    endpoints=[Endpoint("/visits/minute", of_minute)],
)
VISITS = [(1_000, "a", 1, 100), (1_500, "a", 1, 250), (2_000, "b", 2, 5), (61_000, "a", 2, 1), (70_000, "c/ü", 1, 0)]


class Fed:
    """An API whose state is fed by hand."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings(app="visits")
        self.api = create_app(settings, declared(APPLICATION))
        self.replica: Replica = self.api.state.replica
        self.replica.problem = None
        self.replica._confirmed = (float("inf"), 5)
        self._folds = {}
        for one in APPLICATION.statements:
            aggregate, state = one.aggregate, State()
            self._folds[one] = (PartitionFold([aggregate], 0, State()), PartitionMerge([aggregate], 1, state), state)
        self._at = dict.fromkeys(self._folds, 0)
        self._offset = 0

    def feed(self, *visits: tuple[int, str, int, int]) -> None:
        """Visits as (time, page, user, cents)."""
        from decimal import Decimal

        offsets = range(self._offset, self._offset + len(visits))
        self._offset = offsets.stop
        records = [{"page": p, "user": u, "paid": Decimal(cents).scaleb(-2)} for _, p, u, cents in visits]
        for one, (fold, merge, state) in self._folds.items():
            renamed = [{name: record[made.reads[0]] for name, made in one.computed} for record in records]
            rows = Rows(list(offsets), [visit[0] for visit in visits], renamed, [(0, offset) for offset in offsets])
            folded = fold.fold(rows)
            sent = [*folded.partials, *([folded.watermark] if folded.watermark else [])]
            if sent:
                merge.merge(sent, self._at[one], self._at[one] + len(sent) - 1)
                self._at[one] += len(sent)
            for key, value in state.take_changes().items():
                found = self.replica.totals.apply(orjson.dumps(key), None if value is None else orjson.dumps(value))
                if found is not None:
                    self.replica.recent[self.replica._note(*found)].tell()

    async def get(self, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.api, raise_app_exceptions=True, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.request(options.pop("method", "GET"), path, **options)

    async def rows(self, path: str, **options: Any) -> list[dict[str, Any]]:
        answer = await self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["rows"])


@pytest.fixture
def fed() -> Iterator[Fed]:
    made = Fed()
    made.feed(*VISITS)
    yield made


async def test_tables_are_listed_and_final_ones_are_not(fed: Fed) -> None:
    found = (await fed.get("/tables")).json()["tables"]
    assert [one["name"] for one in found] == ["BY_PAGE", "PER_MINUTE", "BUSY", "LAST_MINUTE", "SESSIONS"]
    assert found[1] == {
        "name": "PER_MINUTE",
        "group": ["page", "user"],
        "windows": "tumbling",
        "topic": "PER_MINUTE",
        "groups": 4,
    }
    assert found[3]["topic"] is None


async def test_a_row_by_its_group_and_all_rows(fed: Fed) -> None:
    assert [(row["page"], row["visits"], row["paid"]) for row in await fed.rows("/tables/BY_PAGE")] == [
        ("a", 3, 3.51),
        ("b", 1, 0.05),
        ("c/ü", 1, 0.0),
    ]
    assert [row["visits"] for row in await fed.rows("/tables/BY_PAGE", params={"page": "c/ü"})] == [1]
    assert await fed.rows("/tables/BY_PAGE?page=nothing") == []
    assert [row["page"] for row in await fed.rows("/tables/BY_PAGE?group_from=b&group_to=c")] == ["b"]


async def test_decimals_keep_their_digits(fed: Fed) -> None:
    assert b'"paid":3.51' in (await fed.get("/tables/BY_PAGE?page=a")).content


async def test_having_holds_when_it_is_asked(fed: Fed) -> None:
    assert [row["user"] for row in await fed.rows("/tables/BUSY")] == [1, 2]
    assert await fed.rows("/tables/BUSY?user=3") == []


async def test_groups_of_several_columns_and_windows(fed: Fed) -> None:
    assert [row["window_start_ms"] for row in await fed.rows("/tables/PER_MINUTE?page=a&user=2")] == [60_000]
    assert await fed.rows("/tables/PER_MINUTE?page=a&user=2&window_to=60000") == []
    assert (await fed.get("/tables/PER_MINUTE?page=a")).json() == {
        "error": "the group is given by page only, but is page, user"
    }


async def test_windows_in_slices_are_added_up(fed: Fed) -> None:
    rows = await fed.rows("/tables/LAST_MINUTE?window_from=9000&window_to=12000")
    assert [(row["window_start_ms"], row["visits"]) for row in rows] == [(11_000, 2)], "those before have closed"


async def test_sessions(fed: Fed) -> None:
    assert [(row["window_start_ms"], row["window_end_ms"]) for row in await fed.rows("/tables/SESSIONS?page=a")] == [
        (1_000, 1_500),
        (61_000, 61_000),
    ]


async def test_an_endpoint_answers_from_the_tables(fed: Fed) -> None:
    assert (await fed.get("/visits/minute?at=71000")).json() == {"visits": 2, "busy": [1, 2]}
    assert (await fed.get("/visits/minute?at=71000&times=3")).json()["visits"] == 6
    assert (await fed.get("/visits/minute?at=71001")).json() == {"error": "at is 71001, but must be a whole second"}
    assert (await fed.get("/visits/minute")).json() == {"error": "parameter at is missing"}


async def test_a_limit_says_that_there_is_more(fed: Fed) -> None:
    answer = (await fed.get("/tables/BY_PAGE?limit=2")).json()
    assert (len(answer["rows"]), answer["more"], answer["committed_ms"]) == (2, True, 5)


async def test_the_description_names_every_parameter(fed: Fed) -> None:
    paths = (await fed.get("/openapi.json")).json()["paths"]
    named = [one["name"] for one in paths["/tables/PER_MINUTE"]["get"]["parameters"]]
    assert named == ["page", "user", "window_from", "window_to", "limit", "stale_ms"]
    assert paths["/visits/minute"]["get"]["description"] == "Visits of the minute before a moment, times something."


WRONG = [
    ("/tables/NOTHING", 404),
    ("/nothing", 404),
    ("/tables/BY_PAGE?limit=0", 400),
    ("/tables/BY_PAGE?limit=10001", 400),
    ("/tables/BY_PAGE?limit=x", 400),
    ("/tables/BY_PAGE?limit=1&limit=2", 400),
    ("/tables/BY_PAGE?colour=red", 400),
    ("/tables/BY_PAGE?stale_ms=-1", 400),
    ("/tables/BY_PAGE?page=a&group_from=a", 400),
    ("/tables/BY_PAGE?window_from=0", 400),
    ("/tables/BUSY?user=a", 400),
    ("/tables/BUSY?user=1e400", 400),
    ("/tables/BUSY?user=%ff", 400),
    ("/tables/PER_MINUTE?window_from=99999999999999999999", 400),
    ("/tables/LAST_MINUTE/changes", 400),
    ("/visits/minute?at=x", 400),
    ("/visits/minute?at=9" + "9" * 5_000, 400),
]


@pytest.mark.parametrize(("path", "status"), WRONG)
async def test_a_wrong_request_is_told_why(fed: Fed, path: str, status: int) -> None:
    answer = await fed.get(path)
    assert answer.status_code == status, answer.text
    assert len(answer.json()["error"]) > 10


async def test_a_parameter_that_is_no_number_is_told_in_plain_words(fed: Fed) -> None:
    assert (await fed.get("/tables/BY_PAGE?limit=x")).json() == {"error": "limit is 'x', but must be a whole number"}
    assert "greater than or equal to 1" in (await fed.get("/tables/BY_PAGE?limit=0")).json()["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_get_is_answered(fed: Fed, method: str) -> None:
    answer = await fed.get("/tables", method=method)
    assert (answer.status_code, answer.json()) == (405, {"error": "only GET is answered here"})


async def test_a_body_is_refused(fed: Fed) -> None:
    assert (await fed.get("/tables", method="GET", content=b"x" * 100)).status_code == 413


async def test_a_thousand_requests_of_nonsense_are_no_error_of_ours(fed: Fed) -> None:
    """Whatever comes: an answer or a sentence, never a failure."""
    chance = random.Random(7)
    paths = [
        "/tables",
        *(f"/tables/{name}" for name in fed.replica.totals.tables),
        "/visits/minute",
        "/%2e%2e/",
        "/tables/",
    ]
    names = [
        "page",
        "user",
        "limit",
        "stale_ms",
        "window_from",
        "window_to",
        "group_from",
        "group_to",
        "at",
        "times",
        "é",
    ]
    values = ["", "0", "-1", "1e9", "9" * 400, "null", "NaN", "\x00", "ü" * 300, "%", "🦉", "a&b", "true", "1.5", "٣"]
    statuses = set()
    for _ in range(1_000):
        params = [(chance.choice(names), chance.choice(values)) for _ in range(chance.randrange(4))]
        method = chance.choice(["GET"] * 8 + ["POST", "HEAD"])
        answer = await fed.get(chance.choice(paths), params=params, method=method)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (answer.request.url, answer.text)
        assert method == "HEAD" or answer.status_code == 200 or answer.json()["error"]
    assert {200, 400, 404, 405} <= statuses


async def test_a_password_is_asked_for() -> None:
    fed = Fed(Settings(app="visits", api_auth="jo:secret"))  # type: ignore[arg-type]
    assert (await fed.get("/tables")).status_code == 401
    assert (await fed.get("/healthz")).status_code == 200
    assert (await fed.get("/tables", auth=("jo", "wrong"))).status_code == 401
    assert (await fed.get("/tables", auth=("jo", "secret"))).status_code == 200


async def test_one_address_may_not_ask_for_everything() -> None:
    fed = Fed(Settings(app="visits", api_rate_limit=1))
    assert [(await fed.get("/tables")).status_code for _ in range(3)] == [200, 200, 429]


async def test_state_that_is_not_read_yet_is_no_answer() -> None:
    fed = Fed(Settings(app="visits", api_timeout_s=0.01))
    fed.replica._confirmed = None
    answer = await fed.get("/tables/BY_PAGE")
    assert (answer.status_code, answer.json()) == (503, {"error": "the workers' state is still being read"})
    with pytest.raises(NotFreshError):
        await fed.replica.fresh(10**9)
    assert (await fed.get("/healthz")).status_code == 503


async def told(fed: Fed, name: str, last_id: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    stream = events(fed.replica, name, last_id)
    while len(found) < count:
        for text in (await asyncio.wait_for(anext(stream), 2)).decode().strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in text.splitlines())
            found.append({"event": lines["event"], "id": lines.get("id"), **orjson.loads(lines["data"])})
    await stream.aclose()
    return found


async def test_a_follower_sees_the_table_and_then_every_change_once(fed: Fed) -> None:
    first = await told(fed, "BY_PAGE", "", 4)
    assert [(one["event"], one.get("group")) for one in first] == [
        ("table", "a"),
        ("table", "b"),
        ("table", "c/ü"),
        ("ready", None),
    ]
    for number in range(5):
        fed.feed((80_000 + number, "d", 1, 1))
    changes = await told(fed, "BY_PAGE", first[-1]["id"], 5)
    assert [one["rows"][0]["visits"] for one in changes] == [1, 2, 3, 4, 5]
    again = await told(fed, "BY_PAGE", changes[2]["id"], 2)
    assert [one["rows"][0]["visits"] for one in again] == [4, 5]


async def test_a_follower_that_is_too_far_behind_begins_again_with_the_table() -> None:
    fed = Fed(Settings(app="visits", api_kept_changes=3))
    first = await told(fed, "BY_PAGE", "", 1)
    for number in range(9):
        fed.feed((number, "d", 1, 1))
    assert len(fed.replica.recent["BY_PAGE"].changes) == 3
    found = await told(fed, "BY_PAGE", first[0]["id"], 2)
    assert [(one["event"], one.get("rows", [{}])[0].get("visits")) for one in found] == [("table", 9), ("ready", None)]
    assert [one["event"] for one in await told(fed, "BY_PAGE", "1-1", 2)] == ["table", "ready"]
    assert [one["event"] for one in await told(fed, "BY_PAGE", "nonsense", 2)] == ["table", "ready"]


def test_an_application_without_tables_cannot_be_asked() -> None:
    plain = Application("plain", visits.where(c.user > 1).to("SOME"))
    with pytest.raises(SettingError, match="application visits keeps nothing that can be asked"):
        create_app(Settings(app="visits"), declared(plain))


def test_what_is_kept_only_cannot_be_read_as_a_topic() -> None:
    with pytest.raises(SettingError, match="is not written to a topic"):
        Application("visits", LAST_MINUTE.where(c.visits > 1))
    with pytest.raises(SettingError, match="materialized LAST_MINUTE is neither a stream nor a table of a topic"):
        visits.join("minute", LAST_MINUTE)  # type: ignore[arg-type]


def test_json_of_what_json_does_not_know() -> None:
    assert dumped({"b": b"\x00", "n": float("nan"), 1: "x"}) == b'{"b":"AA==","n":null,"1":"x"}'


def of_nothing() -> int:
    return 0


async def waiting(ask: Any) -> int:
    return 0


def of_a_list(ask: Any, pages: list[str]) -> int:
    return 0


def of_many(ask: Any, *pages: str) -> int:
    return 0


def of_ours(ask: Any, stale_ms: int) -> int:
    return 0


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("visits", of_minute, "path is 'visits', but must be like /orders/overview"),
        ("/tables/x", of_minute, "are the API's own"),
        ("/x", "of_minute", "'of_minute' answers it, but must be a function"),
        ("/x", of_nothing, "its function takes nothing"),
        ("/x", waiting, "its function is async"),
        ("/x", of_a_list, "parameter pages must be annotated with str, int, float or bool"),
        ("/x", of_many, "parameter pages is of any number"),
        ("/x", of_ours, "parameter stale_ms is one that every endpoint has"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_where_it_is_declared(path: str, answer: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        Endpoint(path, answer)


def of_nobody(ask: Any) -> Any:
    return ask.row("NOBODY")


def of_a_mistake(ask: Any) -> Any:
    return 1 // 0


async def test_what_is_wrong_in_an_endpoint_is_told(caplog: pytest.LogCaptureFixture) -> None:
    wrong = Application(
        "wrong", BY_PAGE, endpoints=[Endpoint("/nobody", of_nobody), Endpoint("/mistake", of_a_mistake)]
    )
    api = create_app(Settings(app="wrong"), declared(wrong))
    api.state.replica._confirmed = (float("inf"), 5)
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        nobody, mistake = await client.get("/nobody"), await client.get("/mistake")
    assert (nobody.status_code, nobody.json()) == (500, {"error": "there is no table NOBODY to be asked, but: BY_PAGE"})
    assert "/nobody: there is no table NOBODY" in caplog.text
    assert (mistake.status_code, mistake.json()["error"]) == (
        500,
        "/mistake failed: ZeroDivisionError; the log says where",
    )


async def test_endpoints_alone_need_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Pinot:
        def query(self, sql: str) -> list[dict[str, Any]]:
            asked.append(sql)
            return [{"n": 1}, {"n": 2}]

    monkeypatch.setattr("pipeline.api.server.client", lambda settings: Pinot())
    plain = Application(
        "plain",
        visits.where(c.user > 1).to("SOME"),
        endpoints=[SqlEndpoint("/n", "SELECT n FROM t"), SqlEndpoint("/n/first", "SELECT n FROM t", one=True)],
    )
    api = create_app(Settings(app="plain"), declared(plain))
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await client.get("/n")).json() == {"rows": [{"n": 1}, {"n": 2}]}
        assert (await client.get("/n/first")).json() == {"n": 1}
        assert (await client.get("/healthz")).status_code == 200
    assert len(asked) == 2
