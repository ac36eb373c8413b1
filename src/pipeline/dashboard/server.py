"""Serves the dashboard with gunicorn: one worker process, so that all viewers share one poller, and several threads."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from pipeline.dashboard.hosting import Several, page_of, start
from pipeline.dashboard.worker import THREADS, BoundedWorker, ProxiedWorker
from pipeline.settings import Settings
from pipeline.web import Certificate

MOST_HEADER_BYTES = 8_190


def certificate(settings: Settings) -> Certificate | None:
    """The page's certificate, None for plain HTTP; raises SettingError when it cannot be used."""
    if settings.dashboard_ssl_certfile is None:
        return None
    return Certificate("dashboard_ssl", settings.dashboard_ssl_certfile, settings.dashboard_ssl_keyfile)


def warning(settings: Settings, listener: socket.socket, encrypted: bool) -> str:
    """What is open to others than this machine, "" if nothing is."""
    host = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    if host.is_loopback:
        return ""
    if not settings.secret("dashboard_auth"):
        return (
            f"the dashboard listens on {host} and asks nobody for a password: set dashboard_auth or "
            "dashboard_auth_file, or let a proxy ask"
        )
    if not encrypted and not settings.dashboard_trusted_proxies:
        return (
            f"the dashboard listens on {host} without encryption, and its password with it: set "
            "dashboard_ssl_certfile, or put a proxy in front"
        )
    return ""


class _Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn without its command line: the application is made in the worker, after the fork."""

    def __init__(self, load: Callable[[], Any], options: dict[str, Any]) -> None:
        self._load = load
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            if name in self.cfg.settings:  # older versions know fewer
                self.cfg.set(name, value)

    def load(self) -> Any:
        return self._load()


def serve(
    settings: Settings,
    listener: socket.socket,
    certificate: Certificate | None = None,
    applications: Sequence[Settings] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, then exit the process with 0 (gunicorn's way to end).

    The page of the application that is set; with `applications`, the settings of each, those of all of these and an
    index.
    """
    encrypted: dict[str, Any] = {}
    if certificate is not None:
        encrypted = {
            "certfile": str(settings.dashboard_ssl_certfile),  # gunicorn encrypts where it has a name
            "ssl_context": lambda _settings, _make: certificate.context,
        }

    def load() -> Any:
        if applications:
            several = Several(settings, applications)
            several.start()
            return several
        app = page_of(settings)
        start(app.server)
        return app.server

    _Server(
        load,
        {
            "bind": [f"fd://{listener.fileno()}"],
            "workers": 1,
            "worker_class": ProxiedWorker if settings.dashboard_trusted_proxies else BoundedWorker,
            "threads": THREADS,
            "keepalive": 15,
            "timeout": 60,
            "graceful_timeout": 2,
            "loglevel": "warning",
            "proc_name": "pipeline-dashboard",
            "control_socket_disable": True,
            "forwarded_allow_ips": "",  # Flask reads what proxies say, if any is trusted
            "limit_request_line": MOST_HEADER_BYTES,
            "limit_request_field_size": MOST_HEADER_BYTES,
            "limit_request_fields": 64,
            **encrypted,
        },
    ).run()
