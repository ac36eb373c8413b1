"""Whose turn it is, of the partitions of which something has been fetched: tables before the streams that meet them.

Kafka Streams' rule (`max.task.idle.ms=0`): of the partitions that are joined, the record with the lowest timestamp
goes first, a table's before a stream's of the same time, and none passes a partition whose records lie on the broker
unread. So a backlog, a first start and a replay join as live processing does. Here it is applied to whole Kafka record
batches: of a stream those may be taken that end before the table's next one begins; where nothing of the table is at
hand, only once a broker has answered, after the last that was taken of it, that there is no more.
"""

from collections.abc import Callable, Collection, Mapping
from math import inf
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult

Busy = Callable[[], Collection[str]]


class Lookahead:
    """The record batches of a response, of which the next one can be looked at before it is taken."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self._next: Any = None

    def has_next(self) -> bool:
        """Whether there is another one."""
        return self._next is not None or bool(self._records.has_next())

    def peek(self) -> Any:
        """The next one, which stays; None where there is none."""
        if self._next is None and self._records.has_next():
            self._next = self._records.next_batch()
        return self._next

    def next_batch(self) -> Any:
        """The next one, which is taken."""
        found, self._next = self.peek(), None
        return found


def lookahead(result: FetchResult) -> Lookahead:
    """What is left of a response."""
    fetched = result._partition_records
    if not isinstance(fetched._records, Lookahead):
        fetched._records = Lookahead(fetched._records)
    return fetched._records


class Turns:
    """The order in which partitions are taken.

    Those of the topics `first` go before all others; nothing is taken of topics that are `busy` at that moment.
    `tables` are the topics of tables by the topic of each stream that is joined with them, partition by partition.
    """

    def __init__(
        self, first: Collection[str] = (), busy: Busy = tuple, tables: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._first = first
        self._busy = busy
        self._tables = tables or {}
        self._streams: dict[str, list[str]] = {}
        for stream, joined in self._tables.items():
            for table in joined:
                self._streams.setdefault(table, []).append(stream)

    def order(self, fetcher: Fetcher) -> list[TopicPartition]:
        """The partitions of which something has been fetched, of what is not busy."""
        busy = self._busy()
        found = [tp for tp in fetcher._records if tp.topic not in busy]
        return sorted(found, key=lambda tp: tp.topic not in self._first)  # else in the order of their arrival

    def before_ms(self, fetcher: Fetcher, tp: TopicPartition, taken: Collection[TopicPartition]) -> float:
        """Record batches that end before this time may be taken of a partition; `taken` is what has been before it.

        Infinite where all may be taken, minus infinity where none may.
        """
        if tp.topic in self._tables:
            tables = (TopicPartition(topic, tp.partition) for topic in self._tables[tp.topic])
            return min(self._before_table(fetcher, table, taken) for table in tables)
        begins = _begins_ms(fetcher, tp)
        streams = (TopicPartition(topic, tp.partition) for topic in self._streams.get(tp.topic, ()))
        older = any(_ends_ms(fetcher, stream) < begins for stream in streams)
        return -inf if older else inf

    def note(self, fetcher: Fetcher, tp: TopicPartition) -> None:
        """Something of this partition was taken: what the brokers have said of its end does not hold any more."""
        if tp.topic in self._streams:
            state = _state(fetcher, tp)
            if state is not None:
                state.timestamp = None

    def is_asking(self, fetcher: Fetcher) -> bool:
        """Whether a broker has still to say whether there is more of some table: it should not take its time."""
        assignment = _assignment(fetcher)
        if not self._streams or assignment is None:
            return False
        tables = (tp for tp in assignment.tps if tp.topic in self._streams and tp not in fetcher._records)
        return any(not _at_end(fetcher, tp) for tp in tables)

    def _before_table(self, fetcher: Fetcher, table: TopicPartition, taken: Collection[TopicPartition]) -> float:
        if table in taken or table.topic in self._busy():
            return -inf
        if table in fetcher._records:
            return _begins_ms(fetcher, table)
        return inf if _at_end(fetcher, table) or _state(fetcher, table) is None else -inf


def _assignment(fetcher: Fetcher) -> Any:
    """The partitions that are assigned; None where there are none yet."""
    subscription = fetcher._subscriptions.subscription
    return subscription and subscription.assignment


def _state(fetcher: Fetcher, tp: TopicPartition) -> Any:
    """aiokafka's state of an assigned partition; None where it is not assigned."""
    assignment = _assignment(fetcher)
    return assignment.state_value(tp) if assignment is not None and tp in assignment.tps else None


def _at_end(fetcher: Fetcher, tp: TopicPartition) -> bool:
    """Whether a broker has said, since something was last taken, that no more can be read of a partition."""
    state = _state(fetcher, tp)
    if state is None or state.timestamp is None or not state.has_valid_position:
        return False
    end = state.highwater if state.lso is None or state.lso < 0 else state.lso
    return bool(state.position >= end)


def _begins_ms(fetcher: Fetcher, tp: TopicPartition) -> float:
    """The time at which what was fetched of a partition begins; minus infinity where that has to be seen first."""
    batch = _next_batch(fetcher, tp)
    return -inf if batch is None or batch.is_control_batch else float(batch.first_timestamp)


def _ends_ms(fetcher: Fetcher, tp: TopicPartition) -> float:
    """The time at which the next record batch that was fetched of a partition ends; infinite where there is none."""
    batch = _next_batch(fetcher, tp)
    return inf if batch is None else -inf if batch.is_control_batch else float(batch.max_timestamp)


def _next_batch(fetcher: Fetcher, tp: TopicPartition) -> Any:
    found = fetcher._records.get(tp)
    if not isinstance(found, FetchResult) or not found.has_more():
        return None
    return lookahead(found).peek()
