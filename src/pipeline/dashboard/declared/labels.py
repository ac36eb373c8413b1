"""How the values of any rows are written: numbers with their unit, times, texts of others."""

from typing import Any

from pipeline.dashboard.figure_base import cut
from pipeline.dashboard.formats import STYLES, Formats
from pipeline.shown import visible
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NOTHING = "–"  # noqa: RUF001 - the typographer's dash stands for what is not there
MONEY = tuple("$€£¥₹")
CELL_SHOWN = 200
LATEST_MS = 253_402_300_799_999


def is_number(value: Any) -> bool:
    """Whether a value is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0


def exact(value: Any) -> Any:
    """A number of Pinot's, whose sums are doubles: a whole one as an int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number(value: Any, formats: Formats, *, cents: bool = False) -> str:
    """1234567 -> "1,234,567", 41.2345 -> "41.23", 0.012345 -> "0.0123"; None -> a dash. `cents`: always two places."""
    if not is_number(value):
        return NOTHING
    value = exact(value)
    if isinstance(value, int):
        return formats.count(value)
    size = abs(value)
    text = (
        f"{value:.3g}" if size < 1 and not cents else f"{value:,.1f}" if size >= 100 and not cents else f"{value:,.2f}"
    )
    style = STYLES[formats.style]
    return text.replace(",", "\0").replace(".", style.decimal).replace("\0", style.thousands)


def label(value: Any, unit: str, formats: Formats) -> str:
    """A number with its unit: "1,234 views", "12.5%", "$9.99"."""
    text = number(value, formats, cents=unit in MONEY)
    if not unit or text == NOTHING:
        return text
    if unit in MONEY:
        return f"-{unit}{text[1:]}" if text.startswith("-") else f"{unit}{text}"
    return f"{text}{unit}" if unit == "%" else f"{text} {unit}"


def split(value: Any, unit: str, formats: Formats) -> tuple[str, str]:
    """A number and the word behind it, which may be smaller: ("1,234", "views"), ("$9.99", "")."""
    words = bool(unit) and unit not in MONEY and unit != "%"
    text = label(value, "" if words else unit, formats)
    return text, unit if words and text != NOTHING else ""


def prefix(unit: str) -> str:
    """What stands before the numbers of an axis."""
    return unit if unit in MONEY else ""


def name(value: Any) -> str:
    """A value as the name of a group: a text, whatever it is."""
    return NOTHING if value is None or value == "" else str(value)


def cell(column: str, value: Any, formats: Formats) -> str:
    """A value in a table."""
    if isinstance(value, list | tuple):
        return cut(visible(", ".join(map(name, value))), CELL_SHOWN) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_time(column, value):
        moment = formats.moment(int(value))
        return f"{moment:%b %-d, %H:%M:%S}"
    return number(value, formats) if is_number(value) else cut(visible(name(value)), CELL_SHOWN)


def is_time(column: str, value: Any) -> bool:
    """Whether a value is told as a time: epoch milliseconds under a name that says so."""
    return column.endswith("_ms") and is_number(value) and DAY_MS * 366 < value <= LATEST_MS


def heading(column: str) -> str:
    """A column's name above it: "last_view_ms" -> "Last view"."""
    return visible(cut(column.removesuffix("_ms").replace("_", " ").strip().capitalize() or column, CELL_SHOWN))


def span(ms: int) -> str:
    """A length of time: 90000 -> "90 s", 3600000 -> "1 h"."""
    for size, unit in ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s")):
        if ms >= size and ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"
