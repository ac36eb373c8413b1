"""Windows in event time: what ksqlDB calls TUMBLING, HOPPING and SESSION, and no window at all.

All times are epoch milliseconds. Time windows are `[start_ms, end_ms)`, aligned to epoch 0; sessions are
`[first_ms, last_ms]`, both inclusive. Source of the rules: Kafka Streams' TimeWindows and SessionWindows.
"""

from dataclasses import dataclass, field

from pipeline.errors import SettingError
from pipeline.timebase import DAY_MS


def default_grace_ms(size_ms: int) -> int:
    """ksqlDB's grace when a statement names none: a window takes records for 24 hours, and never less than its size.

    The size of a session is its gap: SessionWindows.with(gap) has a grace of 24 hours less the gap.
    """
    return max(DAY_MS - size_ms, 0)


def _check(window: str, **values: int) -> None:
    for name, value in values.items():
        least = 0 if name == "grace_ms" else 1
        if not isinstance(value, int):
            raise SettingError(f"{window}: {name} is {value!r}, but must be a whole number of ms, such as minutes(1)")
        if value < least:
            raise SettingError(f"{window}: {name} is {value}, but must be at least {least} ms")


@dataclass(frozen=True, slots=True)
class Unwindowed:
    """One result per key, over all time; nothing is ever late."""

    def starts(self, time_ms: int) -> tuple[int, ...]:
        """The one window that there is starts at 0."""
        return (0,)

    def end(self, start_ms: int) -> int:
        """No end: 0, since the columns of the window are not shown."""
        return 0

    def closed(self, start_ms: int, stream_time_ms: int) -> bool:
        """Never closes."""
        return False


@dataclass(frozen=True, slots=True)
class Hopping:
    """Windows of `size_ms` which start at every multiple of `advance_ms`, 0 included, none negative."""

    size_ms: int
    advance_ms: int
    grace_ms: int = -1
    has_default_grace: bool = field(init=False, repr=False, compare=False, default=False)

    def __post_init__(self) -> None:
        name = type(self).__name__
        _check(name, size_ms=self.size_ms, advance_ms=self.advance_ms)
        if self.grace_ms == -1:
            object.__setattr__(self, "grace_ms", default_grace_ms(self.size_ms))
            object.__setattr__(self, "has_default_grace", True)
        _check(name, grace_ms=self.grace_ms)
        if self.advance_ms > self.size_ms:
            raise SettingError(f"{name}: advance_ms is {self.advance_ms}, but must not exceed size_ms {self.size_ms}")

    def starts(self, time_ms: int) -> range:
        """Starts of all windows that hold `time_ms` (>= 0), earliest first."""
        advance = self.advance_ms
        first = max(0, time_ms - self.size_ms + advance) // advance * advance
        return range(first, time_ms + 1, advance)

    @property
    def slices(self) -> int:
        """Of how many slices of one advance a window is made; 0 where its size is no multiple of the advance."""
        return 0 if self.size_ms % self.advance_ms else self.size_ms // self.advance_ms

    def end(self, start_ms: int) -> int:
        """Exclusive end of the window that starts at `start_ms`."""
        return start_ms + self.size_ms

    def closed(self, start_ms: int, stream_time_ms: int) -> bool:
        """Whether a record for this window is late: `end + grace <= stream time`."""
        return start_ms + self.size_ms + self.grace_ms <= stream_time_ms


@dataclass(frozen=True, slots=True)
class Tumbling(Hopping):
    """Hopping windows whose advance is their size: every event is in exactly one."""

    advance_ms: int = field(default=0)

    def __post_init__(self) -> None:
        if self.advance_ms not in (0, self.size_ms):
            raise SettingError(f"Tumbling: advance_ms is {self.advance_ms}, but is always size_ms {self.size_ms}")
        object.__setattr__(self, "advance_ms", self.size_ms)
        Hopping.__post_init__(self)

    def starts(self, time_ms: int) -> range:
        """The start of the one window that holds `time_ms` (>= 0)."""
        start = time_ms - time_ms % self.size_ms
        return range(start, start + 1)


@dataclass(frozen=True, slots=True)
class Session:
    """Windows `[first event, last event]` of events at most `gap_ms` (inclusive) apart."""

    gap_ms: int
    grace_ms: int = -1
    has_default_grace: bool = field(init=False, repr=False, compare=False, default=False)

    def __post_init__(self) -> None:
        _check("Session", gap_ms=self.gap_ms)
        if self.grace_ms == -1:
            object.__setattr__(self, "grace_ms", default_grace_ms(self.gap_ms))
            object.__setattr__(self, "has_default_grace", True)
        _check("Session", grace_ms=self.grace_ms)

    def closed(self, last_ms: int, stream_time_ms: int) -> bool:
        """Whether a session that ends at `last_ms` takes no more records: `last < stream time - grace - gap`."""
        return last_ms < stream_time_ms - self.grace_ms - self.gap_ms


TimeWindow = Unwindowed | Tumbling | Hopping
Window = TimeWindow | Session
