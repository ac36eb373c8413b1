"""What one agent does with its topic: decode once, run down the tree of steps, one branch after the other."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from pipeline.agents.blocks import Block
from pipeline.agents.keeping import Keeping, Stateful
from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.agents.writing import HEADER
from pipeline.declare.compiled import Compiled
from pipeline.declare.steps import Explode, Require, Select, Where
from pipeline.formats import ValueEncoder
from pipeline.handover import Handover
from pipeline.records import Outgoing, RecordBatch
from pipeline.topics import Topic

Next = Callable[[Block], list[Outgoing]]


class TopicProcessor(Keeping, DecodingProcessor):
    """Runs the rows of one topic down its tree.

    `names` are the columns that anything reads; `stateful` is everything below that keeps state. Where `is_internal`,
    each value begins with the place of the record that the row comes from; `is_numbered`: of several that it made.
    `origin` names the columns that have that place. `read_as` is the topic whose records these were at first.
    """

    def __init__(
        self,
        topic: Topic,
        names: Sequence[str],
        registry: Schemas,
        letters: DeadLetters,
        *,
        is_internal: bool = False,
        is_numbered: bool = False,
        origin: tuple[str, str] | None = None,
        read_as: Topic | None = None,
    ) -> None:
        super().__init__(topic if read_as is None else replace(read_as, key_format=topic.key_format), registry, letters)
        self.topic = topic
        self._origin = origin
        self._is_numbered = is_numbered
        self._names = tuple(dict.fromkeys((*names, *(origin or ()))))
        self._is_internal = is_internal
        self._run: Next = lambda block: []

    def runs(self, run: Next, stateful: Sequence[Stateful]) -> None:
        """Set what is done with the rows."""
        self._run = run
        self.keep(stateful)

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""
        super().reset()
        if self._decode.handover is not None:
            self._decode.handover.clear()  # another worker may read it now

    def take_over_from(self, encoder: ValueEncoder) -> None:
        """Take what this process itself has written as it was, without reading it back."""
        event_time = self.topic.event_time
        names = self._names if event_time is None else tuple(dict.fromkeys((*self._names, event_time)))
        if names:
            encoder.handover = self._decode.handover = Handover(names)

    async def prepare(self, batch: RecordBatch) -> None:
        """Learn the schema ids that the batch uses."""
        await super().prepare(_unwrapped(batch) if self._is_internal else batch)

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Everything that the batch brings forth; a letter for each value that an error leaves none of, too."""
        out: list[Outgoing] = []
        batch = self.with_text_keys(batch, out)
        if not len(batch):
            return out
        block = self._block(batch, out)
        if len(block):
            out += self._run(block)
        for place, reason in block.errors:
            self.counts["errors"] += 1
            out.append(self._letters.letter(batch, place, reason))
        return out

    def _block(self, batch: RecordBatch, out: list[Outgoing]) -> Block:
        if not self._is_internal and (columns := self._decode.handed_over(batch.values)) is not None:
            self.counts["consumed"] += len(batch)
            times_ms = batch.timestamps if self.topic.event_time is None else columns[self.topic.event_time]
            return self._placed(Block.of_columns(batch, range(len(batch)), times_ms, columns))
        if not self._is_internal:
            records, places, times_ms = self.timed(batch, out)
            return self._placed(Block.of_records(batch, places, times_ms, records, self._names))
        inner = _unwrapped(batch)
        records, places, times_ms = self.timed(inner, out)
        origins = [HEADER.unpack_from(batch.values[place] or b"") for place in places]
        block = Block.of_records(inner, places, times_ms, records, self._names, origins)
        block.is_numbered = self._is_numbered
        return block

    def _placed(self, block: Block) -> Block:
        """The rows with where they come from, where they say it themselves."""
        if self._origin is not None:
            block.origins = list(zip(*map(block.column, self._origin), strict=True))
        return block


def _unwrapped(batch: RecordBatch) -> RecordBatch:
    """The records without the places that they come from."""
    values = [None if value is None or len(value) < HEADER.size else value[HEADER.size :] for value in batch.values]
    return RecordBatch(
        batch.topic, batch.partition, batch.offsets, batch.timestamps, batch.keys, values, batch.next_offset
    )


def sequence(parts: Sequence[Next]) -> Next:
    """One after the other, over the same rows."""
    if len(parts) == 1:
        return parts[0]

    def run(block: Block) -> list[Outgoing]:
        out: list[Outgoing] = []
        for part in parts:
            out += part(block)
        return out

    return run


def then(step: Callable[[Block], Block], go_on: Next) -> Next:
    """A step, and what comes after it where rows are left."""

    def run(block: Block) -> list[Outgoing]:
        block = step(block)
        return go_on(block) if len(block) else []

    return run


def where(step: Where) -> Callable[[Block], Block]:
    """Only rows for which it is true."""
    return lambda block: block.where(block.value(step.condition))


def require(step: Require) -> Callable[[Block], Block]:
    """Only rows for which it is true; the others are noted as errors."""

    def run(block: Block) -> Block:
        mask = block.value(step.condition)
        if not all(mask):
            for place, passes in zip(block.places, mask, strict=True):
                if not passes:
                    block.errors[place, step.reason] = None
        return block.where(mask)

    return run


def select(step: Select, keep: Sequence[str] = ()) -> Callable[[Block], Block]:
    """Other columns, each made when it is asked for; those to `keep` stay."""

    return lambda block: block.selected(step.columns, keep)


def explode(step: Explode) -> Callable[[Block], Block]:
    """A row for each element of an array; of several, as many as the longest has."""
    if len(step.arrays) == 1:
        return _explode_one(*step.arrays[0])

    def run(block: Block) -> Block:
        columns = {name: [array or () for array in block.value(made)] for name, made in step.arrays}
        lengths = [max(map(len, arrays)) for arrays in zip(*columns.values(), strict=True)]
        rows = [row for row, length in enumerate(lengths) for _ in range(length)]
        makes = {name: (lambda arrays=arrays: _padded(arrays, lengths)) for name, arrays in columns.items()}
        return block.at(rows, makes).exploded()

    return run


def _explode_one(column: str, made: Compiled) -> Callable[[Block], Block]:
    def run(block: Block) -> Block:
        arrays = block.value(made)
        rows = [row for row, array in enumerate(arrays) for _ in array or ()]
        elements = [element for array in arrays for element in array or ()]
        return block.at(rows, {column: lambda: elements}).exploded()

    return run


def _padded(arrays: Sequence[Sequence[Any]], lengths: Sequence[int]) -> list[Any]:
    """The elements of arrays, each filled up with nulls to its length."""
    return [
        element
        for array, length in zip(arrays, lengths, strict=True)
        for element in chain(array, repeat(None, length - len(array)))
    ]
