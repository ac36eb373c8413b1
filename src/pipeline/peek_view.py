"""What `pipeline peek` prints: lines and tables for people, JSON for programs."""

import asyncio
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TextIO

import click
from aiokafka import TopicPartition

from pipeline.peek import facts
from pipeline.peek.decode import Shown
from pipeline.peek.scan import Budget, Found, Peek, Seen, Wanted, start_time
from pipeline.settings import Settings
from pipeline.shown import visible
from pipeline.status.parts import collect_topics
from pipeline.status.view import console, table_of
from pipeline.timebase import format_ms, now_ms

MOST_SHOWN = 2_000
"""Characters of a key or a value in a line, unless all are asked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a topic is printed: the newest `count`, or the first from a time or an offset on.

    `most` bounds the records that are looked at; with `follow`, what comes is printed, too.
    """

    count: int
    start: str | None
    offset: int | None
    most: int
    follow: bool


class Lines:
    """Prints records."""

    def __init__(self, out: TextIO, *, as_json: bool = False, full: bool = False) -> None:
        self._out = out
        self._as_json = as_json
        self._most = None if full else MOST_SHOWN

    def record(self, seen: Seen) -> None:
        """One line; no text of others acts on the terminal."""
        if self._as_json:
            print(json.dumps(seen.as_json()), file=self._out, flush=True)
            return
        moment = f"{format_ms(seen.time_ms)}.{seen.time_ms % 1000:03d}" if _is_time(seen.time_ms) else str(seen.time_ms)
        parts = [
            click.style(moment, dim=True),
            click.style(f"{seen.partition}/{seen.offset}", fg="cyan"),
            click.style(self._cut(seen.key), bold=True),
            self._cut(seen.value),
            *(click.style(f"{visible(name)}={self._cut(value)}", fg="magenta") for name, value in seen.headers),
            *(click.style(f"({visible(s.note)})", fg="yellow") for s in (seen.key, seen.value) if s.note),
        ]
        click.echo("  ".join(parts), file=self._out)

    def _cut(self, shown: Shown) -> str:
        text = visible(shown.text)
        if self._most is None or len(text) <= self._most:
            return text
        return f"{text[: self._most]}... ({len(text):,} characters)"


def _is_time(ms: int) -> bool:
    return 0 <= ms < 253_402_300_800_000


async def print_records(settings: Settings, topic: str, wanted: Wanted, lines: Lines, part: Part) -> None:
    """Print a part of a topic, then what comes if it is to be followed; what was left out is said on stderr."""
    peek = Peek(settings, topic, wanted, Budget(part.most))
    bounds = await peek.bounds()
    ends = {tp: end for tp, (_, end) in bounds.items()}
    if part.offset is not None:
        found = await peek.onwards(bounds, dict.fromkeys(bounds, part.offset), part.count)
    elif part.start is None:
        found = await peek.newest(bounds, part.count)
    elif part.start == "beginning":
        found = await peek.onwards(bounds, {tp: begin for tp, (begin, _) in bounds.items()}, part.count)
    else:
        found = await peek.onwards(bounds, await peek.at_time(bounds, start_time(part.start, now_ms())), part.count)
    for seen in found.records:
        lines.record(seen)
    if found.is_cut and len(found.records) < part.count:
        click.secho(_cut_short(found, part.most), fg="yellow", err=True)
    elif not found.records and not part.follow:
        click.secho(_nothing(ends, wanted), fg="yellow", err=True)
    if part.follow:
        async for seen in peek.follow(ends):
            lines.record(seen)


def _cut_short(found: Found, most: int) -> str:
    return (
        f"looked at {found.looked_at:,} records and found {len(found.records)}; there are more: raise --scan {most} to "
        "look further"
    )


def _nothing(ends: dict[TopicPartition, int], wanted: Wanted) -> str:
    return "no record" + ("" if wanted.is_all else " like that") + f" in {len(ends)} partitions"


def print_topics(settings: Settings, as_json: bool) -> None:
    """All topics."""
    found = asyncio.run(collect_topics(settings))
    if as_json:
        for name, topic in found.items():
            numbers = {"partitions": topic.partitions, "replicas": topic.replicas, "offsets": topic.messages}
            click.echo(json.dumps({"name": name, **numbers}))
        return
    table = table_of(None, "topic", "#partitions", "#replicas", "#offsets kept")
    for name, topic in found.items():
        table.add_row(name, str(topic.partitions), str(topic.replicas), f"{topic.messages:,}")
    console().print(table)


def print_config(settings: Settings, topic: str, as_json: bool) -> None:
    """A topic's settings."""
    found = asyncio.run(facts.configuration(settings, topic))
    if as_json:
        click.echo(json.dumps({each.name: each.value for each in found}))
        return
    table = table_of(None, "setting", "value", "set for the topic")
    for each in found:
        table.add_row(each.name, each.value or "", "yes" if each.is_own else "")
    console().print(table)


def print_readers(settings: Settings, topic: str, as_json: bool) -> None:
    """Who reads a topic."""
    found, refused = asyncio.run(facts.readers(settings, topic))
    if as_json:
        click.echo(json.dumps({each.group: each.lag for each in found}))
    else:
        table = table_of(None, "group", "#lag (records)", "by partition")
        for each in found:
            lag = ", ".join(f"{partition}: {count:,}" for partition, count in sorted(each.lag.items()))
            table.add_row(each.group, f"{sum(each.lag.values()):,}", lag)
        console().print(table)
    if refused:
        click.secho(f"no right to ask {', '.join(map(visible, refused))}", fg="yellow", err=True)


def print_schemas(settings: Settings, topic: str, as_json: bool) -> None:
    """A topic's schemas: the latest in full, and what each version has changed."""
    found = asyncio.run(facts.schemas(settings, topic))
    if as_json:
        versions = {
            subject: [{"version": v.number, "id": v.id, "type": v.schema.kind, "schema": v.schema.text} for v in of]
            for subject, of in found.items()
        }
        click.echo(json.dumps(versions))
        return
    if not found:
        click.secho(f"the registry has no schema of {topic}-key or {topic}-value", fg="yellow", err=True)
    for subject, of in found.items():
        latest = of[-1]
        click.secho(f"{visible(subject)}: {latest.schema.kind}, version {latest.number}, id {latest.id}", bold=True)
        click.echo("\n".join(map(visible, facts.schema_lines(latest))))
        for older, newer in pairwise(of):
            click.secho(f"changed by version {newer.number} (id {newer.id})", bold=True)
            for line in facts.differences(older, newer):
                click.secho(visible(line), fg={"+": "green", "-": "red"}.get(line[:1]))
