"""What a viewer has chosen: filters and formats, as they stand in the page's address."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pipeline.dashboard.formats import DEFAULT_STYLE, STYLES, UTC_NAME, Formats, zones
from pipeline.timebase import HOUR_MS, to_ms

PERIODS = {
    "6h": "6 h",
    "24h": "24 h",
    "7d": "7 days",
    "today": "Today",
    "yesterday": "Yesterday",
    "all": "All",
    "dates": "Dates",
}
"""{value in the address: label}; "all" is the whole retention, "dates" the days in `first_day` and `last_day`."""
DEFAULT_PERIOD = "24h"
HOURS = {"6h": 6, "24h": 24, "7d": 7 * 24}
MAX_NAMES = 100


@dataclass(frozen=True, slots=True)
class Filters:
    """What is left in; empty tuples and None mean everything.

    Days are whole days of the viewer's time zone, both inclusive; a window belongs to the day in which it starts.
    """

    period: str = "all"
    first_day: date | None = None
    last_day: date | None = None
    groups: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def bounds_ms(self, formats: Formats, now_ms: int, size_ms: int) -> tuple[int, int | None]:
        """[from, to) of window starts, None for no end. Hours count back from the end of the window open now."""
        if self.period in HOURS:
            open_end_ms = (now_ms // size_ms + 1) * size_ms
            return open_end_ms - max(HOURS[self.period] * HOUR_MS, size_ms), None
        first, last = self._days(formats.moment(now_ms).date())
        return (
            0 if first is None else _midnight_ms(first, formats),
            None if last is None else _midnight_ms(last + timedelta(days=1), formats),
        )

    def _days(self, today: date) -> tuple[date | None, date | None]:
        if self.period == "today":
            return today, today
        if self.period == "yesterday":
            return today - timedelta(days=1), today - timedelta(days=1)
        return (self.first_day, self.last_day) if self.period == "dates" else (None, None)

    @property
    def has_dates(self) -> bool:
        """Whether the period leaves anything out."""
        return self.period not in ("all", "dates") or self.first_day is not None or self.last_day is not None


def _midnight_ms(day: date, formats: Formats) -> int:
    return max(0, to_ms(datetime.combine(day, time(), formats.tz).astimezone(UTC)))


@dataclass(frozen=True, slots=True)
class Choices:
    """Filters and formats together."""

    filters: Filters = field(default_factory=Filters)
    formats: Formats = field(default_factory=Formats)

    @property
    def token(self) -> str:
        """Equal for equal choices; goes to the browser and comes back."""
        f = self.filters
        return json.dumps(
            [f.period, str(f.first_day), str(f.last_day), f.groups, f.regions, self.formats.style, self.formats.zone]
        )

    @classmethod
    def of(cls, chosen: Mapping[str, Any], *, currency: str = "USD", zone: str = UTC_NAME) -> "Choices":
        """From the values of the page's controls, which may come from any address: what is no choice is the default."""
        period = chosen.get("period")
        style, name = chosen.get("format"), chosen.get("tz")
        return cls(
            Filters(
                period if isinstance(period, str) and period in PERIODS else DEFAULT_PERIOD,
                _day(chosen.get("from")) if period == "dates" else None,
                _day(chosen.get("to")) if period == "dates" else None,
                _names(chosen.get("groups")),
                _names(chosen.get("regions")),
            ),
            Formats(
                style if isinstance(style, str) and style in STYLES else DEFAULT_STYLE,
                name if isinstance(name, str) and name in zones() else zone,
                currency,
            ),
        )


def _day(text: Any) -> date | None:
    try:
        day = date.fromisoformat(text[:10]) if isinstance(text, str) else None
    except ValueError:
        return None
    return day if day is not None and 1970 <= day.year <= 9000 else None


def _names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ()
    return tuple(sorted({value for value in values if isinstance(value, str) and value}))[:MAX_NAMES]
