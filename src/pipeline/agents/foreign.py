"""Joins of two tables by a foreign key: both sides, and the agents of the two topics in between (ADR 20)."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pipeline.agents.changes import ROW, Changes, Go, joined_changes
from pipeline.agents.letters import DeadLetters
from pipeline.agents.tree import Stateful
from pipeline.agents.writing import written_key
from pipeline.declare.steps import ForeignKeyJoin
from pipeline.formats import KeyEncoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.foreign_join import Answer, PartitionSubscribers, PartitionSubscriptions, Subscription
from pipeline.tables.forms import RowForm
from pipeline.tables.joins import JoinedRow
from pipeline.tables.store import StateTable
from pipeline.timebase import now_ms
from pipeline.topics import Topic


class LeftRows:
    """The left side: changes go in as subscriptions, answers come back, joined rows go on.

    `keys` writes keys of the right table that are not texts; `behind` is what keeps state after it.
    """

    def __init__(
        self,
        step: ForeignKeyJoin,
        subscriptions: Topic,
        table: StateTable,
        go_on: Go,
        behind: Sequence[Stateful],
        letters: DeadLetters,
        keys: KeyEncoder | None,
    ) -> None:
        self.table = table
        self.behind = behind
        self._step = step
        self._topic = subscriptions.name
        self._go_on = go_on
        self._letters = letters
        self._keys = keys
        self._forms = (RowForm(step.left_columns), RowForm(step.right.columns))
        self._sides: dict[int, PartitionSubscriptions] = {}

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""
        self._sides.clear()

    def forget(self, partition: int) -> None:
        """Read the partition afresh."""
        self._sides.pop(partition, None)

    def take(self, changes: Changes) -> list[Outgoing]:
        """Changelog records, subscriptions, and what becomes of results that need no answer."""
        batch, rows = changes.rows.batch, changes.rows
        plain = self._forms[0].plain
        records = changes.records({name: rows.column(name) for name in self._step.left_columns})
        foreign: list[str | None] = [None] * len(records)
        values, kind = rows.value(self._step.key), self._step.key_type
        named = values if kind.family == "string" else kind.texts(values)
        for place, text in zip(rows.column(ROW), named, strict=True):
            foreign[place] = text
        kept = [None if record is None else plain(record) for record in records]
        made = self._side(batch.partition).take(changes.keyed(kept), foreign)
        out = self.table.changes(self.table.state_of(batch.partition), batch.partition)
        out += [self._sent(one) for one in made.subscriptions]
        return out + self._joined(batch, rows.errors, made.rows)

    def answered(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, and what becomes of the joined rows that a batch of answers makes."""
        answers = [Answer(key, batch.partition, *rest) for key, *rest in map(_loaded, batch.values)]
        rows = self._side(batch.partition).answered(batch.offsets, answers)
        out = self.table.changes(self.table.state_of(batch.partition), batch.partition)
        errors: dict[tuple[int, str], None] = {}
        out += self._joined(batch, errors, rows)
        return out + [self._letters.letter(batch, place, reason) for place, reason in errors]

    def _side(self, partition: int) -> PartitionSubscriptions:
        if partition not in self._sides:
            state = self.table.state_of(partition)
            self._sides[partition] = PartitionSubscriptions(self._step.join, partition, state)
        return self._sides[partition]

    def _sent(self, one: Subscription) -> Outgoing:
        key = one.foreign_key.encode()
        return Outgoing(
            self._topic, key if self._keys is None else written_key(self._keys, key), orjson.dumps([*one]), now_ms()
        )

    def _joined(
        self, batch: RecordBatch, errors: dict[tuple[int, str], None], rows: Sequence[JoinedRow]
    ) -> list[Outgoing]:
        return self._go_on(joined_changes(batch, errors, self._step, self._forms, rows)) if rows else []


class RightRows:
    """The right side: its changes and subscriptions go in, answers come out."""

    def __init__(self, step: ForeignKeyJoin, answers: Topic, table: StateTable) -> None:
        self.table = table
        self._step = step
        self._topic = answers.name
        self._form = RowForm(step.right.columns)
        self._sides: dict[int, PartitionSubscribers] = {}

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""
        self._sides.clear()

    def forget(self, partition: int) -> None:
        """Read the partition afresh."""
        self._sides.pop(partition, None)

    def take(self, changes: Changes) -> list[Outgoing]:
        """Changelog records, and an answer to each subscriber of each row that has changed."""
        partition = changes.rows.batch.partition
        records = changes.records({name: changes.rows.column(name) for name in self._step.right.columns})
        kept = [None if record is None else self._form.plain(record) for record in records]
        return self._sent(partition, self._side(partition).change(changes.keyed(kept)))

    def asked(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, and an answer to each subscription."""
        subscriptions = [Subscription(*_loaded(value)) for value in batch.values]
        return self._sent(batch.partition, self._side(batch.partition).subscribe(subscriptions))

    def _side(self, partition: int) -> PartitionSubscribers:
        if partition not in self._sides:
            self._sides[partition] = PartitionSubscribers(self._step.join, self.table.state_of(partition))
        return self._sides[partition]

    def _sent(self, partition: int, answers: Sequence[Answer]) -> list[Outgoing]:
        time_ms, changed = now_ms(), self.table.changes(self.table.state_of(partition), partition)
        return changed + [
            Outgoing(
                self._topic,
                one.key.encode(),
                orjson.dumps([one.key, one.version, one.time_ms, one.row]),
                time_ms,
                one.partition,
            )
            for one in answers
        ]


class OwnTopic:
    """The agent of one of the topics in between, whose values are lists of JSON."""

    def __init__(
        self, topic: Topic, run: Callable[[RecordBatch], list[Outgoing]], stateful: Sequence[Stateful]
    ) -> None:
        self.topic = topic
        self.counts: Counter[str] = Counter()
        self.tables: Sequence[StateTable] = [part.table for part in stateful]
        self._run = run
        self._stateful = stateful

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""
        for part in self._stateful:
            part.reset()

    def forget(self, partition: int) -> None:
        """Read the partition afresh."""
        for part in self._stateful:
            part.forget(partition)

    async def prepare(self, batch: RecordBatch) -> None:
        """There is no schema to learn."""

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Everything that the batch brings forth."""
        self.counts["consumed"] += len(batch)
        return self._run(batch)


def _loaded(value: bytes | None) -> Any:
    return orjson.loads(value or b"")
