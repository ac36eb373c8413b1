"""Tables: topics of which the latest row of each key counts, and what is made of them.

    users = Table("users", USER, key="id")
    adults = users.where(c.age >= 18).select(c.id, c.country).to("ADULTS")
    per_country = users.group_by(c.country).aggregate(users=Count()).to("USERS_PER_COUNTRY")

A row that does not qualify any more, or is deleted, is retired: the output gets its key once more with `retired` true.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.codecs import schema
from pipeline.declarations import check_topic_name, columns_of
from pipeline.declare.compiled import predicate
from pipeline.declare.expressions import Column
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import header_columns, record_schema, record_type_of, with_formats
from pipeline.declare.relations import Relation, require_key, require_new, same_texts
from pipeline.declare.steps import ForeignKeyJoin, Require, Select, TableTableJoin
from pipeline.errors import SettingError
from pipeline.tables.foreign_join import ForeignJoin
from pipeline.tables.joins import JoinKind
from pipeline.tables.table_join import TableJoin
from pipeline.topics import KeyFormat, Kind, Schema, Topic

if TYPE_CHECKING:
    from pipeline.declare.groups import Grouped
    from pipeline.declare.statements import Statement


class Table(Relation):
    """A topic as a table: the latest row of each key; a record without a value removes its key.

    `schema` is the Avro schema of a row, or its columns as {name: type}. `key` names the column that is the record's
    key. A stream is joined with the row that was valid at its own row's time, partition by partition. With
    `everywhere`, every worker holds the whole table, and a stream is joined with it by any column, with the row that is
    known at that moment: for small tables that change rarely. `retention_ms` None: the topic keeps the latest record of
    each key; otherwise all records for that long. `value_format`, `value_delimiter` and `key_format` say
    how records are written (docs/formats.md): values in Avro and keys as text unless they do. `headers` as of a
    stream.
    """

    kind = "table"
    required: tuple[Require, ...] = ()
    """What each of its records must be."""

    def __init__(
        self,
        name: str,
        schema: Schema,
        *,
        key: str,
        everywhere: bool = False,
        retention_ms: int | None = None,
        headers: str | Mapping[str, str] | None = None,
        **formats: Any,
    ) -> None:
        where = f"table {name}"
        check_topic_name(where, name)
        kind = Kind.REFERENCE if everywhere else Kind.EVENT
        topic = Topic(name, kind, key=key, schema=record_schema(name, schema), retention_ms=retention_ms)
        if everywhere and headers:
            raise SettingError(f"{where}: a table that is held everywhere has no headers, but its values alone")
        topic = replace(topic, headers=header_columns(where, topic, headers))
        self.columns: Scope = columns_of(where, topic)
        self.everywhere = everywhere
        self.key: str | None = key
        require_key(where, key, self.columns)
        self.topic = with_formats(where, topic, self.columns[key], formats)

    @classmethod
    def of(cls, topic: Topic, columns: Scope, key: str | None, statements: "tuple[Statement, ...]") -> "Table":
        """The table of a topic that the application writes itself."""
        made = object.__new__(cls)
        made.topic, made.columns, made.key, made.everywhere, made.statements = topic, columns, key, False, statements
        return made

    def require(self, condition: Any, reason: str) -> "Table":
        """Refuse records for which the condition is not true: each becomes a dead letter that says the reason, and the
        table's row stays as it was. It is of the table's own columns, before any other step.
        """
        if self.steps or self.statements:
            raise SettingError(f"{self}, require: it must come first, before any other step, and of a source")
        made = Require(self.compiled("require", condition, predicate), reason)
        return self._with(required=(*self.required, made))

    @property
    def kept(self) -> Scope | None:
        """The columns that a stream is joined with: all of the topic (None), or those of a `select` as they are.

        Raises SettingError where it is not as it lies in its topic.
        """
        if not self.steps:
            return None
        step = self.steps[0]
        if len(self.steps) > 1 or not isinstance(step, Select) or any(made.text != name for name, made in step.columns):
            raise SettingError(f"{self} is not as it lies in its topic: write it with .to(topic) first")
        if self._never_null() is None:
            raise SettingError(f"{self}, select: select its key, too, or another column that is never null")
        return self.columns

    @property
    def never_null(self) -> str:
        """Of the columns that a stream is joined with one that tells whether there is a row."""
        return self._never_null() or ""

    def _never_null(self) -> str | None:
        fields = {field["name"]: field["type"] for field in schema(self.topic.schema or {})["fields"]}
        key = self.topic.key
        sure = [name for name in self.columns if name == key or "null" not in fields.get(name, "null")]
        return sure[0] if sure else None

    def join(self, name: str, other: "Table", *, on: Any = None, kind: JoinKind = JoinKind.LEFT) -> "Table":
        """The rows with those of another table of the same key, in the new column `name`, a record.

        Either side triggers. INNER: both must be there; LEFT: this one; RIGHT: the other; OUTER: one of them.
        With `on`, an expression, it is the row that this names: a join by a foreign key, INNER or LEFT, by way of two
        topics of the application's own. Never change the name of a join in a running one.
        """
        where = f"{self}, join {name}"
        require_new(where, name, self.columns)
        if not isinstance(other, Table):
            raise SettingError(f"{where}: {other} is no table, but must be one: a table is joined with tables")
        for one in (self, other):
            if one.everywhere:
                raise SettingError(f"{where}: {one} is held everywhere, but must lie in partitions to be joined here")
        if on is not None and not (isinstance(on, Column) and on.name_ == self.key):
            return self._join_foreign(where, name, other, on, kind)
        if self.name == other.name:
            raise SettingError(f"{where}: a table cannot be joined with itself")
        mine, theirs = self.key_type(where), other.key_type(where)
        if not same_texts(mine, theirs):
            raise SettingError(f"{where}: keys are of type {mine.name} and {theirs.name}, but must be of one type")
        self.require_same_keys(where, other)
        step = TableTableJoin(TableJoin(name, kind), other, self.columns)
        columns = {**self.columns, name: record_type_of(name, other.columns)}
        return self._then(step, columns, statements=(*self.statements, *other.statements))

    def _join_foreign(self, where: str, name: str, other: "Table", on: Any, kind: JoinKind) -> "Table":
        made, wanted = self.compiled(f"join {name}", on), other.key_type(where)
        if made.kind is None or not same_texts(made.kind, wanted):
            own = "null" if made.kind is None else made.kind.name
            raise SettingError(
                f"{where}: {made.text} is of type {own}, but must be {wanted.name} as {other.key}, the key of {other}"
            )
        if kind not in (JoinKind.INNER, JoinKind.LEFT):
            raise SettingError(f"{where}: kind is '{kind}', but must be 'inner' or 'left' where on is not the key")
        if other.key_format not in (KeyFormat.TEXT, KeyFormat.KAFKA):
            raise SettingError(
                f"{where}: keys of {other} are in the format {other.key_format}, but must be in text or kafka, which "
                "write equal keys in one way only: their partition has to be known"
            )
        step = ForeignKeyJoin(ForeignJoin(name, kind), other, self.columns, made, made.kind)
        columns = {**self.columns, name: record_type_of(name, other.columns)}
        return self._then(step, columns, statements=(*self.statements, *other.statements))

    def group_by(self, *columns: Any, **named: Any) -> "Grouped":
        """Groups for the aggregates to come; a row that changes leaves its group and enters another."""
        from pipeline.declare.groups import Grouped

        return Grouped(self).group_by(*columns, **named)

    def to(self, topic: str, *, schema: Schema | None = None, **formats: Any) -> "Table":
        """Write the rows to a topic, under their key; gives the table of that topic.

        `schema` and `formats` as of `Stream.to`; a schema has event_time_ms, version and retired, too.
        """
        from pipeline.declare.statements import table_written

        return table_written(self, topic, schema, formats)
