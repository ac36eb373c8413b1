"""Prometheus metrics of a worker: Faust's own, and what became of the records, at the web server's /metrics."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from faust.sensors.prometheus import setup_prometheus_sensors
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily


class Counted(Protocol):
    """Whatever counts what became of its records."""

    counts: Counter[str]


class RecordCounts:
    """`pipeline_records_total{agent, outcome}`.

    Outcomes: consumed, bad, late, duplicates, null_groups, behind_stream.
    """

    def __init__(self, counted: Mapping[str, Counted]) -> None:
        self._counted = counted

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts as they are now."""
        family = CounterMetricFamily("pipeline_records", "Records by agent and outcome.", labels=["agent", "outcome"])
        for agent, processor in self._counted.items():
            for outcome, count in processor.counts.items():
                family.add_metric([agent, outcome], count)
        yield family


def serve_metrics(app: Any, counted: Mapping[str, Counted]) -> CollectorRegistry:
    """Add /metrics to the web server of a Faust app; returns the registry behind it."""
    registry = CollectorRegistry()
    registry.register(RecordCounts(counted))
    setup_prometheus_sensors(app, pattern="/metrics", registry=registry, name_prefix="faust")
    return registry
