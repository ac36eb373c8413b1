"""The sender: every record is acknowledged once, and sent again by a new producer after a failure."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, LeaderNotAvailableError

from pipeline.errors import StackError
from pipeline.settings import Settings
from pipeline.sources import sender as module
from pipeline.sources.sender import Sender


class FakeProducer:
    """Acknowledges at once, or fails the sends it is told to fail."""

    def __init__(self, *, start_fails=0, fail=()):
        self.start_fails, self.fail, self.sent, self.stopped = start_fails, set(fail), [], False

    async def start(self):
        if self.start_fails:
            self.start_fails -= 1
            raise KafkaConnectionError("no broker")

    async def flush(self):
        pass

    async def stop(self):
        self.stopped = True

    async def send(self, topic, value, key, *, timestamp_ms):
        if "send" in self.fail:
            raise KafkaTimeoutError
        future = asyncio.get_running_loop().create_future()
        if len(self.sent) in self.fail:
            future.set_exception(LeaderNotAvailableError())
        else:
            future.set_result(None)
        self.sent.append((topic, key, value, timestamp_ms))
        return future


@pytest.fixture
def producers(monkeypatch):
    made = []

    async def no_wait(stop, seconds):
        return False

    monkeypatch.setattr("pipeline.sources.runtime.wait", no_wait)
    monkeypatch.setattr(module, "producer", lambda settings: made.pop(0))
    return made


async def send_all(sender, values):
    for value in values:
        await sender.send("t", b"k", value, 1)


async def test_everything_is_acknowledged(producers):
    fake = FakeProducer()
    producers.append(fake)
    async with Sender(Settings(), asyncio.Event()) as sender:
        await send_all(sender, [b"1", b"2"])
        await sender.drain()
        assert sender.acknowledged == 2
    assert fake.stopped
    assert fake.sent == [("t", b"k", b"1", 1), ("t", b"k", b"2", 1)]


async def test_what_failed_is_sent_again_by_a_new_producer(producers):
    broken, fresh = FakeProducer(fail={1, 2}), FakeProducer()
    producers.extend([broken, fresh])
    async with Sender(Settings(), asyncio.Event()) as sender:
        await send_all(sender, [b"0", b"1", b"2", b"3"])
        await sender.drain()
        assert sender.acknowledged == 4
    assert broken.stopped
    assert [value for _, _, value, _ in fresh.sent] == [b"1", b"2"]


async def test_a_send_that_is_refused_goes_to_a_new_producer(producers):
    broken, fresh = FakeProducer(fail={"send"}), FakeProducer()
    producers.extend([broken, fresh])
    async with Sender(Settings(), asyncio.Event()) as sender:
        await send_all(sender, [b"0"])
        await sender.drain()
        assert sender.acknowledged == 1
    assert len(fresh.sent) == 1


async def test_the_start_waits_for_a_broker(producers):
    producers.extend([FakeProducer(start_fails=1), FakeProducer(start_fails=1), FakeProducer()])
    async with Sender(Settings(), asyncio.Event()):
        assert producers == []


async def test_a_stop_ends_the_wait_for_a_broker(producers):
    stop = asyncio.Event()
    stop.set()
    producers.append(FakeProducer(start_fails=1))
    with pytest.raises(StackError, match="no Kafka broker"):
        await Sender(Settings(), stop).__aenter__()
