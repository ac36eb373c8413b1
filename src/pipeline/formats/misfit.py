"""What is said of a value that its type cannot hold."""

from decimal import Decimal
from typing import Any

from pipeline.formats.shape import MISSING, Kind


class Misfit(Exception):
    """A value that its type cannot hold: where it is in the record, and what is right there."""

    def __init__(self, value: Any, kind: Kind, right: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(value, kind, right, path)
        self.value, self.kind, self.right, self.path = value, kind, right, path

    def inside(self, part: str) -> "Misfit":
        """The same, seen from outside of a part: the name of a field, or the place of an item in brackets."""
        return Misfit(self.value, self.kind, self.right, (part, *self.path))

    def __str__(self) -> str:
        path = ".".join(self.path).replace(".[", "[")
        return f"column {path} of type {self.kind.name} is {shown(self.value)}, but must be {self.right}"


def shown(value: Any) -> str:
    """A value as a sentence has it, not too long."""
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    if isinstance(value, int) and value.bit_length() > 1_024:
        return f"a number of {value.bit_length()} bits"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
