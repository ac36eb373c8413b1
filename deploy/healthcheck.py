"""Health check of the Python containers: every argument must hold, or the exit status is 1.

`tcp:PORT`: this container has an established connection to that port of another; a process that has lost Kafka or
MySQL for good, or hangs before it has connected, has none. `http://...`: the URL answers with a status below 400.
"""

import sys
import urllib.request

import psutil

TIMEOUT_S = 4


def holds(check: str) -> bool:
    """Whether the check succeeds; anything unexpected is a failure."""
    if check.startswith("tcp:"):
        port = int(check.removeprefix("tcp:"))
        return any(
            connection.status == psutil.CONN_ESTABLISHED and connection.raddr and connection.raddr.port == port
            for connection in psutil.net_connections("tcp")
        )
    try:
        with urllib.request.urlopen(check, timeout=TIMEOUT_S) as reply:
            return bool(reply.status < 400)
    except OSError:
        return False


if __name__ == "__main__":
    failed = [check for check in sys.argv[1:] if not holds(check)]
    if failed:
        sys.exit(f"unhealthy: {', '.join(failed)}")
