"""Prometheus metrics of the poller, at /metrics of its own port (`PIPELINE_POLLER_WEB_PORT`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.settings import Settings
from pipeline.sources.metrics_server import serving
from pipeline.sources.position import Position, Ranges
from pipeline.sources.recent import SECOND_US, Recent

SALES = "flash_sales"
"""The table whose rows have metrics of their own, from the time when it was the only one."""


class PollerMetrics:
    """Counts of this run of the poller, and where its positions are."""

    def __init__(self, tables: Sequence[str] = (SALES,)) -> None:
        self.registry = CollectorRegistry()
        self.rows = self._counter("rows", "Rows sent, by table.", "table")
        self.last_time = self._gauge("last_timestamp_seconds", "The largest timestamp sent, by table.", "table")
        self.letters = self._counter("dead_letters", "Rows sent as dead letters.")
        self.given_up = self._counter(
            "given_up_ids", "Ids below the largest one sent that are not looked for any more."
        )
        self.missing = self._gauge("missing_ids", "Ids below the largest one sent that are looked for.")
        self._missing: dict[str, int] = {}
        self.sent: Counter | None = None
        if SALES in tables:
            self.sent = self._counter("sales", "Flash sales sent.")
            self.last_id = self._gauge("last_id", "The largest sale_id sent.")

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"pipeline_poller_{name}", says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(f"pipeline_poller_{name}", says, labels, registry=self.registry)

    def count(self, table: str, sent: int, position: Position | Recent | None, lost: Ranges = ()) -> None:
        """After a batch of a table: how many were sent, the position now, and the gaps that were given up."""
        self.rows.labels(table).inc(sent)
        if isinstance(position, Recent) and position.last_us is not None:
            self.last_time.labels(table).set(position.last_us / SECOND_US)
        if not isinstance(position, Position):
            return
        self.given_up.inc(sum(gap.size for gap in lost))
        self._missing[table] = position.missing
        self.missing.set(sum(self._missing.values()))
        if table == SALES and self.sent is not None:
            self.sent.inc(sent)
            self.last_id.set(position.last_id)

    @contextmanager
    def served(self, settings: Settings) -> Iterator[None]:
        """Answer on the poller's port meanwhile, if it has one. Raises SettingError when the port is in use."""
        if not settings.poller_web_port:
            yield
            return
        with serving(self.registry, settings):
            yield
