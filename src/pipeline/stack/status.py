"""The state of each part of a running stack."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from pipeline.stack.program import Program


@dataclass(frozen=True)
class PartStatus:
    """One process. `state` is supervisor's in lower case; `pid` is 0 if there is no process; memory is resident."""

    name: str
    state: str
    pid: int
    ports: tuple[int, ...]
    uptime_s: float
    memory_bytes: int

    def to_json(self) -> dict[str, Any]:
        """A form for `--json`."""
        return asdict(self)


def statuses(programs: Iterable[Program], processes: dict[str, dict[str, Any]]) -> list[PartStatus]:
    """Put what is configured and what supervisor says together."""
    return [_status(program, processes.get(program.name, {})) for program in programs]


def _status(program: Program, process: dict[str, Any]) -> PartStatus:
    pid = int(process.get("pid", 0))
    return PartStatus(
        name=program.name,
        state=str(process.get("statename", "stopped")).lower(),
        pid=pid,
        ports=program.ports,
        uptime_s=float(max(0, process["now"] - process["start"])) if pid else 0.0,
        memory_bytes=_memory(pid) if pid else 0,
    )


def _memory(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += int(member.memory_info().rss)
        except psutil.Error:
            continue
    return total
