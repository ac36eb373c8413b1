"""No record ends a worker: a batch that cannot be processed is taken apart until what is wrong with it is found.

Processors make dead letters of the bad records that they know. This guard is for all others: a record that code trusts
and should not, a result that no message can hold. What the batch had changed is undone, its halves are processed by
themselves, and so on down to the one record, which becomes a dead letter; all others count. A fault of the application
itself would make letters of good records, so many records that fail one after the other end the worker instead, before
anything of their batch is committed.
"""

import logging
from collections.abc import Sequence

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import Processor
from pipeline.errors import ApplicationFault, BadRecord
from pipeline.records import Outgoing, RecordBatch

log = logging.getLogger(__name__)

LARGEST_BYTES = 1024 * 1024 - 1024
"""Key and value of a message: brokers take 1 MiB by default (`max.message.bytes`), some of it for themselves."""
MOST_IN_A_ROW = 100
"""As many records of one agent that fail without a known reason, with no good one among them, are no accident."""


class Guard:
    """Lets a processor have batches, and is responsible for every record in them."""

    def __init__(self, processor: Processor, name: str, letters: DeadLetters) -> None:
        self._processor = processor
        self._name = name
        self._letters = letters
        self._failed_in_a_row = 0

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Everything that a batch brings forth, dead letters for what cannot be processed among it.

        Raises ApplicationFault when MOST_IN_A_ROW records in a row have failed.
        """
        try:
            out = self._attempt(batch)
        except Exception as error:
            if len(batch) == 1:
                return [self._letter(batch, error)]
            middle = len(batch) // 2
            return self.process(batch.between(0, middle)) + self.process(batch.between(middle, len(batch)))
        self._failed_in_a_row = 0
        return out

    def _attempt(self, batch: RecordBatch) -> list[Outgoing]:
        """Process a batch wholly, or leave everything as it was and raise."""
        processor, counts = self._processor, self._processor.counts.copy()
        states = [table.state_of(batch.partition) for table in processor.tables]
        for state in states:
            state.begin()
        try:
            out = processor.process(batch)
            _require_sizes(out)
            return out
        except BaseException:
            for state in states:
                state.undo()
            processor.forget(batch.partition)
            processor.counts.clear()
            processor.counts.update(counts)
            raise

    def _letter(self, batch: RecordBatch, error: Exception) -> Outgoing:
        """The dead letter of the only record of a batch."""
        self._processor.counts["consumed"] += 1
        self._processor.counts["bad"] += 1
        if isinstance(error, BadRecord):
            return self._letters.letter(batch, 0, str(error))
        where = f"{batch.topic} partition {batch.partition} offset {batch.offsets[0]}"
        reason = f"{type(error).__name__}: {error}"
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= MOST_IN_A_ROW:
            raise ApplicationFault(
                f"agent {self._name}: {MOST_IN_A_ROW} records in a row could not be processed, the last of them "
                f"{where}: {reason}; this is a fault of the application, not of the records"
            ) from error
        if self._failed_in_a_row == 1:
            log.warning("agent %s could not process %s", self._name, where, exc_info=error)
        return self._letters.letter(batch, 0, f"it could not be processed: {reason}")


def _require_sizes(out: Sequence[Outgoing]) -> None:
    """Raises BadRecord where a message would be larger than LARGEST_BYTES."""
    for topic, key, value, _, _ in out:
        if value is not None and len(key) + len(value) > LARGEST_BYTES:
            raise BadRecord(
                f"what becomes of it in {topic} takes {len(key) + len(value)} bytes, and a message holds "
                f"{LARGEST_BYTES} at most"
            )
        if value is None and len(key) > LARGEST_BYTES:
            raise BadRecord(f"its key in {topic} takes {len(key)} bytes, and a message holds {LARGEST_BYTES} at most")
