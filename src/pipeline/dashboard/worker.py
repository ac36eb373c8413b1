"""Gunicorn's worker of threads with bounds for each client, so that a slow one does not hold up the others.

Gunicorn gives a connection a thread as soon as its first byte is there, and waits without an end for the rest: as many
clients as there are threads, each with a byte a second, would stop everything. Here a client address has at most
`client_threads` threads, others of its connections wait for them, and a request that takes too long is cut off.
"""

import contextlib
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from gunicorn.util import close_graceful  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from pipeline.web_limits import subnet

THREADS = 64
CLIENT_THREADS = 16
CLIENT_CONNECTIONS = 200
HEAD_S = 10.0
"""How long a client may take for its handshake and a request's head."""
REQUEST_S = 30.0
"""How long it may take from there until it has its answer."""


class BoundedWorker(ThreadWorker):  # type: ignore[misc]
    """The bounds; everything but `handle` and `handle_request` runs in the worker's main thread."""

    client_threads = CLIENT_THREADS
    client_connections = CLIENT_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._waiting: dict[str, deque[Any]] = {}
        self._ends: dict[Any, float] = {}

    def enqueue_req(self, conn: Any) -> None:
        """Give the connection a thread, now or when its client has one less."""
        client = _client(conn)
        if not hasattr(conn, "pipeline_counted"):
            self._watch(conn, client)
        if self._open[client] > self.client_connections:
            self.nr_conns -= 1
            conn.close()
        elif self._busy[client] >= self.client_threads:
            self._waiting.setdefault(client, deque()).append(conn)
        else:
            self._busy[client] += 1
            super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """The thread is free: the client's next connection gets it."""
        client = _client(conn)
        self._busy[client] -= 1
        if not self._busy[client]:
            del self._busy[client]
        super().finish_request(conn, fs)
        waiting = self._waiting.get(client)
        if waiting:
            self.enqueue_req(waiting.popleft())
        elif waiting is not None:
            del self._waiting[client]

    def handle(self, conn: Any) -> Any:
        """In a thread: a request, from its first byte."""
        self._ends[conn] = time.monotonic() + HEAD_S
        try:
            result = super().handle(conn)
            if not result:  # the last bytes are waited for here: in the main thread all others would wait, too
                conn.pipeline_closed = True
                with contextlib.suppress(OSError):
                    conn.sock.setblocking(True)
                    close_graceful(conn.sock)
            return result
        finally:
            self._ends.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """In a thread: the head is there; body and answer follow."""
        self._ends[conn] = time.monotonic() + REQUEST_S
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Called about once a second: cut off what takes too long. Its thread then finds the end of the connection."""
        super().murder_pending()
        now_s = time.monotonic()
        for conn, end_s in list(self._ends.items()):
            if now_s > end_s:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)

    def _watch(self, conn: Any, client: str) -> None:
        """Count an open connection, until it is closed."""
        self._open[client] += 1
        close: Callable[..., None] = conn.close
        conn.pipeline_counted, conn.pipeline_closed = True, False

        def closed(*args: Any, **kwargs: Any) -> None:
            if conn.pipeline_counted:
                conn.pipeline_counted = False
                self._open[client] -= 1
                if not self._open[client]:
                    del self._open[client]
            if not conn.pipeline_closed:
                close(*args, **kwargs)

        conn.close = closed


class ProxiedWorker(BoundedWorker):
    """Behind a proxy all connections are its own; it is trusted not to be slow."""

    client_threads = THREADS
    client_connections = 1_000


def _client(conn: Any) -> str:
    address = conn.client
    return subnet(str(address[0])) if isinstance(address, tuple) else "local"
