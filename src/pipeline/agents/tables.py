"""What the agent of a table's topic does: keeps the versions of its rows, and runs its changes down the tree."""

from collections.abc import Sequence

from pipeline.agents.blocks import Block
from pipeline.agents.changes import ROW, Changes, Go
from pipeline.agents.joining import TableVersions
from pipeline.agents.keeping import Keeping, Stateful
from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.codecs import Record, fields, key_text
from pipeline.columns import columns_of
from pipeline.declare.compiled import field_of
from pipeline.declare.tables import BaseTable
from pipeline.errors import BadRecord
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.versions import Versions

RETIRED = "retired"


class TableProcessor(Keeping, DecodingProcessor):
    """Each record is the latest row of its key; without a value, or retired, the key has no row.

    `versions` is set where streams are joined with the table, `names` are the columns that its tree reads.
    """

    def __init__(
        self,
        declared: BaseTable,
        names: Sequence[str],
        registry: Schemas,
        letters: DeadLetters,
        versions: TableVersions | None,
    ) -> None:
        super().__init__(declared.topic, registry, letters, table=True)
        self._names = tuple(names)
        self._versions = versions
        assert declared.topic.schema is not None
        self._retires = bool(declared.statements) and RETIRED in fields(declared.topic.schema)
        self._required = declared.required
        self._key_type = columns_of(f"topic {self.topic.name}", self.topic).get(self.topic.key)
        self._go: Go | None = None

    def runs(self, go: Go | None, stateful: Sequence[Stateful]) -> None:
        """Set what is done with the changes."""
        self._go = go
        self.keep([*stateful, *([] if self._versions is None else [self._versions])])

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Everything that the batch brings forth; a dead letter for each bad record."""
        out: list[Outgoing] = []
        batch = self.with_text_keys(batch, out)
        if not len(batch):
            return out
        places, rows = self.decoded(batch, out)
        places, rows = self._good(batch, places, rows, out)
        if self._versions is not None:
            out = self._kept(self._versions, batch, places, rows) + out
        if self._go is not None and places:
            changes = self._changes(batch, places, rows)
            out += self._go(changes)
            for place, reason in changes.rows.errors:
                self.counts["errors"] += 1
                out.append(self._letters.letter(batch, place, reason))
        return out

    def _good(
        self, batch: RecordBatch, places: Sequence[int], rows: Sequence[Record | None], out: list[Outgoing]
    ) -> tuple[list[int], list[Record | None]]:
        """The records whose keys are texts, the row's own, and that are as they must be; retired rows are null."""
        good: list[int] = []
        found: list[Record | None] = []
        refused = self._refused(rows) if self._required else {}
        for number, (place, row) in enumerate(zip(places, rows, strict=True)):
            try:
                key = key_text(batch.keys[place])
                if row is not None and (own := self._key_text(row)) not in (None, key):
                    raise BadRecord(f"key {key!r} is not the {self.topic.key} {own!r}")
                if number in refused:
                    raise BadRecord(refused[number])
            except BadRecord as error:
                out.append(self.dead_letter(batch, place, error))
                continue
            good.append(place)
            found.append(None if row is not None and self._retires and row[RETIRED] else row)
        return good, found

    def _refused(self, rows: Sequence[Record | None]) -> dict[int, str]:
        """{number of a row: why it is refused}."""
        there = [number for number, row in enumerate(rows) if row is not None]
        present = [row for row in rows if row is not None]
        found: dict[int, str] = {}
        for one in self._required:
            passes, errors = one.condition.column(lambda name: [field_of(row, name) for row in present], len(there))
            for place, (number, passed) in enumerate(zip(there, passes, strict=True)):
                if not passed:
                    found.setdefault(number, errors.get(place, one.reason))
        return found

    def _key_text(self, row: Record) -> str | None:
        """The text of the column that is the key; null where there is none."""
        value = None if self._key_type is None else row[self.topic.key]
        return None if self._key_type is None or value is None else self._key_type.text(value)

    def _kept(
        self, kept: TableVersions, batch: RecordBatch, places: Sequence[int], rows: Sequence[Record | None]
    ) -> list[Outgoing]:
        versions: Versions = kept.of(batch.partition)
        versions.drop_old()
        for place, row in zip(places, rows, strict=True):
            time_ms = batch.timestamps[place]
            self.counts["behind_stream"] += time_ms <= versions.stream_time_ms
            versions.put(key_text(batch.keys[place]), batch.offsets[place], time_ms, kept.plain(row))
        return kept.table.changes(kept.table.state_of(batch.partition), batch.partition)

    def _changes(self, batch: RecordBatch, places: Sequence[int], rows: Sequence[Record | None]) -> Changes:
        there = [number for number, row in enumerate(rows) if row is not None]
        times_ms = [batch.timestamps[place] for place in places]
        block = Block.of_records(
            batch,
            [places[number] for number in there],
            [times_ms[number] for number in there],
            [row for row in rows if row is not None],
            self._names,
        ).with_columns({ROW: lambda: there})
        offsets = [batch.offsets[place] for place in places]
        return Changes([batch.keys[place] for place in places], offsets, times_ms, offsets, block)
