"""What the poller says of its work: one line for much, and warnings of what was left out."""

import logging
import time
from collections.abc import Sequence

from pipeline.settings import Settings
from pipeline.sources.carried import Carried
from pipeline.sources.feed import Outgoing
from pipeline.sources.metrics import PollerMetrics
from pipeline.sources.position import Position, Ranges
from pipeline.sources.recent import Recent

log = logging.getLogger("pipeline.sources.poller")

LOG_EVERY_S = 10.0
LOST_EVERY_S = 60.0
MOST_TOLD = 5


def tell_letters(metrics: PollerMetrics, letters: Sequence[Outgoing]) -> None:
    """Count dead letters, and name the first of them."""
    metrics.letters.inc(len(letters))
    for letter in letters[:MOST_TOLD]:
        log.warning("dead letter: %s", letter.key.decode())
    if len(letters) > MOST_TOLD:
        log.warning("and %d more dead letters: see `pipeline status`", len(letters) - MOST_TOLD)


class Telling:
    """The lines about one table."""

    def __init__(self, settings: Settings, table: Carried) -> None:
        self._settings = settings
        self._table = table
        self._told = (time.monotonic(), 0)
        self._lost: tuple[float, list[str]] = (-LOST_EVERY_S, [])

    def note_lost(self, lost: Ranges) -> None:
        """Say which ids were given up, at once and then at most every LOST_EVERY_S seconds."""
        self._lost[1].extend(f"{gap.first}..{gap.last}" for gap in lost)
        self.tell_lost()

    def tell_lost(self, *, now: bool = False) -> None:
        """Say which ids were given up and not yet told, if it is time."""
        told_s, ranges = self._lost
        if not ranges or not (now or time.monotonic() - told_s >= LOST_EVERY_S):
            return
        log.warning(
            "%s: %ss %s were given up: they were not seen for %.0f s, or too many others were missing "
            "(PIPELINE_POLL_GAPS=%d). Mostly they were rolled back; `pipeline poll --again FROM..TO` looks once more",
            self._table.label,
            self._table.identity,
            ", ".join(ranges[:MOST_TOLD]) + (f" and {len(ranges) - MOST_TOLD} more" if len(ranges) > MOST_TOLD else ""),
            self._settings.poll_gap_wait_s,
            self._settings.poll_gaps,
        )
        self._lost = (time.monotonic(), [])

    def tell(self, sent: int, position: Position | Recent) -> None:
        """Every LOG_EVERY_S seconds how many rows were sent, how fast, and how far that is."""
        now_s, (told_s, told) = time.monotonic(), self._told
        if now_s - told_s >= LOG_EVERY_S:
            speed = (sent - told) / (now_s - told_s)
            log.info(
                "%s: %d sent, %.1f a second, at %s %s",
                self._table.label,
                sent,
                speed,
                self._table.identity,
                position.last_id,
            )
            self._told = (now_s, sent)
