"""Reference rows: decoded into the tables that joins look up."""

from collections.abc import Sequence

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.errors import BadRecord
from pipeline.formats import key_decoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.store import ReferenceTable
from pipeline.topics import Topic
from pipeline.transport.outbox import Sink


class ReferenceLoader:
    """Takes batches of reference topics into their tables: the latest row per key, a tombstone removes it."""

    def __init__(self, topics: Sequence[Topic], registry: Schemas, letters: DeadLetters, sink: Sink) -> None:
        self._decoders = {topic.name: DecodingProcessor(topic, registry, letters, table=True) for topic in topics}
        self._keys = {topic.name: key_decoder(topic) for topic in topics}
        self._registry = registry
        self._sink = sink

    async def __call__(self, table: ReferenceTable, batch: RecordBatch) -> None:
        """Apply a batch; bad records become dead letters and leave the table as it is."""
        decoder, read_key = self._decoders[batch.topic], self._keys[batch.topic]
        await decoder.prepare(batch)
        await self._registry.prepare(read_key, batch.keys)
        letters: list[Outgoing] = []
        rows = table.rows()
        for index, row in zip(*decoder.decoded(batch, letters), strict=True):
            try:
                key = read_key(batch.keys[index]).text
            except BadRecord as error:
                letters.append(decoder.dead_letter(batch, index, error))
                continue
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        if letters:
            await self._sink.send(letters)
