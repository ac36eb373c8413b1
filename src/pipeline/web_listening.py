"""The socket of a web server, and where a browser finds it."""

import errno
import socket

from pipeline.errors import SettingError, StackError


def listen(host: str, port: int, what: str = "dashboard") -> socket.socket:
    """A listening socket; port 0 takes a free one. `what` begins the settings' names in sentences.

    Raises StackError when the port is taken, SettingError for a host
    that is not this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise SettingError(f"setting {what}_host is {host!r}, but that is no address: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StackError(
                f"setting {what}_port is {port}, but something listens on {host}:{port} already: choose another "
                "port, or 0 for a free one"
            ) from error
        raise SettingError(
            f"settings {what}_host={host!r} and {what}_port={port} cannot be listened on: {error.strerror}"
        ) from error
    return listener


def url(listener: socket.socket, scheme: str = "http") -> str:
    """Where a browser on this machine finds the page."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
