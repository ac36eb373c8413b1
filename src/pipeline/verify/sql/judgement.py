"""One run of an oracle over records that have been read: what every output must hold, and what it holds.

Nothing here reads a broker: `run.py` does, and tests feed records by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.settings import Settings
from pipeline.verify.source_side import Cut, Origin
from pipeline.verify.sql.comparison import Outcome, Removed, compare, last_rows
from pipeline.verify.sql.database import Database
from pipeline.verify.sql.reading import Schemas, TopicReader
from pipeline.verify.sql.subject import Checked, Subject

Cuts = Mapping[str, Cut]


class Judgement:
    """The records of an application's topics, and the verdict on its outputs."""

    def __init__(self, settings: Settings, subject: Subject, schemas: Schemas) -> None:
        self.subject = subject
        self.database = Database(settings, subject)
        self._schemas = schemas
        self._repeats = settings.processing_guarantee != "exactly_once"
        self.readers: dict[str, TopicReader] = {}
        for source in subject.sources:
            self.readers[source.topic.name] = TopicReader(
                source.topic, table=source.is_table, retires=source.is_table and source.is_own
            )
        for output in subject.outputs:
            self.readers.setdefault(output.topic.name, _output_reader(output))

    async def read(self, topic: str, records: list[Any]) -> None:
        """Take records of a topic; in each partition in the order of their offsets."""
        reader = self.readers[topic]
        self.database.add(reader.topic, reader.columns, await reader.rows(self._schemas, records))

    def reject(self, topic: str, origins: Iterable[Origin]) -> None:
        """Take records for bad that could be read."""
        refused = set(origins) - self.readers[topic].bad
        self.readers[topic].bad |= refused
        self.database.remove(self.readers[topic].topic, refused)

    def expect(self, low: Cuts, high: Cuts, removed: Iterable[str] = ()) -> None:
        """Run the oracle at both cuts, once where they are the same; of `removed` topics retention has taken."""
        self.database.set_removed(removed)
        self.database.expect("high", high)
        if low != high:
            self.database.expect("low", low)

    def compared(self, output: Checked, cut: Cut, removed: Removed | None = None) -> Outcome:
        """An output's topic below a cut against what is expected."""
        rows = self.database.below(output.topic.name, cut)
        found = last_rows(output, rows) if output.keys else rows
        return compare(self.database, output, self._without_retired(output, found), self._repeats, removed)

    def compared_rows(self, output: Checked, rows: Sequence[Mapping[str, Any]], removed: Removed | None) -> Outcome:
        """An output's rows as Pinot has them against what is expected; Pinot has texts in place of nulls."""
        there = [row for row in rows if not row.get("retired")]
        found = self.database.of_rows(output, there)
        return compare(self.database, output, found, self._repeats, removed, loose=True)

    def _without_retired(self, output: Checked, rows: str) -> str:
        columns = {column.name for column in self.readers[output.topic.name].columns}
        return f"SELECT * FROM ({rows}) WHERE NOT coalesce(retired, false)" if "retired" in columns else rows


def _output_reader(output: Checked) -> TopicReader:
    return TopicReader(output.topic, table=True)
