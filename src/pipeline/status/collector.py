"""Asks every part at the same time; one that is down becomes a sentence in `problems`, and the others still report."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import httpx
from aiokafka.errors import KafkaError

from pipeline import topics
from pipeline.applications.loading import Runnable, runnable
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.status import parts
from pipeline.status.model import Letters, PinotTable, PollerStatus, Status, SubjectStatus, TopicStatus
from pipeline.timebase import SECOND_MS, now_ms
from pipeline.topics import Topic

PART_TIMEOUT_S = 20.0

T = TypeVar("T")


async def nothing() -> None:
    """What a part that the application has not tells."""


async def collect(settings: Settings) -> Status:
    """Ask every part that the application has at once, each for at most PART_TIMEOUT_S seconds.

    Several applications may share the brokers: only what is this one's own is told. Raises SettingError when there is
    no such application.
    """
    application = runnable(settings)
    hooks, own = application.hooks, {topic.name for topic in application.topics}
    tables = {statement.output.name for statement in application.application.in_pinot}
    problems: dict[str, str] = {}
    async with asyncio.TaskGroup() as group:

        def ask(name: str, work: Coroutine[Any, Any, T], empty: T) -> asyncio.Task[T]:
            return group.create_task(_part(name, work, empty, problems))

        brokers = ask("brokers", parts.collect_brokers(settings), ())
        found = ask("topics", parts.collect_topics(settings, {*own, *application.changelogs(settings.app_id)}), {})
        groups = ask("groups", parts.collect_groups(settings, own), {})
        schemas = ask("schemas", parts.collect_schemas(settings, subjects(application)), {})
        pinot = ask("pinot", parts.collect_pinot(settings, tables) if hooks.pinot else nothing(), None)
        letters = ask("dead_letters", parts.collect_letters(settings, topics.DEAD_LETTERS, own), Letters())
        late = ask("late_records", parts.collect_letters(settings, topics.LATE_RECORDS, own), Letters())
        carried = ask(
            "poller", parts.collect_tables(settings, application.application) if hooks.database else nothing(), None
        )
    carried_tables = carried.result() or {}
    poller = next((one.incrementing for one in carried_tables.values() if one.incrementing is not None), None)
    for part, sentence in (
        ("topics", topic_problem(found.result(), application.topics)),
        ("schemas", schema_problem(schemas.result(), application.topics)),
        ("pinot", pinot_problem(pinot.result() or {})),
        ("poller", poller_problem(poller, settings, now_ms())),
    ):
        if part not in problems and sentence is not None:
            problems[part] = sentence
    return Status(
        brokers.result(),
        found.result(),
        groups.result(),
        schemas.result(),
        pinot.result() or {},
        letters.result(),
        late.result(),
        poller,
        dict(sorted(problems.items())),
        application=application.name,
        has_poller=hooks.database,
        tables=carried_tables,
    )


def subjects(application: Runnable) -> set[str]:
    """The registry's subjects of an application's topics."""
    return {name for topic in application.topics for name in (topic.subject, topic.key_subject)}


async def _part(name: str, work: Coroutine[Any, Any, T], empty: T, problems: dict[str, str]) -> T:
    """The part's value, or `empty` and a sentence in `problems`."""
    try:
        return await asyncio.wait_for(work, PART_TIMEOUT_S)
    except TimeoutError:
        problems[name] = f"no answer within {PART_TIMEOUT_S:.0f} s"
    except (PipelineError, KafkaError, httpx.HTTPError, OSError) as error:
        problems[name] = str(error) or type(error).__name__
    return empty


def topic_problem(found: dict[str, TopicStatus], wanted: Sequence[Topic] = topics.ALL) -> str | None:
    """A sentence on missing topics, partitions without leader and replicas out of sync; None when there are none."""
    missing = [topic.name for topic in wanted if topic.name not in found]
    leaderless = [name for name, topic in found.items() if topic.leaderless]
    behind = [name for name, topic in found.items() if topic.under_replicated]
    sentences = [
        f"{len(missing)} of {len(wanted)} topics are missing ({_some(missing)}): run `pipeline provision`"
        if missing
        else "",
        f"{len(leaderless)} topics have partitions without a leader ({_some(leaderless)})" if leaderless else "",
        f"{len(behind)} topics have partitions with a replica out of sync ({_some(behind)})" if behind else "",
    ]
    return "; ".join(filter(None, sentences)) or None


def schema_problem(found: dict[str, SubjectStatus], of: Sequence[Topic] = topics.ALL) -> str | None:
    """A sentence on subjects that are not registered, None when all are."""
    wanted = [topic.subject for topic in of if topic.schema is not None]
    missing = [subject for subject in wanted if subject not in found]
    if not missing:
        return None
    return f"{len(missing)} of {len(wanted)} subjects are missing ({_some(missing)}): run `pipeline provision`"


def pinot_problem(found: dict[str, PinotTable]) -> str | None:
    """A sentence on tables that cannot be counted, None when all can."""
    bad = [f"{name}: {table.problem}" for name, table in found.items() if table.problem is not None]
    return f"{len(bad)} of {len(found)} tables cannot be counted ({_some(bad)})" if bad else None


def poller_problem(found: PollerStatus | None, settings: Settings, at_ms: int) -> str | None:
    """A sentence where ids were given up before their time, as long as they would have been looked for; else None."""
    if found is None or not found.early_ms or at_ms - found.early_ms >= settings.poll_gap_wait_s * SECOND_MS:
        return None
    return (
        f"ids were given up before PIPELINE_POLL_GAP_WAIT_S was over, the latest of {found.given_up:,}: "
        f"{found.given_up_latest}; more than PIPELINE_POLL_GAPS={settings.poll_gaps} gaps were open. If rows may still "
        f"come there, raise it, and `pipeline poll --again {found.given_up_latest}`"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
