"""The faults: what strikes, and how it is whole again."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from pipeline.applications.hooks import Hooks
from pipeline.chaos.fault import Fault, Outage, ProcessKill
from pipeline.chaos.scene import Scene
from pipeline.chaos.schedule import Planned, pick
from pipeline.errors import ChaosError, SettingError
from pipeline.kafka import admin_client
from pipeline.quorum import active_controller
from pipeline.serving.pinot import client
from pipeline.stack.parts.kafka import NODES

UNUSED_AFTER_S = 3.0


class WorkerKill(ProcessKill):
    """kill -9 of a worker."""

    name = "worker-kill"
    weight = 4

    async def target(self, scene: Scene, planned: Planned) -> str:
        """Any worker."""
        return pick(scene.workers, planned)


class WorkerTerm(WorkerKill):
    """SIGTERM: a worker stops in order, and is started again."""

    name = "worker-term"
    weight = 1
    number = signal.SIGTERM


class PollerKill(ProcessKill):
    """kill -9 of the poller."""

    name = "poller-kill"
    needs = "database"
    weight = 2

    async def target(self, scene: Scene, planned: Planned) -> str:
        """There is one."""
        return "poller"


class MysqlKill(ProcessKill):
    """kill -9 of MySQL."""

    name = "mysql-kill"
    needs = "database"

    async def target(self, scene: Scene, planned: Planned) -> str:
        """There is one."""
        return "mysql"


class EachBroker(Fault):
    """What strikes the brokers in turn; healed when all replicas are in sync again."""

    async def target(self, scene: Scene, planned: Planned) -> str:
        """The next one, never while replicas of another lag behind: that would be two faults at once."""
        await scene.in_sync()
        return f"kafka-{NODES[planned.turn % len(NODES)]}"

    async def healed(self, scene: Scene) -> None:
        """Wait for the process and for its replicas."""
        await super().healed(scene)
        await scene.in_sync()


class BrokerKill(EachBroker, ProcessKill):
    """kill -9 of each broker in turn; healed when all replicas are in sync again."""

    name = "broker-kill"
    weight = 2


class ControllerKill(BrokerKill):
    """kill -9 of the node that is the active controller of the quorum."""

    name = "controller-kill"
    weight = 1

    async def target(self, scene: Scene, planned: Planned) -> str:
        """Whoever it is now."""
        await scene.in_sync()
        async with admin_client(scene.settings) as admin:
            node = await active_controller(admin)
        if node is None:
            raise ChaosError("the quorum has no active controller, though all replicas are in sync")
        return f"kafka-{node}"


class PinotDown(ProcessKill):
    """kill -9 of Pinot as a whole: here controller, broker and server are one process. Healed when it answers."""

    name = "pinot-down"
    needs = "pinot"

    async def target(self, scene: Scene, planned: Planned) -> str:
        """There is one."""
        return "pinot"

    async def healed(self, scene: Scene) -> None:
        """Wait until Pinot answers queries."""
        await super().healed(scene)
        pinot, table = client(scene.settings), scene.application.application.in_pinot[0].output.name

        async def answers() -> bool:
            with suppress(Exception):
                return bool(await asyncio.to_thread(pinot.query, f'SELECT COUNT(*) FROM "{table}"'))
            return False

        await scene.until(answers, "Pinot answers")


class BrokerDown(EachBroker, Outage):
    """A broker is away, each in turn, while the others go on; healed when all replicas are in sync again."""

    name = "broker-down"
    shortest_s, longest_s = 15.0, 30.0


class RegistryDown(Outage):
    """The schema registry is away."""

    name, part = "registry-down", "registry"
    shortest_s, longest_s = 5.0, 12.0


class MysqlDown(Outage):
    """MySQL is away."""

    name, part = "mysql-down", "mysql"
    needs = "database"
    shortest_s, longest_s = 20.0, 40.0


class Certificates(Fault):
    """Every part gets a new certificate, and is restarted with it, one after the other."""

    name = "certificates"

    @asynccontextmanager
    async def strike(self, scene: Scene, planned: Planned) -> AsyncIterator[str]:
        """Begin to renew and restart them all, and wait on leaving until it is done: its pauses are to be seen."""
        rotation = asyncio.create_task(asyncio.to_thread(scene.stack.rotate))
        try:
            yield "all parts, one after the other"
        finally:
            await rotation

    async def healed(self, scene: Scene) -> None:
        """Wait for the replicas of the last broker."""
        await scene.in_sync()


class WorkersScale(Outage):
    """The group shrinks to one worker or a few, and grows again, in order; a lone worker is left alone."""

    name = "workers-scale"
    shortest_s, longest_s = 10.0, 20.0

    async def targets(self, scene: Scene, planned: Planned) -> list[str]:
        """All workers but the first ones, at least one."""
        return scene.workers[1 + int(planned.chance * (len(scene.workers) - 1)) :]


class WorkerFreeze(Fault):
    """SIGSTOP for twice the session timeout, then SIGCONT: the zombie, whose partitions others have by then."""

    name = "worker-freeze"
    weight = 2

    def lasts_s(self, scene: Scene, planned: Planned) -> float:
        """Twice the session timeout."""
        return 2 * scene.settings.session_timeout_s

    @asynccontextmanager
    async def strike(self, scene: Scene, planned: Planned) -> AsyncIterator[str]:
        """Stop, and let it go on when leaving."""
        name = pick(scene.workers, planned)
        pid = await scene.kill(name, signal.SIGSTOP)
        try:
            yield f"{name} for {self.lasts_s(scene, planned):.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class WorkerDiskFull(Fault):
    """A worker cannot write to any file: its limit of a file's size is 0, which a full disk amounts to."""

    name = "worker-disk-full"

    def lasts_s(self, scene: Scene, planned: Planned) -> float:
        """Some seconds."""
        return 5.0

    @asynccontextmanager
    async def strike(self, scene: Scene, planned: Planned) -> AsyncIterator[str]:
        """Lower the running process's limit, and lift it when leaving."""
        name = pick(scene.workers, planned)
        pid = await scene.pid(name)
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield name
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


class NetworkCut(Fault):
    """One worker cannot reach one broker: connections are refused, or accepted and silent, in turn."""

    name = "network-cut"
    weight = 2

    def lasts_s(self, scene: Scene, planned: Planned) -> float:
        """5 to 15 seconds."""
        return 5.0 + 10.0 * planned.chance

    @asynccontextmanager
    async def strike(self, scene: Scene, planned: Planned) -> AsyncIterator[str]:
        """Cut or stall, and open when leaving."""
        first = planned.turn // 2 % len(NODES)
        node = await self._used(scene, [*NODES[first:], *NODES[:first]])
        stalled = bool(planned.turn % 2)
        how = scene.proxies.stall if stalled else scene.proxies.cut
        await asyncio.to_thread(how, node)
        try:
            words = "stalled" if stalled else "cut"
            yield f"{scene.proxied_worker} - kafka-{node} {words} for {self.lasts_s(scene, planned):.0f} s"
        finally:
            await asyncio.to_thread(scene.proxies.open, node)

    @staticmethod
    async def _used(scene: Scene, nodes: list[int]) -> int:
        """The first of these nodes that the worker talks to: one that leads none of its partitions may be unused."""
        before, began_s = {node: scene.proxies.passed(node) for node in nodes}, time.monotonic()
        used: list[int] = []

        async def talks() -> bool:
            used[:] = [node for node in nodes if scene.proxies.passed(node) > before[node]]
            return nodes[0] in used or (bool(used) and time.monotonic() - began_s > UNUSED_AFTER_S)

        await scene.until(talks, f"{scene.proxied_worker} talks to a broker")
        return used[0]


POISON = "poison"
"""No fault that strikes: bad records come throughout the run."""

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (
        WorkerKill,
        WorkerTerm,
        WorkerFreeze,
        WorkerDiskFull,
        WorkersScale,
        NetworkCut,
        BrokerKill,
        BrokerDown,
        ControllerKill,
        RegistryDown,
        MysqlDown,
        MysqlKill,
        PinotDown,
        PollerKill,
    )
}
SECURED: dict[str, type[Fault]] = {Certificates.name: Certificates}
"""What only strikes where there is security."""
KINDS = (*FAULTS, POISON)


def kinds_for(hooks: Hooks, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The kinds that can strike an application, of those that are wanted; None: all.

    Raises SettingError when one is wanted of which it has nothing to be struck.
    """
    needs = {kind: fault.needs for kind, fault in (FAULTS | SECURED).items()}
    for kind in wanted or ():
        if (need := needs.get(kind)) and not getattr(hooks, need):
            raise SettingError(f"--kinds names {kind}, but the application has no {need}: leave it out")
    return tuple(kind for kind in wanted or KINDS if not needs.get(kind) or getattr(hooks, needs[kind]))
