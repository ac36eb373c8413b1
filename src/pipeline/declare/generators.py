"""Where an application's example data come from: generators of rows for its source topics.

    Generator(clicks, per_s=50, source=one_of("search", "mail"), user=texts("user-{}", 1_000))
    Rows(sources, [{"source": "search", "channel": "organic"}])

A column that is not given gets values that its type allows; the column of the event time gets the present.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from pipeline.declare.fluent import Stream, Table
from pipeline.declare.kinds import Scope
from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType, column_type
from pipeline.topics import Topic

Draw = Callable[[Random, int], Any]
"""(random numbers, the present in epoch milliseconds) -> a value."""
MOST_DEFAULT = 100


def one_of(*values: Any, weights: Sequence[float] | None = None) -> Draw:
    """One of these values; `weights` say how often each comes, compared with the others."""
    if not values or (weights is not None and len(weights) != len(values)):
        raise SettingError(f"one_of: there are {len(values)} values, but must be at least 1, and as many weights")
    return lambda random, _: random.choices(values, weights)[0]


def numbers(low: float, high: float) -> Draw:
    """Whole numbers in [low, high] where both are whole, else doubles in [low, high)."""
    if isinstance(low, int) and isinstance(high, int):
        first, last = low, high
        return lambda random, _: random.randint(first, last)
    return lambda random, _: random.uniform(low, high)


def texts(pattern: str, different: int) -> Draw:
    """A text of so many different ones: `pattern` with a number from 1 in place of {}."""
    return lambda random, _: pattern.format(random.randint(1, different))


def now() -> Draw:
    """The present, epoch milliseconds."""
    return lambda _, now_ms: now_ms


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, written each time the generators start."""

    table: Table
    rows: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        for row in self.rows:
            unknown = row.keys() - self.table.columns.keys()
            if unknown:
                raise SettingError(
                    f"{self.table}, rows: there is no column {', '.join(sorted(unknown))}, only "
                    f"{', '.join(self.table.columns)}"
                )

    @property
    def topic(self) -> Topic:
        """Where they go."""
        return self.table.topic

    @property
    def columns(self) -> Scope:
        """The columns of the rows."""
        return self.table.columns

    def records(self) -> list[dict[str, Any]]:
        """The rows with all columns; null where a row names none."""
        return [{name: row.get(name) for name in self.table.columns} for row in self.rows]


class Generator:
    """Rows of a stream or table, so many a second; `draws` are the values of its columns, or constants."""

    def __init__(self, of: Stream | Table, per_s: float = 10.0, **draws: Any) -> None:
        self.topic = of.topic
        if per_s <= 0:
            raise SettingError(f"{of}, generator: per_s is {per_s}, but must be above 0")
        if isinstance(of, Stream) and (of.steps or of.statements):
            raise SettingError(f"{of}, generator: only a source can be generated, but it is the result of a statement")
        unknown = draws.keys() - of.columns.keys()
        if unknown:
            raise SettingError(
                f"{of}, generator: there is no column {', '.join(sorted(unknown))}, only {', '.join(of.columns)}"
            )
        self.per_s = per_s
        self.columns = of.columns
        self._draws = {
            name: _draw(draws[name]) if name in draws else self._default(f"{of}, generator", name, of.columns)
            for name in of.columns
        }

    def _default(self, where: str, name: str, columns: Scope) -> Draw:
        kind = columns[name]
        if name != self.topic.event_time:
            return by_type(f"{where}, column {name}", name, kind)
        if self.topic.event_time_format is not None:
            raise SettingError(f"{where}: say how to make {name}, the time as text in {self.topic.event_time_format}")
        return now() if kind.family == "long" else (lambda _, now_ms: datetime.fromtimestamp(now_ms / 1000, UTC))

    def maker(self, seed: int) -> Callable[[int], dict[str, Any]]:
        """Gives the next row, for a time in epoch milliseconds; the same seed gives the same rows."""
        random, draws = Random(f"{self.topic.name}/{seed}"), self._draws
        return lambda now_ms: {name: draw(random, now_ms) for name, draw in draws.items()}


def _draw(value: Any) -> Draw:
    return value if callable(value) else lambda random, now_ms: value


def by_type(where: str, name: str, kind: ColumnType) -> Draw:
    """Values that a type allows: few different ones, so that groups and joins have something to meet."""
    match kind.family:
        case "string":
            return texts(f"{name}-{{}}", MOST_DEFAULT)
        case "int" | "long":
            return numbers(1, MOST_DEFAULT)
        case "float" | "double":
            return numbers(0.0, float(MOST_DEFAULT))
        case "boolean":
            return one_of(True, False)
        case "decimal":
            return lambda random, _: Decimal(random.randint(0, 9_999)).scaleb(-kind.scale)
        case "date":
            return lambda _, now_ms: datetime.fromtimestamp(now_ms / 1000, UTC).date()
        case "array":
            item = by_type(where, name, column_type(kind.avro["items"]))
            return lambda random, now_ms: [item(random, now_ms) for _ in range(random.randint(0, 3))]
        case "record":
            fields = {f["name"]: by_type(where, f["name"], column_type(f["type"])) for f in kind.avro["fields"]}
            return lambda random, now_ms: {field: draw(random, now_ms) for field, draw in fields.items()}
    if kind.family.endswith("timestamp-millis") or kind.family.endswith("timestamp-micros"):
        return lambda _, now_ms: datetime.fromtimestamp(now_ms / 1000, UTC)
    raise SettingError(f"{where}: say how to make values of type {kind.name}")
