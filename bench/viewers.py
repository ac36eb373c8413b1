#!/usr/bin/env python3
"""Many viewers of a running dashboard: bench/viewers.py [--url http://127.0.0.1:8050/] [--viewers 50] [--seconds 60].

Every viewer ticks once a second as a browser does and keeps what it was sent. Printed as JSON: what each got a second,
how long answers took, how much of a core the server used, and how often it asked Pinot, which must not depend on the
number of viewers.
"""

import argparse
import asyncio
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a running dashboard under many viewers.")
    parser.add_argument("--url", default="http://127.0.0.1:8050/")
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    server = processes(urlsplit(args.url).port or 80)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=args.url, limits=limits, timeout=30, trust_env=False) as client:
        tick = template((await client.get("_dash-dependencies")).json())
        sizes: list[int] = []
        took_s: list[float] = []
        refreshes, cpu_s, began = await asked(client), cpu(server), time.monotonic()
        await asyncio.gather(
            *(viewer(client, tick, n / args.viewers, args.seconds, sizes, took_s) for n in range(args.viewers))
        )
        seconds = time.monotonic() - began
        found = {
            "viewers": args.viewers,
            "seconds": round(seconds, 1),
            "ticks": len(sizes),
            "kb_per_second_and_viewer": round(sum(sizes) / 1000 / seconds / args.viewers, 2),
            "answer_ms_p50": round(1000 * sorted(took_s)[len(took_s) // 2], 1),
            "answer_ms_p95": round(1000 * sorted(took_s)[int(len(took_s) * 0.95)], 1),
            "server_cores": round((cpu(server) - cpu_s) / seconds, 3),
            "refreshes_per_second": round((await asked(client) - refreshes) / seconds, 2),
            "server_rss_mb": round(sum(process.memory_info().rss for process in server) / 1e6),
        }
    print(json.dumps(found, indent=2))


def processes(port: int) -> list[psutil.Process]:
    """Whoever listens on the port: the server and its worker."""
    pids = {
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == "LISTEN" and c.laddr and c.laddr.port == port and c.pid
    }
    return [psutil.Process(pid) for pid in sorted(pids)]


def cpu(server: list[psutil.Process]) -> float:
    """Seconds of CPU used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in server)


async def asked(client: httpx.AsyncClient) -> int:
    """How often the poller has asked Pinot; each time is one set of queries."""
    return int((await client.get("healthz")).json()["refreshes"])


def template(dependencies: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of a tick."""
    (found,) = [one for one in dependencies if "figure-trend.figure" in one["output"]]
    names = [name.rsplit(".", 1) for name in re.split(r"\.\.\.", found["output"].strip("."))]
    return {
        "output": found["output"],
        "outputs": [{"id": name, "property": prop} for name, prop in names],
        "inputs": found["inputs"],
        "state": found["state"],
        "changedPropIds": ["tick.n_intervals"],
    }


async def viewer(
    client: httpx.AsyncClient,
    tick: dict[str, Any],
    offset_s: float,
    seconds: float,
    sizes: list[int],
    took_s: list[float],
) -> None:
    """One viewer, a tick a second; sizes are those on the wire, both ways, without headers."""
    values = {"tick": 0, "view": {"period": "24h", "groups": [], "regions": []}, "scheme": "light", "seen": None}
    await asyncio.sleep(offset_s)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        values["tick"] += 1  # type: ignore[operator]
        body = dict(tick)
        for part in ("inputs", "state"):
            body[part] = [
                {"id": one["id"], "property": one["property"], "value": values[one["id"]]} for one in tick[part]
            ]
        text = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        async with client.stream("POST", "_dash-update-component", content=text, headers=headers) as reply:
            reply.raise_for_status()
            answer = json.loads(await reply.aread())
            sizes.append(len(text) + reply.num_bytes_downloaded)
        values["seen"] = answer["response"].get("seen", {}).get("data", values["seen"])
        took_s.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, 1.0 - took_s[-1]))


if __name__ == "__main__":
    asyncio.run(main())
