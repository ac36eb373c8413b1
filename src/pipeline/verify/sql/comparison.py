"""What an output holds against what the oracle expects, in SQL; a sentence for each row that is not what it has to be.

While sources are being written, a result may stand anywhere between two cuts, as in `verify/compare.py`: `low` is what
surely was processed before the output was read, `high` what the sources held afterwards. Where both are equal, so must
the row be. With quiet sources they are the same everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.verify.sql.database import Database, quoted
from pipeline.verify.sql.subject import Checked

NEAR = {"DOUBLE": 1e-9, "FLOAT": 1e-6}
"""How far, relative to their size, two numbers may lie apart that were added up in another order."""
MOST_SENTENCES = 100_000
HIDDEN = ("_optional",)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows expected and found, and a sentence for each difference; how many were left out, since retention forbids."""

    expected: int
    found: int
    wrong: list[str]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Removed:
    """What retention has taken: of streams up to a time (-1: nothing), some of the output's rows, some of tables."""

    until_ms: float = -1
    of_output: bool = False
    of_tables: bool = False


def compare(
    database: Database,
    output: Checked,
    found: str,
    repeats: bool = False,
    removed: Removed | None = None,
    *,
    loose: bool = False,
) -> Outcome:
    """Compare an output; `found` is a query for its rows as consumers have them: by key, the one that counts.

    `repeats`: rows of streams may come more than once, as with at_least_once. `loose`: an empty text, and the text
    null, are as null, since Pinot has them in its place.
    """
    types = database.types(output)
    removed = removed or Removed()
    run = _Comparison(database, output, types, found, loose)
    return run.by_key(removed) if output.keys else run.as_bag(removed, repeats=repeats)


def last_rows(output: Checked, rows: str) -> str:
    """A query for the rows of an output that count, of a query for its records."""
    by = ", ".join(map(quoted, output.keys)) if output.keeps_first else "_key"
    by += ", window_start_ms" if output.is_windowed else ""
    order = "_partition, _offset" if output.keeps_first else "_offset DESC"
    last = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {order}) = 1"
    return f"SELECT * FROM ({last}) WHERE NOT _deleted"


class _Comparison:
    def __init__(self, database: Database, output: Checked, types: Mapping[str, str], found: str, loose: bool) -> None:
        self._database = database
        self._output = output
        self._types = types
        self._found = found
        self._loose = loose
        self._name = f"kept.{quoted(output.topic.name)}"
        self._values = [column for column in types if column not in output.keys]

    def by_key(self, removed: Removed) -> Outcome:
        """Rows that have a key: each against the one of its key."""
        keys, database = self._output.keys, self._database
        on = ", ".join(map(quoted, keys))
        columns = ", ".join(map(quoted, self._types))
        database.connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS SELECT {columns} FROM ({self._found})")
        database.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE wanted AS SELECT {on}, l AS l, h AS h
            FROM (SELECT {on}, t AS l FROM low.{self._name} t) FULL JOIN (SELECT {on}, t AS h FROM high.{self._name} t)
            USING ({on})"""
            if self._has_low
            else f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT {on}, t AS l, t AS h FROM high.{self._name} t"
        )
        moved = self._moved_sessions() if self._output.is_session and self._has_low else "false"
        unknown = self._unknown(removed)
        bad = database.rows(
            f"""SELECT {on}, l, h, f FROM wanted w FULL JOIN (SELECT {on}, t AS f FROM found t) USING ({on})
            WHERE NOT ({self._right()}) AND NOT ({moved}) AND NOT ({unknown}) ORDER BY ALL LIMIT {MOST_SENTENCES}"""
        )
        left_out = 0
        if unknown != "false":
            ((left_out,),) = database.rows(
                f"SELECT count(*) FROM wanted FULL JOIN (SELECT {on}, t AS f FROM found t) USING ({on}) WHERE {unknown}"
            )
        ((expected,),) = database.rows(f"SELECT count(*) FROM high.{self._name}")
        ((count,),) = database.rows("SELECT count(*) FROM found")
        return Outcome(expected, count, [self._sentence(row) for row in bad], left_out)

    @property
    def _has_low(self) -> bool:
        return bool(self._database.rows("SELECT 1 FROM duckdb_databases() WHERE database_name = 'low'"))

    def _unknown(self, removed: Removed) -> str:
        """A condition for rows that cannot be judged, since retention has removed what they are made of."""
        conditions = []
        if removed.until_ms >= 0:
            if self._output.is_windowed and removed.until_ms != float("inf"):
                conditions.append(f"window_start_ms <= {int(removed.until_ms) + self._output.gap_ms}")
            else:
                conditions.append("true")
        if removed.of_output:
            conditions.append("f IS NULL")
        if removed.of_tables and self._output.is_accumulated:
            conditions.append("h IS NULL")
        return " OR ".join(conditions) or "false"

    def _right(self) -> str:
        """A condition for rows that are as they have to be; l, h and f are rows or null."""
        steady = self._all(lambda c: self._same(c, f"l.{quoted(c)}", f"h.{quoted(c)}"))
        equal = self._all(lambda c: self._same(c, f"h.{quoted(c)}", f"f.{quoted(c)}"))
        between = self._all(self._between)
        return f"""CASE
            WHEN l IS NULL AND h IS NULL THEN false
            WHEN f IS NULL THEN l IS NULL OR h IS NULL OR l._optional OR h._optional
            WHEN l IS NOT NULL AND h IS NOT NULL AND ({steady}) THEN {equal}
            ELSE {between} END"""

    def _all(self, condition: Any) -> str:
        return " AND ".join(condition(column) for column in self._values) or "true"

    def _same(self, column: str, left: str, right: str) -> str:
        if near := NEAR.get(self._types[column]):
            close = f"abs({left} - {right}) <= {near} * greatest(1, abs({left}), abs({right}))"
            return f"({left} IS NOT DISTINCT FROM {right} OR coalesce({close}, false))"
        if self._loose and self._types[column] == "VARCHAR":
            left, right = (f"nullif(nullif({value}, ''), 'null')" for value in (left, right))
        return f"{left} IS NOT DISTINCT FROM {right}"

    def _between(self, column: str) -> str:
        """Whether a column may stand between both cuts: where it only rises, between its values, else anywhere."""
        rising = self._output.rising
        if rising is not None and column not in rising:
            return "true"
        low, high, value = (f"{row}.{quoted(column)}" for row in "lhf")
        at_a_cut = f"(l IS NOT NULL AND {self._same(column, low, value)}) OR {self._same(column, high, value)}"
        ordered = f"(l IS NULL OR {low} <= {value}) AND (h IS NULL OR {value} <= {high})"
        return f"({at_a_cut} OR coalesce({ordered}, false))"

    def _moved_sessions(self) -> str:
        """Whether a session that is expected at no cut lies in one that has been growing between the two."""
        groups = [key for key in self._output.keys if key != "window_start_ms"]
        same = " AND ".join(f"f.{quoted(key)} = h2.{quoted(key)}" for key in groups) or "true"
        return f"""f IS NOT NULL AND l IS NULL AND EXISTS (
            SELECT 1 FROM high.{self._name} h2 WHERE {same} AND h2.window_start_ms <= f.window_start_ms
            AND f.window_end_ms <= h2.window_end_ms AND NOT EXISTS (SELECT 1 FROM low.{self._name} l2 WHERE
            {" AND ".join(f"l2.{quoted(c)} IS NOT DISTINCT FROM h2.{quoted(c)}" for c in self._types)}))"""

    def _sentence(self, row: Sequence[Any]) -> str:
        *key, low, high, found = row
        at = ", ".join(f"{name}={value}" for name, value in zip(self._output.keys, key, strict=True))
        if low is None and high is None:
            return f"{at}: not expected, found {self._shown(found)}"
        if low == high:
            return f"{at}: expected {self._shown(high, found)}, found {self._shown(found, high)}"
        return f"{at}: expected between {self._shown(low)} and {self._shown(high)}, found {self._shown(found)}"

    def _shown(self, row: Mapping[str, Any] | None, other: Mapping[str, Any] | None = None) -> str:
        """A row without its key; beside another one, only where they differ."""
        if row is None:
            return "nothing"
        left_out = (*HIDDEN, *self._output.keys)
        shown = {
            name: value
            for name, value in row.items()
            if name not in left_out and (other is None or name not in other or other[name] != value)
        }
        return ", ".join(f"{name}={value}" for name, value in shown.items()) or "a row"

    def as_bag(self, removed: Removed, *, repeats: bool) -> Outcome:
        """Rows without a key: how often each comes."""
        database = self._database
        columns = ", ".join(map(quoted, self._types))
        low = f"low.{self._name}" if self._has_low else f"high.{self._name}"
        if removed.until_ms >= 0:
            ((count,),) = database.rows(f"SELECT count(*) FROM ({self._found})")
            return Outcome(0, count, [], left_out=count)
        too_many = "f > 0 AND h = 0" if repeats else "f > h"
        bad = database.rows(
            f"""SELECT {columns}, l, h, f FROM (
                SELECT {columns}, sum(l) AS l, sum(h) AS h, sum(f) AS f FROM (
                    SELECT {columns}, CASE WHEN _optional THEN 0 ELSE 1 END AS l, 0 AS h, 0 AS f FROM {low}
                    UNION ALL SELECT {columns}, 0, 1, 0 FROM high.{self._name}
                    UNION ALL SELECT {columns}, 0, 0, 1 FROM ({self._found})
                ) GROUP BY {columns}
            ) WHERE {"false" if removed.of_output else "f < l"} OR {too_many} ORDER BY ALL LIMIT {MOST_SENTENCES}"""
        )
        ((expected,),) = database.rows(f"SELECT count(*) FROM high.{self._name}")
        ((count,),) = database.rows(f"SELECT count(*) FROM ({self._found})")
        return Outcome(expected, count, [self._bag_sentence(row) for row in bad])

    def _bag_sentence(self, row: Sequence[Any]) -> str:
        *values, low, high, found = row
        at = ", ".join(f"{name}={value}" for name, value in zip(self._types, values, strict=True))
        if high == 0:
            return f"{at}: not expected, found {'once' if found == 1 else f'{found} times'}"
        times = f"{low} times" if low == high else f"{low} to {high} times"
        return (
            f"{at}: expected {'once' if low == high == 1 else times}, found {f'{found} times' if found else 'nothing'}"
        )
