"""Plotly's date axes know no time zones: here a viewer's local time becomes an axis on which time never goes back.

Where clocks stand still between the moments that are shown, an axis is local time as it is, and Plotly writes the
ticks, also when the viewer zooms. Where clocks change, an hour would come twice, and two bars would be one: there
the axis keeps the offset of its first moment, and the ticks are written here, in the time that clocks show.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pipeline.dashboard.formats import AXIS, Formats
from pipeline.timebase import DAY_MS, HOUR_MS

TICKS = 8
STEPS_H = (1, 2, 3, 6, 12, 24)
LONG_MS = 31 * DAY_MS


class TimeAxis:
    """The axis for these moments (epoch ms), which must not be empty."""

    def __init__(self, formats: Formats, moments: Sequence[int]) -> None:
        self._formats = formats
        self._first_ms, self._last_ms = min(moments), max(moments)
        offsets = {formats.moment(ms).utcoffset() for ms in moments}
        self._offset: timedelta | None = None
        if len(offsets) > 1:
            self._offset = formats.moment(self._first_ms).utcoffset()

    def value(self, ms: int) -> str:
        """Where a moment lies."""
        if self._offset is None:
            return self._formats.axis(ms)
        moment = self._formats.moment(ms)
        shifted = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta()) + self._offset
        return f"{shifted:{AXIS}}"

    @property
    def ticks(self) -> dict[str, Any]:
        """What the axis' layout needs beside, to replace Plotly's own ticks; nothing where clocks stand still."""
        if self._offset is None:
            return {}
        shown = self._hours() if self._last_ms - self._first_ms < LONG_MS else self._evenly()
        return {
            "tickmode": "array",
            "tickvals": [self.value(ms) for ms in shown],
            "ticktext": [f"{self._formats.hour(ms)}<br>{self._formats.moment(ms):%b %-d}" for ms in shown],
            "tickangle": 0,
        }

    def _hours(self) -> list[int]:
        """Whole hours of the clock, as many of them as there is room for."""
        hours = range(-(-self._first_ms // HOUR_MS) * HOUR_MS, self._last_ms + 1, HOUR_MS)
        steps = ([ms for ms in hours if self._formats.moment(ms).hour % step == 0] for step in STEPS_H)
        return next((shown for shown in steps if len(shown) <= TICKS), self._evenly())

    def _evenly(self) -> list[int]:
        step_ms = (self._last_ms - self._first_ms) // TICKS // HOUR_MS * HOUR_MS
        return [self._first_ms + n * step_ms for n in range(TICKS)]
