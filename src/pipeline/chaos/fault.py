"""What faults have in common: each strikes within a context, where entering strikes and leaving heals."""

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pipeline.chaos.scene import Scene
from pipeline.chaos.schedule import Planned


class Fault(ABC):
    """One kind of fault. `weight` is how often it comes, compared with the others.

    `needs` names what an application must have besides, of its hooks; empty: it can strike any.
    """

    name: str
    weight: int = 1
    needs: str = ""

    @abstractmethod
    def strike(self, scene: Scene, planned: Planned) -> AbstractAsyncContextManager[str]:
        """Strike on entering, giving what was struck as words; heal on leaving."""

    def lasts_s(self, scene: Scene, planned: Planned) -> float:
        """How long to stay within the context; 0: the fault is over as soon as it has struck."""
        return 0.0

    async def healed(self, scene: Scene) -> None:  # noqa: B027 - most need no waiting
        """Return when what was struck is whole again by itself; raises ChaosError when it does not get whole."""


class ProcessKill(Fault):
    """A process gets a signal, and the supervisor starts it again."""

    number = signal.SIGKILL

    def __init__(self) -> None:
        self._struck: tuple[str, int] = ("", 0)

    @abstractmethod
    async def target(self, scene: Scene, planned: Planned) -> str:
        """The name of the process."""

    @asynccontextmanager
    async def strike(self, scene: Scene, planned: Planned) -> AsyncIterator[str]:
        """Send the signal."""
        name = await self.target(scene, planned)
        self._struck = name, await scene.kill(name, self.number)
        yield name

    async def healed(self, scene: Scene) -> None:
        """Wait for the new process."""
        await scene.restarted(*self._struck)


class Outage(Fault):
    """Parts of the stack are stopped, in order, and started again later."""

    part: str
    shortest_s: float
    longest_s: float

    def __init__(self) -> None:
        self._struck: list[str] = []

    def lasts_s(self, scene: Scene, planned: Planned) -> float:
        """Between the shortest and the longest."""
        return self.shortest_s + planned.chance * (self.longest_s - self.shortest_s)

    @asynccontextmanager
    async def strike(self, scene: Scene, planned: Planned) -> AsyncIterator[str]:
        """Stop the parts; start them on leaving."""
        parts = self._struck = await self.targets(scene, planned)
        await asyncio.to_thread(scene.stack.stop, *parts)
        try:
            yield f"{', '.join(parts)} for {self.lasts_s(scene, planned):.0f} s"
        finally:
            await asyncio.to_thread(scene.stack.start, *parts)

    async def targets(self, scene: Scene, planned: Planned) -> list[str]:
        """The names of all parts that are stopped."""
        return [await self.target(scene, planned)]

    async def target(self, scene: Scene, planned: Planned) -> str:
        """The name of the part, where it is one."""
        return self.part

    async def healed(self, scene: Scene) -> None:
        """Wait for their processes."""
        for part in self._struck:
            await scene.pid(part)
