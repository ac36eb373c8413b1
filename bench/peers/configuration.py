"""What every Python program is told, by environment variables."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Configuration:
    """BENCH_* variables; times are in milliseconds, `kind` is a workload's kind."""

    bootstrap: str
    registry: str
    app_id: str
    kind: str
    input: str
    output: str
    output_schema_id: int
    pages: str
    records: int
    size_ms: int
    advance_ms: int
    gap_ms: int
    grace_ms: int
    commit_interval_ms: int
    partitions: int
    threads: int
    guarantee: str
    folder: str

    def as_environment(self) -> dict[str, str]:
        """As variables for a process."""
        return {f"BENCH_{name.upper()}": str(getattr(self, name)) for name in self.__slots__}


def configuration() -> Configuration:
    """What this process was told."""
    kinds = Configuration.__annotations__
    return Configuration(**{name: kinds[name](os.environ[f"BENCH_{name.upper()}"]) for name in kinds})
