"""What holds of every application that comes with the project, without a cluster: its cases and its oracle."""

import asyncio
import hashlib
import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from judged import feed, judge, lying

from pipeline import Generator, Rows
from pipeline.applications.loading import Runnable, load, names, runnable, source_file
from pipeline.codecs import schema
from pipeline.records import RecordBatch
from pipeline.runner.cases import load as load_case
from pipeline.runner.cases import run
from pipeline.runner.local import LocalApplication
from pipeline.settings import FLASH_SALES, Settings
from pipeline.verify.declared import declared, oracle_of

FOLDER = Path(__file__).parent
NOWHERE = FOLDER / "nowhere"
ROOMS = [name for name in names(NOWHERE) if name != FLASH_SALES]
"""Flash sales is as old as the engine: its cases lie in tests/golden, its sources are code."""
CASES = [(path.parent.name, path.name.removesuffix(".input.json")) for path in sorted(FOLDER.glob("*/*.input.json"))]
NOW = 1_795_829_940_000
MINUTES, SLOWER = 8, 20


def settings_of(room: str) -> Settings:
    return Settings(app=room)


def room_of(room: str) -> Runnable:
    return runnable(settings_of(room))


def subject_of(room: str) -> Any:
    return declared(load(room, NOWHERE, settings_of(room)), oracle_of(source_file(room, NOWHERE)))


@pytest.mark.parametrize(("room", "name"), CASES)
def test_case(room: str, name: str) -> None:
    case = load_case(FOLDER / room / f"{name}.input.json", FOLDER / room / f"{name}.output.json")
    assert asyncio.run(run(case, LocalApplication(settings_of(room), room_of(room)))) is None


@pytest.mark.parametrize("room", ROOMS)
def test_every_output_has_a_case(room: str) -> None:
    files = (FOLDER / room).glob("*.output.json")
    found = {output["topic"] for path in files for output in json.loads(path.read_text())["outputs"]}
    assert found >= {topic.name for topic in room_of(room).application.outputs}


def generated(room: str, seed: int) -> Iterator[tuple[int, str, bytes, dict[str, Any]]]:
    """(time, topic, key, row) of what its generators make in MINUTES, at a fraction of their rates, as it is sent."""
    data = room_of(room).application.data
    for rows in (made for made in data if isinstance(made, Rows)):
        for row in rows.records(seed, NOW):
            yield NOW, rows.topic.name, str(row[rows.topic.key]).encode(), row

    def one(made: Generator) -> Iterator[tuple[int, int, str, bytes, dict[str, Any]]]:
        make, times = made.maker(seed), made.times(seed)
        per_s = made.per_s / SLOWER
        for number in range(int(MINUTES * 60 * per_s)):
            now_ms = NOW + int(number * 1_000 / per_s)
            row = make(at_ms := times(now_ms))
            yield now_ms, at_ms, made.topic.name, str(row[made.topic.key]).encode(), row

    running = [one(made) for made in data if isinstance(made, Generator)]
    for _, at_ms, topic, key, row in heapq.merge(*running, key=lambda made: made[0]):
        yield at_ms, topic, key, row


async def fed(room: str, seed: int) -> LocalApplication:
    application = LocalApplication(settings_of(room), room_of(room), partitions=3)
    async with application.running():
        for at_ms, topic, key, row in generated(room, seed):
            await application.feed(topic, key, application.encode(topic, row), at_ms)
    return application


@pytest.mark.parametrize("room", ROOMS)
async def test_its_oracle_agrees_with_what_its_generators_bring_about(room: str) -> None:
    """And it sees what is wrong: a row of each output that is changed."""
    application, subject = await fed(room, 1), subject_of(room)
    records, schemas = lying(application), application.schemas
    assert await judge(settings_of(room), subject, schemas, records) == {}
    for output in subject.outputs:
        assert records.get(output.topic.name), f"{output.topic.name} has no rows"
        short = {**records, output.topic.name: records[output.topic.name][:-1]}
        wrong = await judge(settings_of(room), subject, schemas, short)
        assert output.topic.name in wrong, f"a row of {output.topic.name} is missing, and nobody sees it"


@pytest.mark.parametrize(("room", "name"), CASES)
async def test_its_oracle_agrees_with_its_cases(room: str, name: str) -> None:
    case = load_case(FOLDER / room / f"{name}.input.json", FOLDER / room / f"{name}.output.json")
    application = LocalApplication(settings_of(room), room_of(room))
    async with application.running():
        await feed(application, case.inputs)
    assert await judge(settings_of(room), subject_of(room), application.schemas, lying(application)) == {}


async def test_a_joined_row_is_of_its_own_time_whatever_came_with_it() -> None:
    """It took the timestamp of the last record of the batch, also of one that cannot be used."""
    room = "user_sessions"
    application = LocalApplication(settings_of(room), room_of(room))
    login = {"session_id": "s", "user_id": "u", "user_name": "Kim", "login_timestamp": NOW, "device": "phone"}
    view = {"session_id": "s", "user_id": "u", "source": "Inbox", "event_timestamp": NOW + 1}
    async with application.running():
        await application.feed("web.usersessions", b"s", application.encode("web.usersessions", login), NOW)
        value = application.encode("web.pageviews", view)
        batch = RecordBatch("web.pageviews", 0, [0, 1], [NOW + 1, -5], [b"s", b"s"], [value, value])
        await application.feed_batch(batch)
    (joined,) = application.broker.topics["SESSION_VIEWS"]
    assert joined.timestamp_ms == NOW + 1
    assert len(application.broker.topics["pipeline-dead-letters"]) == 1


def called(room: str) -> dict[str, Any]:
    """What a running application depends on: its group, topics with their keys, states, and a hash of every schema."""
    found, settings = room_of(room), settings_of(room)
    return {
        "group": settings.app_id,
        "topics": {topic.name: [topic.kind, topic.key] for topic in found.topics},
        "states": sorted(found.states),
        "schemas": {
            topic.subject: hashlib.sha256(json.dumps(schema(topic.schema), sort_keys=True).encode()).hexdigest()
            for topic in found.topics
            if topic.schema is not None
        },
        "pinot": sorted(statement.output.name for statement in found.application.in_pinot),
    }


@pytest.mark.parametrize("room", ROOMS)
def test_names_and_schemas_are_as_they_were(room: str) -> None:
    """A release that changes one begins with new topics and states; `python tests/applications/test_rooms.py` writes
    them anew.
    """
    stored = json.loads((FOLDER / room / "pinned.json").read_text())
    assert json.loads(json.dumps(called(room))) == stored


if __name__ == "__main__":
    for name in ROOMS:
        (FOLDER / name / "pinned.json").write_text(json.dumps(called(name), indent=1, sort_keys=True) + "\n")
