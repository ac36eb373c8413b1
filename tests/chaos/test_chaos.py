"""Faults under load, as `pipeline chaos` does it; and the proof that it notices a worker that is not exact."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.applications.loading import names
from pipeline.chaos.faults import FAULTS
from pipeline.chaos.report import ChaosReport
from pipeline.chaos.run import Plan, run_plan
from pipeline.chaos.scene import Options

pytestmark = [pytest.mark.chaos, pytest.mark.usefixtures("alone")]

INEXACT_WORKER = Path(__file__).with_name("inexact_worker.py")
STALLING_WORKER = Path(__file__).with_name("stalling_worker.py")
# as short as brokers allow: the zombie is stopped for twice the session timeout
QUICK = {"PIPELINE_SESSION_TIMEOUT_S": "6", "PIPELINE_HEARTBEAT_S": "1.5"}


ROOMS = names(Path(__file__).parent / "nowhere")
DAY = int(os.environ.get("PIPELINE_TEST_DAY") or datetime.now(UTC).toordinal())
ROOM, KINDS = ROOMS[DAY % len(ROOMS)], sorted(FAULTS)[DAY // len(ROOMS) % 2 :: 2]
"""Applications and halves of the kinds take turns, a day each: all of them would take longer than all other tests."""


@pytest.mark.parametrize(("room", "kinds"), [(ROOM, KINDS)], ids=[f"{ROOM}, {', '.join(KINDS)}"])
def test_a_fault_of_each_kind_changes_nothing(room: str, kinds: list[str], tmp_path: Path) -> None:
    """One of each kind, in the order of the seed; `pipeline chaos --faults 20` and more are for people to run.

    The run ends by its faults; its seconds are only there so that it ends at all.
    """
    table = tmp_path / "table.md"
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "chaos",
        "--app",
        room,
        "--kinds",
        ",".join([*kinds, "poison"]),
        "--faults",
        str(len(kinds)),
        "--seconds",
        "1800",
        "--seed",
        "23",
    ]
    command += ["--every", "2", "--rate", "200", "--json", "--markdown", str(table)]
    done = subprocess.run(command, env=os.environ | QUICK, capture_output=True, text=True, timeout=2_100, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    wrong = {name: check["found"] for name, check in report["checks"].items() if not check["ok"]}
    assert wrong == {}, done.stderr
    assert (done.returncode, report["ok"]) == (0, True)
    assert len(report["faults"]) == len(kinds), done.stderr
    assert set(report["by_kind"]) == set(kinds)
    assert report["poisoned"] > 50
    assert report["checks"]["dead_letters"]["found"]["letters"] >= report["poisoned"]
    assert report["events"] >= report["acknowledged"] > 2_000
    assert all(fault["recovery_s"] is not None for fault in report["faults"])
    assert all(f"| {kind} |" in table.read_text() for kind in kinds)


def test_a_worker_that_is_not_exact_is_noticed(tmp_path: Path) -> None:
    options = Options(worker_command=(sys.executable, str(INEXACT_WORKER)))
    plan = Plan(seed=3, seconds=120, kinds=("worker-kill",), rate=300, faults=2, every_s=3, verify_timeout_s=20)
    report: ChaosReport = run_plan(plan, options, base=tmp_path)
    assert len(report.faults) >= 2
    assert not report.ok
    assert not report.checks["verify"].ok, "rows were counted twice, and nobody noticed"
    assert not report.checks["pageview_rows"].ok
    assert report.checks["pageview_rows"].found["duplicates"] > 0
    # what the worker has no part in is right even so
    for name in ("ledger", "sales", "running", "recovered", "under_replicated", "transactions"):
        assert report.checks[name].ok, report.checks[name].found


def test_a_worker_that_stands_still_is_started_again(tmp_path: Path) -> None:
    stalled = tmp_path / "stalled"
    environment = {"STALLED": str(stalled), "PIPELINE_STALL_TIMEOUT_S": "6"}
    options = Options(workers=1, worker_command=(sys.executable, str(STALLING_WORKER)), environment=QUICK | environment)
    plan = Plan(seed=3, seconds=60, kinds=("registry-down",), rate=200, faults=2, every_s=8, verify_timeout_s=90)
    report = run_plan(plan, options, base=tmp_path)
    assert stalled.exists()
    assert report.restarts["worker-1"] == 1
    assert {name: check.found for name, check in report.checks.items() if not check.ok} == {}
