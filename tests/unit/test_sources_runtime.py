"""Pace, back-off and stopping: with made-up clocks where time matters."""

import asyncio
import logging
from pathlib import Path

import aiokafka
import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StackError
from pipeline.sources.runtime import (
    OUTAGE,
    OUTAGE_SENTENCE,
    TICK_S,
    Pacer,
    Sentences,
    kafka_reason,
    retrying,
    until_stopped,
    wait,
)


@given(st.floats(0.1, 20_000), st.lists(st.floats(0.0, 0.9), min_size=1, max_size=50))
def test_the_pace_is_kept_whatever_the_ticks(rate, pauses):
    pacer, now_s, taken = Pacer(rate, 100.0), 100.0, 0
    for pause in pauses:
        taken += pacer.take(now_s)
        now_s += pause
    taken += pacer.take(now_s)
    assert taken == pytest.approx((now_s - 100.0) * rate + 1, abs=1.01)


@pytest.mark.parametrize(("rate", "most_ticks"), [(1, 61), (3, 181), (5_000, 60 / TICK_S + 1)])
def test_sleeping_as_told_makes_one_batch_a_tick(rate, most_ticks):
    pacer, now_s, taken, ticks = Pacer(rate, 0.0), 0.0, 0, 0
    while now_s < 60.0:
        taken += pacer.take(now_s)
        now_s += pacer.sleep_s(now_s)
        ticks += 1
    assert taken == pytest.approx(60 * rate, abs=max(1, rate * TICK_S))
    assert ticks <= most_ticks


def test_what_a_long_hold_up_kept_back_is_skipped():
    pacer = Pacer(100, 0.0)
    assert pacer.take(0.0) == 1
    assert pacer.take(60.0) == 100
    assert pacer.take(60.01) == 1
    assert Pacer(0.5, 0.0).take(100.0) == 1


def test_rate_0_never_sleeps():
    pacer = Pacer(0, 0.0, burst=500)
    assert pacer.take(0.0) == 500
    assert pacer.take(0.0) == 500
    assert pacer.sleep_s(0.0) == 0


async def test_wait_ends_when_stopped():
    stop = asyncio.Event()
    assert await wait(stop, 0.001) is False
    asyncio.get_running_loop().call_soon(stop.set)
    assert await asyncio.wait_for(wait(stop, 60), 1) is True
    assert await asyncio.wait_for(wait(stop, 60), 1) is True


async def test_an_outage_is_ridden_out_with_a_line_an_attempt(caplog, monkeypatch):
    stop, failures = asyncio.Event(), [OSError("gone"), OSError("still gone")]

    async def no_wait(stop, seconds):
        return False

    monkeypatch.setattr("pipeline.sources.runtime.wait", no_wait)
    with caplog.at_level(logging.WARNING):
        async for attempt in retrying(
            logging.getLogger("x"), "the thing", stop, retry_on=lambda e: isinstance(e, OSError)
        ):
            with attempt:
                if failures:
                    raise failures.pop(0)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("the thing: attempt 1 failed, next in")
    assert lines[0].endswith("gone")


async def test_other_errors_and_a_stop_end_the_retries():
    stop = asyncio.Event()
    log = logging.getLogger("x")
    with pytest.raises(ValueError, match="no"):
        async for attempt in retrying(log, "it", stop, retry_on=lambda e: isinstance(e, OSError)):
            with attempt:
                raise ValueError("no")
    stop.set()
    with pytest.raises(OSError, match="gone"):
        async for attempt in retrying(log, "it", stop, retry_on=lambda e: isinstance(e, OSError)):
            with attempt:
                raise OSError("gone")


async def test_work_ends_by_itself_or_fails_by_itself():
    async def fails():
        raise ValueError("no")

    await until_stopped(asyncio.sleep(0), asyncio.Event())
    with pytest.raises(ValueError, match="no"):
        await until_stopped(fails(), asyncio.Event())


async def test_work_that_does_not_hear_the_stop_is_cancelled():
    stop, ended = asyncio.Event(), []

    async def deaf():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    asyncio.get_running_loop().call_later(0.01, stop.set)
    await asyncio.wait_for(until_stopped(deaf(), stop, grace_s=0.01), 5)
    assert ended == [True]


def logged(name, message, created, *args, level=logging.ERROR):
    record = logging.LogRecord(name, level, "", 0, message, args, None)
    record.created = created
    return record


def test_an_outage_is_one_sentence_however_many_lines_the_client_has_for_it():
    sentences, said = Sentences(), []
    lines = [
        ("aiokafka", 'Unable connect to "%s:%s": %s', "127.0.0.1", 9092, OSError(111, "refused")),
        ("aiokafka.producer.sender", "Got error produce response on topic-partition %s, retrying. Error: %s", "t", "e"),
        ("aiokafka.consumer.fetcher", "Failed fetch messages from %s: %s", 1, "gone"),
        ("aiokafka", "Unable to update metadata from %s", [1, 2, 3]),
    ]
    for at_s in (0.0, 20.0, 45.0, 200.0):
        for name, message, *args in lines:
            record = logged(name, message, at_s, *args)
            if sentences.filter(record):
                said.append((at_s, record.getMessage(), record.name))
    assert [at_s for at_s, _, _ in said] == [0.0, 200.0]
    assert {(text, name) for _, text, name in said} == {(OUTAGE_SENTENCE, "pipeline.kafka")}


def test_other_messages_of_the_client_are_let_through_now_and_then_without_traceback():
    sentences = Sentences(every_s=5.0)

    def passes(name, message, created):
        record = logged(name, message, created)
        record.exc_info = (ValueError, ValueError("x"), None)
        passed = sentences.filter(record)
        assert (record.exc_info is None) == name.startswith("aiokafka")
        return passed

    assert [passes("aiokafka.cluster", "odd: %s", t) for t in (100.0, 100.1, 104.9, 105.0, 105.1)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert passes("aiokafka.cluster", "something else", 105.1)
    assert all(passes("pipeline.x", "same", t) for t in (1.0, 1.0, 1.0))


def test_what_nobody_awaits_any_more_has_been_told_unless_it_is_no_error_of_kafka():
    def passes(error):
        record = logged("asyncio", "Future exception was never retrieved", 1.0)
        record.exc_info = (type(error), error, None)
        return Sentences().filter(record)

    assert not passes(ProducerFenced())
    assert passes(ValueError("a bug"))
    assert passes(OSError("no file"))


def test_a_connection_error_is_said_in_few_words():
    assert kafka_reason(KafkaConnectionError("Unable to bootstrap from [('127.0.0.1', 1, <AddressFamily>)]")) == (
        "no broker answers"
    )
    assert kafka_reason(StackError("topic x does not exist")) == "topic x does not exist"
    assert kafka_reason(OSError()) == "OSError"


def test_every_message_of_the_client_about_an_outage_is_known():
    """The beginnings are still those of aiokafka's own messages."""
    source = "".join(path.read_text("utf-8") for path in Path(aiokafka.__file__).parent.rglob("*.py"))
    assert [beginning for beginning in OUTAGE if beginning not in source] == []


def test_a_verbose_log_has_the_clients_own_words(caplog):
    caplog.set_level(logging.DEBUG)
    record = logged("aiokafka", "Unable connect to %s", 1.0, "x")
    assert Sentences().filter(record)
    assert record.getMessage() == "Unable connect to x"
