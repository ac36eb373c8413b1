"""Prometheus metrics of a worker: Faust's own, and what became of the records, at the web server's /metrics."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

from aiohttp.web import HTTPException, Request, Response, StreamResponse, middleware
from faust.sensors.prometheus import setup_prometheus_sensors
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily

from pipeline.settings import Settings
from pipeline.web import LastGood, is_bearer, metrics_certificate

log = logging.getLogger(__name__)

HEALTH = "/"
"""Says OK, and no more: for health checks, which have no token."""
HEADERS = {"Server": "pipeline", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
UNUSED = ("router", "tables", "graph", "stats", "metrics")
"""Pages of Faust's own web: who has which partition, what tables hold, and its graph of tasks."""


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


def web_options(settings: Settings) -> dict[str, Any]:
    """Options of a Faust app whose web has only /metrics, behind the token, and the health check's page."""
    certificate = metrics_certificate(settings.metrics_ssl_certfile, settings.metrics_ssl_keyfile)
    return {
        "web_enabled": True,
        "web_port": settings.worker_web_port,
        "web_bind": settings.worker_web_host,
        "web_ssl_context": certificate and certificate.context,
        "web_application_options": {
            "middlewares": [_guard(LastGood(lambda: settings.secret("metrics_bearer_token")))],
            "client_max_size": 1024,
        },
        **{f"web_{page}_enabled": False for page in UNUSED},
    }


def _guard(token: Callable[[], str]) -> Any:
    """Asks for the token, and says no more than a sentence when something fails."""

    @middleware
    async def guard(request: Request, handler: Callable[[Request], Awaitable[StreamResponse]]) -> StreamResponse:
        wanted = token()
        if wanted and request.path != HEALTH and not is_bearer(request.headers.get("Authorization", ""), wanted):
            return Response(
                text="A bearer token is needed.", status=401, headers={**HEADERS, "WWW-Authenticate": "Bearer"}
            )
        try:
            response = await handler(request)
        except HTTPException as error:
            error.headers.update(HEADERS)
            raise
        except Exception:
            log.exception("the worker's web failed")
            response = Response(text="This has failed; the worker's log says why.", status=500)
        response.headers.update(HEADERS)
        return response

    return guard
