"""Topics: brought to their declared form. Describing and reading them is here too, under one name for callers.

Errors of the brokers come out as StackError (nothing answers, or not in time) and ProvisionError (a topic is not and
cannot be made what is declared).
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, for_code

from pipeline.errors import ProvisionError
from pipeline.kafka import PartitionState, TopicState, admin_client, describe_topics, topic_states
from pipeline.kafka_refusals import REFUSED_RIGHTS, denied
from pipeline.reading import end_offsets, group_lag, offsets, read_batches, read_between, read_topic
from pipeline.settings import Settings
from pipeline.topics import ALL, Topic

__all__ = [
    "PartitionState",
    "TopicChange",
    "TopicState",
    "changed_settings",
    "check_partitions",
    "create_topics",
    "describe_topics",
    "end_offsets",
    "group_lag",
    "offsets",
    "read_batches",
    "read_between",
    "read_topic",
    "topic_states",
]

TOPIC_ALREADY_EXISTS = 36
DYNAMIC_TOPIC_CONFIG = 1
LEADERS_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What `create_topics` did for one topic: `done` is "created", "altered" or "there"."""

    name: str
    done: str
    settings: tuple[str, ...] = ()


def changed_settings(wanted: Mapping[str, str], entries: Iterable[tuple[Any, ...]]) -> dict[str, str] | None:
    """All topic settings to write where one of the wanted differs, or None when none does.

    `entries` are those of a DescribeConfigs response from version 1: (name, value, read only, source, ...). The
    request replaces every setting of the topic, so that those set by others are carried over.
    """
    entries = list(entries)
    now = {entry[0]: entry[1] for entry in entries}
    if all(now.get(name) == value for name, value in wanted.items()):
        return None
    own = {entry[0]: entry[1] for entry in entries if entry[3] == DYNAMIC_TOPIC_CONFIG and entry[1] is not None}
    return {**own, **wanted}


def check_partitions(settings: Settings, state: TopicState) -> None:
    """Raise ProvisionError when an existing topic has not the partitions of the settings."""
    if len(state.partitions) != settings.partitions:
        raise ProvisionError(
            f"topic {state.name} has {len(state.partitions)} partitions, but setting partitions is "
            f"{settings.partitions}: keys would change their partition, so delete the topic or change the setting"
        )


async def create_topics(settings: Settings, topics: Iterable[Topic] = ALL) -> list[TopicChange]:
    """Create or correct these topics, and wait until every partition has a leader; repeatable.

    Partitions of an existing topic are checked, its settings altered where they differ, its replicas left alone.
    Raises ProvisionError when that cannot be, StackError when no broker answers.
    """
    wanted = {topic.name: topic for topic in topics}
    async with admin_client(settings) as client:
        try:
            known = topic_states(await client.describe_topics())
            for name in wanted:
                if name in known:
                    check_partitions(settings, known[name])
            missing = [topic for name, topic in wanted.items() if name not in known]
            created = await _create(client, settings, missing)
            there = [topic for topic in wanted.values() if topic.name not in created]
            altered = await _alter(client, settings, there)
            await _await_leaders(client, settings, wanted)
        except REFUSED_RIGHTS:
            raise
        except (TimeoutError, KafkaError) as error:
            raise ProvisionError(f"topics cannot be provisioned: {error or type(error).__name__}") from error
    return [
        TopicChange(name, "created")
        if name in created
        else TopicChange(name, "altered" if name in altered else "there", altered.get(name, ()))
        for name in wanted
    ]


async def _create(client: AIOKafkaAdminClient, settings: Settings, topics: list[Topic]) -> set[str]:
    """Create missing topics; returns those that were created here and not by somebody else meanwhile."""
    if not topics:
        return set()
    response = await client.create_topics(
        [
            NewTopic(t.name, settings.partitions, settings.replication, topic_configs=dict(t.kafka_config))
            for t in topics
        ]
    )
    created = set()
    for name, code, message in response.topic_errors:
        if code == 0:
            created.add(name)
        elif code == TopicAuthorizationFailedError.errno:
            raise denied(settings, TopicAuthorizationFailedError(), f"{name} (Create)")
        elif code != TOPIC_ALREADY_EXISTS:
            raise ProvisionError(
                f"topic {name} with partitions={settings.partitions}, replication={settings.replication} was not "
                f"created: {for_code(code).__name__}: {message}"
            )
    return created


async def topic_settings(
    client: AIOKafkaAdminClient, settings: Settings, names: Iterable[str]
) -> dict[str, list[tuple[Any, ...]]]:
    """{topic: entries of its settings}, as `changed_settings` takes them; raises where one's cannot be read."""
    (response,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found = {}
    for code, message, _, name, entries in response.resources:
        if code == TopicAuthorizationFailedError.errno:
            raise denied(settings, TopicAuthorizationFailedError(), f"{name} (DescribeConfigs)")
        if code:
            raise ProvisionError(f"settings of topic {name} cannot be read: {for_code(code).__name__}: {message}")
        found[name] = list(entries)
    return found


async def _alter(client: AIOKafkaAdminClient, settings: Settings, topics: list[Topic]) -> dict[str, tuple[str, ...]]:
    """Correct the settings of existing topics; returns {topic: settings that differed}."""
    if not topics:
        return {}
    declared = {topic.name: topic.kafka_config for topic in topics}
    changes: dict[str, dict[str, str]] = {}
    altered: dict[str, tuple[str, ...]] = {}
    for name, entries in (await topic_settings(client, settings, declared)).items():
        change = changed_settings(declared[name], entries)
        if change is not None:
            now = {entry[0]: entry[1] for entry in entries}
            changes[name] = change
            altered[name] = tuple(f"{k}={v}" for k, v in declared[name].items() if now.get(k) != v)
    if changes:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, change) for name, change in changes.items()]
        for code, message, _, name in (await client.alter_configs(resources))[0].resources:
            if code == TopicAuthorizationFailedError.errno:
                raise denied(settings, TopicAuthorizationFailedError(), f"{name} (AlterConfigs)")
            if code:
                raise ProvisionError(
                    f"settings {', '.join(altered[name])} of topic {name} were refused: "
                    f"{for_code(code).__name__}: {message}"
                )
    return altered


async def _await_leaders(client: AIOKafkaAdminClient, settings: Settings, names: Iterable[str]) -> None:
    """Wait until the metadata shows every partition of these topics with a leader."""
    deadline = time.monotonic() + LEADERS_WAIT_S
    while True:
        known = topic_states(await client.describe_topics())
        waiting = [
            name
            for name in names
            if name not in known or not known[name].has_leaders or len(known[name].partitions) != settings.partitions
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise ProvisionError(f"no leader after {LEADERS_WAIT_S:.0f} s for partitions of {', '.join(waiting)}")
        await asyncio.sleep(0.1)
