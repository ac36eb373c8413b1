"""How `pipeline api` answers under load: latency at a rate, and followers of whom one does not read.

    .venv/bin/python -m bench.api_load http://127.0.0.1:8060 --path /tables/NAME [--rate 500] [--followers 200]

Requests leave at the rate, whether earlier ones have been answered or not, over as many connections as that takes;
latency counts from when a request was due. Each follower checks that the numbers of its changes have no gap.
"""

import asyncio
import time
from collections import Counter
from urllib.parse import urlsplit

import click
import psutil

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Load:
    """Requests for one path over connections that are kept."""

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._free: list[Streams] = []
        self.connections = 0
        self.took_ms: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def _one(self, due_s: float) -> None:
        while self._free and self._free[-1][0].at_eof():  # the server closes what has been idle for long
            self._free.pop()[1].close()
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            self.connections += 1
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        await reader.readexactly(length)
        self.took_ms.append((time.monotonic() - due_s) * 1_000)
        self.statuses[int(lines[0].split()[1])] += 1
        self._free.append((reader, writer))

    async def run(self, rate: float, seconds: float) -> None:
        """So many requests a second, for so long."""
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                due_s = began_s + number / rate
                if (wait_s := due_s - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                tasks.create_task(self._one(due_s))
        for _, writer in self._free:
            writer.close()


class Follower:
    """Follows a table's changes; one that does not read takes nothing from its connection."""

    def __init__(self, url: str, path: str, *, reads: bool) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._request = f"GET {path}/changes HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._reads = reads
        self.changes = self.gaps = self.resets = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=1 << 22)
        writer.write(self._request)
        if not self._reads:
            await asyncio.sleep(10**9)
        last: int | None = None
        async for raw in reader:
            line = raw.strip()
            if line.startswith(b"event: ready"):
                self.resets += 1
                last = None
            elif line.startswith(b"event: change"):
                self.changes += 1
            elif line.startswith(b"id: "):
                number = int(line.rpartition(b"-")[2])
                self.gaps += last is not None and number != last + 1
                last = number


async def measure(url: str, path: str, rate: float, seconds: float, followers: int, pid: int | None) -> None:
    """Print what was measured."""
    process = None if pid is None else psutil.Process(pid)
    many = [Follower(url, path, reads=number > 0) for number in range(followers)]
    tasks = [asyncio.create_task(one.run()) for one in many]
    await asyncio.sleep(2 if followers else 0)
    rss = [] if process is None else [process.memory_info().rss >> 20]
    cpu_s = 0.0 if process is None else sum(process.cpu_times()[:2])
    load = Load(url, path)
    parts = 4
    for _ in range(parts):
        if rate:
            await load.run(rate, seconds / parts)
        else:
            await asyncio.sleep(seconds / parts)
        if process is not None:
            rss.append(process.memory_info().rss >> 20)
    if load.took_ms:
        found = sorted(load.took_ms)
        at = {p: found[min(int(len(found) * p / 100), len(found) - 1)] for p in (50, 95, 99, 99.9)}
        click.echo(
            f"{len(found):,} requests, {rate:g} a second, statuses {dict(load.statuses)}, "
            + ", ".join(f"p{p:g} {ms:.1f} ms" for p, ms in at.items())
        )
    if process is not None:
        share = (sum(process.cpu_times()[:2]) - cpu_s) / seconds
        click.echo(f"processor {share:.0%} of a core; RSS by quarters {rss} MB")
    for task in tasks:
        task.cancel()
    readers = many[1:]
    if readers:
        counts = [one.changes for one in readers]
        click.echo(
            f"{len(readers)} followers that read, 1 that does not: {min(counts):,} to {max(counts):,} changes each, "
            f"{sum(one.gaps for one in readers)} gaps, {sum(one.resets - 1 for one in readers)} begun again"
        )


@click.command(help=__doc__)
@click.argument("url")
@click.option("--path", required=True, help="What is asked, such as /tables/NAME; its changes are followed.")
@click.option("--rate", default=500.0, show_default=True, help="Requests a second; 0: none.")
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--followers", default=0, show_default=True, help="Of its changes; the first of them does not read.")
@click.option("--pid", type=int, help="Of the API's process, whose memory and processor time are told.")
def main(url: str, path: str, rate: float, seconds: float, followers: int, pid: int | None) -> None:
    """Measure."""
    asyncio.run(measure(url, path, rate, seconds, followers, pid))


if __name__ == "__main__":
    main()
