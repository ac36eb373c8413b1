"""Ten thousand requests of any kind: none is answered with a fault of the server, a trace or a secret."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from dashboard_data import NEXT, shop
from flask.testing import FlaskClient

from pipeline.dashboard.app import create_app
from pipeline.dashboard.guard import MOST_BODY_BYTES
from pipeline.dashboard.snapshot import Poller
from pipeline.errors import QueryError
from pipeline.settings import load

REQUESTS = 10_000
SEED = 16
SECRETS = {"dashboard_auth": "ann:pl4nted-one", "pinot_password": "pl4nted-two", "mysql_password": "pl4nted-three"}
BROKER = "http://user:pl4nted-four@127.0.0.1:9"
LEAKS = ("Traceback", 'File "', "pl4nted", "site-packages", "werkzeug.", "Error:")
UNAVAILABLE = ("healthz", "queries/")
"""What says 503 by its contract: without Pinot there is no snapshot, and no saved query has rows."""

METHODS = (*["GET"] * 12, "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "X")
PIECES = (
    "queries", "queries/best_selling_products", "queries/best_selling_products.csv", "health", "healthz", "assets",
    "assets/style.css", "_dash-layout", "_dash-dependencies", "_dash-update-component", "_reload-hash", "_favicon.ico",
    "_dash-component-suites", "_dash-component-suites/dash/dcc/async-graph.js", "_dash-component-suites/os/path.py",
    "_dash-component-suites/dash/../../../etc/passwd", "..", "%2e%2e", "%2f", "..%2f..%2fetc%2fpasswd", "%00", "%0d%0a",
    "%ff%fe", "%c0%ae", "\\..\\..", "static/", ".git/config", ".env", "~", "'", '"', "<script>", "{{7*7}}", "${x}",
)  # fmt: skip
NAMES = ("period", "rows", "from", "to", "tz", "format", "group", "region", "cancelJob", "job", "endId", "x", "")
VALUES = (
    "PT1H", "7", "-1", "1e9", "999999999999", "' OR '1'='1", "1; DROP TABLE x", "') UNION SELECT 1 --", "*/ 1 /*",
    "\r\nSet-Cookie: a=b", "%0d%0aX: y", "../../../etc/passwd", "=1+1", "<img src=x onerror=alert(1)>", "\x00",
    "\x1b[2J",     "\u202egnp", "\ud800", "x" * 3000, "[]", "{}", "null", "NaN", "\N{ARABIC-INDIC DIGIT SEVEN}",
)  # fmt: skip
HEADERS: dict[str, tuple[str, ...]] = {
    "Accept-Encoding": ("gzip", "br", "gzip;q=0", "*", ",,,"),
    "Authorization": ("", "Basic", "Basic !!!", "Basic YTpi", "Bearer x", "Basic \udcff", "Digest username=x"),
    "Content-Type": ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ";"),
    "Content-Length": ("0", "-1", "x", "999999999"),
    "Cookie": ("a=b", "=", ";;;", "_dash=" + "x" * 500),
    "Host": ("x", "[::1", "a" * 300, "evil.example/..", ""),
    "If-None-Match": ("*", '"x"', "W/", "\xff"),
    "If-Modified-Since": ("yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "99"),
    "Range": ("bytes=0-", "bytes=9-1", "bytes=-", "lines=1", "bytes=0-0,5-9,99999999-"),
    "X-Forwarded-For": ("1.2.3.4", "x" * 100, "::1, 2.2.2.2"),
    "X-Forwarded-Prefix": ("//evil.example", "/../.."),
    "Transfer-Encoding": ("chunked", "x"),
    "X-HTTP-Method-Override": ("DELETE",),
}
MARKS = (None, True, 0, -1, 1e308, float("nan"), "", "x", "\ud800", "\x00", "a" * 5000, [], {}, [[]], [None], {"a": {}})


class Fuzz:
    """Requests from a seed; `tick` is one that the page would make."""

    def __init__(self, seed: int, tick: dict[str, Any]) -> None:
        self.random = random.Random(seed)
        self.tick = tick

    def path(self) -> str:
        pieces = [self.random.choice(PIECES) for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
        text = "".join(chr(self.random.randrange(0x20, 0x250)) for _ in range(8)) if self.random.random() < 0.1 else ""
        return "/" + "/".join(pieces).lstrip("/") + quote(text, safe="")

    def query(self) -> str:
        pairs = [
            f"{self.random.choice(NAMES)}={quote(self.random.choice(VALUES), safe='', errors='surrogatepass')}"
            for _ in range(self.random.choice((0, 0, 1, 2, 4)))
        ]
        return "&".join(pairs) + self.random.choice(("", "", "", "&%ff=%fe", "&&=", "&\xe9"))

    def headers(self) -> dict[str, str]:
        names = self.random.sample(list(HEADERS), self.random.choice((0, 0, 1, 2)))
        return {name: self.random.choice(HEADERS[name]) for name in names}

    def value(self, depth: int = 0) -> Any:
        if depth > 3 or self.random.random() < 0.6:
            return self.random.choice(MARKS)
        if self.random.random() < 0.5:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(NAMES): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def call(self) -> bytes:
        """A call of Dash, wrong in one place or in several; some are right but for their values."""
        body = json.loads(json.dumps(self.tick))
        for _ in range(self.random.choice((1, 1, 2, 5))):
            self.damage(body)
        return json.dumps(body).encode()

    def damage(self, body: Any) -> None:
        place = self.random.choice(list(body)) if body else "output"
        kind = self.random.random()
        if kind < 0.15:
            body.pop(place, None)
        elif kind < 0.3:
            body[place] = self.value()
        elif kind < 0.4:
            body[self.random.choice(NAMES)] = self.value()
        else:
            for part in ("inputs", "state"):
                if isinstance(body.get(part), list) and body[part] and isinstance(body[part][-1], dict):
                    one = self.random.choice(body[part])
                    if isinstance(one, dict):
                        key = "value" if self.random.random() < 0.8 else self.random.choice(("id", "property"))
                        one[key] = (
                            self.view() if one.get("id") == "view" and self.random.random() < 0.7 else self.value()
                        )

    def view(self) -> dict[str, Any]:
        keys = ("period", "from", "to", "groups", "regions", "tz", "format", "unknown", "x")
        good = ("all", "24h", "dates", "UTC", "1,234.56", ["Fashion"], "2024-10-04", "0001-01-01", ["\x1b", "\u202e"])
        return {key: self.random.choice(good) if self.random.random() < 0.6 else self.value() for key in keys}

    def body(self) -> bytes:
        kind = self.random.random()
        if kind < 0.02:
            return b"[" * 100_000
        if kind < 0.03:
            return b"x" * (MOST_BODY_BYTES + 1)
        if kind < 0.15:
            return json.dumps(self.value()).encode()
        if kind < 0.3:
            return self.random.randbytes(self.random.randrange(200))
        return self.call()

    def send(self, browser: FlaskClient) -> tuple[str, Any]:
        """A request and its answer."""
        headers = self.headers()
        if self.random.random() < 0.4:
            path, method = "/_dash-update-component", "POST"
            headers.setdefault("Content-Type", "application/json")
        else:
            path, method = self.path(), self.random.choice(METHODS)
        auth = None if "Authorization" in headers or self.random.random() < 0.1 else tuple(AUTH)
        address = f"{path}?{self.query()}"
        body = self.body() if method not in ("GET", "HEAD") or self.random.random() < 0.05 else b""
        content_type = headers.pop("Content-Type", None)
        length = headers.pop("Content-Length", None)
        if length is not None:
            environ: dict[str, Any] = {"CONTENT_LENGTH": length}
        else:
            environ = {}
        reply = browser.open(
            address, method=method, headers=headers, data=body, content_type=content_type, auth=auth,
            environ_overrides=environ,
        )  # fmt: skip
        return f"{method} {address} {headers} {body[:300]!r}", reply


AUTH = SECRETS["dashboard_auth"].split(":")


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    poller = Poller(shop, 60.0, lambda: NEXT)
    poller.refresh()
    poller.start = lambda: None  # type: ignore[method-assign]
    asked = Counter[str]()

    def query(_: Any, sql: str) -> list[dict[str, Any]]:
        asked[sql] += 1
        if sum(asked.values()) % 3 == 0:
            raise QueryError(f"Pinot at {BROKER} cannot be reached: it is away")
        return [{"name": "=a", "n": 1}]

    monkeypatch.setattr("pipeline.serving.pinot.Pinot.query", query)
    monkeypatch.setattr("pipeline.dashboard.health.Watch.current", lambda _: None)
    monkeypatch.setattr("pipeline.web_login.FAILURES", 1_000_000)
    settings = load(**SECRETS, pinot_user="ann", dashboard_rate_limit=0, pinot_broker_url=BROKER)
    yield create_app(settings, poller).server.test_client()


def a_tick(browser: FlaskClient) -> dict[str, Any]:
    dependencies = browser.get("/_dash-dependencies", auth=tuple(AUTH)).json
    (found,) = (one for one in dependencies if "figure-trend.figure" in one["output"])
    values = {"tick": 1, "view": {"period": "all"}, "scheme": "dark", "seen": None}
    names = found["output"].strip(".").split("...")
    return {
        "output": found["output"],
        "outputs": [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names],
        "changedPropIds": ["tick.n_intervals"],
        **{part: [{**one, "value": values[one["id"]]} for one in found[part]] for part in ("inputs", "state")},
    }


def test_no_request_makes_the_server_fail_or_tell_a_secret(browser: FlaskClient) -> None:
    tick = a_tick(browser)
    fuzz = Fuzz(SEED, tick)
    statuses = Counter[int]()
    call: Callable[[], tuple[str, Any]] = lambda: fuzz.send(browser)  # noqa: E731
    for _ in range(REQUESTS):
        asked, reply = call()
        with reply:
            statuses[reply.status_code] += 1
            told = f"{reply.status_code} {reply.headers} {'' if is_script(reply) else reply.get_data(as_text=False)!r}"
            if reply.status_code >= 500:
                assert reply.status_code == 503, (asked, told)
                assert any(path in asked for path in UNAVAILABLE), (asked, told)
            assert not [leak for leak in LEAKS if leak in told], (asked, told)
            assert all("\n" not in value and "\r" not in value for value in reply.headers.values())
            assert "Set-Cookie" not in reply.headers, asked
    assert {200, 204, 400, 401, 404, 405, 413, 503} <= statuses.keys(), statuses
    assert statuses[200] > REQUESTS / 20, statuses
    assert browser.post("/_dash-update-component", json=tick, auth=tuple(AUTH)).status_code == 200


def is_script(reply: Any) -> bool:
    """Scripts of Dash and Plotly hold any words."""
    return "script" in (reply.mimetype or "") and reply.status_code in (200, 206)


def test_what_fails_by_a_mistake_of_ours_is_one_sentence(
    browser: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("pl4nted-five")

    tick = a_tick(browser)
    monkeypatch.setattr("pipeline.dashboard.callbacks.Choices.of", fail)
    monkeypatch.setattr("pipeline.dashboard.pages.as_csv", fail)
    monkeypatch.setattr("pipeline.dashboard.pages.render_template", fail)
    replies = [
        browser.post("/_dash-update-component", json=tick, auth=tuple(AUTH)),
        browser.get("/queries/best_selling_products.csv", auth=tuple(AUTH)),
        browser.get("/health", auth=tuple(AUTH)),
    ]
    for reply in replies:
        assert (reply.status_code, reply.text) == (500, "This has failed; the dashboard's log says why.")
        assert "Content-Security-Policy" in reply.headers
    assert "pl4nted-five" in caplog.text, "the log says why"
