"""An application fed in this process, and the verdict of its oracle in SQL on what came out; without a cluster."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pipeline.codecs import schema
from pipeline.records import Outgoing
from pipeline.runner.cases import Input, to_record
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.verify.comparison import Outcome
from pipeline.verify.judgement import Judgement
from pipeline.verify.report import Noted
from pipeline.verify.subject import Subject

Lying = dict[str, list[Any]]
"""The records of each topic as a reader of the brokers gets them."""


async def feed(application: LocalApplication, inputs: Iterable[Input]) -> None:
    """Feed records one by one."""
    for item in inputs:
        declared = schema(application.schema_of(item.topic))
        value = None if item.value is None else application.encode(item.topic, to_record(declared, item))
        key = None if item.key is None else application.encode_key(item.topic, item.key)
        await application.feed(item.topic, key, value, item.timestamp_ms)


def lying(application: LocalApplication) -> Lying:
    """What lies in every topic."""
    found: Lying = {}
    for topic, records in application.broker.topics.items():
        ends: defaultdict[int, int] = defaultdict(int)
        for record in records:
            found.setdefault(topic, []).append(read(record, ends[record.partition or 0]))
            ends[record.partition or 0] += 1
    return found


def read(record: Outgoing, offset: int) -> Any:
    return SimpleNamespace(
        partition=record.partition or 0,
        offset=offset,
        timestamp=record.timestamp_ms,
        key=record.key,
        value=record.value,
    )


def cuts(records: Sequence[Any]) -> dict[int, int]:
    """The ends of the partitions."""
    ends: dict[int, int] = {}
    for record in records:
        ends[record.partition] = record.offset + 1
    return ends


async def judge(*records: Any, **cuts: Any) -> dict[str, list[str]]:
    """{output: sentences} of the outputs that are not as they have to be; it takes what `judged` takes."""
    outcomes = (await judged(*records, **cuts)).outcomes
    return {topic: outcome.wrong for topic, outcome in outcomes.items() if outcome.wrong}


@dataclass(frozen=True, slots=True)
class Judged:
    """What has been found: of each output, what the oracle has let pass, and which records it has letters for."""

    outcomes: dict[str, Outcome]
    noted: dict[str, Noted]
    letters: set[tuple[str, int, int]]


async def judged(
    settings: Settings,
    subject: Subject,
    schemas: Any,
    records: Lying,
    *,
    low: Lying | None = None,
    begins: Mapping[str, dict[int, int]] | None = None,
) -> Judged:
    """The verdict on records; `low`: what lay there at the low cut, `begins`: what retention has left of topics."""
    with Judgement(settings, subject, schemas) as judgement:
        for topic in judgement.readers:
            await judgement.read(topic, records.get(topic, []))
        high = {topic: cuts(records.get(topic, [])) for topic in judgement.readers}
        lows = high if low is None else {topic: cuts(low.get(topic, [])) for topic in judgement.readers}
        judgement.expect(lows, high, begins)
        outcomes = {o.topic.name: judgement.compared(o, high[o.topic.name]) for o in subject.outputs}
        return Judged(outcomes, judgement.oracle.noted("high"), judgement.oracle.letters("high"))


def changed(
    application: LocalApplication, records: Lying, topic: str, change: Callable[[list[dict[str, Any]]], None]
) -> Lying:
    """The records with the rows of a topic changed, in place, by a function; schema ids and keys stay."""
    from pipeline.formats import decoder

    decode = decoder(application.topics[topic])
    for number, known in enumerate(application.schemas._known):
        decode.learn(number + 1, known)
    rows = [{"_record": record, **decode(record.value)} for record in records[topic]]
    change(rows)
    made = []
    for row in rows:
        record = row.pop("_record")
        made.append(SimpleNamespace(**{**vars(record), "value": application.encode(topic, row)}))
    return {**records, topic: made}
