"""TCP proxies between one worker and the brokers, whose connections can be cut or stalled; they run in a thread."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

from pipeline.stack.ports import HOST

CHUNK_BYTES = 256 * 1024

T = TypeVar("T")


class Proxy:
    """Passes connections on from its `port` to `upstream`, which is set before the first one; all in one event loop."""

    def __init__(self, port: int, upstream: int = 0) -> None:
        self.port = port
        self.upstream = upstream
        self.passed = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen, and let everything pass; also after `cut` and `stall`."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def stall(self) -> None:
        """Accept connections and keep those that there are, but let nothing through."""
        self._flowing.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; a cut cancels it, which is its regular end: asyncio would log the cancellation."""
        with suppress(asyncio.CancelledError):
            await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            answers, upstream = await asyncio.open_connection(HOST, self.upstream)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, upstream))
                both.create_task(self._pump(answers, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction until its end, which ends the other, too."""
        while data := await reader.read(CHUNK_BYTES):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
            self.passed += len(data)
        raise ConnectionResetError


class Proxies:
    """Proxies by the node that they lead to, in a thread of their own: they go on while the harness computes."""

    def __init__(self, ports: dict[int, int]) -> None:
        self.ports = ports
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._by_node: dict[int, Proxy] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        for node, port in self.ports.items():
            self._by_node[node] = Proxy(port)
            self._do(self._by_node[node].open())
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._by_node.values():
            with suppress(Exception):
                self._do(proxy.cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def lead_to(self, upstream: dict[int, int]) -> None:
        """Set where each node's proxy leads: {node: port}."""
        for node, port in upstream.items():
            self._by_node[node].upstream = port

    def passed(self, node: int) -> int:
        """Bytes that have gone to and from a node."""
        return self._by_node[node].passed

    def cut(self, node: int) -> None:
        """Cut one node off."""
        self._do(self._by_node[node].cut())

    def stall(self, node: int) -> None:
        """Let nothing through to or from one node."""
        self._do(self._by_node[node].stall())

    def open(self, node: int) -> None:
        """Let everything through again."""
        self._do(self._by_node[node].open())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
