"""Tables: topics of which the latest row of each key counts, and what is made of them.

    users = Table("users", USER, key="id")
    adults = users.where(c.age >= 18).select(c.id, c.country).to("ADULTS")
    per_country = users.group_by(c.country).aggregate(users=Count()).to("USERS_PER_COUNTRY")

A row that does not qualify any more, or is deleted, is retired: the output gets its key once more with `retired` true.
"""

from typing import TYPE_CHECKING, Any

from pipeline.declarations import check_topic_name, columns_of
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import record_schema, record_type_of, with_formats
from pipeline.declare.relations import Relation, require_key, require_new, same_texts
from pipeline.declare.steps import TableTableJoin
from pipeline.errors import SettingError
from pipeline.tables.joins import JoinKind
from pipeline.tables.table_join import TableJoin
from pipeline.topics import Kind, Schema, Topic

if TYPE_CHECKING:
    from pipeline.declare.groups import Grouped
    from pipeline.declare.statements import Statement


class Table(Relation):
    """A topic as a table: the latest row of each key; a record without a value removes its key.

    `schema` is the Avro schema of a row, or its columns as {name: type}. `key` names the column that is the record's
    key. A stream is joined with the row that was valid at its own row's time, partition by partition. With
    `everywhere`, every worker holds the whole table, and a stream is joined with it by any column, with the row that is
    known at that moment: for small tables that change rarely. `value_format`, `value_delimiter` and `key_format` say
    how records are written (docs/formats.md): values in Avro and keys as text unless they do.
    """

    kind = "table"

    def __init__(self, name: str, schema: Schema, *, key: str, everywhere: bool = False, **formats: Any) -> None:
        where = f"table {name}"
        check_topic_name(where, name)
        kind = Kind.REFERENCE if everywhere else Kind.EVENT
        topic = Topic(name, kind, key=key, schema=record_schema(name, schema), retention_ms=None)
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

    def join(self, name: str, other: "Table", *, kind: JoinKind = JoinKind.LEFT) -> "Table":
        """The rows with those of another table of the same key, in the new column `name`, a record.

        Either side triggers. INNER: both must be there; LEFT: this one; RIGHT: the other; OUTER: one of them.
        """
        where = f"{self}, join {name}"
        require_new(where, name, self.columns)
        if not isinstance(other, Table):
            raise SettingError(f"{where}: {other} is no table, but must be one: a table is joined with tables")
        for one in (self, other):
            if one.everywhere:
                raise SettingError(f"{where}: {one} is held everywhere, but must lie in partitions to be joined here")
        if self.name == other.name:
            raise SettingError(f"{where}: a table cannot be joined with itself")
        mine, theirs = self.key_type(where), other.key_type(where)
        if not same_texts(mine, theirs):
            raise SettingError(f"{where}: keys are of type {mine.name} and {theirs.name}, but must be of one type")
        self.require_same_keys(where, other)
        step = TableTableJoin(TableJoin(name, kind), other, self.columns)
        columns = {**self.columns, name: record_type_of(name, other.columns)}
        return self._then(step, columns, statements=(*self.statements, *other.statements))

    def group_by(self, *columns: Any, **named: Any) -> "Grouped":
        """Groups for the aggregates to come; a row that changes leaves its group and enters another."""
        from pipeline.declare.groups import Grouped

        return Grouped(self).group_by(*columns, **named)

    def to(self, topic: str, **formats: Any) -> "Table":
        """Write the rows to a topic, under their key; gives the table of that topic. `formats` as of a table."""
        from pipeline.declare.statements import table_written

        return table_written(self, topic, formats)
