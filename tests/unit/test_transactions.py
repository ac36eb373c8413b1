"""The transactions of a worker: what goes in, when they are committed, and that nothing is written after an error."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from pipeline.records import Outgoing, RecordBatch
from pipeline.transport.group import Member, TxnOffsetCommitRequest
from pipeline.transport.outbox import enqueue
from pipeline.transport.transactions import ExactlyOnceOutbox


class Producer:
    """Notes what is asked of it, in order; records fail when `error` is set, all else when it is `fenced`."""

    member: Member

    def __init__(self) -> None:
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

    async def append(self, topic: str, partition: int, records: list[Outgoing]) -> "list[asyncio.Future[None]]":
        self._note((topic, partition, [record.value for record in records]))
        return [self._future()]

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


MEMBER = Member("group", 4, "me")


class Outbox(ExactlyOnceOutbox):
    """An outbox that notes why the worker has to end."""

    failures: list[BaseException]

    async def crash(self, reason: BaseException) -> None:
        self.failures.append(reason)


async def started(producer: Producer, interval_s: float) -> Outbox:
    plain = Producer()
    outbox = Outbox(lambda: plain, lambda: producer, 5, interval_s)  # type: ignore[arg-type, return-value]
    outbox.failures = []
    await outbox.on_start()
    outbox.assigned(MEMBER, {TopicPartition("source", 3): 0, TopicPartition("source", 4): -1})
    del producer.log[:]
    return outbox


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
async def outbox(producer: Producer) -> AsyncIterator[Outbox]:
    """An outbox whose next commit is not due for a minute."""
    made = await started(producer, 60.0)
    made._next_commit_s = asyncio.get_running_loop().time() + 60
    yield made
    await made.on_stop()


async def test_batches_share_a_transaction_which_holds_their_records_and_positions(
    outbox: Outbox, producer: Producer
) -> None:
    await outbox.deliver([row(b"1")], batch(0, 1))
    await outbox.deliver([row(b"2")], batch(5))
    await outbox.commit()
    assert producer.log == [
        "begin",
        ("out", 0, [b"1"]),
        ("out", 0, [b"2"]),
        ("group", {TopicPartition("source", 3): 6}),
        "commit",
    ]
    assert producer.member == MEMBER


async def test_without_a_batch_the_last_positions_are_repeated_to_prove_the_membership(
    outbox: Outbox, producer: Producer
) -> None:
    await outbox.commit()
    await outbox.deliver([row(b"1")])
    await outbox.commit()
    await outbox.commit()
    assert producer.log == ["begin", ("out", 0, [b"1"]), ("group", {TopicPartition("source", 3): 0}), "commit"]


async def test_a_lone_batch_is_committed_at_once_and_the_next_one_after_the_interval(producer: Producer) -> None:
    outbox = await started(producer, 0.2)
    await outbox.deliver([], batch(0))
    await asyncio.sleep(0.05)
    assert producer.log.count("commit") == 1
    await outbox.deliver([], batch(1))
    await asyncio.sleep(0.05)
    assert producer.log.count("commit") == 1
    await asyncio.sleep(0.2)
    assert producer.log.count("commit") == 2
    await outbox.on_stop()


async def test_after_a_record_that_could_not_be_sent_nothing_is_committed(outbox: Outbox, producer: Producer) -> None:
    producer.error = ProducerFenced()
    await outbox.deliver([row(b"1")], batch(0))
    with pytest.raises(ProducerFenced):
        await outbox.commit()
    for again in (outbox.commit(), outbox.deliver([row(b"2")], batch(1))):
        with pytest.raises(RuntimeError, match="nothing more may be written"):
            await again
    assert "commit" not in producer.log


async def test_a_batch_that_was_broken_off_is_never_committed(
    outbox: Outbox, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(producer, "append", never)
    delivery = asyncio.create_task(outbox.deliver([row(b"1")], batch(0)))
    await asyncio.sleep(0.01)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    with pytest.raises(RuntimeError, match="nothing more may be written"):
        await outbox.commit()


async def test_a_commit_waits_for_the_batches_in_hand_and_the_next_ones_wait_for_it(
    outbox: Outbox, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, slow = producer.append, asyncio.Event()

    async def slowly(*records: Any) -> Any:
        await slow.wait()
        return await append(*records)

    monkeypatch.setattr(producer, "append", slowly)
    first = asyncio.create_task(outbox.deliver([row(b"1")], batch(0)))
    await asyncio.sleep(0.01)
    commit = asyncio.create_task(outbox.commit())
    await asyncio.sleep(0.01)
    assert producer.log == ["begin"]
    slow.set()
    await asyncio.gather(first, commit)
    await outbox.deliver([row(b"2")], batch(1))
    assert producer.log == [
        "begin",
        ("out", 0, [b"1"]),
        ("group", {TopicPartition("source", 3): 1}),
        "commit",
        "begin",
        ("out", 0, [b"2"]),
    ]


async def test_what_agents_bring_while_the_worker_stops_opens_no_transaction(
    outbox: Outbox, producer: Producer
) -> None:
    await outbox.deliver([row(b"1")], batch(0))
    stopping = asyncio.create_task(outbox.on_stop())
    late = asyncio.create_task(outbox.deliver([row(b"2")], batch(1)))
    await stopping
    await asyncio.sleep(0.01)
    assert not late.done()
    late.cancel()
    assert producer.log == [
        "begin",
        ("out", 0, [b"1"]),
        ("group", {TopicPartition("source", 3): 1}),
        "commit",
        "stop",
    ]


async def test_a_fenced_worker_is_told_and_ends(producer: Producer) -> None:
    outbox = await started(producer, 0.01)
    await outbox.deliver([], batch(0))
    producer.fenced = True
    await asyncio.sleep(0.05)
    assert [type(error) for error in outbox.failures] == [ProducerFenced]
    await outbox.on_stop()


async def test_records_are_handed_over_by_partition_in_order(producer: Producer) -> None:
    one, two = [row(b"%d" % n, 1) for n in range(3)], [row(b"%d" % n, 2) for n in range(3)]
    await enqueue(producer, [r for pair in zip(one, two, strict=True) for r in pair], 5)  # type: ignore[arg-type]
    assert producer.log == [("out", 1, [b"0", b"1", b"2"]), ("out", 2, [b"0", b"1", b"2"])]


def test_offsets_travel_with_the_membership_of_who_commits_them() -> None:
    transaction = SimpleNamespace(transactional_id="app-w", producer_id=7, producer_epoch=2)
    offsets = {TopicPartition("t", 1): OffsetAndMetadata(5, ""), TopicPartition("t", 0): OffsetAndMetadata(9, "")}
    request = TxnOffsetCommitRequest(transaction, MEMBER, offsets).prepare({28: (0, 5)})
    assert request.decode(request.encode()).to_object() == {
        "transactional_id": "app-w",
        "group_id": "group",
        "producer_id": 7,
        "producer_epoch": 2,
        "generation_id": 4,
        "member_id": "me",
        "group_instance_id": None,
        "topics": [
            {
                "topic": "t",
                "partitions": [
                    {"partition": n, "offset": o, "leader_epoch": -1, "metadata": "", "tags": {}}
                    for n, o in ((0, 9), (1, 5))
                ],
                "tags": {},
            }
        ],
        "tags": {},
    }
