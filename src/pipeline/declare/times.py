"""Lengths of time as whole milliseconds, as windows and joins take them."""

from pipeline.errors import SettingError
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


def seconds(count: float) -> int:
    """So many seconds."""
    return _whole("seconds", count, SECOND_MS)


def minutes(count: float) -> int:
    """So many minutes."""
    return _whole("minutes", count, MINUTE_MS)


def hours(count: float) -> int:
    """So many hours."""
    return _whole("hours", count, HOUR_MS)


def days(count: float) -> int:
    """So many days of 24 hours."""
    return _whole("days", count, DAY_MS)


def _whole(unit: str, count: float, ms: int) -> int:
    total = count * ms
    if total != int(total):
        raise SettingError(f"{unit}({count}) is {total} ms, but must be whole milliseconds")
    return int(total)
