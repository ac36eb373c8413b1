"""What a verification has found."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class OutputReport:
    """One output: number of rows expected, in the topic, in Pinot; what differs, as sentences."""

    expected: int
    topic: int = 0
    pinot: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """The result of a verification.

    `raced` views were joined before an earlier version of their user had reached the broker; `not_compared` counts
    what retention has made impossible to recompute, by what it is. `letters_wrong` are sentences about dead letters.
    `by_sql` is the result of the oracle where this is that of brute force.
    """

    outputs: dict[str, OutputReport]
    consumed: int
    late: int
    dead_letters: int
    enriched_differences: int
    dead_letter_differences: int
    duplicates: int
    raced: int = 0
    first_raced_ms: int | None = None
    not_compared: dict[str, int] = field(default_factory=dict)
    letters_wrong: list[str] = field(default_factory=list)
    by_sql: "Report | None" = None

    @property
    def ok(self) -> bool:
        """No difference anywhere."""
        return (
            not any(output.wrong for output in self.outputs.values())
            and self.enriched_differences == 0
            and self.dead_letter_differences == 0
            and (self.by_sql is None or self.by_sql.ok)
        )

    def as_json(self) -> dict[str, Any]:
        """The contract of `pipeline verify --json`."""
        return {
            "ok": self.ok,
            "outputs": {
                name: {"expected": o.expected, "topic": o.topic, "pinot": o.pinot, "differences": len(o.wrong)}
                for name, o in self.outputs.items()
            },
            "consumed": self.consumed,
            "late": self.late,
            "dead_letters": self.dead_letters,
            "enriched_differences": self.enriched_differences,
            "dead_letter_differences": self.dead_letter_differences,
            "enriched_duplicates": self.duplicates,
            "raced": self.raced,
            "not_compared": self.not_compared,
            **({"by_sql": self.by_sql.as_json()} if self.by_sql is not None else {}),
        }
