"""What every source needs to run: a stop that is heard at once, back-off in outages, and an even pace."""

import asyncio
import logging
import math
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential, wait_random

from pipeline.errors import StackError
from pipeline.kafka_refusals import REFUSED_RIGHTS

TICK_S = 0.02
"""Shortest pause between two batches: high rates are kept by larger batches, not by a busy loop."""


OUTAGE = (
    "Unable connect",
    "Unable to request metadata",
    "Unable to update metadata",
    "No broker metadata",
    "Cannot send",
    "Could not send",
    "Got error produce response",
    "Failed fetch",
    "FindCoordinator Request failed",
    "Error fetching metadata for topic",
    "Error sending",
    "Attempt to fetch offsets",
    "Received unknown topic or partition",
    "Unexpected exception in AIOKafkaConnection",
)
"""What aiokafka's messages begin with while brokers are away or partitions move, before arguments are put in."""
OUTAGE_SENTENCE = (
    "Kafka: a broker does not answer, or leads no longer what it led; what waits goes out as soon as another does"
)
OUTAGE_ENDS_S = 30.0
"""So long after the last message about an outage the next one is a new outage."""


class Sentences(logging.Filter):
    """Makes sentences of aiokafka's messages: one for each outage, however many there are, and lines without traceback.

    Other messages of aiokafka go through, each kind once in `every_s` seconds. What asyncio says of errors of Kafka in
    futures that nobody awaits any more has been told by then, and is left out. Nothing is changed in verbose logs.
    """

    def __init__(self, every_s: float = 5.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._outage_s = -OUTAGE_ENDS_S
        self._last_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what has been said; times are the records' own, in seconds."""
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            return True
        if not record.name.startswith("aiokafka"):
            return record.name != "asyncio" or not (record.exc_info and isinstance(record.exc_info[1], KafkaError))
        if str(record.msg).startswith(OUTAGE):
            before_s, self._outage_s = self._outage_s, record.created
            record.msg, record.args = OUTAGE_SENTENCE, ()
            record.name, record.levelno, record.levelname = "pipeline.kafka", logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
            return record.created - before_s >= OUTAGE_ENDS_S
        record.exc_info = record.exc_text = None
        message = (record.name, str(record.msg))
        if record.created - self._last_s.get(message, -self._every_s) < self._every_s:
            return False
        self._last_s[message] = record.created
        return True


def say_sentences() -> None:
    """Put Sentences on the handlers of the root logger."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(one, Sentences) for one in handler.filters):
            handler.addFilter(Sentences())


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event which SIGINT and SIGTERM set, within a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def wait(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, but no longer than until `stop` is set; returns whether it is."""
    if seconds > 0 and not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return False
    return stop.is_set()


async def until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event, grace_s: float = 10.0) -> None:
    """Run `work` to its end; once `stop` is set it has `grace_s` to finish, then it is cancelled."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=grace_s)
        if task.done():
            await task
    finally:
        for pending in (task, stopped):
            pending.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


def retrying(
    log: logging.Logger,
    what: str,
    stop: asyncio.Event,
    *,
    retry_on: Callable[[BaseException], bool],
    reason: Callable[[BaseException], str] = str,
    longest_s: float = 10.0,
) -> AsyncRetrying:
    """Tenacity's loop for outages: half a second doubling up to `longest_s`, one log line an attempt.

    It ends with the last error when `stop` is set, and setting it ends a wait at once.
    """

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        wait_s = state.next_action.sleep if state.next_action is not None else 0.0
        cause = (reason(error) or type(error).__name__) if error is not None else "no result"
        log.warning("%s: attempt %d failed, next in %.1f s: %s", what, state.attempt_number, wait_s, cause)

    async def sleep(seconds: float) -> None:
        await wait(stop, seconds)

    return AsyncRetrying(
        sleep=sleep,
        stop=lambda _: stop.is_set(),
        wait=wait_exponential(multiplier=0.5, max=longest_s) + wait_random(0, 0.5),
        retry=retry_if_exception(retry_on),
        before_sleep=tell,
        reraise=True,
    )


def kafka_reason(error: BaseException) -> str:
    """An error of the brokers, or of the way to them, in few words."""
    return "no broker answers" if isinstance(error, KafkaConnectionError) else str(error) or type(error).__name__


def is_kafka_outage(error: BaseException) -> bool:
    """Errors of the brokers or the way to them, other than for want of a right."""
    return isinstance(error, KafkaError | StackError | OSError) and not isinstance(error, REFUSED_RIGHTS)


class Pacer:
    """How many events are due at a rate, and how long to sleep until the next; times are monotonic seconds.

    Event n (from 0) is due at start + n / rate, so that rounding never adds up. After a hold-up at most
    `catch_up_s` seconds' worth is made up for: what was due before is skipped, not sent in one burst. Rate 0 is
    as fast as possible: always `burst` due, and no sleep.
    """

    def __init__(self, rate: float, start_s: float, *, burst: int = 500, catch_up_s: float = 1.0) -> None:
        self._rate = rate
        self._start_s = start_s
        self._taken = 0
        self._burst = burst
        self._most = max(1, math.ceil(rate * catch_up_s))

    def take(self, now_s: float) -> int:
        """The number of events due now, which count as taken from here on."""
        if self._rate == 0:
            return self._burst
        due = math.floor((now_s - self._start_s) * self._rate + 1e-6) + 1 - self._taken
        if due > self._most:
            self._taken += due - self._most
            due = self._most
        self._taken += max(0, due)
        return max(0, due)

    def sleep_s(self, now_s: float) -> float:
        """Seconds until the next event is due, at least TICK_S; 0 at rate 0."""
        if self._rate == 0:
            return 0.0
        return max(TICK_S, self._start_s + self._taken / self._rate - now_s)
