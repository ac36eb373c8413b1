"""The rows that a join of two streams holds: by key and time to find partners, by time to close and drop them."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any, NamedTuple

from pipeline.tables.aggregate import Row
from pipeline.tables.joins import Side
from pipeline.tables.state import State


class Place(NamedTuple):
    """Where a row lies; places are ordered by time, the left side first, then by offset."""

    time_ms: int
    side: Side
    offset: int
    key: str


class Entry(NamedTuple):
    """A row that is held, the stream time when it came, and whether it has had a partner."""

    time_ms: int
    stream_time_ms: int
    record: Row
    matched: bool = False


class JoinBuffer:
    """Rows of both sides of one partition. State: (name, side, key, offset) -> Entry, as a list."""

    def __init__(self, name: str, state: State) -> None:
        self._name = name
        self._state = state
        self._open: list[Place] = []
        self._times: dict[tuple[Side, str], list[tuple[int, int]]] = {}
        self.closed: deque[Place] = deque()
        for key, value in state.items():
            if key[0] == name:
                self._note(Place(value[0], Side(key[1]), key[3], key[2]))

    def get(self, place: Place) -> Entry | None:
        """The row at a place, None when there is none."""
        value = self._state.get(self._key(place))
        return None if value is None else Entry(*value)

    def add(self, place: Place, entry: Entry) -> Entry:
        """Hold a row; returns it."""
        self._state.put(self._key(place), list(entry))
        self._note(place)
        return entry

    def matched(self, place: Place, entry: Entry) -> None:
        """Note that a row has had a partner."""
        if not entry.matched:
            self._state.put(self._key(place), list(entry._replace(matched=True)))

    def near(self, place: Place, within_ms: int) -> list[Place]:
        """The other side's rows of the same key, at most `within_ms` (inclusive) before or after, by time."""
        side = place.side.other
        times = self._times.get((side, place.key), [])
        first = bisect_left(times, place.time_ms - within_ms, key=itemgetter(0))
        end = bisect_right(times, place.time_ms + within_ms, key=itemgetter(0))
        return [Place(time_ms, side, offset, place.key) for time_ms, offset in times[first:end]]

    def close(self, closed: Callable[[int], bool]) -> list[Place]:
        """Move rows whose time has closed to `closed`, and return them, in order."""
        places = []
        while self._open and closed(self._open[0].time_ms):
            places.append(heappop(self._open))
        self.closed.extend(places)
        return places

    def drop(self, closed: Callable[[int], bool]) -> None:
        """Forget rows in `closed` whose time has closed by this measure."""
        while self.closed and closed(self.closed[0].time_ms):
            place = self.closed.popleft()
            self._state.delete(self._key(place))
            times = self._times[place.side, place.key]
            del times[bisect_left(times, (place.time_ms, place.offset))]
            if not times:
                del self._times[place.side, place.key]

    def _note(self, place: Place) -> None:
        heappush(self._open, place)
        insort(self._times.setdefault((place.side, place.key), []), (place.time_ms, place.offset))

    def _key(self, place: Place) -> tuple[Any, ...]:
        return (self._name, int(place.side), place.key, place.offset)
