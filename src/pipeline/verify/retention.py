"""What can be recomputed once retention has removed the oldest records, and what is left out of the comparison.

Records are removed in the order of their offsets. Of what was removed only this is known: it was written before what
is left. So events were removed up to the time of the oldest record that is left, and as long after it as records of
this topic are out of order. Windows that begin later are whole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from pipeline import topics
from pipeline.settings import Settings
from pipeline.topics import Topic
from pipeline.verify.expected import WINDOWED, Rows

Cut = Mapping[int, int]
VIEW_OUTPUTS = {
    topic.name
    for topic in (
        topics.PAGEVIEWS_BY_PAGEGROUP,
        topics.PAGEVIEWS_BY_REGION,
        topics.PAGEVIEWS_TUMBLING,
        topics.PAGEVIEWS_HOPPING,
        topics.PAGEVIEWS_SESSION,
    )
}
NOTHING_REMOVED = -1.0


def removed_until_ms(events: Iterable[tuple[int, int]], begins: Cut) -> float:
    """Up to which time, inclusive, events may have been removed; -1 where none was, infinite where none is left.

    `events` are (partition, time) in the order of their offsets; `begins` are the oldest offsets kept.
    """
    first: dict[int, int] = {}
    latest: dict[int, int] = {}
    disorder = 0
    for partition, time_ms in events:
        first.setdefault(partition, time_ms)
        latest[partition] = max(latest.get(partition, time_ms), time_ms)
        disorder = max(disorder, latest[partition] - time_ms)
    removed = [partition for partition, begin in begins.items() if begin > 0]
    return max((first[p] + disorder if p in first else inf for p in removed), default=NOTHING_REMOVED)


@dataclass(slots=True)
class Retention:
    """What was removed: of views and sales up to a time, of users some; and of the outputs' own topics some.

    `left_out` counts the rows that could not be compared, by what they are.
    """

    views_until_ms: float = NOTHING_REMOVED
    sales_until_ms: float = NOTHING_REMOVED
    users_removed: bool = False
    outputs_removed: frozenset[str] = frozenset()
    left_out: dict[str, int] = field(default_factory=dict)

    def comparable(
        self, settings: Settings, topic: Topic, rows: tuple[Rows, Rows, Rows], *, in_topic: bool
    ) -> tuple[Rows, Rows, Rows]:
        """(low, high, found) without the rows that cannot be compared; these are counted under the output's name.

        `in_topic`: `found` was read from the topic, of which retention may have removed rows, too.
        """
        low, high, found = rows
        keys = low.keys() | high.keys() | found.keys()
        missing = low.keys() | high.keys() if in_topic and topic.name in self.outputs_removed else set()
        unknown = {
            key
            for key in keys
            if self._cannot_tell(settings, topic, key, key in high) or (key in missing and key not in found)
        }
        self.left_out[topic.name] = len(unknown)
        low, high, found = ({key: row for key, row in each.items() if key not in unknown} for each in rows)
        return low, high, found

    def _cannot_tell(self, settings: Settings, topic: Topic, key: tuple[Any, ...], is_expected: bool) -> bool:
        if topic is topics.USER_TRANSFORMED:
            return self.users_removed and not is_expected
        until_ms = self.views_until_ms if topic.name in VIEW_OUTPUTS else self.sales_until_ms
        if until_ms == NOTHING_REMOVED:
            return False
        if topic.name not in WINDOWED:
            return True
        gap_ms = settings.session_gap_ms if "SESSION" in topic.name else 0
        return bool(key[1] <= until_ms + gap_ms)
