"""How numbers, money and times are written: exact integers in, text out, in the viewer's style and time zone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from pipeline.timebase import MINUTE_MS, to_datetime

UTC_NAME = "UTC"
COMMON_ZONES = (
    UTC_NAME,
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Ho_Chi_Minh",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
)
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "CHF": "CHF\N{NO-BREAK SPACE}"}
NEGLIGIBLE = 0.0005
AXIS = "%Y-%m-%d %H:%M:%S"


class Style(NamedTuple):
    """How digits are grouped, and what separates the cents."""

    thousands: str
    decimal: str


STYLES = {
    "1,234.56": Style(",", "."),
    "1.234,56": Style(".", ","),
    "1 234,56": Style("\N{NARROW NO-BREAK SPACE}", ","),
    "1'234.56": Style("'", "."),
}
"""Styles by what they look like; the first is the default."""
DEFAULT_STYLE = next(iter(STYLES))


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """Every time zone that this machine knows."""
    return frozenset(available_timezones()) | {UTC_NAME}


@dataclass(frozen=True)
class Formats:
    """A viewer's formats. `style` is a key of STYLES, `zone` an IANA name, `currency` an ISO 4217 code."""

    style: str = DEFAULT_STYLE
    zone: str = UTC_NAME
    currency: str = "USD"

    @cached_property
    def tz(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.zone)

    @property
    def symbol(self) -> str:
        """What stands before an amount."""
        return SYMBOLS.get(self.currency, f"{self.currency}\N{NO-BREAK SPACE}")

    @property
    def separators(self) -> str:
        """Plotly's `separators`: decimal sign, then thousands separator."""
        style = STYLES[self.style]
        return style.decimal + style.thousands

    def count(self, value: int) -> str:
        """1234567 -> "1,234,567"."""
        return f"{value:,}".replace(",", STYLES[self.style].thousands)

    def money(self, cents: int) -> str:
        """123456 -> "$1,234.56", exact."""
        whole, part = divmod(abs(cents), 100)
        sign = "-" if cents < 0 else ""
        return f"{sign}{self.symbol}{self.count(whole)}{STYLES[self.style].decimal}{part:02d}"

    def whole_money(self, cents: int) -> str:
        """123456 -> "$1,235": to the nearest whole unit, halves to the even one, where room is short."""
        return f"{'-' if cents < 0 else ''}{self.symbol}{self.count(round(abs(cents) / 100))}"

    def percent(self, share: float, *, signed: bool = False) -> str:
        """0.1234 -> "12.3%"; signed: "+12.3%", with a real minus sign."""
        text = f"{abs(share) * 100:,.1f}".replace(",", "\0").replace(".", STYLES[self.style].decimal)
        text = text.replace("\0", STYLES[self.style].thousands) + "%"
        if not signed or abs(share) < NEGLIGIBLE:
            return text
        return ("+" if share > 0 else "\N{MINUS SIGN}") + text

    def moment(self, ms: int) -> datetime:
        """The aware datetime in the viewer's zone."""
        return to_datetime(ms).astimezone(self.tz)

    def clock(self, ms: int) -> str:
        """Time of day to the second."""
        return f"{self.moment(ms):%H:%M:%S}"

    def span(self, start_ms: int, end_ms: int) -> str:
        """A window in words: "Nov 24, 10:00-11:00"; the end's day is named when it is another."""
        start, end = self.moment(start_ms), self.moment(end_ms)
        day = "" if (end - start).days == 0 and (end.day == start.day or end.hour == 0) else f"{end:%b %-d}, "
        return f"{start:%b %-d}, {self.hour(start_ms)}-{day}{self.hour(end_ms)}"

    def exact_span(self, start_ms: int, end_ms: int) -> str:
        """The same to the second, where one of them is no whole minute: "Nov 24, 10:00:20-10:00:40"."""
        if start_ms % MINUTE_MS == 0 and end_ms % MINUTE_MS == 0:
            return self.span(start_ms, end_ms)
        start, end = self.moment(start_ms), self.moment(end_ms)
        day = "" if start.date() == end.date() else f"{end:%b %-d}, "
        return f"{start:%b %-d}, {self.clock(start_ms)}-{day}{self.clock(end_ms)}"

    def hour(self, ms: int) -> str:
        """Time of day to the minute, with its offset's name in the hour that comes twice: "02:30 CEST", "02:30 CET"."""
        moment = self.moment(ms)
        twice = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
        return f"{moment:%H:%M} {moment:%Z}" if twice else f"{moment:%H:%M}"

    def axis(self, ms: int) -> str:
        """A value of a Plotly date axis: local time without an offset, since such an axis knows no zones."""
        return f"{self.moment(ms).replace(tzinfo=None):{AXIS}}"

    def category(self, ms: int) -> str:
        """A moment's name on an axis of names: no two moments have the same."""
        return self.moment(ms).isoformat()


def zone_options(default: str) -> Sequence[str]:
    """Time zones to choose from, the default first."""
    return (default, *(name for name in COMMON_ZONES if name != default and name in zones()))
