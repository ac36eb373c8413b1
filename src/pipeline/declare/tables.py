"""Tables by themselves: a topic of which the latest row of each key counts.

What makes other relations of a table, such as `join` and `to`, is in fluent.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from pipeline.codecs import schema
from pipeline.columns import columns_of
from pipeline.declare.compiled import predicate
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import header_columns, record_schema, with_formats
from pipeline.declare.relations import Relation, Statement, require_key
from pipeline.declare.steps import Require, Select
from pipeline.errors import SettingError
from pipeline.names import check_topic_name
from pipeline.topics import Kind, Schema, Topic


class BaseTable(Relation):
    """What a `Table` is and knows of itself: as this, joins, statements and agents know it."""

    kind = "table"
    required: tuple[Require, ...] = ()
    """What each of its records must be."""

    def __init__(
        self,
        name: str,
        schema: Schema,
        *,
        key: str = "",
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
    def of(cls, topic: Topic, columns: Scope, key: str | None, statements: tuple[Statement, ...]) -> Self:
        """The table of a topic that the application writes itself."""
        made = object.__new__(cls)
        made.topic, made.columns, made.key, made.everywhere, made.statements = topic, columns, key, False, statements
        return made

    def require(self, condition: Any, reason: str) -> Self:
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
