"""The fluent API: streams, tables and groups, in one module because their methods make one another.

    clicks = Stream("clicks", CLICK, key="user", time="at")
    sources = Table("sources", SOURCE, key="source", everywhere=True)

    clicks.where(c.user.is_not_null())
        .join("origin", sources, on=c.source)
        .select(user=c.user, channel=c.origin.channel)
        .to("CLICKS_WITH_CHANNEL")
    clicks.window(Tumbling(minutes(1))).group_by(c.source).aggregate(clicks=Count()).to("CLICKS_PER_MINUTE")

    users = Table("users", USER, key="id")
    adults = users.where(c.age >= 18).select(c.id, c.country).to("ADULTS")
    per_country = users.group_by(c.country).aggregate(users=Count()).to("USERS_PER_COUNTRY")

A row of a table that does not qualify any more, or is deleted, is retired: the output gets its key once more with
`retired` true. Each method gives a new value and checks it at once. What cannot work is a SettingError in one sentence
that names the stream, the step and the column.

Here are the methods that make one class of another; what they do is in joins.py (`join`), statements.py (`to`, `into`)
and groups.py (`Grouped.to`). Methods that give the same class again are in the bases: `where`, `require`, `select` and
`named` in relations.py, `explode` and `repartition` in streams.py, `require` of tables in tables.py, `aggregate` and
the others of groups in groups.py. All these know nothing of this module.
"""

from typing import Any

from pipeline.declare.groups import BaseGrouped
from pipeline.declare.joins import LEFT, stream_with_stream, stream_with_table, table_with_table
from pipeline.declare.statements import inserted, table_written, written
from pipeline.declare.streams import BaseStream
from pipeline.declare.tables import BaseTable
from pipeline.tables.joins import JoinKind
from pipeline.tables.windows import Window
from pipeline.topics import Schema


class Stream(BaseStream):
    """A topic as a stream of rows, and the steps that are done to them so far.

    `schema` is the Avro schema of a row, or its columns as {name: Avro type}. `key` names the column that is the
    record's key, `time` the column of the event time: epoch milliseconds in a long, one of Avro's timestamps, or a text
    in `time_format`; without it the record's own time is the event's. `retention_ms` is for how long the topic keeps
    records, None: for ever. `value_format`, `value_delimiter` and `key_format` say how records are written
    (docs/formats.md): values in Avro and keys as text unless they do.

    `headers` names the column of all headers of a record, an array of records of KEY, a text, and VALUE, bytes; or
    {column: header's name} are columns of single headers, bytes: of several of one name the last, null without any.
    """

    def join(
        self,
        name: str,
        other: "Table | Stream",
        *,
        on: Any = None,
        kind: JoinKind = LEFT,
        within: int | tuple[int, int] | None = None,
        grace: int | None = None,
    ) -> "Stream":
        """The rows with those of a table, or of another stream, of the same key in the new column `name`, a record.

        With a table that is everywhere, `on` is any expression. With any other table or stream, the key is that of
        the stream: call `repartition` first where it is another. With a stream, `within` is how far their times may
        lie apart, in milliseconds or as a pair (before, after), both ends inclusive.
        """
        if isinstance(other, Stream):
            return stream_with_stream(self, name, other, on, kind, within, grace)
        return stream_with_table(self, name, other, on, kind, within, grace)

    def window(self, window: Window) -> "Grouped":
        """Windows of event time for the aggregates to come: Tumbling, Hopping or Session."""
        return Grouped(self, window)

    def group_by(self, *columns: Any, **named: Any) -> "Grouped":
        """Groups for the aggregates to come: columns, and name=expression for others."""
        return Grouped(self).group_by(*columns, **named)

    def aggregate(self, *unnamed: Any, **aggregates: Any) -> "Grouped":
        """What is computed for each group; the groups are still to be said, with `group_by`."""
        return Grouped(self).aggregate(*unnamed, **aggregates)

    def to(
        self, topic: str, *, key: Any = None, schema: Schema | None = None, time: str | None = None, **formats: Any
    ) -> "Stream":
        """Write the rows to a topic; gives the stream of that topic.

        `key` is a column, or an expression: by default the key that the rows have. A key that is null is empty.
        `schema` is the Avro schema of the topic, of the same columns, where it is not to follow from them. `time` names
        the column of the event time, epoch milliseconds: then records keep the time of those that they come from, and
        retention counts from there; without it, the record's own time is the event's. `formats` as of a stream.
        """
        return written(self, topic, key, schema, time, formats).result(Stream)

    def into(self, result: "Stream", *, key: Any = None) -> "Stream":
        """Write the rows, too, to the topic of `result`, which `to` gave; gives the stream of all its rows.

        That is INSERT INTO: columns, their types and the key must be those of `result`, and its formats hold. Rows of
        one stream keep their order; between those of several there is none.
        """
        return inserted(self, result, key).result(Stream, before=result.statements)

    def table(self) -> "Table":
        """The same topic as a table: of what an aggregate without a window wrote, the latest row of each group."""
        return self._as_table(Table)


class Table(BaseTable):
    """A topic as a table: the latest row of each key; a record without a value removes its key.

    `schema` is the Avro schema of a row, or its columns as {name: type}. `key` names the column that is the record's
    key. A stream is joined with the row that was valid at its own row's time, partition by partition. With
    `everywhere`, every worker holds the whole table, and a stream is joined with it by any column, with the row that is
    known at that moment: for small tables that change rarely. `retention_ms` None: the topic keeps the latest record of
    each key; otherwise all records for that long. `value_format`, `value_delimiter` and `key_format` say
    how records are written (docs/formats.md): values in Avro and keys as text unless they do. `headers` as of a
    stream.
    """

    def join(self, name: str, other: "Table", *, on: Any = None, kind: JoinKind = JoinKind.LEFT) -> "Table":
        """The rows with those of another table of the same key, in the new column `name`, a record.

        Either side triggers. INNER: both must be there; LEFT: this one; RIGHT: the other; OUTER: one of them.
        With `on`, an expression, it is the row that this names: a join by a foreign key, INNER or LEFT, by way of two
        topics of the application's own. Never change the name of a join in a running one.
        """
        return table_with_table(self, name, other, on, kind)

    def group_by(self, *columns: Any, **named: Any) -> "Grouped":
        """Groups for the aggregates to come; a row that changes leaves its group and enters another."""
        return Grouped(self).group_by(*columns, **named)

    def aggregate(self, *unnamed: Any, **aggregates: Any) -> "Grouped":
        """What is computed for each group; the groups are still to be said, with `group_by`."""
        return Grouped(self).aggregate(*unnamed, **aggregates)

    def to(self, topic: str, *, schema: Schema | None = None, **formats: Any) -> "Table":
        """Write the rows to a topic, under their key; gives the table of that topic.

        `schema` and `formats` as of `Stream.to`; a schema has event_time_ms, version and retired, too.
        """
        return table_written(self, topic, schema, formats).result(Table)


class Materialized(BaseStream):
    """Results that are kept to be asked for: what an application is given beside what is written to topics."""

    kind = "materialized"


class Grouped(BaseGrouped):
    """Rows of a stream by groups and windows, with what is computed for each, as far as that has been said."""

    def to(self, topic: str, *, name: str | None = None, schema: Schema | None = None, **formats: Any) -> Stream:
        """Write the results to a topic; gives the stream of its changes.

        `name` is the aggregate's in what is kept and in late records, by default the topic: never change it for a
        running application. `schema` and `formats` as of `Stream.to`.
        """
        return self._statement(topic, name, schema, formats).result(Stream)

    def materialize(self, name: str) -> Materialized:
        """Keep the results under a name, to be asked for over HTTP (`pipeline api`), and write them to no topic.

        What `to` writes can be asked for as well. `name` is the aggregate's in what is kept: never change it for a
        running application.
        """
        return self._kept(name).result(Materialized)
