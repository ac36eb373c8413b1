"""What a KPI shows: its number, the change against what was before, and a line of what it has been."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.dashboard.declared.board import Answer, Row
from pipeline.dashboard.declared.labels import exact, is_number, label, span, split
from pipeline.dashboard.declared.queries import TRENDS
from pipeline.dashboard.formats import NEGLIGIBLE, Formats
from pipeline.declare.panels import KPI, written
from pipeline.tables.windows import Hopping

BEFORE = "previous"
UP, DOWN = "\N{BLACK UP-POINTING TRIANGLE} ", "\N{BLACK DOWN-POINTING TRIANGLE} "


def total(rows: Sequence[Row], column: str | None = None) -> float | None:
    """The sum of a column, or of the rows' value: `value`, else their first number. None without any."""
    name = column or value_column(rows)
    found = [row[name] for row in rows if name in row and is_number(row[name])]
    return exact(sum(found)) if found else None


def value_column(rows: Sequence[Row]) -> str:
    """The column that is the value: `value`, else the first that holds numbers."""
    first = rows[0] if rows else {}
    return "value" if "value" in first else next((n for n, v in first.items() if is_number(v) and n != BEFORE), "value")


def shown(
    panel: KPI, rows: Sequence[Row], trend: Sequence[Row], history: Sequence[tuple[int, float]], now: int, f: Formats
) -> dict[str, Any]:
    """What the browser paints: {"value", "unit", "change", "direction", "hint", "spark"}."""
    value = total(rows)
    text, unit = split(value, panel.unit, f)
    made: dict[str, Any] = {"value": text, "unit": unit, "change": "", "direction": "none", "hint": ""}
    if panel.trend is not None:
        return {**made, **_of_trend(panel, trend, now, f)}
    if rows and BEFORE in rows[0]:
        before = total(rows, BEFORE)
        return {**made, **change(value, before, f), "hint": f"{label(before, panel.unit, f)} before", "spark": []}
    spark = [past for _, past in history]
    if value is None or len(history) < 2 or value == spark[0]:
        return {**made, "spark": spark}
    moved = exact(value - spark[0])
    sign = "+" if moved > 0 else ""
    return {**made, "hint": f"{sign}{label(moved, panel.unit, f)} since {f.hour(history[0][0])}", "spark": spark}


def _of_trend(panel: KPI, rows: Sequence[Row], now: int, formats: Formats) -> dict[str, Any]:
    assert panel.trend is not None
    window = written(panel, panel.trend).aggregate.window
    assert isinstance(window, Hopping)
    sums = closed_windows(rows, panel.value, window.advance_ms, now)
    if len(sums) < 2:
        return {"spark": sums}
    size, last, before = span(window.size_ms), sums[-1], sums[-2]
    hint = f"{label(last, panel.unit, formats)} in {size}, {label(before, '', formats)} before"
    return {**change(last, before, formats), "hint": hint, "spark": sums[-TRENDS:]}


def closed_windows(rows: Sequence[Row], value: str, advance_ms: int, now: int) -> list[float]:
    """The sums of the windows that have ended, oldest first; a window without rows between others has 0."""
    found: dict[int, float] = {}
    for row in rows:
        if int(row["window_end_ms"]) <= now and is_number(row[value]):
            start = int(row["window_start_ms"])
            found[start] = exact(found.get(start, 0) + row[value])
    if not found:
        return []
    first = max(min(found), max(found) - (TRENDS - 1) * advance_ms)
    return [found.get(start, 0) for start in range(first, max(found) + 1, advance_ms)]


def change(now: float | None, before: float | None, formats: Formats) -> dict[str, Any]:
    """How much more or less, in per cent."""
    if now is None or not before:
        return {}
    share = (now - before) / abs(before)
    if abs(share) < NEGLIGIBLE:
        return {"change": formats.percent(share, signed=True), "direction": "flat"}
    arrow, direction = (UP, "up") if share > 0 else (DOWN, "down")
    return {"change": arrow + formats.percent(share, signed=True), "direction": direction}


def answer_of(answers: Mapping[str, Answer], name: str) -> Answer:
    """An answer, an empty one where there is none yet."""
    return answers.get(name, Answer())
