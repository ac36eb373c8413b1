"""The rows that a join of two streams holds: by key and time to find partners, by time to close and drop them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
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
    """A row that is held, and what has become of it.

    `number` is its place in the order in which rows came; `times_ms` are the stream times of the left and of the right
    side when it had come, its own included. It has `matched` when it has had a partner, and is `alone` when it has
    gone out without one: it may have a partner later, all the same.
    """

    time_ms: int
    number: int
    times_ms: list[int]
    record: Row
    matched: bool = False
    alone: bool = False


class JoinBuffer:
    """Rows of both sides of one partition. State: (name, side, key, offset) -> Entry, as a list.

    A late row is of no use to later ones: it is only kept to be sent again, until the next batch of its side.
    """

    def __init__(self, name: str, state: State, kept_ms: int, waits: Callable[[Side, Entry], bool]) -> None:
        self._name = name
        self._state = state
        self._kept_ms = kept_ms
        self._waits = waits
        self._times: dict[tuple[Side, str], list[tuple[int, int]]] = {}
        self._held: tuple[list[Place], list[Place]] = ([], [])
        self._waiting: tuple[list[Place], list[Place]] = ([], [])
        self._late: tuple[list[Place], list[Place]] = ([], [])
        self._next = 0
        for key, value in state.items():
            if key[0] == name:
                self._note(Place(value[0], Side(key[1]), key[3], key[2]), Entry(*value))

    def get(self, place: Place) -> Entry | None:
        """The row at a place, None when there is none."""
        value = self._state.get(self._key(place))
        return None if value is None else Entry(*value)

    def new(self, time_ms: int, times_ms: list[int], record: Row) -> Entry:
        """A row that has just come; it is not held yet."""
        return Entry(time_ms, self._next, list(times_ms), record)

    def add(self, place: Place, entry: Entry) -> None:
        """Hold a row."""
        self.update(place, entry)
        self._note(place, entry)

    def update(self, place: Place, entry: Entry) -> None:
        """Note what has become of a row."""
        self._state.put(self._key(place), list(entry))

    def is_late(self, side: Side, entry: Entry) -> bool:
        """Whether a row came when its side had gone on so far that it could not be held for others any more."""
        return entry.time_ms <= entry.times_ms[side] - self._kept_ms

    def near(self, place: Place, before_ms: int, after_ms: int) -> list[Place]:
        """The other side's rows of the same key, at most so long (inclusive) before or after, by time."""
        side = place.side.other
        times = self._times.get((side, place.key), [])
        first = bisect_left(times, place.time_ms - before_ms, key=itemgetter(0))
        end = bisect_right(times, place.time_ms + after_ms, key=itemgetter(0))
        return [Place(time_ms, side, offset, place.key) for time_ms, offset in times[first:end]]

    def close(self, closed: Callable[[Side, int], bool]) -> list[Place]:
        """The rows that wait and whose side and time have closed, in order; they wait no more."""
        places = []
        for waiting in self._waiting:
            while waiting and closed(waiting[0].side, waiting[0].time_ms):
                places.append(heappop(waiting))
        return sorted(places)

    def drop(self, side: Side, applied: int, done_ms: Sequence[int]) -> None:
        """Forget late rows of a side up to an offset, and rows of each side up to the time, inclusive, given for it."""
        late = self._late[side]
        for place in late:
            if place.offset <= applied:
                self._state.delete(self._key(place))
        late[:] = [place for place in late if place.offset > applied]
        for held, until_ms in zip(self._held, done_ms, strict=True):
            while held and held[0].time_ms <= until_ms:
                self._forget(heappop(held))

    def gone_alone(self) -> list[Place]:
        """The rows that have gone out alone, in order."""
        rows = [(key, Entry(*value)) for key, value in self._state.items() if key[0] == self._name]
        return sorted(Place(entry.time_ms, Side(key[1]), key[3], key[2]) for key, entry in rows if entry.alone)

    def _note(self, place: Place, entry: Entry) -> None:
        self._next = max(self._next, entry.number + 1)
        if self.is_late(place.side, entry):
            self._late[place.side].append(place)
            return
        heappush(self._held[place.side], place)
        insort(self._times.setdefault((place.side, place.key), []), (place.time_ms, place.offset))
        if self._waits(place.side, entry):
            heappush(self._waiting[place.side], place)

    def _forget(self, place: Place) -> None:
        self._state.delete(self._key(place))
        times = self._times[place.side, place.key]
        del times[bisect_left(times, (place.time_ms, place.offset))]
        if not times:
            del self._times[place.side, place.key]

    def _key(self, place: Place) -> tuple[Any, ...]:
        return (self._name, int(place.side), place.key, place.offset)
