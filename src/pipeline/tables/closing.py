"""What is still open, by the time at which it closes: so that dropping costs nothing while nothing closes."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

Closed = Callable[[int], bool]


class Closing:
    """Groups under the times that decide when they close: their windows' starts."""

    __slots__ = ("_groups", "_times")

    def __init__(self) -> None:
        self._times: list[int] = []
        self._groups: dict[int, set[str]] = {}

    def add(self, time_ms: int, group: str) -> None:
        """Note a group under a time; again is harmless."""
        groups = self._groups.get(time_ms)
        if groups is None:
            groups = self._groups[time_ms] = set()
            heappush(self._times, time_ms)
        groups.add(group)

    def any(self, closed: Closed) -> bool:
        """Whether anything has closed."""
        return bool(self._times) and closed(self._times[0])

    def take(self, closed: Closed) -> Iterator[tuple[int, str]]:
        """Remove and yield what has closed, by time and then by group."""
        while self._times and closed(self._times[0]):
            time_ms = heappop(self._times)
            for group in sorted(self._groups.pop(time_ms)):
                yield time_ms, group


class FirstClosing:
    """Groups under the first time at which something of them may close: the last event of their oldest session.

    That of a session moves on with every event, so it is only looked at again once the time noted has passed: one
    entry a group, not one an event.
    """

    __slots__ = ("_first", "_times")

    def __init__(self) -> None:
        self._times: list[tuple[int, str]] = []
        self._first: dict[str, int] = {}

    def __len__(self) -> int:
        """How many times are kept."""
        return len(self._times)

    def add(self, time_ms: int, group: str) -> None:
        """Note a time of a group, unless an earlier one is noted."""
        known = self._first.get(group)
        if known is None or time_ms < known:
            self._first[group] = time_ms
            heappush(self._times, (time_ms, group))

    def any(self, closed: Closed) -> bool:
        """Whether anything may have closed."""
        return bool(self._times) and closed(self._times[0][0])

    def take(self, closed: Closed) -> list[str]:
        """Remove the groups of which something may have closed, by time and then by name; add what stays open."""
        groups = []
        while self._times and closed(self._times[0][0]):
            time_ms, group = heappop(self._times)
            if self._first.get(group) == time_ms:
                del self._first[group]
                groups.append(group)
        return groups
