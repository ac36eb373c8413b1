"""A partition's transactions: what goes in, when they are committed, and that nothing is written after an error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from pipeline.records import Outgoing, RecordBatch
from pipeline.transport.outbox import FEW, enqueue
from pipeline.transport.transactions import ExactlyOnceOutbox, PartitionTransactions


class Builder:
    """A record batch of at most 50 records."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None, int]] = []

    def append(self, *, timestamp: int, key: bytes, value: bytes | None) -> object | None:
        if len(self.records) == 50:
            return None
        self.records.append((key, value, timestamp))
        return self


class Producer:
    """Notes what is asked of it, in order; records fail when `error` is set, all else when it is `fenced`."""

    def __init__(self, transactional_id: str | None = None) -> None:
        self.transactional_id = transactional_id
        self.log: list[Any] = []
        self.error: Exception | None = None
        self.fenced = False

    def _note(self, entry: Any) -> None:
        if self.fenced:
            raise ProducerFenced()
        self.log.append(entry)

    def _future(self) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.error is None:
            future.set_result(None)
        else:
            future.set_exception(self.error)
        return future

    async def start(self) -> None:
        self._note("start")

    async def begin_transaction(self) -> None:
        self._note("begin")

    async def send(self, topic: str, value: Any, key: Any, partition: int, timestamp: int) -> "asyncio.Future[None]":
        self._note((topic, partition, [value]))
        return self._future()

    def create_batch(self) -> Builder:
        return Builder()

    async def send_batch(self, builder: Builder, topic: str, *, partition: int) -> "asyncio.Future[None]":
        self._note((topic, partition, [value for _, value, _ in builder.records]))
        return self._future()

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, int], group: str) -> None:
        self._note((group, dict(offsets)))

    async def commit_transaction(self) -> None:
        self._note("commit")

    async def flush(self) -> None:
        """Nothing is ever left."""

    async def stop(self) -> None:
        self.log.append("stop")


def batch(*offsets: int) -> RecordBatch:
    return RecordBatch("source", 3, offsets, [0] * len(offsets), [b"k"] * len(offsets), [b"v"] * len(offsets))


def row(value: bytes, partition: int = 0) -> Outgoing:
    return Outgoing("out", b"k", value, 7, partition)


class Failures(list[BaseException]):
    """The errors that the worker was told."""

    async def __call__(self, error: BaseException) -> None:
        self.append(error)


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
async def transactions(producer: Producer, failures: Failures) -> AsyncIterator[PartitionTransactions]:
    made = PartitionTransactions(producer, "group", 5, 60.0, failures)  # type: ignore[arg-type]
    made._next_commit_s = asyncio.get_running_loop().time() + 60
    yield made
    await made.close()


async def test_batches_share_a_transaction_which_holds_their_records_and_positions(
    transactions: PartitionTransactions, producer: Producer
) -> None:
    await transactions.deliver([row(b"1")], batch(0, 1))
    await transactions.deliver([row(b"2")], batch(5))
    await transactions.commit()
    assert producer.log == [
        "begin",
        ("out", 0, [b"1"]),
        ("out", 0, [b"2"]),
        ("group", {TopicPartition("source", 3): 6}),
        "commit",
    ]


async def test_a_commit_with_nothing_open_does_nothing(transactions: PartitionTransactions, producer: Producer) -> None:
    await transactions.commit()
    await transactions.deliver([row(b"1")], None)
    await transactions.commit()
    await transactions.commit()
    assert producer.log == ["begin", ("out", 0, [b"1"]), "commit"]


async def test_a_lone_batch_is_committed_at_once_and_the_next_one_after_the_interval(producer: Producer) -> None:
    transactions = PartitionTransactions(producer, "group", 5, 0.2, Failures())  # type: ignore[arg-type]
    await transactions.deliver([], batch(0))
    await asyncio.sleep(0.05)
    assert producer.log.count("commit") == 1
    await transactions.deliver([], batch(1))
    await asyncio.sleep(0.05)
    assert producer.log.count("commit") == 1
    await asyncio.sleep(0.2)
    assert producer.log.count("commit") == 2
    await transactions.close()


async def test_after_a_record_that_could_not_be_sent_nothing_is_committed(
    transactions: PartitionTransactions, producer: Producer
) -> None:
    producer.error = ProducerFenced()
    await transactions.deliver([row(b"1")], batch(0))
    with pytest.raises(ProducerFenced):
        await transactions.commit()
    for again in (transactions.commit(), transactions.deliver([row(b"2")], batch(1))):
        with pytest.raises(RuntimeError, match="nothing more may be written"):
            await again
    assert "commit" not in producer.log


async def test_a_batch_that_was_broken_off_is_never_committed(
    transactions: PartitionTransactions, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(producer, "send", never)
    delivery = asyncio.create_task(transactions.deliver([row(b"1")], batch(0)))
    await asyncio.sleep(0.01)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    with pytest.raises(RuntimeError, match="nothing more may be written"):
        await transactions.commit()


async def test_a_fenced_worker_is_told(producer: Producer, failures: Failures) -> None:
    transactions = PartitionTransactions(producer, "group", 5, 0.01, failures)  # type: ignore[arg-type]
    await transactions.deliver([], batch(0))
    producer.fenced = True
    await asyncio.sleep(0.05)
    assert [type(error) for error in failures] == [ProducerFenced]
    await transactions.close()


async def test_many_records_go_as_whole_batches_in_order(producer: Producer) -> None:
    few, many = [row(b"%d" % n, 1) for n in range(FEW)], [row(b"%d" % n, 2) for n in range(120)]
    await enqueue(producer, [r for pair in zip(few, many, strict=False) for r in pair] + many[FEW:], 5)  # type: ignore[arg-type]
    sent = [(partition, len(values)) for _, partition, values in producer.log]
    assert sent == [(1, 1)] * FEW + [(2, 50), (2, 50), (2, 20)]
    assert [value for _, partition, values in producer.log if partition == 2 for value in values] == [
        r.value for r in many
    ]


async def test_each_partition_has_a_transactional_id_of_its_own_and_is_given_back() -> None:
    made: dict[str | None, Producer] = {}

    def make(transactional_id: str | None) -> Any:
        made[transactional_id] = Producer(transactional_id)
        return made[transactional_id]

    outbox = ExactlyOnceOutbox(make, 5, "app", 60.0)
    await outbox.on_start()
    await outbox.assign({0, 2})
    first = made["app-2"]
    await outbox.deliver(2, [row(b"1")], batch(0))
    await outbox.commit()
    await outbox.assign({2, 4})
    assert set(made) == {None, "app-0", "app-2", "app-4"}
    assert made["app-0"].log == ["start", "stop"]
    assert made["app-2"] is first
    assert first.log[-1] == "commit"
    with pytest.raises(KeyError):
        await outbox.deliver(0, [row(b"1")], batch(0))
    await outbox.on_stop()
    assert first.log[-1] == "stop"
