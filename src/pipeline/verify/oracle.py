"""An application's oracle, run over the records of its topics: what it expects, looked through and kept.

Each run has a database of its own, in which every topic is a view of the records below a cut: so the same script says
what is expected at two moments, `low` and `high`.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files

import duckdb

from pipeline.codecs import fields
from pipeline.errors import VerifyError
from pipeline.tables.windows import Window
from pipeline.topics import DEAD_LETTERS
from pipeline.verify.database import Database, Row, quoted
from pipeline.verify.records import Cut
from pipeline.verify.report import Noted
from pipeline.verify.subject import Checked, Subject

UNSAID = ("event_time_ms", "version", "retired", "window_start", "window_end")
"""Columns of outputs that an oracle need not have: the version and `retired` are not results, others follow."""
NEVER_COMPARED = ("version", "retired")
LETTER_COLUMNS = ("topic", "partition", "offset")
SAID = ("expected", "history", "noted")
"""Schemas that a script writes into. What is kept of the first two lies in `kept` and `past`."""


class Oracle:
    """The oracle of an application over a database of its records."""

    def __init__(self, database: Database, subject: Subject, script: str) -> None:
        self._database = database
        self._subject = subject
        self._script = script
        self._where = f"application {subject.name}, oracle {subject.oracle.name}"
        self._noted: dict[str, dict[str, Noted]] = {}

    def expect(self, name: str, cuts: Mapping[str, Cut], removed: Iterable[str]) -> None:
        """Run the oracle over what lies below these cuts; `name` is that of the database with what it expects.

        `removed` are topics of which retention has taken records; the script knows them as the variable of this name.
        Raises VerifyError, in a sentence, when the script cannot be run or an output is missing in it.
        """
        run = self._database.run
        run("USE memory")
        run(f"DETACH DATABASE IF EXISTS {name}")
        run(f"ATTACH ':memory:' AS {name}")
        run(f"USE {name}")
        for schema in (*SAID, "kept", "past"):
            run(f"CREATE SCHEMA {schema}")
        run(f"SET VARIABLE removed = [{', '.join(f'$${topic}$$' for topic in removed)}]::VARCHAR[]")
        if self._subject.windows:
            run(f"SET VARIABLE windows = {_struct({n: _struct(_sizes(w)) for n, w in self._subject.windows.items()})}")
        run((files("pipeline.verify") / "macros.sql").read_text("utf-8"))
        for source in self._subject.sources:
            topic = source.topic.name
            run(f"CREATE VIEW {quoted(topic)} AS {self._database.taken(topic, cuts[topic])}")
        self._said(self._script)
        for output in self._subject.outputs:
            self._keep(name, output)
        self._keep_letters(name)
        self._noted[name] = self._notes(name)
        for schema in SAID:
            run(f"DROP SCHEMA {schema} CASCADE")
        run("USE memory")

    def _said(self, sql: str, of: str = "") -> list[Row]:
        """Run what the script has said; raises VerifyError with what DuckDB says about it."""
        try:
            return self._database.rows(sql)
        except duckdb.Error as error:
            raise VerifyError(f"{self._where}: {f'{of}: ' if of else ''}{_told(error)}") from None

    def _columns_of(self, name: str, schema: str, table: str) -> list[str] | None:
        found = self._database.rows(
            f"SELECT column_name FROM duckdb_columns() WHERE schema_name = '{schema}' "
            f"AND database_name = '{name}' AND lower(table_name) = lower($${table}$$) ORDER BY column_index"
        )
        return [column for (column,) in found] or None

    def _keep(self, name: str, output: Checked) -> None:
        """What is expected of an output, and which rows it has had, as tables in its columns' types."""
        topic = output.topic.name
        chosen = self._chosen(name, "expected", output)
        if chosen is None:
            raise VerifyError(
                f"{self._where}: it says nothing of {topic}, but must have "
                f"CREATE TABLE expected.{quoted(topic)} AS SELECT ..."
            )
        view = f"expected.{quoted(topic)}"
        self._said(f"CREATE TABLE kept.{quoted(topic)} AS SELECT {chosen} FROM {view}", view)
        if output.keys:
            self._require_one_a_key(view, output)
        if (chosen := self._chosen(name, "history", output)) is not None:
            view = f"history.{quoted(topic)}"
            self._said(f"CREATE TABLE past.{quoted(topic)} AS SELECT {chosen} FROM {view}", view)

    def _chosen(self, name: str, schema: str, output: Checked) -> str | None:
        """What to select of a table of the script; None where there is none, VerifyError where it is not fit."""
        topic = output.topic.name
        view = f"{schema}.{quoted(topic)}"
        has = self._columns_of(name, schema, topic)
        if has is None:
            return None
        if self._database.rows(
            f"SELECT 1 FROM duckdb_views() WHERE database_name = '{name}' AND schema_name = '{schema}' "
            f"AND lower(view_name) = lower($${topic}$$)"
        ):
            raise VerifyError(
                f"{self._where}: {view} is a view, but must be a table, CREATE TABLE {view} AS SELECT ...: names in a "
                "view would mean what is expected, not what lies in the topics"
            )
        assert output.topic.schema is not None
        columns = fields(output.topic.schema)
        missing = [c for c in columns if c not in has and c not in UNSAID]
        missing += [] if output.of_all else [key for key in output.keys if key not in has and key not in missing]
        if missing:
            raise VerifyError(
                f"{self._where}: {view} has no column {', '.join(missing)}, but must have every one of {topic} (these "
                f"may be left out: {', '.join(UNSAID)})"
            )
        foreign = [c for c in has if c not in (*columns, "_key", "_optional")]
        if foreign:
            raise VerifyError(
                f"{self._where}: {view} has a column {', '.join(foreign)}, but {topic} has only {', '.join(columns)}"
            )
        kinds: dict[str, str] = dict(
            self._database.rows(
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
        return ", ".join(chosen)

    def _require_one_a_key(self, view: str, output: Checked) -> None:
        keys = ", ".join(map(quoted, output.keys))
        twice = self._database.rows(
            f"SELECT {keys}, count(*) FROM kept.{quoted(output.topic.name)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
        )
        for *values, count in twice:
            shown = ", ".join(f"{key}={value}" for key, value in zip(output.keys, values, strict=True))
            raise VerifyError(f"{self._where}: {view} has {count} rows of {shown}, but must have one")

    def _keep_letters(self, name: str) -> None:
        """The dead letters of records that can be read, (topic, partition, offset); none unless the oracle says so."""
        view = f"expected.{quoted(DEAD_LETTERS.name)}"
        has = self._columns_of(name, "expected", DEAD_LETTERS.name)
        if has is not None and (missing := [column for column in LETTER_COLUMNS if column not in has]):
            raise VerifyError(f"{self._where}: {view} has no column {', '.join(missing)}")
        source = view if has is not None else "(SELECT '' AS topic, 0 AS partition, 0 AS \"offset\" WHERE false)"
        self._said(f'CREATE TABLE kept.letters AS SELECT DISTINCT topic, partition, "offset" FROM {source}', view)

    def _notes(self, name: str) -> dict[str, Noted]:
        tables = self._database.rows(
            "SELECT table_name, bool_or(column_name = '_time_ms') FROM duckdb_columns() WHERE schema_name = 'noted' "
            f"AND database_name = '{name}' GROUP BY table_name ORDER BY table_name"
        )
        found = {}
        for table, has_time in tables:
            view = f"noted.{quoted(table)}"
            first = "min(_time_ms)::BIGINT" if has_time else "NULL"
            ((rows, first_ms),) = self._said(f"SELECT count(*), {first} FROM {view}", view)
            found[table] = Noted(rows, first_ms)
        return {table: noted for table, noted in found.items() if noted.rows}

    def noted(self, name: str) -> dict[str, Noted]:
        """Rows that were let pass, by the names of the oracle's tables of them."""
        return self._noted[name]

    def letters(self, name: str) -> set[tuple[str, int, int]]:
        """(topic, partition, offset) of records that can be read, but must have a dead letter."""
        found = self._database.rows(f"FROM {name}.kept.letters")
        return {(topic, partition, offset) for topic, partition, offset in found}

    def types(self, output: Checked) -> dict[str, str]:
        """{column: type} of what is compared of an output."""
        found = self._database.rows(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'high' AND schema_name = 'kept' "
            f"AND table_name = $${output.topic.name}$$ AND column_name <> '_optional'"
        )
        return dict(found)

    def has_low(self) -> bool:
        """Whether sources have moved, so that there is a second run."""
        return bool(self._database.rows("SELECT 1 FROM duckdb_databases() WHERE database_name = 'low'"))

    def has_past(self, output: Checked) -> bool:
        """Whether the script says which rows an output has had."""
        return bool(
            self._database.rows(
                "SELECT 1 FROM duckdb_tables() WHERE database_name = 'high' AND schema_name = 'past' "
                f"AND table_name = $${output.topic.name}$$"
            )
        )


def _struct(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{quoted(name)}: {value}" for name, value in values.items()) + "}"


def _sizes(window: Window) -> dict[str, str]:
    """Every size that a window may have, in milliseconds as SQL; those that it has not are null."""
    sizes = {name: getattr(window, name, None) for name in ("size_ms", "advance_ms", "gap_ms", "grace_ms")}
    return {name: f"{'NULL' if size is None else size}::BIGINT" for name, size in sizes.items()}


def _told(error: duckdb.Error) -> str:
    """DuckDB's message in one line, with the line of the script that it is about."""
    message, _, place = str(error).partition("\n\nLINE")
    line = place.partition("\n")[0]
    return " ".join(f"{message}{f' (line{line})' if line else ''}".split())
