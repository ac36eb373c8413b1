"""A small web server of metrics: /metrics behind the token, / for health checks, and nothing else."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread, Timer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.web import Certificate, LastGood, is_bearer, metrics_certificate

REQUEST_S = 10.0
AT_ONCE = 16
"""Connections that are answered at a time; each is closed after one request, or REQUEST_S seconds."""


@contextmanager
def serving(registry: CollectorRegistry, settings: Settings) -> Iterator[None]:
    """Serve meanwhile, in a thread; raises SettingError when the port cannot be had."""
    host, port = settings.poller_web_host, settings.poller_web_port
    certificate = metrics_certificate(settings.metrics_ssl_certfile, settings.metrics_ssl_keyfile)
    token = LastGood(lambda: settings.secret("metrics_bearer_token"))
    try:
        server = _Server(host, port, registry, token, certificate)
    except OSError as error:
        raise SettingError(
            f"setting poller_web_port is {port}, but that port cannot be had on {host}: {error.strerror}"
        ) from None
    thread = Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, token: LastGood, certificate: Certificate | None
    ) -> None:
        self.registry = registry
        self.token = token
        self._certificate = certificate
        self._free = BoundedSemaphore(AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        connection = request.dup()
        ending = Timer(REQUEST_S, _cut_off, [connection])
        ending.daemon = True
        ending.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ending.cancel()
            connection.close()
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._certificate is None:
            super().finish_request(request, client_address)
            return
        with self._certificate.context.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)
            with contextlib.suppress(OSError):
                encrypted.unwrap()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off, or does not speak TLS, is no news."""


def _cut_off(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "pipeline", ""
    error_message_format, error_content_type = "%(code)d %(message)s.", "text/plain; charset=utf-8"

    def do_GET(self) -> None:
        wanted = self.server.token()
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(200, "text/plain", b"OK")
        elif wanted and not is_bearer(self.headers.get("Authorization", ""), wanted):
            self._answer(401, "text/plain", b"A bearer token is needed.", challenge="Bearer")
        elif path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, kind, encode(self.server.registry))
        else:
            self._answer(404, "text/plain", b"404 Not Found.")

    def _answer(self, status: int, kind: str, body: bytes, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: they are many, and their lines are a client's."""
