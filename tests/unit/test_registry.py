"""The registry is asked once per schema, and waited for when it is away."""

import logging
from typing import Any

import httpx
import pytest
from schema_registry.client.errors import ClientError
from schema_registry.client.schema import AvroSchema

from pipeline.errors import RegistryError
from pipeline.registry import PatientRegistry, Registry, is_registry_outage
from pipeline.topics import PAGEVIEW

AWAY = httpx.ConnectError("All connection attempts failed")


class Client:
    """Answers in turn with what it is given; exceptions are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def get_by_id(self, number: int) -> Any:
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


SCHEMA = AvroSchema({"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]})


async def test_a_patient_registry_waits_until_it_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    patient = with_client(PatientRegistry("http://x"), Client(AWAY, ClientError("starting", http_code=503), SCHEMA))
    with caplog.at_level(logging.WARNING, "pipeline.registry"):
        found = await patient.by_id(3)
    assert found is not None
    assert found["name"] == "r"
    assert [record.name for record in caplog.records].count("pipeline.registry") == 2
    patient = with_client(PatientRegistry("http://x"), Client(AWAY, Version))
    assert await patient.register([PAGEVIEW]) == {PAGEVIEW.subject: 7}


async def test_a_refusal_is_not_waited_out() -> None:
    patient = with_client(PatientRegistry("http://x"), Client(ClientError("no", http_code=422)))
    with pytest.raises(RegistryError) as refused:
        await patient.by_id(3)
    assert not is_registry_outage(refused.value)


async def test_others_are_told_at_once_that_the_registry_is_away() -> None:
    with pytest.raises(RegistryError, match="All connection attempts failed") as away:
        await with_client(Registry("http://x"), Client(AWAY)).by_id(3)
    assert is_registry_outage(away.value)
