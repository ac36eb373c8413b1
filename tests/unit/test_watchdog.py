"""What stands still, and what is only idle."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from pipeline.transport.watchdog import EXIT_CODE, Stalls, tell_systemd, with_records


def test_what_does_not_move_for_the_timeout_although_there_is_something_to_do_stands_still() -> None:
    stalls = Stalls(10)
    assert stalls.standing(0, {"a": (5, True), "b": (5, True)}) == []
    assert stalls.standing(9, {"a": (5, True), "b": (6, True)}) == []
    assert stalls.standing(10, {"a": (5, True), "b": (6, True)}) == ["a"]


def test_whoever_has_nothing_to_do_is_idle_and_starts_afresh_when_something_comes() -> None:
    stalls = Stalls(10)
    assert stalls.standing(0, {"a": (5, False)}) == []
    assert stalls.standing(60, {"a": (5, False)}) == []
    assert stalls.standing(61, {"a": (5, True)}) == []
    assert stalls.standing(69, {"a": (5, True)}) == []
    assert stalls.standing(70, {"a": (5, True)}) == ["a"]


def test_a_partition_that_went_away_and_came_back_starts_afresh() -> None:
    stalls = Stalls(10)
    stalls.standing(0, {"a": (5, True)})
    assert stalls.standing(8, {}) == []
    assert stalls.standing(12, {"a": (5, True)}) == []


def test_after_a_rebalance_everything_starts_afresh() -> None:
    stalls = Stalls(10)
    stalls.standing(0, {"a": (5, True)})
    stalls.clear()
    assert stalls.standing(12, {"a": (5, True)}) == []


class Reader:
    """A consumer over these offsets of records."""

    def __init__(self, records: dict[TopicPartition, list[int]]) -> None:
        self.records = records
        self.positions: dict[TopicPartition, int] = {}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.positions = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    async def getmany(self, *, timeout_ms: int) -> dict[TopicPartition, list[int]]:
        found = {tp: [o for o in self.records[tp] if o >= offset] for tp, offset in self.positions.items()}
        return {tp: offsets for tp, offsets in found.items() if offsets}


async def test_only_records_that_were_not_fetched_are_a_stall_and_not_the_markers_of_transactions() -> None:
    with_left, marker_left = TopicPartition("t", 0), TopicPartition("t", 1)
    reader = Reader({with_left: [3, 4, 5], marker_left: [3, 4]})  # offset 5 of the second is a marker
    assert await with_records(reader, {with_left: 5, marker_left: 5}) == [with_left]  # type: ignore[arg-type]
    assert await with_records(reader, {}) == []  # type: ignore[arg-type]


def test_systemd_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        tell_systemd("WATCHDOG=1")
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    began = time.monotonic()
    tell_systemd("WATCHDOG=1")
    assert time.monotonic() - began < 1


WORKER = """
import asyncio, sys, time
from types import SimpleNamespace
from pipeline.transport.watchdog import Watchdog

async def main():
    app = SimpleNamespace(should_stop=sys.argv[1] == "stopping", rebalancing=True, in_recovery=False)
    watchdog = Watchdog(app, timeout_s=0.5 if sys.argv[1] == "blocked" else 60, stop_s=0.5)
    await watchdog.on_start()
    if sys.argv[1] == "blocked":
        time.sleep(20)
    await asyncio.sleep(20 if sys.argv[1] == "stopping" else 1.5)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("stopping", EXIT_CODE, "the worker has been stopping for 0 s: the worker ends"),
        ("blocked", EXIT_CODE, "the event loop has stood still"),
        ("well", 0, ""),
    ],
)
def test_a_worker_that_does_not_come_to_its_end_or_whose_loop_stands_still_is_ended(
    state: str, code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, state], capture_output=True, text=True, timeout=15, check=False
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
