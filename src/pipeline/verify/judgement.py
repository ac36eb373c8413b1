"""One run of an oracle over records that have been read: what every output must hold, and what it holds.

Nothing here reads a broker: `verification.py` does, and tests feed records by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.settings import Settings
from pipeline.verify.comparison import Found, Outcome, Removed, compare, last_rows
from pipeline.verify.database import Database
from pipeline.verify.oracle import Oracle
from pipeline.verify.records import Cut, Origin
from pipeline.verify.subject import Checked, Subject
from pipeline.verify.topic_reader import Schemas, TopicReader

Cuts = Mapping[str, Cut]


class Judgement:
    """The records of an application's topics, and the verdict on its outputs."""

    def __init__(self, settings: Settings, subject: Subject, schemas: Schemas) -> None:
        self.subject = subject
        script = subject.script()
        self.database = Database(settings)
        self.oracle = Oracle(self.database, subject, script)
        self._schemas = schemas
        self._repeats = settings.processing_guarantee != "exactly_once"
        self._begins: Cuts = {}
        self.readers: dict[str, TopicReader] = {}
        for source in subject.sources:
            self.readers[source.topic.name] = TopicReader(
                source.topic, table=source.is_table, retires=source.is_table and source.is_own
            )
        for output in subject.outputs:
            is_stream = not output.keys or output.keeps_first
            self.readers.setdefault(output.topic.name, TopicReader(output.topic, table=not is_stream, of_output=True))

    def __enter__(self) -> "Judgement":
        return self

    def __exit__(self, *error: object) -> None:
        self.database.close()

    async def read(self, topic: str, records: list[Any]) -> None:
        """Take records of a topic; in each partition in the order of their offsets."""
        reader = self.readers[topic]
        self.database.add(reader.topic, reader.columns, await reader.rows(self._schemas, records))

    def refuse(self, topic: str, origins: Iterable[Origin]) -> None:
        """Take records for bad that could be read: what an oracle says is without them."""
        self.database.refuse(topic, origins)

    def bad(self, topic: str) -> set[Origin]:
        """Records of a source that must have a dead letter, but for those that the oracle names."""
        return self.readers[topic].bad | self.database.refused(topic)

    def expect(self, low: Cuts, high: Cuts, begins: Cuts | None = None) -> None:
        """Run the oracle at both cuts, once where they are the same.

        `begins` are the oldest offsets kept of topics; above 0 where retention has removed records.
        """
        self._begins = begins or {}
        removed = [name for name, kept in self._begins.items() if any(kept.values())]
        self.oracle.expect("high", high, removed)
        if low != high:
            self.oracle.expect("low", low, removed)

    def compared(self, output: Checked, cut: Cut) -> Outcome:
        """An output's topic below a cut against what is expected."""
        topic = output.topic.name
        rows = self.database.below(topic, cut)
        counting = last_rows(output, rows) if output.keys else rows
        if "retired" in {column.name for column in self.readers[topic].columns}:
            rows, counting = (f"SELECT * FROM ({each}) WHERE NOT coalesce(retired, false)" for each in (rows, counting))
        outcome = self._outcome(output, Found(rows, counting, self._repeats), self.removed(output))
        unreadable = (origin for origin in sorted(self.readers[topic].bad) if origin[1] < cut.get(origin[0], 0))
        return replace(outcome, wrong=outcome.wrong + [f"{_place(*origin)}: cannot be read" for origin in unreadable])

    def compared_rows(self, output: Checked, rows: Sequence[Mapping[str, Any]]) -> Outcome:
        """An output's rows as Pinot has them against what is expected; Pinot has texts in place of nulls.

        It keeps what retention has removed of the topic.
        """
        there = self.database.of_rows(self.oracle.types(output), [row for row in rows if not row.get("retired")])
        found = Found(there, there, loose=True)
        return self._outcome(output, found, replace(self.removed(output), of_output_ms=-1))

    def _outcome(self, output: Checked, found: Found, removed: Removed) -> Outcome:
        return compare(self.database, self.oracle, output, found, removed)

    def removed(self, output: Checked) -> Removed:
        """What retention has taken of what an output is made of."""
        begins = [kept for source in self._made_of(output, tables=False) if any((kept := self._kept(source)).values())]
        return Removed(
            max((self._until_ms(source) for source in self._made_of(output, tables=False)), default=-1.0),
            tuple(begins),
            any(any(self._kept(source).values()) for source in self._made_of(output, tables=True)),
            self._until_ms(output.topic.name),
        )

    def _made_of(self, output: Checked, *, tables: bool) -> list[str]:
        """The topics of streams, or of tables, that an output is made of.

        A table that is held everywhere has no end of retention; others are joined as of a time, and count for all.
        """
        return [
            source.topic.name
            for source in self.subject.sources
            if source.is_table == tables and not source.is_followed and (tables or source.topic.name in output.made_of)
        ]

    def _kept(self, topic: str) -> Cut:
        return self._begins.get(topic, {})

    def _until_ms(self, topic: str) -> float:
        """Up to which event time records of a topic may have been removed; -1 where none was."""
        gone = [partition for partition, begin in self._kept(topic).items() if begin > 0]
        return self.database.removed_until_ms(topic, gone, self._before(topic)) if gone else -1.0

    def _before(self, topic: str) -> list[str]:
        """The topics whose records become those of a topic, over however many others."""
        made_of = {output.topic.name: output.made_of for output in self.subject.outputs}
        found: list[str] = []
        todo = [topic]
        while todo:
            new = [name for name in sorted(made_of.get(todo.pop(), ())) if name not in found]
            found += new
            todo += new
        return found


def _place(partition: int, offset: int) -> str:
    return f"partition {partition} offset {offset}"
