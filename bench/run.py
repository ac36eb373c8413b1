"""One benchmark: a cluster, the input, every program in turn, each result checked before its speed counts."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench import check
from bench.cluster import recreate, throw_away
from bench.inputs import Shape, Views, generate, page_catalogue, produce
from bench.measure import INTERVAL_S, Measurement, Probe, Sample, Usage, evaluate
from bench.peers import pipeline_app
from bench.peers.configuration import Configuration
from bench.programs import PROGRAMS, Program, command, prepare
from bench.topics import COUNT_SCHEMA, ENRICHED_SCHEMA, counts_topic, enriched_topic, views_topic
from bench.whole import Whole
from bench.workloads import ADVANCE_MS, GAP_MS, GRACE_MS, SIZE_MS, WORKLOADS, Kind, Workload
from pipeline import kafka, topics
from pipeline.codecs import schema
from pipeline.errors import PipelineError
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.timebase import HOUR_MS, now_ms
from pipeline.topics import Schema, Topic

SETTLED_S = 1.5
STALLED_S = 90.0


class BenchError(PipelineError):
    """A program failed, stalled or gave other results than it must."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. `guarantee` is at_least_once, exactly_once or both; `workers` are processes of ours."""

    workloads: tuple[str, ...]
    programs: tuple[str, ...]
    records: int
    repeats: int
    guarantee: str
    commit_interval_ms: int
    threads: int
    keys: int
    groups: int
    hours: int
    prefix: tuple[str, ...] = ()
    workers: int = 1
    bad_every: int = 0
    secure: bool = False

    def guarantees(self, program: Program) -> list[str]:
        """Those of the program that were asked for."""
        return [name for name in program.guarantees if self.guarantee in (name, "both")]

    def records_of(self, program: Program) -> int:
        """How many records a program is given."""
        return max(1_000, int(self.records * program.share))


@dataclass
class Outcome:
    """Measurements by workload and label, and what was left out, with the reason."""

    measured: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)


def label(program: str, guarantee: str) -> str:
    """The key of a program in the output: exactly once is the plain name of those that have both."""
    both = program in ("pipeline", "kafka_streams")
    return f"{program}_at_least_once" if both and guarantee == "at_least_once" else program


def in_turn(entries: list[tuple[str, str]], repeat: int) -> list[tuple[str, str]]:
    """The order of a repeat: there and back, so that nobody is always first."""
    return entries if repeat % 2 == 0 else entries[::-1]


class Bench:
    """The cluster's settings, the input and what has been produced of it."""

    def __init__(self, settings: Settings, plan: Plan, console: Console) -> None:
        self.settings = settings
        self.plan = plan
        self.console = console
        start_ms = now_ms() // HOUR_MS * HOUR_MS - (plan.hours + 1) * HOUR_MS
        self.shape = Shape(
            plan.records, plan.keys, plan.groups, plan.hours, start_ms=start_ms, bad_every=plan.bad_every
        )
        self.pages = page_catalogue(self.shape)
        self.views: Views = generate(self.shape)
        self.inputs: dict[int, Topic] = {}
        self.whole = Whole(settings, self.shape, self.views)
        self._runs = 0

    async def provide(self, count: int) -> Topic:
        """The topic that holds the first `count` views."""
        if count not in self.inputs:
            topic = views_topic(count)
            await recreate(self.settings, [topic, topics.PAGES], self.kept())
            if not self.inputs:
                await self.whole.references(self.pages)
            began = time.perf_counter()
            encoder_id = (await Registry(self.settings).register([topic]))[topic.subject]
            async with kafka.producer(self.settings) as producer:
                args = (self.settings.partitions, self.views, count, self.shape, encoder_id)
                await produce(producer, topic.name, *args)
            self.console.print(f"produced {count:,} views in {time.perf_counter() - began:.1f} s")
            self.inputs[count] = topic
        return self.inputs[count]

    def kept(self) -> list[str]:
        """Topics that outlive a run."""
        return [topic.name for topic in self.inputs.values()] + ([topics.PAGES.name] if self.inputs else [])

    async def run(self, workload: Workload, program: Program, guarantee: str) -> Measurement:
        """One program once; raises BenchError when it fails or its result is not what it must be."""
        self._runs += 1
        count = self.plan.records_of(program)
        with tempfile.TemporaryDirectory(prefix="pipeline-bench-run-") as folder:
            if workload.kind is Kind.APPLICATION:
                return await self._application(guarantee, count, folder)
            source = await self.provide(count)
            config = await self._configure(workload, program, guarantee, source, count, folder)
            result = counts_topic(config.app_id) if workload.counts else enriched_topic(config.app_id)
            seen = f"{config.app_id}-counts-changelog" if program.name == "faust" and workload.counts else result.name
            verdict = check.Check(self, workload, program.name, result, seen, count)
            with self._process(program.name, config, folder) as process:
                samples = await self._watch(process, config.app_id, [source.name], [seen], count, verdict)
        return evaluate(samples, count)

    async def _application(self, guarantee: str, count: int, folder: str) -> Measurement:
        app_id = f"bench_{self._runs}"
        total = await self.whole.provide(count, self.kept())
        config = self._config("application", app_id, "", "", guarantee, count, folder, 0)
        inputs = [topic.name for topic in topics.EVENTS]
        outputs = [topic.name for topic in (*topics.OUTPUTS, *topics.ENRICHED)]
        with self._process("pipeline", config, folder) as process:
            samples = await self._watch(process, app_id, inputs, outputs, total, self.whole)
        return evaluate(samples, total)

    async def _configure(
        self, workload: Workload, program: Program, guarantee: str, source: Topic, count: int, folder: str
    ) -> Configuration:
        app_id = f"bench_{self._runs}"
        output = counts_topic(app_id) if workload.counts else enriched_topic(app_id)
        registry = Registry(self.settings)
        peer = program.name != "pipeline"
        number = (await registry.register([output]))[output.subject] if peer else 0
        config = self._config(workload.kind, app_id, source.name, output.name, guarantee, count, folder, number)
        wanted = (
            [output]
            if peer
            else [
                topic
                for topic in pipeline_app.needed_topics(config)
                if topic.name not in (source.name, topics.PAGES.name)
            ]
        )
        await recreate(self.settings, wanted, self.kept())
        given: dict[str, Schema] = {
            "view": "pageview",
            "page": "page",
            "count": COUNT_SCHEMA,
            "enriched": ENRICHED_SCHEMA,
        }
        for name, one in given.items():
            Path(folder, f"{name}.avsc").write_text(json.dumps(schema(one)))
        Path(folder, "pages.json").write_text(json.dumps(self.pages))
        return config

    def _config(
        self, kind: str, app_id: str, source: str, output: str, guarantee: str, count: int, folder: str, number: int
    ) -> Configuration:
        return Configuration(
            bootstrap=self.settings.bootstrap_servers,
            registry=self.settings.registry_url,
            app_id=app_id,
            kind=kind,
            input=source,
            output=output,
            output_schema_id=number,
            pages=topics.PAGES.name,
            records=count,
            size_ms=SIZE_MS,
            advance_ms=ADVANCE_MS,
            gap_ms=GAP_MS,
            grace_ms=GRACE_MS,
            commit_interval_ms=self.plan.commit_interval_ms,
            partitions=self.settings.partitions,
            threads=self.plan.threads,
            guarantee=guarantee,
            folder=folder,
        )

    @contextmanager
    def _process(self, program: str, config: Configuration, folder: str) -> Iterator["Process"]:
        arguments, environment = command(program, config, self.settings, self.console)
        arguments = [*self.plan.prefix, *arguments]
        log = Path(folder, "log")
        children: list[subprocess.Popen[bytes]] = []
        try:
            with log.open("wb") as out:
                began = time.perf_counter()
                for number in range(self.plan.workers):
                    own = environment | {"PIPELINE_WORKER_ID": f"bench-{number}"}
                    children.append(
                        subprocess.Popen(arguments, env=own, stdout=out, stderr=out, start_new_session=True)
                    )
            yield Process(children, began, log)
        finally:
            for child in children:
                stop(child)

    async def _watch(
        self,
        process: "Process",
        group: str,
        inputs: list[str],
        outputs: list[str],
        records: int,
        verdict: "check.Verdict",
    ) -> list[Sample]:
        """Samples from the start until the output is complete and right."""
        samples: list[Sample] = []
        usage, changed_s, judged = Usage(tuple(child.pid for child in process.children)), 0.0, -1
        async with Probe(self.settings, group, inputs, outputs) as probe:
            while True:
                sample = await probe.sample(process.began, usage)
                if samples and (sample.consumed, sample.output) != (samples[-1].consumed, samples[-1].output):
                    changed_s = sample.at_s
                samples.append(sample)
                quiet_s = sample.at_s - changed_s
                if sample.consumed >= records and quiet_s > SETTLED_S and judged != sample.output:
                    wrong = await verdict.wrong()
                    if not wrong:
                        return samples
                    judged = sample.output
                    self.console.print(f"not complete yet: {wrong[0]}", style="dim", markup=False)
                    changed_s = time.perf_counter() - process.began
                for child in process.children:
                    if child.poll() is not None:
                        raise BenchError(f"{child.args!r} ended with {child.returncode}: {process.tail()}")
                if quiet_s > STALLED_S:
                    wrong = await verdict.wrong()
                    raise BenchError(
                        f"nothing moved for {STALLED_S:.0f} s at {sample.consumed} of {records} records; "
                        f"{'; '.join(wrong) or 'the output is right'}; log: {process.tail()}"
                    )
                await asyncio.sleep(INTERVAL_S)


@dataclass
class Process:
    """A running program; `began` is when it was started, on the performance counter."""

    children: "list[subprocess.Popen[bytes]]"
    began: float
    log: Path

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3_000:]


def stop(child: "subprocess.Popen[bytes]") -> None:
    """Ask it to stop, then make it: its work is done and checked."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            continue


async def bench(plan: Plan, settings: Settings, console: Console) -> Outcome:
    """Everything of a plan on one cluster."""
    outcome, bench = Outcome(), Bench(settings, plan, console)
    unable = prepare(list(plan.programs), settings, console)
    for name in plan.workloads:
        workload = WORKLOADS[name]
        entries: list[tuple[str, str]] = []
        for program in (PROGRAMS[p] for p in plan.programs):
            reason = unable.get(program.name) or program.missing(workload)
            if reason:
                outcome.left_out.setdefault(name, {})[program.name] = reason
                continue
            entries += [(program.name, guarantee) for guarantee in plan.guarantees(program)]
        for repeat in range(plan.repeats):
            for program_name, guarantee in in_turn(entries, repeat):
                await _one(bench, outcome, workload, program_name, guarantee)
    return outcome


async def _one(bench: Bench, outcome: Outcome, workload: Workload, program: str, guarantee: str) -> None:
    key = label(program, guarantee)
    try:
        found = await bench.run(workload, PROGRAMS[program], guarantee)
    except BenchError as error:
        outcome.left_out.setdefault(workload.name, {})[key] = str(error)
        bench.console.print(f"{workload.name} {key}: {error}", style="red", markup=False)
        return
    outcome.measured.setdefault(workload.name, {}).setdefault(key, []).append(found)
    bench.console.print(
        f"{workload.name} {key}: {found.events_per_second:,.0f} events/s ({found.records:,} records in "
        f"{found.seconds:.1f} s, start-up {found.startup_s:.1f} s), {found.rss_mb:.0f} MB, {found.cpu_s:.1f} s CPU",
        markup=False,
    )


def measure(plan: Plan, console: Console, tell: Callable[[Settings], None] = lambda _: None) -> Outcome:
    """Start a cluster, measure, stop it."""
    with throw_away(console, secure=plan.secure) as settings:
        tell(settings)
        return asyncio.run(bench(plan, settings, console))
