"""What a viewer has chosen: filters and formats, as they stand in the page's address."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pipeline.dashboard.formats import DEFAULT_STYLE, STYLES, UTC_NAME, Formats, zones
from pipeline.shown import visible
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
IN_ADDRESS = ("period", "from", "to", "tz", "format", "group", "region")
"""What an address may name; `assets/panels.js` reads it, and sends other names as "unknown"."""
ONCE = ", ".join(IN_ADDRESS[:5])
SHOWN_NAMES = 5
SHOWN_LETTERS = 40


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

    def bounds_ms(self, formats: Formats, now_ms: int, size_ms: int) -> tuple[int, int]:
        """[from, to) of window starts. Every period ends, at the latest, with the window that is open now.

        Hours count back from there: an event that is dated ahead must not move the period.
        """
        open_end_ms = window_end_ms(now_ms, size_ms)
        if self.period in HOURS:
            return open_end_ms - max(HOURS[self.period] * HOUR_MS, size_ms), open_end_ms
        first, last = self._days(formats.moment(now_ms).date())
        return (
            0 if first is None else _midnight_ms(first, formats),
            open_end_ms if last is None else min(open_end_ms, _midnight_ms(last + timedelta(days=1), formats)),
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


def window_end_ms(now_ms: int, size_ms: int) -> int:
    """The end, exclusive, of the tumbling window that is open now."""
    return (now_ms // size_ms + 1) * size_ms


def _midnight_ms(day: date, formats: Formats) -> int:
    return max(0, to_ms(datetime.combine(day, time(), formats.tz).astimezone(UTC)))


@dataclass(frozen=True, slots=True)
class Choices:
    """Filters and formats together; `doubts` are sentences on what the address has and the page cannot use."""

    filters: Filters = field(default_factory=Filters)
    formats: Formats = field(default_factory=Formats)
    doubts: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        """Equal for equal choices; goes to the browser and comes back."""
        f = self.filters
        filters = [f.period, str(f.first_day), str(f.last_day), f.groups, f.regions]
        return json.dumps([*filters, self.formats.style, self.formats.zone, self.doubts])

    @classmethod
    def of(cls, chosen: Mapping[str, Any], *, currency: str = "USD", zone: str = UTC_NAME) -> "Choices":
        """From the values of the page's controls, which may come from any address.

        What is no choice is the default, and named in `doubts`; `unknown` are names that the address has beside.
        """
        doubts = [_strange(_strings(chosen.get("unknown")))]

        def one_of(key: str, known: Collection[str], default: str, shown: str) -> str:
            value = chosen.get(key)
            if isinstance(value, str) and value in known:
                return value
            doubts.append(f"{key}={brief(value)} is none of {shown}: {default} is shown" if value else "")
            return default

        def day(key: str) -> date | None:
            found = _day(chosen.get(key)) if period == "dates" else None
            if found is None and period == "dates" and chosen.get(key):
                doubts.append(f"{key}={brief(chosen[key])} is no day like 2026-10-25 of the years 1970 to 9000")
            return found

        def names(key: str) -> tuple[str, ...]:
            found = _names(chosen.get(key))
            if len(found) > MAX_NAMES:
                doubts.append(f"of {len(found)} {key} the first {MAX_NAMES} are used")
            return found[:MAX_NAMES]

        period = one_of("period", PERIODS, DEFAULT_PERIOD, ", ".join(PERIODS))
        filters = Filters(period, day("from"), day("to"), names("groups"), names("regions"))
        style = one_of("format", STYLES, DEFAULT_STYLE, " or ".join(STYLES))
        formats = Formats(style, one_of("tz", zones(), zone, "the time zones like Europe/Berlin"), currency)
        return cls(filters, formats, tuple(filter(None, doubts)))


def _strange(names: Sequence[str]) -> str:
    """A sentence on names that mean nothing here, "" without."""
    if not names:
        return ""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    told = ", ".join(map(brief, names[:SHOWN_NAMES])) + more
    return f"the address has {told}, which means nothing here: the page knows {ONCE}, each once, and group and region"


def brief(value: Any) -> str:
    """A value from an address, not longer than a few words."""
    text = str(value)
    shown = visible(text[:SHOWN_LETTERS])
    if not text.strip():
        return f'"{shown}"'
    return shown if len(text) <= SHOWN_LETTERS else f"{shown}\N{HORIZONTAL ELLIPSIS}"


def _strings(values: Any) -> list[str]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return []
    return [value for value in values if isinstance(value, str)]


def _day(text: Any) -> date | None:
    try:
        day = date.fromisoformat(text[:10]) if isinstance(text, str) else None
    except ValueError:
        return None
    return day if day is not None and 1970 <= day.year <= 9000 else None


def _names(values: Any) -> tuple[str, ...]:
    return tuple(sorted({value for value in _strings(values) if value}))
