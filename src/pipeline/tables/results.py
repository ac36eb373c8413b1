"""What an aggregation sends on."""

from typing import Any, NamedTuple


class Result(NamedTuple):
    """The full aggregate of one (group, window), never a delta.

    `end_ms` is exclusive for time windows, 0 without a window, the last event's time for sessions. `version` never
    falls for a (group, window). A `retired` result takes back a session that another one absorbed; its state is None.
    """

    aggregate: str
    group: str
    start_ms: int
    end_ms: int
    state: Any
    time_ms: int
    version: int
    retired: bool = False
