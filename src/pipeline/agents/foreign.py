"""Joins of two tables by a foreign key: both sides, and the agents of the two topics in between (ADR 20)."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pipeline.agents.changes import ROW, Changes, Go, joined_changes
from pipeline.agents.keeping import ByPartition, Keeping, Stateful
from pipeline.agents.letters import DeadLetters
from pipeline.agents.writing import written_key
from pipeline.declare.joins import ForeignKeyJoin
from pipeline.formats import KeyEncoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.foreign_join import Answer, PartitionSubscribers, PartitionSubscriptions, Subscription
from pipeline.tables.forms import RowForm
from pipeline.tables.joins import JoinedRow
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
from pipeline.timebase import now_ms
from pipeline.topics import Topic


class LeftRows(ByPartition[PartitionSubscriptions]):
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
        super().__init__(table)
        self.behind = behind
        self._step = step
        self._topic = subscriptions.name
        self._go_on = go_on
        self._letters = letters
        self._keys = keys
        self._forms = (RowForm(step.left_columns), RowForm(step.right.columns))

    def make(self, partition: int, state: State) -> PartitionSubscriptions:
        """The left side of one partition."""
        return PartitionSubscriptions(self._step.join, partition, state)

    def take(self, changes: Changes) -> list[Outgoing]:
        """Changelog records, subscriptions, and what becomes of results that need no answer."""
        batch, rows = changes.rows.batch, changes.rows
        foreign: list[str | None] = [None] * len(changes.keys)
        named = self._step.key_type.texts(rows.value(self._step.key))
        for place, text in zip(rows.column(ROW), named, strict=True):
            foreign[place] = text
        made = self.of(batch.partition).take(changes.kept(self._forms[0]), foreign)
        out = self.table.changes(self.table.state_of(batch.partition), batch.partition)
        out += [self._sent(one) for one in made.subscriptions]
        return out + self._joined(batch, rows.errors, made.rows)

    def answered(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, and what becomes of the joined rows that a batch of answers makes."""
        answers = [Answer(key, batch.partition, *rest) for key, *rest in map(_loaded, batch.values)]
        rows = self.of(batch.partition).answered(batch.offsets, answers)
        out = self.table.changes(self.table.state_of(batch.partition), batch.partition)
        errors: dict[tuple[int, str], None] = {}
        out += self._joined(batch, errors, rows)
        return out + [self._letters.letter(batch, place, reason) for place, reason in errors]

    def _sent(self, one: Subscription) -> Outgoing:
        key = one.foreign_key.encode()
        return Outgoing(
            self._topic, key if self._keys is None else written_key(self._keys, key), orjson.dumps([*one]), now_ms()
        )

    def _joined(
        self, batch: RecordBatch, errors: dict[tuple[int, str], None], rows: Sequence[JoinedRow]
    ) -> list[Outgoing]:
        return self._go_on(joined_changes(batch, errors, self._step, self._forms, rows)) if rows else []


class RightRows(ByPartition[PartitionSubscribers]):
    """The right side: its changes and subscriptions go in, answers come out."""

    def __init__(self, step: ForeignKeyJoin, answers: Topic, table: StateTable) -> None:
        super().__init__(table)
        self._step = step
        self._topic = answers.name
        self._form = RowForm(step.right.columns)

    def make(self, partition: int, state: State) -> PartitionSubscribers:
        """The right side of one partition."""
        return PartitionSubscribers(self._step.join, state)

    def take(self, changes: Changes) -> list[Outgoing]:
        """Changelog records, and an answer to each subscriber of each row that has changed."""
        partition = changes.rows.batch.partition
        return self._sent(partition, self.of(partition).change(changes.kept(self._form)))

    def asked(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, and an answer to each subscription."""
        subscriptions = [Subscription(*_loaded(value)) for value in batch.values]
        return self._sent(batch.partition, self.of(batch.partition).subscribe(subscriptions))

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


class OwnTopic(Keeping):
    """The agent of one of the topics in between, whose values are lists of JSON."""

    def __init__(
        self, topic: Topic, run: Callable[[RecordBatch], list[Outgoing]], stateful: Sequence[Stateful]
    ) -> None:
        self.topic = topic
        self.counts: Counter[str] = Counter()
        self._run = run
        self.keep(stateful)

    async def prepare(self, batch: RecordBatch) -> None:
        """There is no schema to learn."""

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Everything that the batch brings forth."""
        self.counts["consumed"] += len(batch)
        return self._run(batch)


def _loaded(value: bytes | None) -> Any:
    return orjson.loads(value or b"")
