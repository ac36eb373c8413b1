"""Prometheus metrics of the poller, at /metrics of its own port (`PIPELINE_POLLER_WEB_PORT`)."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.settings import Settings
from pipeline.sources.metrics_server import serving
from pipeline.sources.position import Position, Ranges


class PollerMetrics:
    """Counts of this run of the poller, and where its position is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sent = Counter("pipeline_poller_sales", "Flash sales sent.", registry=self.registry)
        self.letters = Counter("pipeline_poller_dead_letters", "Rows sent as dead letters.", registry=self.registry)
        self.given_up = Counter(
            "pipeline_poller_given_up_ids",
            "Ids below the largest one sent that are not looked for any more.",
            registry=self.registry,
        )
        self.missing = Gauge(
            "pipeline_poller_missing_ids", "Ids below the largest one sent that are looked for.", registry=self.registry
        )
        self.last_id = Gauge("pipeline_poller_last_id", "The largest sale_id sent.", registry=self.registry)

    def count(self, sent: int, position: Position, lost: Ranges) -> None:
        """After a batch: how many were sent, the position now, and the gaps that were given up."""
        self.sent.inc(sent)
        self.given_up.inc(sum(gap.size for gap in lost))
        self.missing.set(position.missing)
        self.last_id.set(position.last_id)

    @contextmanager
    def served(self, settings: Settings) -> Iterator[None]:
        """Answer on the poller's port meanwhile, if it has one. Raises SettingError when the port is in use."""
        if not settings.poller_web_port:
            yield
            return
        with serving(self.registry, settings):
            yield
