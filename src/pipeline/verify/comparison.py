"""What an output holds against what the oracle expects, in SQL; a sentence for each row that is not what it has to be.

While sources are being written, a result may stand anywhere between two cuts: `low` is what surely was processed before
the output was read, `high` what the sources held afterwards. Where both are equal, so must the row be. With quiet
sources they are the same everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.verify.database import Database, quoted
from pipeline.verify.oracle import Oracle
from pipeline.verify.records import Cut
from pipeline.verify.subject import Checked

NEAR = {"DOUBLE": 1e-9, "FLOAT": 1e-6}
"""How far, relative to their size, two numbers may lie apart that were added up in another order."""
MOST_SENTENCES = 100_000
HIDDEN = ("_optional",)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows expected and found, and a sentence for each difference.

    `left_out` rows could not be compared, since retention has removed what they are made of. `repeated` rows of a
    stream are there although another one is the same row.
    """

    expected: int
    found: int
    wrong: list[str]
    left_out: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Removed:
    """What retention has taken of what an output is made of, and of itself.

    Of streams, records up to the time `until_ms`, inclusive (-1: none); `begins` are the oldest offsets left of these.
    Some rows `of_tables`, so that what they were is not known. Of the output's own rows, those up to `of_output_ms`.
    """

    until_ms: float = -1
    begins: tuple[Cut, ...] = ()
    of_tables: bool = False
    of_output_ms: float = -1


NOTHING = Removed()


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of an output as consumers have them: a query for all of them, and one for those that count, by key.

    `repeats`: rows of streams may come more than once, as with at_least_once. `loose`: an empty text, and the text
    null, are as null, since Pinot has them in its place.
    """

    rows: str
    counting: str
    repeats: bool = False
    loose: bool = False


def last_rows(output: Checked, rows: str) -> str:
    """A query for the rows of an output that count, of a query for its records."""
    by = ", ".join(map(quoted, output.keys)) if output.keeps_first else "_key"
    by += ", window_start_ms" if output.is_windowed else ""
    order = "_partition, _offset" if output.keeps_first else "_offset DESC"
    last = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {order}) = 1"
    return f"SELECT * FROM ({last}) WHERE NOT _deleted"


def compare(database: Database, oracle: Oracle, output: Checked, found: Found, removed: Removed = NOTHING) -> Outcome:
    """Compare what is found of an output with what the oracle's runs expect of it."""
    run = _Comparison(database, oracle, output, found)
    return run.by_key(removed) if output.keys else run.as_bag(removed)


class _Comparison:
    def __init__(self, database: Database, oracle: Oracle, output: Checked, found: Found) -> None:
        self._database = database
        self._output = output
        self._found = found
        self._types = oracle.types(output)
        self._has_low = oracle.has_low()
        self._has_past = self._has_low and oracle.has_past(output)
        self._name = f"kept.{quoted(output.topic.name)}"
        self._values = [column for column in self._types if column not in output.keys]

    def by_key(self, removed: Removed) -> Outcome:
        """Rows that have a key: each against the one of its key."""
        keys, database = self._output.keys, self._database
        on = ", ".join(map(quoted, keys))
        columns = ", ".join(map(quoted, self._types))
        database.run(f"CREATE OR REPLACE TEMP TABLE found AS SELECT {columns} FROM ({self._found.counting})")
        database.run(
            f"""CREATE OR REPLACE TEMP TABLE wanted AS SELECT {on}, l AS l, h AS h
            FROM (SELECT {on}, t AS l FROM low.{self._name} t) FULL JOIN (SELECT {on}, t AS h FROM high.{self._name} t)
            USING ({on})"""
            if self._has_low
            else f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT {on}, t AS l, t AS h FROM high.{self._name} t"
        )
        if self._has_past:
            past = f"past.{quoted(self._output.topic.name)}"
            database.run(
                f"CREATE OR REPLACE TEMP TABLE passing AS "
                f"SELECT {columns} FROM high.{past} EXCEPT ALL SELECT {columns} FROM low.{past}"
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
        wrong = [self._sentence(row) for row in bad]
        repeated = 0
        if self._output.keeps_first:
            repeated, twice = self._repeated(on)
            wrong += [] if self._found.repeats else twice
        return Outcome(expected, count, wrong, left_out, repeated)

    def _repeated(self, on: str) -> tuple[int, list[str]]:
        """How many rows of a stream are there once more, and a sentence for each that is."""
        rows = f"SELECT {on}, count(*) AS n FROM ({self._found.rows}) GROUP BY {on} HAVING n > 1"
        ((repeated,),) = self._database.rows(f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM ({rows})")
        shown = self._database.rows(f"{rows} ORDER BY ALL LIMIT {MOST_SENTENCES}") if repeated else []
        return repeated, [f"{self._at(key)}: expected once, found {n} times" for *key, n in shown]

    def _unknown(self, removed: Removed) -> str:
        """A condition for rows that cannot be judged, since retention has removed what they are made of."""
        conditions = []
        if self._output.keeps_first:
            partition, offset = map(quoted, self._output.keys)
            for begins in removed.begins:
                first = " ".join(f"WHEN {number} THEN {begin}" for number, begin in begins.items())
                conditions.append(f"(h IS NULL AND {offset} < CASE {partition} {first} ELSE 0 END)")
        elif removed.until_ms >= 0:
            if self._output.is_windowed and removed.until_ms != float("inf"):
                conditions.append(f"window_start_ms <= {int(removed.until_ms) + self._output.gap_ms}")
            else:
                conditions.append("true")
        if removed.of_output_ms >= 0:
            by_time = self._output.keeps_first and "event_time_ms" in self._types
            if by_time and removed.of_output_ms != float("inf"):
                conditions.append(f"(f IS NULL AND h.event_time_ms <= {int(removed.of_output_ms)})")
            else:
                conditions.append("f IS NULL")
        if removed.of_tables and self._output.is_accumulated:
            conditions.append("h IS NULL")
        return " OR ".join(conditions) or "false"

    def _right(self) -> str:
        """A condition for rows that are as they have to be; l, h and f are rows or null."""
        steady = self._all(lambda c: self._same(c, f"l.{quoted(c)}", f"h.{quoted(c)}"))
        equal = self._all(lambda c: self._same(c, f"h.{quoted(c)}", f"f.{quoted(c)}"))
        between = self._passing() if self._has_past else self._all(self._between)
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
        if self._found.loose and self._types[column] == "VARCHAR":
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

    def _passing(self) -> str:
        """Whether a row is one that it has been between both cuts."""
        keys = " AND ".join(f"p.{quoted(key)} = f.{quoted(key)}" for key in self._output.keys)
        at_low, at_high, at_one = (
            self._all(lambda c, row=row: self._same(c, f"{row}.{quoted(c)}", f"f.{quoted(c)}")) for row in "lhp"
        )
        return f"""((l IS NOT NULL AND {at_low}) OR (h IS NOT NULL AND {at_high})
            OR EXISTS (SELECT 1 FROM passing p WHERE {keys} AND {at_one}))"""

    def _moved_sessions(self) -> str:
        """Whether a session that is expected at no cut lies in one that has been growing between the two."""
        groups = [key for key in self._output.keys if key != "window_start_ms"]
        same = " AND ".join(f"f.{quoted(key)} = h2.{quoted(key)}" for key in groups) or "true"
        return f"""f IS NOT NULL AND l IS NULL AND EXISTS (
            SELECT 1 FROM high.{self._name} h2 WHERE {same} AND h2.window_start_ms <= f.window_start_ms
            AND f.window_end_ms <= h2.window_end_ms AND NOT EXISTS (SELECT 1 FROM low.{self._name} l2 WHERE
            {" AND ".join(f"l2.{quoted(c)} IS NOT DISTINCT FROM h2.{quoted(c)}" for c in self._types)}))"""

    def _at(self, key: Sequence[Any]) -> str:
        return ", ".join(f"{name}={value}" for name, value in zip(self._output.keys, key, strict=True))

    def _sentence(self, row: Sequence[Any]) -> str:
        *key, low, high, found = row
        at = self._at(key)
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

    def as_bag(self, removed: Removed) -> Outcome:
        """Rows without a key: how often each comes."""
        database = self._database
        columns = ", ".join(map(quoted, self._types))
        low = f"low.{self._name}" if self._has_low else f"high.{self._name}"
        if removed.until_ms >= 0:
            ((count,),) = database.rows(f"SELECT count(*) FROM ({self._found.rows})")
            return Outcome(0, count, [], left_out=count)
        too_few = "f < l" if removed.of_output_ms < 0 else "false"
        too_many = "f > 0 AND h = 0" if self._found.repeats else "f > h"
        bad = database.rows(
            f"""SELECT {columns}, l, h, f FROM (
                SELECT {columns}, sum(l) AS l, sum(h) AS h, sum(f) AS f FROM (
                    SELECT {columns}, CASE WHEN _optional THEN 0 ELSE 1 END AS l, 0 AS h, 0 AS f FROM {low}
                    UNION ALL SELECT {columns}, 0, 1, 0 FROM high.{self._name}
                    UNION ALL SELECT {columns}, 0, 0, 1 FROM ({self._found.rows})
                ) GROUP BY {columns}
            ) WHERE {too_few} OR {too_many} ORDER BY ALL LIMIT {MOST_SENTENCES}"""
        )
        ((expected,),) = database.rows(f"SELECT count(*) FROM high.{self._name}")
        ((count,),) = database.rows(f"SELECT count(*) FROM ({self._found.rows})")
        ((repeated,),) = database.rows(
            f"""SELECT coalesce(sum(f - h), 0)::BIGINT FROM (
                SELECT sum(h) AS h, sum(f) AS f FROM (
                    SELECT {columns}, 1 AS h, 0 AS f FROM high.{self._name}
                    UNION ALL SELECT {columns}, 0, 1 FROM ({self._found.rows})
                ) GROUP BY {columns}
            ) WHERE h > 0 AND f > h"""
        )
        return Outcome(expected, count, [self._bag_sentence(row) for row in bad], repeated=repeated)

    def _bag_sentence(self, row: Sequence[Any]) -> str:
        *values, low, high, found = row
        at = ", ".join(f"{name}={value}" for name, value in zip(self._types, values, strict=True))
        if high == 0:
            return f"{at}: not expected, found {'once' if found == 1 else f'{found} times'}"
        times = f"{low} times" if low == high else f"{low} to {high} times"
        return (
            f"{at}: expected {'once' if low == high == 1 else times}, found {f'{found} times' if found else 'nothing'}"
        )
