"""Epoch milliseconds (UTC) to and from anything else. All event times in the project are such `int`s."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
LAST_MS = 253_370_764_799_999
"""The last event time that is taken, 9998-12-31 23:59:59.999: the ends of windows have to be dates, too."""


def now_ms() -> int:
    """The wall clock, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of a datetime; a naive one is taken as UTC. Microseconds are cut off, never rounded."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def to_us(moment: datetime) -> int:
    """Epoch microseconds of a datetime; a naive one is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(ms: int) -> datetime:
    """The aware UTC datetime of epoch milliseconds, exact to the millisecond."""
    return EPOCH + timedelta(milliseconds=ms)


@lru_cache(maxsize=4_096)
def format_ms(ms: int) -> str:
    """'yyyy-MM-dd HH:mm:ss' in UTC, ksqlDB's FORMAT_TIMESTAMP of the originals; cached, since windows repeat."""
    return to_datetime(ms).strftime("%Y-%m-%d %H:%M:%S")
