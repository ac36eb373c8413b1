"""What a verification has found."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class OutputReport:
    """One output: number of rows expected, in the topic, in Pinot (None: it has no table); what differs, as sentences.

    `repeated` rows of its topic are there although another one is the same row: after a crash with at_least_once.
    """

    expected: int
    topic: int = 0
    pinot: int | None = None
    wrong: list[str] = field(default_factory=list)
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Noted:
    """Rows that the oracle has let pass, and why by its name for them: how many, and the earliest event time of them.

    `first_ms` is None where the oracle does not give their times.
    """

    rows: int
    first_ms: int | None = None


@dataclass(slots=True)
class Report:
    """The result of a verification.

    `late` is how often a row came too late for a window, as the application itself says. `letters_wrong` are sentences
    about dead letters that are missing or without cause. `noted` are tables of the oracle's schema of that name which
    are not empty; `not_compared` counts rows of outputs that retention has made impossible to recompute.
    """

    outputs: dict[str, OutputReport]
    consumed: int
    late: int
    dead_letters: int
    letters_wrong: list[str] = field(default_factory=list)
    noted: dict[str, Noted] = field(default_factory=dict)
    not_compared: dict[str, int] = field(default_factory=dict)

    @property
    def differences(self) -> list[str]:
        """Every difference, as a sentence."""
        wrong = [f"{name} {text}" for name, output in self.outputs.items() for text in output.wrong]
        return wrong + self.letters_wrong

    @property
    def ok(self) -> bool:
        """No difference anywhere."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """The contract of `pipeline verify --json`."""
        return {
            "ok": self.ok,
            "outputs": {
                name: {
                    "expected": o.expected,
                    "topic": o.topic,
                    "pinot": o.pinot,
                    "differences": len(o.wrong),
                    "repeated": o.repeated,
                }
                for name, o in self.outputs.items()
            },
            "consumed": self.consumed,
            "late": self.late,
            "dead_letters": self.dead_letters,
            "dead_letter_differences": len(self.letters_wrong),
            "noted": {name: noted.rows for name, noted in self.noted.items()},
            "not_compared": self.not_compared,
        }
