"""What is still open, by the time at which it closes: so that dropping costs nothing while nothing closes."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush


class Closing:
    """Groups under the times that decide when they close: a window's start, a session's last event."""

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

    def any(self, closed: Callable[[int], bool]) -> bool:
        """Whether anything has closed."""
        return bool(self._times) and closed(self._times[0])

    def take(self, closed: Callable[[int], bool]) -> Iterator[tuple[int, str]]:
        """Remove and yield what has closed, by time and then by group."""
        while self._times and closed(self._times[0]):
            time_ms = heappop(self._times)
            for group in sorted(self._groups.pop(time_ms)):
                yield time_ms, group
