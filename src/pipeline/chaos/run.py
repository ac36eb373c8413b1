"""One run: load, faults one after the other, then every check."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from rich.console import Console

from pipeline.chaos.checks import Check, check_none
from pipeline.chaos.faults import FAULTS, POISON, SECURED
from pipeline.chaos.inspection import Inspection
from pipeline.chaos.load import Load, load_of
from pipeline.chaos.progress import Monitor, Offsets
from pipeline.chaos.report import ChaosReport, Struck
from pipeline.chaos.sales import SalesWriter
from pipeline.chaos.scene import Options, Scene, keep_file, scene
from pipeline.chaos.schedule import Planned, schedule
from pipeline.chaos.shop import Shop, poller_is_through
from pipeline.chaos.tables import TablesWriter, are_through, check_tables
from pipeline.errors import ChaosError, StackError
from pipeline.processes import POLLER
from pipeline.provision import access_of, provision
from pipeline.stack.interrupts import terminated_like_interrupted
from pipeline.stack.say import say

log = logging.getLogger(__name__)

SALES = 0.2
"""Share of the rate that goes to MySQL, where there is one."""
STRUCK_S = 1.0
RECOVERY_TIMEOUT_S = 180.0
DRAIN_TIMEOUT_S = 120.0
MEMORY_EVERY_S = 5.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: strike `faults` faults, or for `seconds`, whichever ends first; `every_s` from strike to strike."""

    seed: int
    seconds: float
    kinds: tuple[str, ...]
    rate: float = 300.0
    faults: int | None = None
    every_s: float = 5.0
    verify_timeout_s: float = 180.0
    guarantee: str = "as set"


def run_plan(plan: Plan, options: Options, console: Console | None = None, base: Path | None = None) -> ChaosReport:
    """Run a plan on a scene of its own, made below the folder `base`; SIGINT and SIGTERM raise KeyboardInterrupt.

    Raises PipelineError when the run itself cannot be done.
    """
    console = console or Console(stderr=True)
    with terminated_like_interrupted(), scene(options, console, base) as stage:
        report = _interruptible(Run(stage, plan, lambda line: say(console, line)).run())
        if not report.ok:
            keep_file(stage.stack).touch()
    return report


def _interruptible(work: Coroutine[Any, Any, ChaosReport]) -> ChaosReport:
    """Run to the end; a signal to stop cancels it, so that what it struck is healed, and comes out as an interrupt."""

    async def main() -> ChaosReport:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


class Run:
    """One run of a plan on a scene; the report is filled in as it goes."""

    def __init__(self, scene: Scene, plan: Plan, tell: Tell) -> None:
        self._scene = scene
        self._plan = plan
        self._tell = tell
        found = self._found = scene.application
        is_bad = POISON in plan.kinds
        self._load = load_of(scene.settings, found, per_s=plan.rate, poison=is_bad, seed=plan.seed)
        self._sales = self._tables = None
        if found.hooks.generators:
            self._sales = SalesWriter(scene.settings, per_s=plan.rate * SALES, seed=plan.seed)
        elif found.hooks.database:
            self._tables = TablesWriter(scene.settings, found.application, per_s=plan.rate, seed=plan.seed)
        sources = [topic.name for topic in found.sources]
        self._monitor = Monitor(scene.settings, sources, self._load.steady, self._acknowledged)
        self._pids: dict[str, int] = {}
        self._faults_began_s = 0.0
        self.report = ChaosReport(plan.seed, plan.guarantee, found.name)

    @property
    def _sources(self) -> list[Load | SalesWriter | TablesWriter]:
        return [source for source in (self._load, self._sales, self._tables) if source is not None]

    def _acknowledged(self) -> int:
        """What the brokers have acknowledged, and what has been committed to declared tables."""
        return self._load.acknowledged + (0 if self._tables is None else self._tables.committed)

    async def run(self) -> ChaosReport:
        """Do all of it; raises PipelineError when the run itself cannot be done."""
        began_s = time.monotonic()
        await provision(self._scene.settings, tell=self._tell, access=access_of(self._scene.stack.passwords))
        await self._load.begin()
        if self._tables is not None:
            await self._tables.begin()
        self._scene.start()
        watch = [asyncio.create_task(work) for work in (self._monitor.run(), self._sample())]
        sources = [asyncio.create_task(source.run()) for source in self._sources]
        try:
            struck = asyncio.create_task(self._faults())
            await asyncio.wait([struck, *sources, *watch], return_when=asyncio.FIRST_COMPLETED)
            for task in (*sources, *watch):
                if task.done():  # none of them ends by itself unless it fails
                    task.result()
            await struck
            await self._drain(sources)
            await self._inspect()
        finally:
            for task in (*watch, *sources, struck):
                task.cancel()
            await asyncio.gather(*watch, *sources, struck, return_exceptions=True)
            self.report.seconds = time.monotonic() - began_s
        return self.report

    async def _faults(self) -> None:
        plan, began_s = self._plan, time.monotonic()
        kinds = {kind: (FAULTS | SECURED)[kind].weight for kind in plan.kinds if kind != POISON}
        await self._monitor.require_in_flight()
        self._faults_began_s = time.time()
        self._tell(f"in flight after {time.monotonic() - began_s:.0f} s; faults begin")
        began_s = next_s = time.monotonic()
        for planned in schedule(kinds, plan.seed):
            next_s = max(next_s + plan.every_s, time.monotonic())
            await asyncio.sleep(min(next_s, began_s + plan.seconds) - time.monotonic())
            if time.monotonic() >= began_s + plan.seconds or planned.number > (plan.faults or planned.number):
                break
            fault = await self._strike(planned, began_s)
            self.report.faults.append(fault)
            recovered = "not recovered" if fault.recovery_s is None else f"recovered after {fault.recovery_s:.1f} s"
            self._tell(
                f"{planned.number:>4} at {fault.at_s:5.0f} s  {fault.kind:<16} {fault.detail}: {recovered}, "
                f"a partition paused for {fault.partition_pause_s:.1f} s, all for {fault.pause_s:.1f} s"
            )
            if fault.recovery_s is None:
                break
        await asyncio.sleep(max(0.0, 0.0 if kinds else began_s + plan.seconds - time.monotonic()))

    async def _strike(self, planned: Planned, began_s: float) -> Struck:
        fault, scene, monitor = (FAULTS | SECURED)[planned.kind](), self._scene, self._monitor
        await monitor.require_in_flight()
        goal = await monitor.goal()
        recovery: asyncio.Task[float | None] | None = None
        heal_recovery: asyncio.Task[float | None] | None = None
        try:
            async with fault.strike(scene, planned) as detail:
                struck_s = time.monotonic()
                recovery = asyncio.create_task(self._recovered(goal))
                await asyncio.sleep(fault.lasts_s(scene, planned))
            healed_s = time.monotonic()
            if fault.lasts_s(scene, planned):
                heal_recovery = asyncio.create_task(self._recovered(goal))
            await fault.healed(scene)
            recovered_s = await recovery
            heal_recovered_s = await heal_recovery if heal_recovery else None
        finally:
            for task in filter(None, (recovery, heal_recovery)):
                task.cancel()
        end_s = max(healed_s, recovered_s or time.monotonic(), heal_recovered_s or 0)
        return Struck(
            kind=planned.kind,
            at_s=struck_s - began_s,
            detail=detail,
            lasted_s=healed_s - struck_s if heal_recovery else 0.0,
            recovery_s=None if recovered_s is None else recovered_s - struck_s,
            heal_recovery_s=None if heal_recovered_s is None else heal_recovered_s - healed_s,
            pause_s=monitor.timeline.longest_pause_s(struck_s, end_s),
            partition_pause_s=monitor.timeline.longest_partition_pause_s(struck_s, end_s),
        )

    async def _recovered(self, goal: Offsets) -> float | None:
        """When all was committed that was acknowledged until shortly after now; None: not within the timeout.

        What stood in the topics at the strike itself may be committed already: it would tell nothing.
        """
        await asyncio.sleep(STRUCK_S)
        return await self._monitor.consumed(self._now(goal), RECOVERY_TIMEOUT_S)

    def _now(self, goal: Offsets) -> Offsets:
        """The goal with what has been acknowledged by this moment: the brokers need not be asked, nor be there."""
        read = {topic.name for topic in self._found.sources}
        ends = {TopicPartition(*place): end for place, end in self._load.ledger.ends().items() if place[0] in read}
        return goal | {tp: max(end, goal.get(tp, 0)) for tp, end in ends.items()}

    async def _drain(self, sources: list["asyncio.Task[None]"]) -> None:
        """Stop the sources, and let the poller, if there is one, carry what is in MySQL."""
        self._tell("sources stop")
        for source in self._sources:
            source.stop()
        done, pending = await asyncio.wait(sources, timeout=DRAIN_TIMEOUT_S)
        for task in done:
            task.result()
        if pending:
            raise ChaosError(f"the load was not acknowledged within {DRAIN_TIMEOUT_S:.0f} s of its end")
        if self._sales is not None:
            with suppress(ChaosError):  # the check of the sales tells
                is_through = partial(poller_is_through, self._scene.settings)
                await self._scene.until(is_through, "the poller has sent every sale", DRAIN_TIMEOUT_S)
        if self._tables is not None:
            with suppress(ChaosError):  # the check of the tables tells
                is_through = partial(are_through, self._scene.settings, self._found.application)
                await self._scene.until(is_through, "the poller has sent every row", DRAIN_TIMEOUT_S)

    async def _inspect(self) -> None:
        report, scene = self.report, self._scene
        report.checks["recovered"] = check_none(
            {f"{f.kind} at {f.at_s:.0f} s": f.detail for f in report.faults if f.recovery_s is None}
        )
        report.checks["running"] = await self._running()
        shop = None
        if self._found.hooks.database:
            await asyncio.to_thread(scene.stack.stop, POLLER)
        if self._sales is not None:
            shop = Shop(scene.settings, self._sales.ledger)
        inspection = Inspection(scene.settings, self._found, self._load, shop, self._faults_began_s)
        await inspection.run(self._tell, self._plan.verify_timeout_s)
        report.checks |= inspection.checks
        if self._tables is not None:
            check = await check_tables(scene.settings, self._found.application)
            told = {"committed": self._tables.committed, "rolled_back": self._tables.rolled_back}
            report.checks["tables"] = Check(check.ok, {**told, **check.found})
        report.events, report.acknowledged = inspection.events, self._load.acknowledged
        report.poisoned = self._load.poisoned

    async def _running(self) -> Check:
        """Every process of the stack and the application runs again, without a hand."""
        parts = await asyncio.to_thread(self._scene.stack.status)
        wrong = {part.name: part.state for part in parts if part.state != "running"}
        return Check(not wrong, wrong or f"{len(parts)} processes")

    async def _sample(self) -> None:
        """Memory of the workers and restarts of all, all the time."""
        while True:
            with suppress(StackError):
                for part in await asyncio.to_thread(self._scene.stack.status):
                    before = self._pids.get(part.name)
                    if part.pid and before not in (None, part.pid):
                        self.report.restarts[part.name] = self.report.restarts.get(part.name, 0) + 1
                    if part.pid and part.name in self._scene.workers:
                        lives = self.report.rss_mb.setdefault(part.name, [])
                        if before != part.pid:
                            lives.append([])
                        lives[-1].append((time.monotonic(), part.memory_bytes / 1e6))
                    if part.pid:
                        self._pids[part.name] = part.pid
            await asyncio.sleep(MEMORY_EVERY_S)
