"""The query client: values quoted, rows as mappings, every failure one exception."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from pipeline.errors import QueryError, SettingError
from pipeline.serving.pinot import Pinot, client
from pipeline.settings import load


class FakeBroker:
    """Remembers requests and gives the reply that the test sets."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        self.reply: Any = {}
        self.status = 200
        self.delay_s = 0.0
        self.url = ""


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    fake = FakeBroker()

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # one packet a reply

        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            fake.connections += 1
            super().setup()

        def do_POST(self) -> None:
            fake.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(fake.delay_s)
            payload = fake.reply if isinstance(fake.reply, bytes) else json.dumps(fake.reply).encode()
            with suppress(BrokenPipeError):  # the client may have given up
                self.send_response(fake.status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        def log_message(self, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pinot(broker: FakeBroker) -> Iterator[Pinot]:
    made = Pinot(load(pinot_broker_url=broker.url, pinot_timeout_s=0.5))
    yield made
    made.close()


def result(names: list[str], types: list[str], rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    schema = {"columnNames": names, "columnDataTypes": types}
    return {
        "resultTable": {"dataSchema": schema, "rows": rows},
        "numServersQueried": 1,
        "numServersResponded": 1,
    } | more


def test_rows_are_mappings_and_the_limits_are_sent(broker: FakeBroker, pinot: Pinot) -> None:
    broker.reply = result(["name", "n"], ["STRING", "LONG"], [["a", 1], ["b", 2]])
    assert pinot.query("SELECT name, n FROM T LIMIT 5") == [{"name": "a", "n": 1}, {"name": "b", "n": 2}]
    assert "timeoutMs=500" in broker.requests[0]["queryOptions"]


def test_one_connection_serves_many_queries(broker: FakeBroker, pinot: Pinot) -> None:
    broker.reply = result(["n"], ["LONG"], [[1]])
    for _ in range(3):
        pinot.query("SELECT n FROM T LIMIT 1")
    assert broker.connections == 1


def test_parameters_are_quoted(broker: FakeBroker, pinot: Pinot) -> None:
    broker.reply = result(["n"], ["LONG"], [])
    pinot.query("SELECT n FROM T WHERE a = %(a)s AND b > %(b)s LIMIT 1", {"a": "O'Hara; --", "b": 3})
    assert broker.requests[0]["sql"] == "SELECT n FROM T WHERE a = 'O''Hara; --' AND b > 3 LIMIT 1"


def test_texts_are_those_of_the_topics(broker: FakeBroker, pinot: Pinot) -> None:
    broker.reply = result(["name", "n"], ["STRING", "LONG"], [["a\u24000b", 1], ["\u2400\u2400", 2]])
    assert [row["name"] for row in pinot.query("SELECT name, n FROM T LIMIT 5")] == ["a\0b", "\u2400"]
    pinot.query("SELECT n FROM T WHERE name = %(name)s LIMIT 1", {"name": "a\0b"})
    assert broker.requests[1]["sql"] == "SELECT n FROM T WHERE name = 'a\u24000b' LIMIT 1"


def test_a_refusal_is_told_without_the_stack_trace(broker: FakeBroker, pinot: Pinot) -> None:
    message = (
        "QueryExecutionError:\njava.lang.RuntimeException: Unknown columnName 'x'\n\tat org.apache.Foo.bar(Foo.java:1)"
    )
    broker.reply = {"exceptions": [{"errorCode": 200, "message": message}], "numServersQueried": 1}
    broker.reply |= {"numServersResponded": 1}
    with pytest.raises(QueryError, match=r"refused a query: QueryExecutionError: .* Unknown columnName 'x'$"):
        pinot.query("SELECT x FROM T LIMIT 1")


def test_a_partial_answer_is_none(broker: FakeBroker, pinot: Pinot) -> None:
    broker.reply = result(["n"], ["LONG"], [[1]], numServersQueried=2)
    with pytest.raises(QueryError, match="refused"):
        pinot.query("SELECT n FROM T LIMIT 1")


@pytest.mark.parametrize(("status", "reply"), [(500, {"error": "down"}), (200, b"<html>"), (502, b"Bad gateway")])
def test_no_answer_of_pinots_is_an_error(broker: FakeBroker, pinot: Pinot, status: int, reply: Any) -> None:
    broker.status, broker.reply = status, reply
    with pytest.raises(QueryError, match="refused"):
        pinot.query("SELECT 1 FROM T LIMIT 1")


def test_a_slow_broker_is_not_waited_for(broker: FakeBroker) -> None:
    broker.delay_s = 1.0
    slow = Pinot(load(pinot_broker_url=broker.url, pinot_timeout_s=0.1))
    with pytest.raises(QueryError, match=r"did not answer within 0\.1 s"):
        slow.query("SELECT 1 FROM T LIMIT 1")
    slow.close()


def test_an_absent_broker_is_told() -> None:
    absent = Pinot(load(pinot_broker_url="http://127.0.0.1:1", pinot_timeout_s=0.5))
    with pytest.raises(QueryError, match=r"Pinot at http://127\.0\.0\.1:1 cannot be reached"):
        absent.query("SELECT 1 FROM T LIMIT 1")
    absent.close()
    absent.close()


@pytest.mark.parametrize("url", ["localhost:8099", "ftp://x:1", "http://"])
def test_an_address_that_is_none_names_the_setting(url: str) -> None:
    with pytest.raises(SettingError, match="setting pinot_broker_url"):
        Pinot(load(pinot_broker_url=url))


def test_a_process_has_one_client() -> None:
    settings = load(pinot_broker_url="http://127.0.0.1:18099")
    assert client(settings) is client(load(pinot_broker_url="http://127.0.0.1:18099"))
    assert client(settings).timeout_s == settings.pinot_timeout_s
