"""`pipeline demo` of a declared application: cluster, topics, generators, workers, and the rows as they come."""

import asyncio
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as View
from rich.text import Text

from pipeline.applications.loading import load
from pipeline.codecs import Decoder
from pipeline.declare.application import Application
from pipeline.errors import BadRecord, PipelineError, StackError
from pipeline.kafka import READ_COMMITTED, reader
from pipeline.provision import provision
from pipeline.reading import end_offsets, group_lag
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.shown import visible
from pipeline.stack.cluster import Program, Stack, Stage
from pipeline.stack.program import log_file
from pipeline.topics import DEAD_LETTERS, Topic

UNUSED = ("mysql", "pinot")
"""Parts of the stack that an application of streams and tables does not need."""
KEPT_ROWS, COLUMN_WIDTH = 8, 28
FIRST_ROWS_S, CAUGHT_UP_S, LOOK_S = 120.0, 60.0, 0.5


class DeclaredDemo:
    """The processes of a declared application under the stack's supervisor, and a view of what comes out."""

    def __init__(self, stack: Stack, console: Console, workers: int, rate: float | None) -> None:
        self._stack = stack
        self._console = console
        self.settings = stack.settings
        self.application = load(self.settings.app, self.settings.app_dir)
        self._programs = programs(self.settings, self.application, workers, rate)
        self._rows = {topic.name: NewestRows(topic) for topic in (*self.application.outputs, DEAD_LETTERS)}

    def run(self, seconds: float | None) -> bool:
        """Run for so long, or until interrupted; whether every output has rows and every record was processed."""
        asyncio.run(provision(self.settings, tell=lambda line: self._console.print(f"  {line}", highlight=False)))
        self._stack.add(self._programs)
        return asyncio.run(self._watched(seconds))

    async def _watched(self, seconds: float | None) -> bool:
        began_s = time.monotonic()
        end_s = None if seconds is None else began_s + seconds
        following = asyncio.create_task(self._follow())
        try:
            with Live(self._view(), console=self._console, refresh_per_second=2, transient=seconds is not None) as live:
                first_s: float | None = None
                while end_s is None or time.monotonic() < end_s:
                    await asyncio.sleep(LOOK_S)
                    require_alive(self._stack, self._programs)
                    if following.done():
                        following.result()
                    if first_s is None and all(rows.count for rows in self._outputs()):
                        first_s = time.monotonic() - began_s
                        live.console.print(f"rows in every output after {first_s:.0f} s", highlight=False)
                    live.update(self._view())
            return await self._caught_up()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _caught_up(self) -> bool:
        """Stop the generators, let the workers come to the end, and tell what is there."""
        if self.application.data:
            await asyncio.to_thread(self._stack.stop, "generator")
        deadline = time.monotonic() + CAUGHT_UP_S
        left = await self._behind()
        while left and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            left = await self._behind()
        await asyncio.sleep(2 * LOOK_S)
        self._console.print(self._view())
        sources = [topic.name for topic in self.application.sources]
        records = sum((await end_offsets(self.settings, sources)).values())
        empty = [rows.topic.name for rows in self._outputs() if not rows.count]
        if left:
            self._console.print(f"[red]{left:,} records were not processed within {CAUGHT_UP_S:.0f} s")
        if empty:
            self._console.print(f"[red]no rows in {', '.join(empty)}")
        self._console.print(f"{records:,} source records processed", highlight=False)
        return not left and not empty

    async def _behind(self) -> int:
        lag = await group_lag(self.settings, self.settings.app_id)
        return sum(sum(partitions.values()) for partitions in lag.values())

    def _outputs(self) -> "list[NewestRows]":
        return [self._rows[topic.name] for topic in self.application.outputs]

    async def _follow(self) -> None:
        """Read what comes out, for as long as the demo runs; outages are waited out."""
        registry = Registry(self.settings)
        while True:
            with suppress(StackError, KafkaError, OSError, TimeoutError):
                async with reader(self.settings, READ_COMMITTED) as consumer:
                    parts = range(self.settings.partitions)
                    places = [TopicPartition(name, number) for name in self._rows for number in parts]
                    consumer.assign(places)
                    for tp in places:
                        consumer.seek(tp, self._rows[tp.topic].next.get(tp.partition, 0))
                    while True:
                        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                            await self._rows[tp.topic].take(registry, records)
            await asyncio.sleep(LOOK_S)

    def _view(self) -> RenderableType:
        letters = self._rows[DEAD_LETTERS.name]
        tables = [rows.view() for rows in self._outputs()]
        if letters.count:
            tables.append(letters.view())
        hint = Text(f"application {self.application.name}   logs in {self._stack.folder.logs}   Ctrl-C stops it")
        return Group(*tables, hint)


def require_alive(stack: Stack, programs: Iterable[Program]) -> None:
    """Raise StackError, with the end of its log, when one of these ended again and again."""
    names = {program.name for program in programs}
    for part in stack.status():
        if part.name in names and part.state in ("fatal", "exited"):
            log = log_file(stack.folder.logs, part.name)
            lines = log.read_text(errors="replace").strip().splitlines()[-8:] if log.exists() else []
            raise StackError("\n  ".join([f"{part.name} ended again and again; the end of {log}:", *lines]))


class NewestRows:
    """The newest rows of a topic by key, as they are read."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.count = 0
        self.next: dict[int, int] = {}
        assert topic.schema is not None
        self._decode = Decoder(topic.schema)
        self._rows: OrderedDict[bytes, Mapping[str, Any]] = OrderedDict()

    async def take(self, registry: Registry, records: list[Any]) -> None:
        """Note records of one partition."""
        with suppress(PipelineError):
            await registry.prepare(self._decode, [record.value for record in records])
        for record in records:
            self.count += 1
            self.next[record.partition] = record.offset + 1
            try:
                row = self._decode(record.value)
            except BadRecord as error:
                row = {"": f"cannot be read: {error}"}
            key = (record.key or b"") + str(row.get("window_start_ms", "")).encode()
            self._rows[key] = row
            self._rows.move_to_end(key)
            if len(self._rows) > KEPT_ROWS:
                self._rows.popitem(last=False)

    def view(self) -> View:
        """The rows as a table, newest last."""
        columns = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        columns = [name for name in columns if name not in ("window_start_ms", "window_end_ms", "version")]
        view = View(*columns, title=f"{self.topic.name}: {self.count:,} rows", title_justify="left")
        for row in self._rows.values():
            view.add_row(*(_cell(row.get(name)) for name in columns))
        return view


def _cell(value: Any) -> Text:
    text = visible("" if value is None else str(value))
    return Text(text if len(text) <= COLUMN_WIDTH else text[: COLUMN_WIDTH - 1] + "…")


def programs(settings: Settings, application: Application, workers: int, rate: float | None) -> list[Program]:
    """The application's processes: workers, and the generators where it declares data."""

    def program(name: str, *arguments: str) -> Program:
        command = (sys.executable, "-m", "pipeline", *arguments)
        env = settings.as_environment() | {"PIPELINE_WORKER_ID": name}
        return Program(name, command, env, stage=Stage.APP, stop_wait_s=8)

    factor = () if rate is None else ("--rate", str(rate))
    generator = [program("generator", "generate", *factor)] if application.data else []
    return [*(program(f"worker-{number}", "worker") for number in range(1, workers + 1)), *generator]
