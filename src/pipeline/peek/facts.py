"""What else there is to know about a topic: its settings, its schemas, and who reads it."""

import asyncio
import difflib
import json
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from pipeline.admin import DYNAMIC_TOPIC_CONFIG, topic_settings
from pipeline.errors import AccessError
from pipeline.kafka import admin_client
from pipeline.kafka_refusals import broker_error
from pipeline.reading import committed, group_lag
from pipeline.registry import PROTOBUF, Registry, Version
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a topic; `is_own` where it is set for this topic and not by the brokers."""

    name: str
    value: str | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """A consumer group with offsets in a topic: {partition: records it has not read}; see `group_lag`."""

    group: str
    lag: dict[int, int] = field(default_factory=dict)


async def configuration(settings: Settings, topic: str) -> list[Setting]:
    """Its settings by name, those of its own first."""
    async with admin_client(settings) as client:
        try:
            entries = (await topic_settings(client, settings, [topic]))[topic]
        except (TimeoutError, KafkaError) as error:
            raise broker_error(settings, f"settings of topic {topic} cannot be read", error) from error
    found = [Setting(entry[0], entry[1], entry[3] == DYNAMIC_TOPIC_CONFIG) for entry in entries]
    return sorted(found, key=lambda setting: (not setting.is_own, setting.name))


async def readers(settings: Settings, topic: str) -> tuple[list[Reader], list[str]]:
    """(the groups that have committed offsets in a topic, groups that could not be asked), by name."""
    async with admin_client(settings) as client:
        try:
            names = sorted({name for name, _ in await client.list_consumer_groups()})
        except (TimeoutError, KafkaError) as error:
            raise broker_error(settings, "groups cannot be listed", error) from error

    async def one(name: str) -> Reader | None:
        if all(tp.topic != topic for tp in await committed(settings, name)):
            return None
        return Reader(name, (await group_lag(settings, name)).get(topic, {}))

    asked = await asyncio.gather(*map(one, names), return_exceptions=True)
    refused = [name for name, answer in zip(names, asked, strict=True) if isinstance(answer, AccessError)]
    for answer in asked:
        if isinstance(answer, BaseException) and not isinstance(answer, AccessError):
            raise answer
    return [answer for answer in asked if isinstance(answer, Reader)], refused


async def schemas(settings: Settings, topic: str) -> dict[str, list[Version]]:
    """{subject: its versions, the first first} of a topic's keys and values, where there are any."""
    registry = Registry(settings)
    subjects = (f"{topic}-key", f"{topic}-value")
    found = await asyncio.gather(*map(registry.versions, subjects))
    return {subject: versions for subject, versions in zip(subjects, found, strict=True) if versions}


def schema_lines(version: Version) -> list[str]:
    """A schema's text as it is read best."""
    if version.schema.kind == PROTOBUF:
        return version.schema.text.splitlines()
    try:
        return json.dumps(json.loads(version.schema.text), indent=2, ensure_ascii=False).splitlines()
    except ValueError:
        return version.schema.text.splitlines()


def differences(older: Version, newer: Version) -> list[str]:
    """What a version changed, as the lines of a unified diff without its heading; lines begin with +, - or a blank."""
    changed = difflib.unified_diff(schema_lines(older), schema_lines(newer), lineterm="", n=2)
    return [line for line in changed if not line.startswith(("---", "+++"))]
