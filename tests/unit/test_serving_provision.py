"""Provisioning against a controller that answers as Pinot 0.11 does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from pipeline.errors import ProvisionError
from pipeline.serving.provision import changes_a_column, consuming_partitions, covers, provision
from pipeline.serving.tables import tables
from pipeline.settings import Settings, load

TABLES = tuple(table.name for table in tables(load()))
SCALAR_DEFAULTS = {"minimizeDataMovement": False}


class FakeController:
    """Keeps schemas and tables; what a test may change is in the attributes."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self.tables: dict[str, Any] = {}
        self.writes: list[str] = []
        self.partitions = 5
        self.unrecognized: dict[str, Any] = {}
        self.refuse_schema = False
        self.busy_resets = 0
        self.stays = 0
        self.forgotten: str | None = None
        self.validated: list[Any] = []
        self.refuse_config = ""
        self.queries = 0
        self.url = ""

    def handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        bare = path.split("?")[0]
        if method != "GET" and bare not in ("/query/sql", "/tables/validate"):
            self.writes.append(f"{method} {bare}")
        kind, *rest = bare.strip("/").split("/")
        if bare == "/query/sql":
            self.queries += 1
            return 200, {"exceptions": [{"message": "no routing yet"}] if self.queries == 1 else []}
        if kind == "schemas":
            return self._schema(method, rest, body)
        if kind == "tables":
            return self._table(method, rest, body)
        if rest[-1] == "reset" and self.busy_resets:
            self.busy_resets -= 1
            return 500, {"code": 500, "error": "Can't reset state"}
        if rest[-1] == "reset" and rest[0] == f"{self.forgotten}_REALTIME":
            self.forgotten = None
        return 200, {"status": "ok"}

    def _schema(self, method: str, rest: list[str], body: Any) -> tuple[int, Any]:
        if method == "GET":
            return (200, self.schemas[rest[0]]) if rest[0] in self.schemas else (404, {"code": 404, "error": "none"})
        if method == "DELETE":
            if rest[0] in self.tables:
                return 409, {"code": 409, "error": "a table uses it"}
            del self.schemas[rest[0]]
            return 200, {"status": "deleted"}
        if self.refuse_schema or changes_a_column(self.schemas.get(body["schemaName"], {}), body):
            return 400, {"code": 400, "error": "Backward incompatible schema. Only allow adding new columns"}
        self.schemas[body["schemaName"]] = body
        return 200, {"unrecognizedProperties": {}, "status": "added"}

    def _table(self, method: str, rest: list[str], body: Any) -> tuple[int, Any]:
        if method == "GET" and rest[-1] == "consumingSegmentsInfo":
            segments = {
                f"{rest[0]}__{number}__0__20260101T0000Z": [{"consumerState": "CONSUMING"}]
                for number in range(self.partitions)
                if rest[0] != self.forgotten
            }
            return 200, {"_segmentToConsumingInfoMap": segments}
        if rest[-1:] == ["externalview"]:
            self.stays -= 1
            return 200, {"REALTIME": {"segment": {"server": "ONLINE"}} if self.stays >= 0 else None}
        if rest == ["validate"]:
            self.validated.append(body)
            return (400, {"code": 400, "error": self.refuse_config}) if self.refuse_config else (200, {})
        if method == "DELETE":
            del self.tables[rest[0]]
            return 200, {"status": "deleted"}
        if method == "GET":
            return 200, {"REALTIME": self.tables[rest[0]]} if rest[0] in self.tables else {}
        name = body["tableName"]
        self.tables[name] = {**body, **SCALAR_DEFAULTS, "tableName": f"{name}_REALTIME"}
        return 200, {"unrecognizedProperties": self.unrecognized, "status": "ok"}


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController()

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # one packet a reply

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            status, reply = fake.handle(self.command, self.path, json.loads(raw) if raw else None)
            payload = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def settings(controller: FakeController, **changes: Any) -> Settings:
    return load(pinot_controller_url=controller.url, pinot_broker_url=controller.url, **changes)


async def test_creates_everything_and_then_finds_it_there(controller: FakeController) -> None:
    first = await provision(settings(controller))
    assert first == [f"{name} created" for name in TABLES]
    assert len(controller.writes) == 24
    controller.writes.clear()
    assert await provision(settings(controller)) == [f"{name} there" for name in TABLES]
    assert controller.writes == []


async def test_a_changed_stream_restarts_the_consumers(controller: FakeController) -> None:
    await provision(settings(controller, pinot_kafka_bootstrap="old:9092"))
    controller.writes.clear()
    controller.busy_resets = 1
    done = await provision(settings(controller, pinot_kafka_bootstrap="new:9092"))
    assert done == [f"{name} updated" for name in TABLES]
    assert controller.writes.count(f"POST /segments/{TABLES[0]}_REALTIME/reset") == 2
    assert controller.writes.count(f"POST /segments/{TABLES[1]}_REALTIME/reset") == 1


async def test_a_table_that_its_server_forgot_comes_back(
    controller: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.serving.provision.RESTART_AFTER_S", 0.1)
    controller.forgotten, controller.busy_resets = TABLES[3], 1
    done = await provision(settings(controller), wait_s=10)
    assert done[3] == f"{TABLES[3]} created"
    assert [write for write in controller.writes if "reset" in write] == [
        f"POST /segments/{TABLES[3]}_REALTIME/reset"
    ] * 2


async def test_a_changed_schema_is_put_and_reloaded(controller: FakeController) -> None:
    await provision(settings(controller))
    controller.schemas[TABLES[0]]["dimensionFieldSpecs"].pop()
    controller.writes.clear()
    done = await provision(settings(controller))
    assert done[0] == f"{TABLES[0]} updated"
    assert done[1:] == [f"{name} there" for name in TABLES[1:]]
    assert controller.writes == [f"PUT /schemas/{TABLES[0]}", f"POST /segments/{TABLES[0]}/reload"]


@pytest.mark.parametrize("change", [{"maxLength": 512}, {"dataType": "BYTES"}])
async def test_a_table_of_another_schema_is_made_again(controller: FakeController, change: dict[str, Any]) -> None:
    await provision(settings(controller))
    column = controller.schemas[TABLES[0]]["dimensionFieldSpecs"][0]
    column |= change
    if "maxLength" in change:
        del column["maxLength"]  # as Pinot 0.11 answers where nothing was declared
    controller.writes.clear()
    controller.stays = 2
    done = await provision(settings(controller))
    assert done == [f"{TABLES[0]} recreated", *(f"{name} there" for name in TABLES[1:])]
    assert controller.writes == [
        f"DELETE /tables/{TABLES[0]}",
        f"DELETE /schemas/{TABLES[0]}",
        "POST /schemas",
        "POST /tables",
    ]
    assert await provision(settings(controller)) == [f"{name} there" for name in TABLES]


async def test_a_table_that_stays_after_it_was_deleted_is_named(controller: FakeController) -> None:
    await provision(settings(controller))
    controller.schemas[TABLES[0]]["dimensionFieldSpecs"][0]["dataType"] = "BYTES"
    controller.stays = 1_000
    with pytest.raises(ProvisionError, match=rf"{TABLES[0]} was deleted, but is still there after 0\.3 s"):
        await provision(settings(controller), wait_s=0.3)


async def test_a_column_of_somebody_elses_deletes_nothing(controller: FakeController) -> None:
    await provision(settings(controller))
    controller.schemas[TABLES[0]]["dimensionFieldSpecs"].append({"name": "mine", "dataType": "STRING"})
    controller.writes.clear()
    await provision(settings(controller))
    assert not any(write.startswith("DELETE") for write in controller.writes)


async def test_pinot_judges_everything_but_the_renaming(controller: FakeController) -> None:
    await provision(settings(controller))
    assert [config["tableName"] for config in controller.validated] == list(TABLES)
    assert all(set(config["ingestionConfig"]) == {"transformConfigs"} for config in controller.validated)
    assert all("complexTypeConfig" in table["ingestionConfig"] for table in controller.tables.values())
    controller.tables.clear()
    controller.refuse_config = "Upsert table must have a primary key"
    with pytest.raises(
        ProvisionError, match=rf"{TABLES[0]}: POST /tables/validate was refused: Upsert .* \(HTTP 400\)"
    ):
        await provision(settings(controller))


async def test_what_pinot_would_ignore_is_an_error(controller: FakeController) -> None:
    controller.unrecognized = {"/tableIndexConfig/lodMode": "MMAP"}
    with pytest.raises(ProvisionError, match=rf"{TABLES[0]}: Pinot does not know /tableIndexConfig/lodMode"):
        await provision(settings(controller))


async def test_a_refusal_carries_pinots_words(controller: FakeController) -> None:
    controller.refuse_schema = True
    with pytest.raises(ProvisionError, match=rf"{TABLES[0]}: POST /schemas was refused: Backward .* \(HTTP 400\)"):
        await provision(settings(controller))


async def test_a_table_that_does_not_consume_is_named(controller: FakeController) -> None:
    controller.partitions = 4
    with pytest.raises(ProvisionError, match=r"Pinot table \w+ consumes 4 of 5 partitions after 0\.3 s"):
        await provision(settings(controller), wait_s=0.3)


async def test_a_missing_controller_names_the_setting() -> None:
    with pytest.raises(ProvisionError, match=r"setting pinot_controller_url is http://127\.0\.0\.1:1, but nothing"):
        await provision(load(pinot_controller_url="http://127.0.0.1:1"))


def test_covers_ignores_what_pinot_adds_and_nothing_else() -> None:
    wanted = {"a": 1, "list": [{"name": "x"}], "metadata": {}}
    assert covers({"a": 1, "b": 2, "list": [{"name": "x", "more": 0}]}, wanted)
    assert not covers({"a": 2, "list": [{"name": "x"}]}, wanted)
    assert not covers({"a": 1, "list": [{"name": "x"}, {"name": "y"}]}, wanted)
    assert not covers({"a": 1, "list": None}, wanted)
    assert not covers({}, {"a": False})


def test_only_consuming_segments_count_once_per_partition() -> None:
    info = {
        "_segmentToConsumingInfoMap": {
            "T__0__0__20260101T0000Z": [{"consumerState": "CONSUMING"}],
            "T__0__1__20260101T0000Z": [{"consumerState": "CONSUMING"}],
            "T__1__0__20260101T0000Z": [{"consumerState": "NOT_CONSUMING"}],
            "T__2__0__20260101T0000Z": [],
        }
    }
    assert consuming_partitions(info) == {0}
    assert consuming_partitions({"_segmentToConsumingInfoMap": None}) == set()


def test_a_reference_covers_itself_and_what_it_stands_for() -> None:
    assert covers("user ${NAME}!", "user ${NAME}!") and covers("user me!", "user ${NAME}!")
    assert not covers("another me!", "user ${NAME}!") and not covers(None, "${NAME}")
