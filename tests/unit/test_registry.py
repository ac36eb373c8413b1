"""The registry is asked once per schema, and waited for when it is away; what is no Avro record is refused."""

import json
import logging
from typing import Any

import httpx
import pytest
from schema_registry.client.schema import AvroSchema

from pipeline.codecs import HEADER, Decoder, schema
from pipeline.errors import BadRecord, RegistryError
from pipeline.formats import decoder
from pipeline.registry import PatientRegistry, Registered, Registry, is_registry_outage
from pipeline.settings import Settings
from pipeline.topics import PAGEVIEW, KeyFormat, Kind, Topic, ValueFormat

AWAY = httpx.ConnectError("All connection attempts failed")


class Client:
    """Answers in turn with what it is given; exceptions are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def request(self, url: str) -> httpx.Response:
        return self._next()

    async def check_version(self, subject: str, schema: AvroSchema) -> Any:
        return self._next()

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def with_client(registry: Registry, client: Client) -> Registry:
    registry._client = client  # type: ignore[assignment]
    return registry


class Version:
    schema_id = 7


SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}


def answer(given: Any, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"schema": json.dumps(given), **more})


NOT_FOUND = httpx.Response(404, json={"error_code": 40403})


async def test_a_patient_registry_waits_until_it_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    patient = with_client(
        PatientRegistry(Settings(registry_url="http://x")), Client(AWAY, httpx.Response(503), answer(SCHEMA))
    )
    with caplog.at_level(logging.WARNING, "pipeline.registry"):
        found = await patient.by_id(3)
    assert found == Registered(json.dumps(SCHEMA), "AVRO")
    assert [record.name for record in caplog.records].count("pipeline.registry") == 2
    patient = with_client(PatientRegistry(Settings(registry_url="http://x")), Client(AWAY, Version))
    assert await patient.register([PAGEVIEW]) == {PAGEVIEW.subject: 7}


async def test_a_refusal_is_not_waited_out() -> None:
    patient = with_client(PatientRegistry(Settings(registry_url="http://x")), Client(httpx.Response(422)))
    with pytest.raises(RegistryError) as refused:
        await patient.by_id(3)
    assert not is_registry_outage(refused.value)


async def test_others_are_told_at_once_that_the_registry_is_away() -> None:
    with pytest.raises(RegistryError, match="All connection attempts failed") as away:
        await with_client(Registry(Settings(registry_url="http://x")), Client(AWAY)).by_id(3)
    assert is_registry_outage(away.value)


VIEW = HEADER.pack(0, 7) + b"\x02\x0cUser_1\x0ePage_10"


def reader(*answers: Any) -> tuple[Registry, Decoder]:
    return with_client(Registry(Settings(registry_url="http://x")), Client(*answers)), Decoder("pageview")


async def test_an_id_that_was_not_known_is_asked_for_again() -> None:
    """It was refused until the worker ended."""
    registry, decode = reader(NOT_FOUND, answer(schema("pageview")))
    await registry.prepare(decode, [VIEW])
    with pytest.raises(BadRecord, match="unknown schema id 7"):
        decode(VIEW)
    await registry.prepare(decode, [VIEW])
    assert decode(VIEW) == {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}


async def test_an_id_beyond_any_registrys_is_not_asked_for() -> None:
    registry, decode = reader()
    foreign = HEADER.pack(0, 0xFFFF_FFFF) + VIEW[5:]
    await registry.prepare(decode, [foreign])
    with pytest.raises(BadRecord, match="unknown schema id 4294967295"):
        decode(foreign)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (answer("string"), "it is string, not a record"),
        (answer([schema("pageview"), "null"]), "it is a union of record, null, not a record"),
        (answer({"type": "enum", "name": "E", "symbols": ["A"]}), "it is enum, not a record"),
        (answer({"type": "record", "name": "r", "fields": [{"name": "a", "type": "com.acme.B"}]}), "is not defined"),
        (answer({"type": "record", "name": "r"}), "it is no Avro schema: KeyError: 'fields'"),
        (answer(SCHEMA), "it has no field viewtime, which has no default either"),
        (httpx.Response(200, json={"schema": "message M {}", "schemaType": "PROTOBUF"}), "is of type PROTOBUF"),
        (answer({"type": "object"}, schemaType="JSON"), "is of type JSON, not AVRO"),
        (httpx.Response(200, json={"schema": "{"}), "is no JSON"),
    ],
)
async def test_what_is_no_avro_record_is_refused_with_the_reason(found: httpx.Response, reason: str) -> None:
    registry, decode = reader(found)
    await registry.prepare(decode, [VIEW])
    with pytest.raises(BadRecord, match=reason) as refused:
        decode(VIEW)
    assert "schema id 7" in str(refused.value)
    assert decode.together([VIEW] * 9) is None
    assert decode.unknown([VIEW]) == set()


async def test_references_to_other_subjects_are_followed() -> None:
    """com.acme.Place refers to com.acme.Text, both in subjects of their own."""
    text = {"type": "record", "name": "Text", "namespace": "com.acme", "fields": [{"name": "text", "type": "string"}]}
    place = {"type": "record", "name": "com.acme.Place", "fields": [{"name": "x", "type": ["null", "com.acme.Text"]}]}
    fields = [*schema("pageview")["fields"], {"name": "place", "type": "com.acme.Place"}]
    to_place, to_text = ({"name": f"com.acme.{n}", "subject": n.lower(), "version": 2} for n in ("Place", "Text"))
    registry, decode = reader(
        answer({**schema("pageview"), "fields": fields}, references=[to_place]),
        answer(place, references=[to_text]),
        answer(text),
    )
    values = [VIEW + b"\x02\x02x"] * 5
    await registry.prepare(decode, values)
    assert decode(values[0]) == {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
    assert decode.together(values) == [decode(value) for value in values]


def topic(value_format: ValueFormat, **settings: Any) -> Topic:
    return Topic("rows", Kind.EVENT, key="k", schema=SCHEMA, value_format=value_format, **settings)


class Asked:
    """A registry that knows nothing and takes everything; what it was asked to register is kept."""

    def __init__(self, registry: Registry) -> None:
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        registry._client.client_kwargs["transport"] = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/versions"):
            self.bodies.append((request.url.path, json.loads(request.content)))
            return httpx.Response(200, json={"id": len(self.bodies)})
        if request.method == "PUT":
            return httpx.Response(200, json={"compatibility": "BACKWARD"})
        return NOT_FOUND


@pytest.mark.parametrize(
    ("value_format", "kind", "text"),
    [
        (ValueFormat.AVRO, "AVRO", '"type": "record"'),
        (ValueFormat.JSON_SR, "JSON", '"title": "r"'),
        (ValueFormat.PROTOBUF, "PROTOBUF", 'syntax = "proto3";\nmessage r {\n  int32 a = 1;\n}\n'),
    ],
)
async def test_schemas_are_registered_as_what_they_are(value_format: ValueFormat, kind: str, text: str) -> None:
    """The library's client would send a text of Protobuf in quotes."""
    registry = Registry(Settings(registry_url="http://x"))
    asked = Asked(registry)
    given = topic(value_format, key_format=KeyFormat.AVRO, key_type="long")
    ids = await registry.register([given])
    bodies = dict(asked.bodies)
    value = bodies["/subjects/rows-value/versions"]
    assert value["schemaType"] == kind
    assert text in value["schema"]
    assert json.loads(bodies["/subjects/rows-key/versions"]["schema"]) == {"type": "long"}
    assert ids.keys() == {"rows-value", "rows-key"}
    encode = await registry.encoder(given)
    assert encode({"a": 1}).startswith(HEADER.pack(0, ids["rows-value"]))


@pytest.mark.parametrize("value_format", [ValueFormat.JSON, ValueFormat.DELIMITED])
async def test_what_needs_no_schema_is_not_registered(value_format: ValueFormat) -> None:
    registry = Registry(Settings(registry_url="http://x"))
    asked = Asked(registry)
    assert await registry.register([topic(value_format)]) == {}
    assert (await registry.encoder(topic(value_format)))({"a": 1}) in (b'{"a":1}', b"1")
    assert asked.bodies == []


async def test_a_protobuf_decoder_learns_the_text_and_what_it_imports() -> None:
    decode = decoder(topic(ValueFormat.PROTOBUF))
    text, other = 'syntax = "proto3"; message R { Inner a = 1; }', 'syntax = "proto3"; enum Inner { X = 0; }'
    registry = with_client(
        Registry(Settings(registry_url="http://x")),
        Client(
            httpx.Response(
                200,
                json={"schema": text, "schemaType": "PROTOBUF", "references": [{"subject": "i", "version": 1}]},
            ),
            httpx.Response(200, json={"schema": other, "schemaType": "PROTOBUF"}),
            answer(SCHEMA),
        ),
    )
    value = HEADER.pack(0, 7) + b"\0"
    await registry.prepare(decode, [value])
    with pytest.raises(BadRecord, match="field a: enum Inner is not int"):
        decode(value)
    await registry.prepare(decode, [HEADER.pack(0, 8)])
    with pytest.raises(BadRecord, match="schema id 8 is of type AVRO, not PROTOBUF"):
        decode(HEADER.pack(0, 8) + b"\0")
