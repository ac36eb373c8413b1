"""What a run found: as JSON, as text and as Markdown for docs/reliability.md."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.chaos.checks import Check, medians_of_quarters
from pipeline.settings import FLASH_SALES

HEADINGS = (
    *("fault", "count", "recovery, median", "recovery, longest", "after the heal, longest"),
    *("pause of a partition, longest", "pause of all, longest"),
)
FIGURES = ("recovery_median_s", "recovery_max_s", "heal_recovery_max_s", "partition_pause_max_s", "pause_max_s")


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault as it went: seconds since the run's start, how long it lasted, and what it cost.

    `recovery_s` runs from the strike until all that stood in the source topics at the strike had been committed;
    `heal_recovery_s` from the heal likewise, for faults that last. `pause_s` is the longest time without any commit
    of the workers from the strike on, `partition_pause_s` that of the page views' partition which stood still for
    longest. None: it did not come to that in time.
    """

    kind: str
    at_s: float
    detail: str
    lasted_s: float
    recovery_s: float | None
    heal_recovery_s: float | None
    pause_s: float
    partition_pause_s: float


def by_kind(faults: Iterable[Struck]) -> dict[str, dict[str, float | int | None]]:
    """{kind: count, median and longest recovery, longest pause, all in seconds}; None: one never recovered."""
    kinds: dict[str, list[Struck]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    return {
        kind: {
            "count": len(found),
            "recovery_median_s": _of([f.recovery_s for f in found], median),
            "recovery_max_s": _of([f.recovery_s for f in found], max),
            "heal_recovery_max_s": _of([f.heal_recovery_s for f in found if f.lasted_s], max),
            "partition_pause_max_s": round(max(f.partition_pause_s for f in found), 2),
            "pause_max_s": round(max(f.pause_s for f in found), 2),
        }
        for kind, found in sorted(kinds.items())
    }


def _of(values: list[float | None], function: Any) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(function(known)), 2) if known and len(known) == len(values) else None


@dataclass(slots=True)
class ChaosReport:
    """The result of a run; `restarts` is {process: times it was started anew}.

    `rss_mb` is {worker: for each of its lives, from start to end, (seconds of a clock, MB) every few seconds}.
    """

    seed: int
    guarantee: str
    application: str = FLASH_SALES
    seconds: float = 0.0
    events: int = 0
    acknowledged: int = 0
    poisoned: int = 0
    faults: list[Struck] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    rss_mb: dict[str, list[list[tuple[float, float]]]] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every check is."""
        return bool(self.checks) and all(check.ok for check in self.checks.values())

    @property
    def result(self) -> str:
        """The end of it, in words."""
        unmade = [name for name, check in self.checks.items() if not check.made]
        if not self.ok:
            return "there are differences"
        return f"everything is equal, but for {', '.join(unmade)}: not checked" if unmade else "everything is equal"

    def as_json(self) -> dict[str, Any]:
        """The contract of `pipeline chaos --json`."""
        return {
            "ok": self.ok,
            "application": self.application,
            "seed": self.seed,
            "guarantee": self.guarantee,
            "seconds": round(self.seconds, 1),
            "events": self.events,
            "acknowledged": self.acknowledged,
            "poisoned": self.poisoned,
            "faults": [
                {key: round(v, 2) if isinstance(v, float) else v for key, v in asdict(fault).items()}
                for fault in self.faults
            ],
            "by_kind": by_kind(self.faults),
            "checks": {
                name: {"ok": check.ok, "made": check.made, "found": check.found} for name, check in self.checks.items()
            },
            "rss_mb": {name: memory(lives) for name, lives in self.rss_mb.items()},
            "restarts": self.restarts,
        }


def memory(lives: list[list[tuple[float, float]]]) -> dict[str, Any]:
    """The medians of the quarters of a worker's longest life, and the most of all: growth shows within one life."""
    longest = max(lives, key=len)
    return {
        "lives": len(lives),
        "longest_life_s": round(longest[-1][0] - longest[0][0]),
        "quarters": [round(mb, 1) for mb in medians_of_quarters([mb for _, mb in longest])],
        "max": round(max(mb for life in lives for _, mb in life), 1),
    }


def rows(report: ChaosReport) -> list[tuple[str, ...]]:
    """The table by kind as text, in the order of HEADINGS."""
    return [
        (
            kind,
            str(of["count"]),
            *(_seconds(of[name]) for name in FIGURES),
        )
        for kind, of in by_kind(report.faults).items()
    ]


def _quarters(of: dict[str, Any]) -> str:
    return ", ".join(map(str, of["quarters"]))


def _seconds(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def markdown(report: ChaosReport) -> str:
    """The table by kind, the checks and the memory, to be pasted into docs/reliability.md."""
    lines = [
        f"Application {report.application}, seed {report.seed}, {report.guarantee}, {report.seconds:.0f} s, "
        f"{report.events:,} source records, "
        f"{len(report.faults)} faults, {report.poisoned:,} poisoned records: "
        f"{report.result if report.ok else report.result.upper()}.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|---|" + "---:|" * (len(HEADINGS) - 1),
        *("| " + " | ".join(row) + " |" for row in rows(report)),
        "",
        "| check | |",
        "|---|---|",
        *(f"| {name} | {_mark(check)} |" for name, check in report.checks.items()),
    ]
    of_workers = report.as_json()["rss_mb"]
    if of_workers:
        lines += ["", "| worker | longest life | memory by its quarters, MB | most |", "|---|---:|---:|---:|"]
        lines += [
            f"| {name} | {of['longest_life_s']} s | {_quarters(of)} | {of['max']} MB |"
            for name, of in of_workers.items()
        ]
    return "\n".join(lines) + "\n"


def _mark(check: Check) -> str:
    return f"not checked: {check.found}" if not check.made else "ok" if check.ok else "FAILED"


def show(report: ChaosReport, console: Console) -> None:
    """The report for people."""
    table = Table(title="Faults and recovery")
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows(report):
        table.add_row(*row)
    console.print(table)
    for name, check in report.checks.items():
        mark = "[yellow]none  " if not check.made else "[green]ok    " if check.ok else "[red]FAILED"
        told = "" if check.ok and check.made else check.found
        console.print(f"{mark}[/] {name:<18}", told, highlight=False)
    for name, of in report.as_json()["rss_mb"].items():
        console.print(
            f"{name}: longest life {of['longest_life_s']} s, by its quarters {_quarters(of)} MB, most {of['max']} MB",
            highlight=False,
        )
    console.print(
        f"{report.events:,} source records, {report.acknowledged:,} acknowledged to the harness, "
        f"{report.poisoned:,} poisoned, {len(report.faults)} faults in {report.seconds:.0f} s, seed {report.seed}"
    )
    console.print(f"[{'green' if report.ok else 'red'}]{report.result}")
