"""Dates, times and timestamps: the text that SQL has for them, zones by name, milliseconds and back.

A timestamp without zone is one in UTC. Everything is exact to the millisecond, as ksqlDB's types are.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from pipeline.functions.base import EvaluationError
from pipeline.functions.java import BLANKS
from pipeline.tables.types import DAY_0, MILLI
from pipeline.timebase import EPOCH

OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])([0-9]{1,2})(?::?([0-9]{2})(?::?([0-9]{2}))?)?")
DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
TIME = re.compile(r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?)?")
LONGEST_OFFSET = timedelta(hours=18)


def moment(value: datetime) -> datetime:
    """The aware moment, in whole milliseconds; what is finer is cut off."""
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return aware.replace(microsecond=aware.microsecond // 1_000 * 1_000)


def to_ms(value: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment(value) - EPOCH) // MILLI


def of_ms(milliseconds: int) -> datetime:
    """The moment so many milliseconds after 1970; EvaluationError outside of the years 1 to 9999."""
    try:
        return EPOCH + milliseconds * MILLI
    except OverflowError:
        raise EvaluationError(f"would be {milliseconds} ms after 1970, which is not in the years 1 to 9999") from None


def of_days(days: int) -> date:
    """The date so many days after 1970-01-01; EvaluationError outside of the years 1 to 9999."""
    try:
        return DAY_0 + timedelta(days=days)
    except OverflowError:
        raise EvaluationError(f"would be {days} days after 1970, which is not in the years 1 to 9999") from None


def day_of(value: datetime) -> date:
    """The date of a moment, in UTC."""
    return value.astimezone(UTC).date()


def time_of(value: datetime) -> time:
    """The time of the day of a moment, in UTC."""
    return value.astimezone(UTC).time()


def at_midnight(day: date) -> datetime:
    """The moment at which a date begins in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def time_ms(value: time) -> int:
    """Milliseconds since midnight; what is finer is cut off."""
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000 + value.microsecond // 1_000


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The zone of an id as java.time has it: Europe/London, UTC, Z, +02:00, GMT+2; EvaluationError for any other."""
    if name in ("Z", "UTC", "GMT", "UT"):
        return UTC
    if (found := OFFSET.fullmatch(name)) is not None:
        hours, minutes, seconds = (int(found[part] or 0) for part in (2, 3, 4))
        shift = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if minutes < 60 and seconds < 60 and shift <= LONGEST_OFFSET:
            return timezone(-shift if found[1] == "-" else shift)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise EvaluationError(f"has the zone {name!r}, which is none") from None


def local(day: date, of_day: time, where: tzinfo) -> datetime:
    """The moment that a clock in a zone shows.

    An hour that comes twice is its first one, and one that is left out is as much later, as in java.time.
    """
    try:
        return moment(datetime.combine(day, of_day, where).astimezone(UTC))
    except OverflowError:
        raise EvaluationError("would not be in the years 1 to 9999") from None


def clamped(year: int, month: int, day: int) -> date:
    """The date; a day up to 31 that its month has not is its last one (java.time's ResolverStyle.SMART)."""
    if not 1 <= year <= 9999:
        raise EvaluationError(f"has the year {year}, which must be 1 to 9999")
    if not 1 <= month <= 12:
        raise EvaluationError(f"has the month {month}, which must be 1 to 12")
    if not 1 <= day <= 31:
        raise EvaluationError(f"has the day {day}, which must be 1 to 31")
    return date(year, month, min(day, monthrange(year, month)[1]))


def written_timestamp(value: datetime) -> str:
    """2020-05-26T23:59:58.123, in UTC."""
    return moment(value).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def written_time(value: time) -> str:
    """16:43:40, or 16:43 when there are no seconds. Milliseconds are left out, as ksqlDB does."""
    return value.isoformat(timespec="seconds" if value.second else "minutes")


def read_date(text: str) -> date:
    """A date of 2020-05-26, 2020-05 or 2020; the parts that are missing are 1."""
    found = DATE.fullmatch(bare := text.strip(BLANKS))
    try:
        if found is not None:
            return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        pass
    raise EvaluationError(f"was given {bare!r}, which is no DATE: it must be as 2020-05-26")


def read_time(text: str) -> time:
    """A time of 01:34:20.123, 01:34:20 or 01:34."""
    bare = text.strip(BLANKS)
    found = TIME.fullmatch(bare)
    if found is None or found[2] is None:
        raise EvaluationError(f"was given {bare!r}, which is no TIME: it must be as 01:34:20.123")
    return _time(found)


def read_timestamp(text: str) -> datetime:
    """A timestamp of 2020-05-26T23:59:58.123+0200; its time and its zone may be missing, and then parts of the date.

    The zone is UTC where it is missing (ksqlDB's PartialStringToTimestampParser).
    """
    bare = text.strip(BLANKS)
    written_day, separator, rest = bare.partition("T")
    day = DATE.fullmatch(written_day)
    of_day = TIME.match(rest)
    if day is None or (separator and day[3] is None) or (rest and of_day is None):
        raise EvaluationError(f"was given {bare!r}, which is no TIMESTAMP: it must be as 2020-05-26T23:59:58.123")
    where = rest[of_day.end() :] if of_day is not None else ""
    return local(
        clamped(int(day[1]), int(day[2] or 1), int(day[3] or 1)),
        time() if of_day is None else _time(of_day),
        zone(where) if where else UTC,
    )


def _time(found: re.Match[str]) -> time:
    try:
        fraction = int((found[4] or "").ljust(6, "0")[:6])
        return time(int(found[1]), int(found[2] or 0), int(found[3] or 0), fraction // 1_000 * 1_000)
    except ValueError:
        raise EvaluationError(f"was given {found[0]!r}, which is no time of a day") from None
