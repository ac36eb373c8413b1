"""Reference rows: decoded into the tables that joins look up."""

from collections.abc import Sequence

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import key_text
from pipeline.errors import BadRecord
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.store import ReferenceTable
from pipeline.topics import Topic
from pipeline.transport.outbox import Sink


class ReferenceLoader:
    """Takes batches of reference topics into their tables: the latest row per key, a tombstone removes it."""

    def __init__(self, topics: Sequence[Topic], registry: Schemas, letters: DeadLetters, sink: Sink) -> None:
        self._decoders = {topic.name: AvroProcessor(topic, registry, letters, table=True) for topic in topics}
        self._sink = sink

    async def __call__(self, table: ReferenceTable, batch: RecordBatch) -> None:
        """Apply a batch; bad records become dead letters and leave the table as it is."""
        decoder = self._decoders[batch.topic]
        await decoder.prepare(batch)
        letters: list[Outgoing] = []
        rows = table.rows()
        for index, row in zip(*decoder.decoded(batch, letters), strict=True):
            try:
                key = key_text(batch.keys[index])
            except BadRecord as error:
                letters.append(decoder.dead_letter(batch, index, error))
                continue
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        if letters:
            await self._sink.send(letters)
