"""The records of an application's topics as tables of DuckDB, in its database `lying`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import VerifyError
from pipeline.settings import Settings
from pipeline.topics import Topic
from pipeline.verify.arrow import MOST_DIGITS, Column
from pipeline.verify.records import Cut, Origin

Row = tuple[Any, ...]

LEAST_DIGITS = 27
"""Of decimals, however few their schema says: a product with a whole number must not overflow."""


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


class Database:
    """What has been read: in memory, and what does not fit in there in a folder that is gone when this is closed.

    Settings that are numbers are variables of it.
    """

    def __init__(self, settings: Settings) -> None:
        self._columns: dict[str, dict[str, Column]] = {}
        self._scales: dict[tuple[str, str], tuple[int, int]] = {}
        self._refused: defaultdict[str, set[Origin]] = defaultdict(set)
        self._folder = TemporaryDirectory(prefix="pipeline-verify-")
        self.connection = duckdb.connect()
        self.run("SET TimeZone = 'UTC'")
        self.run(f"SET temp_directory = '{self._folder.name}'")
        self.run("SET autoinstall_known_extensions = false")
        self.run("ATTACH ':memory:' AS lying")
        for name, value in settings:
            if isinstance(value, int | float | None) and not isinstance(value, bool):
                self.run(f"SET VARIABLE {quoted(name)} = {'NULL::BIGINT' if value is None else repr(value)}")

    def close(self) -> None:
        """Let go of everything."""
        self.connection.close()
        self._folder.cleanup()

    def run(self, sql: str) -> Any:
        """Run a statement."""
        return self.connection.execute(sql)

    def rows(self, sql: str) -> list[Row]:
        """The rows of a query."""
        return list(self.connection.execute(sql).fetchall())

    def add(self, topic: Topic, columns: Sequence[Column], rows: pa.Table) -> None:
        """Records of a topic, as `TopicReader.rows` gives them."""
        name = f"lying.main.{quoted(topic.name)}"
        decimals = [column for column in columns if column.precision is not None]
        for column in decimals:
            self._widen(topic, column, rows, is_new=topic.name not in self._columns)
        casts = ", ".join(
            f"{quoted(c.name)}::DECIMAL{self._scales[topic.name, c.name]} AS {quoted(c.name)}" for c in decimals
        )
        chosen = f"* REPLACE ({casts})" if casts else "*"
        self.connection.register("arriving", rows)
        verb = f"INSERT INTO {name}" if topic.name in self._columns else f"CREATE TABLE {name} AS"
        try:
            self.run(f"{verb} SELECT {chosen} FROM arriving")
        except duckdb.CatalogException as error:
            raise VerifyError(f"topic {topic.name} cannot be a table beside others: {error}") from None
        finally:
            self.connection.unregister("arriving")
        self._columns[topic.name] = {column.name: column for column in columns}

    def _widen(self, topic: Topic, column: Column, rows: pa.Table, *, is_new: bool) -> None:
        """Make room for decimals with more digits than their schema has: a writer's schema may be another one."""
        assert column.precision is not None
        texts = [text.lstrip("-").partition(".") for text in rows[column.name].to_pylist() if text is not None]
        whole = max((len(text[0].lstrip("0")) for text in texts), default=0)
        scale = max((len(text[2]) for text in texts), default=0)
        known = self._scales.get((topic.name, column.name), (max(column.precision, LEAST_DIGITS), column.scale))
        scale = max(scale, known[1])
        width = max(whole, known[0] - known[1]) + scale
        if whole + scale > MOST_DIGITS:
            raise VerifyError(
                f"topic {topic.name}, column {column.name}: a decimal has {whole + scale} digits, but SQL holds "
                f"{MOST_DIGITS}"
            )
        self._scales[topic.name, column.name] = made = (min(width, MOST_DIGITS), scale)
        if not is_new and made != known:
            self.run(f"ALTER TABLE lying.main.{quoted(topic.name)} ALTER {quoted(column.name)} TYPE DECIMAL{made}")

    def refuse(self, topic: str, origins: Iterable[Origin]) -> None:
        """Leave records out of what is `taken`, which turn out to be bad."""
        self._refused[topic] |= set(origins)

    def refused(self, topic: str) -> set[Origin]:
        """All that were refused."""
        return self._refused[topic]

    def below(self, topic: str, cut: Cut) -> str:
        """A query for the records of a topic below a cut."""
        limits = " ".join(f"WHEN {partition} THEN {end}" for partition, end in sorted(cut.items()))
        end = f"CASE _partition {limits} ELSE 0 END" if limits else "0"
        return f"SELECT * FROM lying.main.{quoted(topic)} WHERE _offset < {end}"

    def taken(self, topic: str, cut: Cut) -> str:
        """A query for the records of a topic below a cut which were not refused."""
        places = ", ".join(f"({partition}, {offset})" for partition, offset in sorted(self._refused[topic]))
        return self.below(topic, cut) + (f" AND (_partition, _offset) NOT IN ({places})" if places else "")

    def of_rows(self, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
        """A query for rows that are given, with {column: type}."""
        columns = {name: pa.array([row.get(name) for row in rows]) for name in types}
        self.connection.register("given", pa.table(columns))
        casts = ", ".join(f"{quoted(name)}::{kind} AS {quoted(name)}" for name, kind in types.items())
        self.run(f"CREATE OR REPLACE TEMP TABLE given_rows AS SELECT {casts} FROM given")
        self.connection.unregister("given")
        return "FROM given_rows"

    def removed_until_ms(self, topic: str, partitions: Sequence[int], before: Sequence[str] = ()) -> float:
        """Up to which event time, inclusive, records may be missing of which retention has taken the first ones.

        As long after the first that is left as records are out of order, in the topic or in those `before` it that its
        records come from: a record far ahead of its time may be among those that are gone. Infinite where none is left.
        """
        firsts = self.rows(
            f"SELECT min_by(_time_ms, _offset), _partition FROM lying.main.{quoted(topic)} "
            f"WHERE _partition IN ({', '.join(map(str, partitions))}) GROUP BY _partition"
        )
        if len(firsts) < len(partitions):
            return float("inf")
        return float(max(first for first, _ in firsts) + max(map(self._disorder_ms, (topic, *before))))

    def _disorder_ms(self, topic: str) -> int:
        """How far a record's time lies behind that of one before it in its partition, at most."""
        ((disorder,),) = self.rows(
            "SELECT coalesce(max(now_ms - _time_ms), 0) FROM (SELECT _time_ms, max(_time_ms) OVER (PARTITION BY "
            f"_partition ORDER BY _offset) AS now_ms FROM lying.main.{quoted(topic)})"
        )
        return int(disorder)
