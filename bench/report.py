"""Medians, spread and ratios: the contract of `pipeline bench --json`, and the same as a table."""

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bench.measure import Measurement
from bench.programs import versions
from bench.run import Outcome, Plan
from bench.workloads import WORKLOADS

Result = dict[str, Any]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest of at least one value."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(runs: Sequence[Measurement]) -> Result:
    """The medians of several runs under their names, the rate's spread, and the number of runs and records."""
    medians = {name: statistics.median(asdict(run)[name] for run in runs) for name in Measurement.__slots__}
    rounded = {name: round(value, 3 if name.endswith("_s") else 1) for name, value in medians.items()}
    rates = spread([run.events_per_second for run in runs])
    return {
        **rounded,
        "records": runs[0].records,
        "repeats": len(runs),
        "events_per_second_min": round(rates["min"], 1),
        "events_per_second_max": round(rates["max"], 1),
    }


def ratios(rates: Mapping[str, float]) -> dict[str, float]:
    """How many times as fast as each other program this application is; against those of the same guarantee."""
    found = {}
    for name, rate in rates.items():
        if name.startswith("pipeline"):
            continue
        own = "pipeline" if name == "kafka_streams" else "pipeline_at_least_once"
        if own in rates and rate:
            found[name] = round(rates[own] / rate, 2)
    return found


def as_json(outcome: Outcome, plan: Plan) -> Result:
    """The whole result."""
    workloads: dict[str, Any] = {}
    for name in plan.workloads:
        runs = {key: summary(found) for key, found in outcome.measured.get(name, {}).items()}
        rates = {key: run["events_per_second"] for key, run in runs.items()}
        workloads[name] = runs
        if rates:
            workloads[name] = {**runs, "ratios": ratios(rates)}
    return {
        "machine": machine(),
        "plan": asdict(plan),
        "titles": {name: WORKLOADS[name].title for name in plan.workloads},
        "left_out": outcome.left_out,
        "workloads": workloads,
    }


def machine() -> Result:
    """CPU, memory and versions."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    javac = shutil.which("javac")
    java = subprocess.run([javac, "-version"], capture_output=True, text=True).stdout.strip() if javac else "none"
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "load_before": [round(n, 2) for n in os.getloadavg()],
        "versions": {"python": platform.python_version(), "javac": java, **versions()},
    }


def programs_of(workload: Mapping[str, Any]) -> dict[str, Any]:
    """The measured programs of a workload's result."""
    return {name: run for name, run in workload.items() if name != "ratios"}


def as_text(result: Result) -> str:
    """The result as a table."""
    lines = []
    for name, workload in result["workloads"].items():
        lines.append(f"\n{name}: {result['titles'][name]}")
        lines.append(
            f"  {'program':30} {'records':>10} {'events/s':>10} {'min':>10} {'max':>10} {'with start':>10} "
            f"{'RSS MB':>7} {'CPU us/event':>12} {'pipeline is':>12}"
        )
        for key, run in sorted(programs_of(workload).items(), key=lambda item: -item[1]["events_per_second"]):
            ratio = workload.get("ratios", {}).get(key)
            lines.append(
                f"  {key:30} {run['records']:10,} {run['events_per_second']:10,.0f} "
                f"{run['events_per_second_min']:10,.0f} "
                f"{run['events_per_second_max']:10,.0f} {run['with_start_per_second']:10,.0f} {run['rss_mb']:7.0f} "
                f"{run['cpu_us_per_event']:12.2f} {f'x {ratio}' if ratio else '':>12}"
            )
        for key, reason in result["left_out"].get(name, {}).items():
            lines.append(f"  {key:30} left out: {reason.splitlines()[0][:120]}")
    return "\n".join(lines)
