"""Attacks on the pages, kept: injection, foreign files, foreign headers, guessed passwords, floods and acting texts."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from dashboard_data import NEXT, shop
from flask.testing import FlaskClient
from rich.console import Console

from pipeline import web_limits as limits
from pipeline.dashboard.app import create_app
from pipeline.dashboard.callbacks import Ticks
from pipeline.dashboard.choices import Choices
from pipeline.dashboard.guard import BURST_S, MOST_BODY_BYTES
from pipeline.dashboard.health import Report
from pipeline.dashboard.saved import as_csv
from pipeline.dashboard.saved import load as saved
from pipeline.dashboard.snapshot import Cell, Data, Poller, Sale, Session
from pipeline.settings import load
from pipeline.shown import sentence, visible
from pipeline.status import Broker, Letter, Letters, PollerStatus, Status, TopicStatus
from pipeline.status.view import show
from pipeline.web_limits import Buckets, subnet
from pipeline.web_login import FAILURES

SQL = (
    "' OR '1'='1",
    "'; DROP TABLE x; --",
    "') UNION SELECT 1 --",
    "PT1H'",
    "PT1H' OR ''='",
    "7 OR 1=1",
    "7;",
    "7--",
    "0x7",
    "7 ",
    " 7",
    "+7",
    "7.0",
    "1e1",
    "\N{ARABIC-INDIC DIGIT SEVEN}",
    "7\n",
    "PT1H\n",
    "/*:rows*/",
    "*/ 1 /*",
    "\\\\'",
    "\0",
)
FILES = (
    "../settings.py",
    "..%2f..%2fsettings.py",
    "%2e%2e/%2e%2e/settings.py",
    "..\\..\\settings.py",
    "/etc/passwd",
    "//etc/passwd",
    "....//....//etc/passwd",
    "%00",
    "style.css%00",
    "..%c0%af..%c0%afetc/passwd",
    "./../../dashboard/app.py",
    ".",
    "..",
)
LINES = (
    "a\r\nSet-Cookie: x=y",
    "%0d%0aSet-Cookie:%20x=y",
    "a\nX-Evil: 1",
    "\u560d\u560aSet-Cookie: x=y",
    "a\r\n\r\n<script>",
)
SCRIPT = "<script>alert(1)</script>"
EVIL = {
    "script": SCRIPT,
    "image": "<img src=x onerror=alert(1)>",
    "quote": "\"' onfocus=alert(1) autofocus x='",
    "link": '<a href="https://evil.example">Fashion</a>',
    "template": "{{7*7}} ${7*7} %{customdata}",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "back": "gpj.\u202egnp.exe\u2066\u200f",
    "rich": "[bold red]x[/bold red][link=https://evil.example]y[/link]",
    "long": "W" * 20_000,
    "lines": "a\r\nb\u2028c\u0085d\0",
}
ACTING = ("\x1b", "\x07", "\u202e", "\u2066", "\u200f", "\0", "\u2028", "\x85")


def served(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, **given: Any) -> tuple[FlaskClient, list[str]]:
    """A browser, and what Pinot is asked."""
    asked: list[str] = []

    def query(_: Any, sql: str) -> list[dict[str, Any]]:
        asked.append(sql)
        return rows

    monkeypatch.setattr("pipeline.serving.pinot.Pinot.query", query)
    poller = Poller(shop, 60.0)
    poller.start = lambda: None  # type: ignore[method-assign]
    return create_app(load(**given), poller).server.test_client(), asked


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    yield served([], monkeypatch)[0]


def test_no_parameter_of_a_saved_query_reaches_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    browser, asked = served([{"n": 1}], monkeypatch)
    queries = saved(load().pinot_dir)
    plain = {query.filled({}) for query in queries.values()}
    assert any(query.parameters for query in queries.values())
    for query in queries.values():
        for parameter in (*(p.name for p in query.parameters), "x", "sql", "' OR 1=1 --"):
            for text in SQL:
                for end in ("", ".csv"):
                    reply = browser.get(f"/queries/{query.name}{end}", query_string={parameter: text})
                    known = any(parameter == one.name for one in query.parameters)
                    assert reply.status_code == (400 if known else 200), (query.name, parameter, text)
    assert set(asked) <= plain


def test_no_name_reaches_sql_or_a_file(browser: FlaskClient) -> None:
    for text in (*SQL, *FILES):
        assert browser.get("/queries/" + text.strip("/").replace("#", "")).status_code in (200, 404)
        reply = browser.get(f"/queries/{text}.csv")
        assert reply.mimetype != "text/csv"


@pytest.mark.parametrize(
    "place", ["/assets/", "/_dash-component-suites/dash/", "/_dash-component-suites/", "/", "/queries/"]
)
def test_files_of_elsewhere_are_not_served(browser: FlaskClient, place: str) -> None:
    for path in FILES:
        with browser.get("/", environ_overrides={"PATH_INFO": unquote(place + path, "latin-1")}) as reply:
            assert reply.status_code in (200, 301, 308, 400, 404), path
            assert "root:x:" not in reply.text
            assert "SecuritySettings" not in reply.text
            assert "create_app" not in reply.text


def test_no_parameter_makes_a_header(browser: FlaskClient) -> None:
    for text in LINES:
        for path in (
            "/",
            "/health",
            "/queries",
            "/queries/best_selling_products",
            "/queries/best_selling_products.csv",
        ):
            for reply in (
                browser.get(path, query_string={"rows": text, "period": text, text: "x"}),
                browser.get("/", environ_overrides={"PATH_INFO": f"{path}/{text}".encode().decode("latin-1")}),
            ):
                with reply:
                    assert not {"Set-Cookie", "X-Evil"} & set(reply.headers.keys())
                    assert SCRIPT[:8] not in "".join(reply.headers.values())


def test_the_name_of_a_download_is_the_query_s(monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = served([{"n": 1}], monkeypatch)
    reply = browser.get("/queries/best_selling_products.csv?name=x%0d%0ay")
    assert reply.headers["Content-Disposition"] == "attachment; filename=best_selling_products.csv"


def test_a_redirect_stays_here(browser: FlaskClient) -> None:
    for path in ("//evil.example/", "//evil.example/..", "/\\\\evil.example", "/queries//evil.example"):
        with browser.get("/", environ_overrides={"PATH_INFO": path}) as reply:
            assert "evil.example" not in reply.headers.get("Location", "").replace("http://localhost", "", 1)[:2]


def test_bodies_have_an_end(browser: FlaskClient) -> None:
    for path in ("/_dash-update-component", "/", "/health"):
        reply = browser.post(path, data=b"x" * (MOST_BODY_BYTES + 1), content_type="application/json")
        assert reply.status_code == 413
    assert browser.post("/_dash-update-component", data=b"x" * 9).status_code == 400
    reply = browser.post(
        "/_dash-update-component",
        input_stream=io.BytesIO(b"[" * (2 * MOST_BODY_BYTES)),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert reply.status_code in (400, 413), "without a length, too"


def test_wrong_passwords_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = served([], monkeypatch, dashboard_auth="ann:secret")
    for n in range(FAILURES):
        assert browser.get("/", auth=("ann", f"guess{n}")).status_code == 401
    for password in ("guess", "secret"):
        reply = browser.get("/", auth=("ann", password))
        assert reply.status_code == 429, "not even the right one tells that it is"
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert browser.get("/").status_code == 401, "asking is no attempt"
    assert browser.get("/healthz").status_code == 503
    other = browser.get("/", auth=("ann", "secret"), environ_overrides={"REMOTE_ADDR": "10.0.0.9"})
    assert other.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !",
        "Basic YW5uOnNlY3JldA",
        "basic\tx",
        "Bearer YW5uOnNlY3JldA==",
        "YW5uOnNlY3JldA==",
        "Basic \xff",
    ],
)
def test_a_header_that_is_no_password_is_none(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    browser, _ = served([], monkeypatch, dashboard_auth="ann:secret")
    assert browser.get("/", headers={"Authorization": header}).status_code == 401
    assert browser.get("/", headers={"Authorization": "basic YW5uOnNlY3JldA=="}).status_code == 200


def test_only_the_health_check_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = served([], monkeypatch, dashboard_auth="ann:secret")
    for path in ("/x/healthz", "/healthz/", "/healthz/x", "/queries/healthz", "/assets/healthz", "//healthz"):
        assert browser.get(path).status_code in (308, 401), path
    assert browser.get("/healthz").status_code == 503


def test_floods_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = served([], monkeypatch, dashboard_rate_limit=2)
    statuses = [browser.get("/queries").status_code for _ in range(4 * BURST_S)]
    assert statuses[: 2 * BURST_S] == [200] * 2 * BURST_S
    assert statuses[-1] == 429
    assert browser.get("/queries").headers["Retry-After"] == "1"
    assert browser.get("/queries", environ_overrides={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200
    untrusted = {"X-Forwarded-For": "10.0.0.10"}
    assert browser.get("/queries", headers=untrusted).status_code == 429, "nobody may choose an address"
    unlimited, _ = served([], monkeypatch, dashboard_rate_limit=0)
    assert {unlimited.get("/queries").status_code for _ in range(50)} == {200}


def test_a_trusted_proxy_tells_the_client_s_address_and_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = served([], monkeypatch, dashboard_rate_limit=1, dashboard_trusted_proxies=1)
    for _ in range(BURST_S):
        browser.get("/queries", headers={"X-Forwarded-For": "10.0.0.1"})
    assert browser.get("/queries", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 429
    assert browser.get("/queries", headers={"X-Forwarded-For": "10.0.0.2, 10.0.0.1"}).status_code == 429
    reply = browser.get("/queries", headers={"X-Forwarded-For": "10.0.0.3", "X-Forwarded-Proto": "https"})
    assert (reply.status_code, "Strict-Transport-Security" in reply.headers) == (200, True)


def test_buckets_fill_again_and_are_not_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    buckets = Buckets(0.5, 2, lambda: clock[0])
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 2]
    assert (buckets.wait_s("a"), buckets.wait_s("b")) == (2, 0)
    clock[0] = 2.0
    assert [buckets.take("a") for _ in range(2)] == [0, 2]
    clock[0] = 1000.0
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 2]
    monkeypatch.setattr(limits, "MOST_CLIENTS", 3)
    for n in range(9):
        buckets.take(str(n))
    assert len(buckets._found) == 3


def test_an_ipv6_client_is_its_subnet() -> None:
    assert subnet("2001:db8::1") == subnet("2001:db8::2:3") != subnet("2001:db8:0:1::1")
    assert subnet("::ffff:10.0.0.1") == subnet("10.0.0.1") == "10.0.0.1"
    assert subnet("x" * 100) == "x" * 64


def acts(text: str) -> list[str]:
    return [character for character in ACTING if character in text]


def test_texts_of_records_do_nothing_on_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{f"name {kind}": text, "n": n, text[:50]: text} for n, (kind, text) in enumerate(EVIL.items())]
    for row in rows:
        browser, _ = served([row], monkeypatch)
        page = browser.get("/queries/best_selling_products").text
        assert "<img" not in page
        assert "<script>" not in page
        assert 'evil.example"' not in page
        assert " onfocus=alert(1) autofocus x='" not in page.replace("&#34;", "").replace("&#39;", "")
        assert "7*7" in page or "template" not in next(iter(row))
        assert not acts(page)


def test_texts_of_servers_do_nothing_on_the_health_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in EVIL.values():
        report = Report(status_of(text), NEXT, {}, {})
        monkeypatch.setattr("pipeline.dashboard.health.Watch.current", lambda _, report=report: report)
        page = served([], monkeypatch)[0].get("/health").text
        assert "<img" not in page
        assert "<script>" not in page
        assert '<a href="https://evil' not in page
        assert not acts(page)


def status_of(text: str) -> Status:
    return Status(
        brokers=(Broker(1, text, 9092, True),),
        topics={text: TopicStatus(5, 2, 2, 0, 0, 1000)},
        dead_letters=Letters(1, (Letter(text, 0, 1, NEXT, text),)),
        late_records=Letters(1, (Letter("t", 0, 1, NEXT, text),)),
        poller=PollerStatus(7, 0, NEXT, 1, text),
        problems={"pinot": f"Pinot at http://user:hunter2@pinot:8099 says {text}"},
    )


def test_addresses_on_the_pages_have_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report(status_of("x"), NEXT, {}, {})
    monkeypatch.setattr("pipeline.dashboard.health.Watch.current", lambda _: report)
    page = served([], monkeypatch)[0].get("/health").text
    assert "hunter2" not in page
    assert "http://pinot:8099" in page
    assert sentence("at https://a:b@c/d, http://e") == "at https://c/d, http://e"


@pytest.mark.parametrize("kind", EVIL)
def test_texts_of_records_do_nothing_on_the_live_page(kind: str) -> None:
    text = EVIL[kind]
    data = replace(
        shop(),
        sales_by_group=(Cell(text, "", 0, 5),),
        sales_by_region=(Cell("", text, 0, 5),),
        pageviews_tumbling=(Cell(text, "", NEXT, 5),),
        sessions=(Session(text, NEXT - 1000, NEXT, 3),),
        latest_sales=(Sale(NEXT, 1, text, text, text, 1, 100),),
    )
    poller = Poller(lambda: data, 60.0, lambda: NEXT)
    poller.refresh()
    poller.current = replace(poller.current, error=f"http://user:hunter2@x {text}")
    view = Choices.of({"period": "all", "groups": [], "regions": [text], "unknown": [text]})
    for choices in (Choices.of({"period": "all"}), view):
        answer = Ticks(poller, load(), lambda: NEXT).answer(None, choices, "light")
        shown = [*answer["panels"]["doubts"], *answer["notes"].values(), answer["banner"]]
        shown += [cell for row in answer["panels"]["latest"] for cell in row]
        assert not acts("".join(str(one) for one in shown))
        assert all(len(str(one)) <= 400 for one in shown if one != answer["banner"])
        for figure in answer["figures"].values():
            layout = figure["layout"]
            texts = [*layout.get("yaxis", {}).get("ticktext", ()), *layout.get("xaxis", {}).get("ticktext", ())]
            texts += [note["text"] for note in layout.get("annotations", ())]
            for trace in figure["data"]:
                texts += [trace.get("name", ""), *trace.get("customdata", ())]
            for one in texts:
                markup = one.replace("<br>", "").replace("<b>", "").replace("</b>", "")
                assert "<" not in markup
                assert not acts(markup)
                assert len(markup) < 1_200
            if figure["data"] and figure["data"][0].get("orientation") == "h":
                assert "ticktext" in layout["yaxis"], "names on the axis are never Plotly's to read"


def test_the_banner_names_no_password() -> None:
    poller = Poller(lambda: Data(), 60.0, lambda: NEXT)
    poller.current = replace(poller.current, error="Pinot at http://user:hunter2@pinot:8099 cannot be reached")
    banner = Ticks(poller, load(), lambda: NEXT).answer(None, Choices(), "light")["banner"]
    assert "http://pinot:8099" in banner
    assert "hunter2" not in banner


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}"])
def test_a_text_is_no_formula_in_a_spreadsheet(start: str) -> None:
    formula = f"{start}cmd|' /C calc'!A0"
    (head, row) = csv.reader(
        io.StringIO(as_csv([{formula: formula, "n": -5, "x": f'a{start}b",c', "f": -1.5}]), newline="")
    )
    assert head[0] == row[0] == f"'{formula}"
    assert row[1:] == ["-5", f'a{start}b",c', "-1.5"]


@pytest.mark.parametrize("kind", EVIL)
@pytest.mark.parametrize("terminal", [False, True])
def test_texts_do_nothing_on_a_terminal(kind: str, terminal: bool) -> None:
    out = io.StringIO()
    show(status_of(EVIL[kind]), Console(file=out, width=100, force_terminal=terminal, color_system=None))
    told = out.getvalue()
    own = ("\x1b[1m", "\x1b[0m", "\x1b[1;31m", "\x1b[3m", "\x1b[32m")
    for style in own:
        told = told.replace(style, "")
    assert not acts(told)
    assert "hunter2" not in told
    assert "\x1b]8" not in told
    assert max(map(len, told.splitlines())) <= 100
    if kind == "rich":
        assert "[bold" in told
    if kind == "escape":
        assert "\\x1b[2J" in told.replace("\n", "")


def test_what_is_seen_stays() -> None:
    kept = "Zürich 東京 \N{THUMBS UP SIGN} 'a' <b> عربى \N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}"
    assert visible(kept) == kept
    assert visible("a\x1b\u202e\U000e0041\ud800") == "a\\x1b\\u202e\\U000e0041\\ud800"
