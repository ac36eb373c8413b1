"""The database that an oracle runs in: topics as tables, what it expects as views.

Records lie in the database `lying`. Each run of the oracle has a database of its own, in which every topic is a view of
the records below a cut: so the same script says what is expected at two moments.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.codecs import fields
from pipeline.errors import VerifyError
from pipeline.settings import Settings
from pipeline.topics import DEAD_LETTERS, Topic
from pipeline.verify.source_side import Cut, Origin
from pipeline.verify.sql.arrow import MOST_DIGITS, Column
from pipeline.verify.sql.subject import Checked, Subject

Row = tuple[Any, ...]

UNSAID = ("event_time_ms", "version", "retired", "window_start", "window_end")
"""Columns of outputs that an oracle need not have: the version and `retired` are not results, others follow."""
NEVER_COMPARED = ("version", "retired")
LETTER_COLUMNS = ("topic", "partition", "offset")
LEAST_DIGITS = 27
"""Of decimals, however few their schema says: a product with a whole number must not overflow."""


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


class Database:
    """The records of an application's topics, and what its oracle makes of them."""

    def __init__(self, settings: Settings, subject: Subject) -> None:
        self.subject = subject
        self._script = subject.script()
        self._settings = settings
        self._columns: dict[str, dict[str, Column]] = {}
        self._scales: dict[tuple[str, str], tuple[int, int]] = {}
        self._folder = TemporaryDirectory(prefix="pipeline-verify-")
        self.connection = duckdb.connect()
        self._run("SET TimeZone = 'UTC'")
        self._run(f"SET temp_directory = '{self._folder.name}'")
        self._run("SET autoinstall_known_extensions = false")
        self._run("ATTACH ':memory:' AS lying")
        for name, value in settings:
            if isinstance(value, int | float | None) and not isinstance(value, bool):
                self._run(f"SET VARIABLE {quoted(name)} = {'NULL::BIGINT' if value is None else repr(value)}")

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()
        self._folder.cleanup()

    def _run(self, sql: str) -> Any:
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
            self._run(f"{verb} SELECT {chosen} FROM arriving")
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
            self._run(f"ALTER TABLE lying.main.{quoted(topic.name)} ALTER {quoted(column.name)} TYPE DECIMAL{made}")

    def remove(self, topic: Topic, origins: Iterable[Origin]) -> None:
        """Take records out that turn out to be bad."""
        for partition, offset in origins:
            self._run(
                f"DELETE FROM lying.main.{quoted(topic.name)} WHERE _partition = {partition} AND _offset = {offset}"
            )

    def below(self, topic: str, cut: Cut) -> str:
        """A query for the records of a topic below a cut."""
        limits = " ".join(f"WHEN {partition} THEN {end}" for partition, end in sorted(cut.items()))
        end = f"CASE _partition {limits} ELSE 0 END" if limits else "0"
        return f"SELECT * FROM lying.main.{quoted(topic)} WHERE _offset < {end}"

    def expect(self, name: str, cuts: Mapping[str, Cut]) -> None:
        """Run the oracle over what lies below these cuts; `name` is that of the database with what it expects.

        Raises VerifyError, in a sentence, when the script cannot be run or an output is missing in it.
        """
        self._run("USE memory")
        self._run(f"DETACH DATABASE IF EXISTS {name}")
        self._run(f"ATTACH ':memory:' AS {name}")
        self._run(f"USE {name}")
        self._run("CREATE SCHEMA expected")
        self._run("CREATE SCHEMA kept")
        self._run((files("pipeline.verify.sql") / "macros.sql").read_text("utf-8"))
        for source in self.subject.sources:
            self._run(
                f"CREATE VIEW {quoted(source.topic.name)} AS {self.below(source.topic.name, cuts[source.topic.name])}"
            )
        where = f"application {self.subject.name}, oracle {self.subject.oracle.name}"
        try:
            self._run(self._script)
        except duckdb.Error as error:
            raise VerifyError(f"{where}: {_told(error)}") from None
        for output in self.subject.outputs:
            self._keep(where, name, output)
        self._keep_letters(where, name)
        self._run("DROP SCHEMA expected CASCADE")
        self._run("USE memory")

    def set_removed(self, topics: Iterable[str]) -> None:
        """Tell the oracle of which topics retention has taken records: the variable `removed`, a list of names."""
        names = ", ".join(f"$${topic}$$" for topic in topics)
        self._run(f"SET VARIABLE removed = [{names}]::VARCHAR[]")

    def _columns_of(self, view: str, name: str) -> list[str] | None:
        found = self.rows(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'expected' "
            f"AND database_name = '{name}' AND lower(table_name) = lower($${view}$$) ORDER BY column_index"
        )
        return [column for (column,) in found] or None

    def _keep(self, where: str, name: str, output: Checked) -> None:
        """What is expected of an output as a table in its columns' types."""
        topic = output.topic.name
        view = f"expected.{quoted(topic)}"
        has = self._columns_of(topic, name)
        if has is None:
            raise VerifyError(f"{where}: it says nothing of {topic}, but must have CREATE TABLE {view} AS SELECT ...")
        if self.rows(
            f"SELECT 1 FROM duckdb_views() WHERE database_name = '{name}' AND schema_name = 'expected' "
            f"AND lower(view_name) = lower($${topic}$$)"
        ):
            raise VerifyError(
                f"{where}: {view} is a view, but must be a table, CREATE TABLE {view} AS SELECT ...: names in a view "
                "would mean what is expected, not what lies in the topics"
            )
        assert output.topic.schema is not None
        columns = fields(output.topic.schema)
        missing = [c for c in columns if c not in has and c not in UNSAID]
        missing += [] if output.of_all else [key for key in output.keys if key not in has and key not in missing]
        if missing:
            raise VerifyError(
                f"{where}: {view} has no column {', '.join(missing)}, but must have every one of {topic} (these may be "
                f"left out: {', '.join(UNSAID)})"
            )
        foreign = [c for c in has if c not in (*columns, "_key", "_optional")]
        if foreign:
            raise VerifyError(
                f"{where}: {view} has a column {', '.join(foreign)}, but {topic} has only {', '.join(columns)}"
            )
        kinds: dict[str, str] = dict(
            self.rows(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'lying' "
                f"AND table_name = $${topic}$$"
            )
        )
        chosen = [f"{quoted(c)}::{kinds[c]} AS {quoted(c)}" for c in columns if c in has and c not in NEVER_COMPARED]
        if output.is_windowed:
            ends = {"window_start": "window_start_ms", "window_end": "window_end_ms"}
            chosen += [f"time_text({ms}) AS {text}" for text, ms in ends.items() if text not in has]
        if "_key" in output.keys:
            chosen.append("_key::VARCHAR AS _key" if "_key" in has else "'[]' AS _key")
        chosen.append("coalesce(_optional, false) AS _optional" if "_optional" in has else "false AS _optional")
        try:
            self._run(f"CREATE TABLE kept.{quoted(topic)} AS SELECT {', '.join(chosen)} FROM {view}")
        except duckdb.Error as error:
            raise VerifyError(f"{where}: {view}: {_told(error)}") from None
        if output.keys:
            self._require_one_a_key(where, view, output)

    def _require_one_a_key(self, where: str, view: str, output: Checked) -> None:
        keys = ", ".join(map(quoted, output.keys))
        twice = self.rows(
            f"SELECT {keys}, count(*) FROM kept.{quoted(output.topic.name)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
        )
        for *values, count in twice:
            shown = ", ".join(f"{key}={value}" for key, value in zip(output.keys, values, strict=True))
            raise VerifyError(f"{where}: {view} has {count} rows of {shown}, but must have one")

    def _keep_letters(self, where: str, name: str) -> None:
        """The dead letters of records that can be read, (topic, partition, offset); none unless the oracle says so."""
        view = f"expected.{quoted(DEAD_LETTERS.name)}"
        has = self._columns_of(DEAD_LETTERS.name, name)
        if has is not None and (missing := [column for column in LETTER_COLUMNS if column not in has]):
            raise VerifyError(f"{where}: {view} has no column {', '.join(missing)}")
        source = view if has is not None else "(SELECT '' AS topic, 0 AS partition, 0 AS \"offset\" WHERE false)"
        try:
            self._run(f'CREATE TABLE kept.letters AS SELECT DISTINCT topic, partition, "offset" FROM {source}')
        except duckdb.Error as error:
            raise VerifyError(f"{where}: {view}: {_told(error)}") from None

    def letters(self, name: str) -> set[tuple[str, int, int]]:
        """(topic, partition, offset) of records that can be read, but must have a dead letter."""
        return {(topic, partition, offset) for topic, partition, offset in self.rows(f"FROM {name}.kept.letters")}

    def of_rows(self, output: Checked, rows: Sequence[Mapping[str, Any]]) -> str:
        """A query for rows that are given."""
        types = self.types(output)
        columns = {name: pa.array([row.get(name) for row in rows]) for name in types}
        self.connection.register("given", pa.table(columns))
        casts = ", ".join(f"{quoted(name)}::{kind} AS {quoted(name)}" for name, kind in types.items())
        self._run(f"CREATE OR REPLACE TEMP TABLE given_rows AS SELECT {casts} FROM given")
        self.connection.unregister("given")
        return "FROM given_rows"

    def removed_until_ms(self, topic: str, partitions: Sequence[int]) -> float:
        """Up to which event time, inclusive, records may be missing of which retention has taken the first ones.

        As long after the first that is left as records are out of order; infinite where none is left.
        """
        firsts = self.rows(
            f"SELECT min_by(_time_ms, _offset), _partition FROM lying.main.{quoted(topic)} "
            f"WHERE _partition IN ({', '.join(map(str, partitions))}) GROUP BY _partition"
        )
        if len(firsts) < len(partitions):
            return float("inf")
        ((disorder,),) = self.rows(
            "SELECT coalesce(max(now_ms - _time_ms), 0) FROM (SELECT _time_ms, max(_time_ms) OVER (PARTITION BY "
            f"_partition ORDER BY _offset) AS now_ms FROM lying.main.{quoted(topic)})"
        )
        return float(max(first for first, _ in firsts) + disorder)

    def types(self, output: Checked) -> dict[str, str]:
        """{column: type} of what is compared of an output."""
        found = self.rows(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'high' AND schema_name = 'kept' "
            f"AND table_name = $${output.topic.name}$$ AND column_name <> '_optional'"
        )
        return dict(found)


def _told(error: duckdb.Error) -> str:
    """DuckDB's message in one line, with the line of the script that it is about."""
    message, _, place = str(error).partition("\n\nLINE")
    line = place.partition("\n")[0]
    return " ".join(f"{message}{f' (line{line})' if line else ''}".split())
