"""How each part is asked; every function raises PipelineError, KafkaError or OSError when its part does not answer."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import httpx

from pipeline.codecs import Decoder, Record, fields, key_text
from pipeline.declare.application import Application
from pipeline.declare.database import Bulk, DatabaseTable, Incrementing
from pipeline.errors import BadRecord, PipelineError
from pipeline.http_security import REFUSED, Peer
from pipeline.kafka import READ_UNCOMMITTED, TopicState, admin_client, topic_states
from pipeline.quorum import active_controller
from pipeline.reading import group_lag, offsets, read_batches
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.feed import stored_positions
from pipeline.sources.position import Position, Stored
from pipeline.sources.recent import Recent
from pipeline.status.model import (
    Broker,
    CarriedTable,
    GroupStatus,
    Letter,
    Letters,
    PinotTable,
    PollerStatus,
    SubjectStatus,
    TopicStatus,
)
from pipeline.timebase import SECOND_MS
from pipeline.topics import BY_NAME, Topic

LATEST_LETTERS = 5
MOST_LETTERS = 20_000
"""Offsets of a topic of letters that are read back, per partition."""


async def collect_brokers(settings: Settings) -> tuple[Broker, ...]:
    """The brokers that the cluster's metadata lists, by id."""
    async with admin_client(settings) as client:
        cluster = await client.describe_cluster()
        controller = await active_controller(client)
    return tuple(
        Broker(b["node_id"], b["host"], b["port"], b["node_id"] == controller)
        for b in sorted(cluster["brokers"], key=lambda b: int(b["node_id"]))
    )


async def collect_topics(settings: Settings, names: Collection[str] | None = None) -> dict[str, TopicStatus]:
    """Those of these topics that there are, by name; every topic but Kafka's own where none are named."""
    async with admin_client(settings) as client:
        states = topic_states(await client.describe_topics())
    states = {name: states[name] for name in sorted(states) if not name.startswith("__")}
    states = {name: state for name, state in states.items() if names is None or name in names}
    led = [name for name, state in states.items() if state.has_leaders]
    messages = dict.fromkeys(states, 0)
    if led:
        for tp, (begin, end) in (await offsets(settings, led, isolation_level=READ_UNCOMMITTED)).items():
            messages[tp.topic] += end - begin
    return {name: _topic_status(state, messages[name]) for name, state in states.items()}


def _topic_status(state: TopicState, messages: int) -> TopicStatus:
    return TopicStatus(
        len(state.partitions),
        state.replicas,
        state.in_sync,
        state.under_replicated,
        sum(p.leader is None for p in state.partitions),
        messages,
    )


async def collect_groups(settings: Settings, topics: Collection[str] | None = None) -> dict[str, GroupStatus]:
    """Every consumer group with committed offsets; the application's is there even before it has any.

    With `topics`, only groups that read one of these; and of each only those.
    """
    async with admin_client(settings) as client:
        names = {name for name, _ in await client.list_consumer_groups()} | {settings.app_id}
    lags = await asyncio.gather(*(group_lag(settings, name) for name in sorted(names)))
    if topics is not None:
        lags = [{topic: partitions for topic, partitions in lag.items() if topic in topics} for lag in lags]
    by_group = {
        name: {topic: sum(partitions.values()) for topic, partitions in lag.items()}
        for name, lag in zip(sorted(names), lags, strict=True)
    }
    return {
        name: GroupStatus(sum(by_topic.values()), by_topic)
        for name, by_topic in by_group.items()
        if by_topic or name == settings.app_id
    }


async def collect_schemas(settings: Settings, names: Collection[str] | None = None) -> dict[str, SubjectStatus]:
    """The latest version of every subject, or of those that are named, by name."""
    peer = Peer(settings, "registry_url")
    async with httpx.AsyncClient(base_url=peer.url, timeout=10.0, **peer.options()) as client:

        async def one(subject: str) -> SubjectStatus:
            latest, config = await asyncio.gather(
                _json(client, f"/subjects/{subject}/versions/latest"),
                _json(client, f"/config/{subject}?defaultToGlobal=true"),
            )
            return SubjectStatus(latest["version"], latest["id"], config["compatibilityLevel"])

        try:
            known = sorted(await _json(client, "/subjects"))
            subjects = [subject for subject in known if names is None or subject in names]
            return dict(zip(subjects, await asyncio.gather(*map(one, subjects)), strict=True))
        except (httpx.HTTPError, OSError) as error:
            raise PipelineError(await _told(peer, error)) from None


async def collect_pinot(settings: Settings, wanted: Collection[str] | None = None) -> dict[str, PinotTable]:
    """Rows and freshness of every table that the controller lists, or of those that are wanted, by name."""
    controller, broker = Peer(settings, "pinot_controller_url"), Peer(settings, "pinot_broker_url")
    async with httpx.AsyncClient(timeout=settings.pinot_timeout_s, **controller.options()) as client:
        try:
            known = sorted((await _json(client, f"{controller.url}/tables"))["tables"])
            names = [name for name in known if wanted is None or name in wanted]
        except (httpx.HTTPError, OSError) as error:
            raise PipelineError(await _told(controller, error)) from None
        auth = broker.options()["auth"]

        async def counted(name: str) -> PinotTable:
            response = await client.post(f"{broker.url}/query/sql", json={"sql": live_rows(name)}, auth=auth)
            return pinot_table(response.raise_for_status().json())

        async def states(name: str) -> dict[str, dict[str, str]]:
            return (await _json(client, f"{controller.url}/tables/{name}/idealstate")).get("REALTIME") or {}

        try:
            given_up = [given_up_partitions(found) for found in await asyncio.gather(*map(states, names))]
        except (httpx.HTTPError, OSError) as error:
            raise PipelineError(await _told(controller, error)) from None
        try:
            tables = await asyncio.gather(*map(counted, names))
        except (httpx.HTTPError, OSError) as error:
            raise PipelineError(await _told(broker, error)) from None
    return {
        name: table if not partitions else PinotTable(None, problem=_given_up(partitions))
        for name, table, partitions in zip(names, tables, given_up, strict=True)
    }


def given_up_partitions(states: Mapping[str, Mapping[str, str]]) -> list[int]:
    """The partitions that no server reads any more, in order, by {segment: {server: state}}.

    A segment is called `table__partition__sequence__time`. Pinot sets a partition's newest one OFFLINE when its
    consumer ended with an error; older ones may stay OFFLINE, and mean nothing.
    """
    newest: dict[int, tuple[int, Mapping[str, str]]] = {}
    for segment, servers in states.items():
        _, partition, sequence, _ = segment.rsplit("__", 3)
        known = newest.get(int(partition))
        if known is None or known[0] < int(sequence):
            newest[int(partition)] = (int(sequence), servers)
    return sorted(
        partition
        for partition, (_, servers) in newest.items()
        if servers and all(state == "OFFLINE" for state in servers.values())
    )


def _given_up(partitions: list[int]) -> str:
    which = "partition" if len(partitions) == 1 else "partitions"
    return (
        f"after an error Pinot reads {which} {', '.join(map(str, partitions))} no more, until its controller's "
        "RealtimeSegmentValidationManager runs; its log names the error"
    )


def live_rows(table: str) -> str:
    """The query that counts a table's rows; those that are retired are no results."""
    topic = BY_NAME.get(table)
    retires = topic is not None and topic.schema is not None and "retired" in fields(topic.schema)
    return f'SELECT COUNT(*) FROM "{table}"{" WHERE retired = false" if retires else ""} LIMIT 1'


def pinot_table(answer: dict[str, Any]) -> PinotTable:
    """The answer to COUNT(*); a problem when it holds exceptions or not every server responded."""
    exceptions = answer.get("exceptions") or []
    if exceptions:
        message = str(exceptions[0].get("message", exceptions[0])).strip()
        return PinotTable(None, problem=message.splitlines()[0] if message else "an error without a message")
    asked, responded = answer.get("numServersQueried", 0), answer.get("numServersResponded", 0)
    if responded < asked:
        return PinotTable(None, problem=f"{asked - responded} of {asked} servers did not respond")
    fresh = int(answer.get("minConsumingFreshnessTimeMs") or 0)
    return PinotTable(int(answer["resultTable"]["rows"][0][0]), fresh or None)


async def collect_letters(settings: Settings, topic: Topic, of: Collection[str] | None = None) -> Letters:
    """Distinct letters of a topic; a letter that is sent again after a crash has the same key and counts once.

    With `of`, only letters on records of these topics: applications share the topics of letters.
    """
    bounds = await offsets(settings, [topic.name])
    start = {tp.partition: end - MOST_LETTERS for tp, (_, end) in bounds.items()}
    values: dict[str, tuple[int, bytes]] = {}
    async for batch in read_batches(settings, topic.name, start=start):
        for record in batch:
            if record.key and record.value is not None:
                key = key_text(record.key)
                if of is None or key.partition("/")[0] in of:
                    values[key] = (record.timestamp, record.value)
    latest = [value for _, value in sorted(values.values(), key=lambda pair: pair[0])[-LATEST_LETTERS:]][::-1]
    decode = Decoder(topic.schema or "")
    await Registry(settings).prepare(decode, latest)
    return Letters(len(values), tuple(letter(decode, value) for value in latest))


def letter(decode: Decoder, value: bytes) -> Letter:
    """A decoded dead letter or late record; one that cannot be read says so in its reason."""
    try:
        fields: Record = decode(value)
    except BadRecord as error:
        return Letter("", -1, -1, 0, f"the letter itself cannot be read: {error}")
    if "late_by_ms" in fields:
        reason = f"{fields['late_by_ms'] / SECOND_MS:,.3f} s after {fields['aggregate']} had closed its window"
        at_ms = fields["event_time_ms"]
    else:
        reason, at_ms = fields["reason"], fields["timestamp_ms"]
    return Letter(fields["topic"], fields["partition"], fields["offset"], at_ms, reason)


async def collect_tables(settings: Settings, application: Application) -> dict[str, CarriedTable]:
    """The tables of the database with the poller's committed positions."""
    stored = await stored_positions(settings)
    return {table.name: carried_table(table, stored.get(table.name)) for table in application.database}


def carried_table(table: DatabaseTable, stored: Stored | None) -> CarriedTable:
    """A table with its position, None before its first."""
    position, written_ms = (None, None) if stored is None else (stored.position, stored.at_ms)
    match table.mode:
        case Bulk():
            return CarriedTable("bulk", table.identity)
        case Incrementing():
            found = poller_status(position, written_ms or 0) if isinstance(position, Position) else None
            return CarriedTable("incrementing", table.identity, written_ms, found)
    last_us = position.last_us if isinstance(position, Recent) else None
    mode = "timestamp+incrementing"
    return CarriedTable(mode, table.mode.timestamp, written_ms, last_ms=None if last_us is None else last_us // 1_000)


def poller_status(position: Position, written_ms: int) -> PollerStatus:
    """A position by ids."""
    latest = max(position.given_up, key=lambda found: (found.at_s, found.first), default=None)
    return PollerStatus(
        position.last_id,
        position.missing,
        written_ms,
        position.given_up_ids,
        "" if latest is None else f"{latest.first}..{latest.last}",
        position.early_s * SECOND_MS,
    )


async def _json(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(path)).raise_for_status().json()


async def _told(peer: Peer, error: Exception) -> str:
    """Why a server cannot be asked."""
    why = str(error) or type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code in REFUSED:
            return peer.refused(error.response.status_code)
        why = f"HTTP {error.response.status_code} for {error.request.url.path}"
    elif sentence := await asyncio.to_thread(peer.fault, error):
        return sentence
    return f"{peer.called} at {peer.url} cannot be asked: {why}"
