"""Encrypted connections to MySQL: the modes of `--ssl-mode` as MySQL's own clients have them, on aiomysql's connection.

aiomysql encrypts where it can and says nothing where it cannot. Here a server without TLS is refused before anything is
sent that a listener might use, unless the mode is PREFERRED.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from aiomysql import connection as aiomysql_connection
from aiomysql.connection import Connection
from pymysql.constants import CLIENT
from pymysql.err import OperationalError

from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.tls import Tls, handshake_problem

MYSQL_TLS = Tls("mysql_ssl_ca", "mysql_ssl_cert", "mysql_ssl_key")
MODE = "mysql_ssl_mode"
GOODBYE_S, TICK_S = 1.0, 0.05
SSL_CONNECTION_ERROR = 2026
"""MySQL's number for a connection that cannot be encrypted as it is to be: no outage."""


_open = aiomysql_connection._open_connection


async def _open_or_close(*address: Any, sock: socket.socket | None = None, **options: Any) -> Any:
    """As aiomysql's own, which leaves the socket open when the handshake fails."""
    try:
        return await _open(*address, **(options if sock is None else options | {"sock": sock}))
    except BaseException:
        if sock is not None:
            await asyncio.sleep(0)  # the transport over it is closing
            sock.close()
        raise


aiomysql_connection._open_connection = _open_or_close


class Secured(Connection):  # type: ignore[misc]  # aiomysql has no types
    """A connection that is encrypted where the server can; `ensure_closed` waits for the end of TLS, too."""

    async def ensure_closed(self) -> None:
        writer = self._writer
        await super().ensure_closed()
        if writer is not None:
            try:
                await asyncio.wait_for(writer.wait_closed(), GOODBYE_S)
            except (OSError, TimeoutError):
                writer.transport.abort()
                await asyncio.sleep(0)


class Encrypted(Secured):
    """A connection that is encrypted or not at all."""

    async def _request_authentication(self) -> None:
        if not self.server_capabilities & CLIENT.SSL:
            raise OperationalError(SSL_CONNECTION_ERROR, f"the database offers no TLS, which setting {MODE} asks for")
        await super()._request_authentication()


def connector(settings: Settings) -> Callable[..., Coroutine[Any, Any, Connection]]:
    """What makes connections in place of `aiomysql.connect`; raises SettingError for files that are of no use."""
    mode = settings.mysql_ssl_mode
    if settings.mysql_ssl_ca is not None and not mode.startswith("VERIFY"):
        raise SettingError(
            f"setting mysql_ssl_ca is set, but with {MODE}={mode} no certificate is checked: "
            "choose VERIFY_CA or VERIFY_IDENTITY"
        )
    if mode == "DISABLED":
        return partial(connected, Connection, None)
    context = MYSQL_TLS.context(settings, check_hostname=mode == "VERIFY_IDENTITY", verify=mode.startswith("VERIFY"))
    return partial(connected, Secured if mode == "PREFERRED" else Encrypted, context)


async def connected(kind: type[Connection], context: ssl.SSLContext | None, **options: Any) -> Connection:
    """An open connection; raises OperationalError, whose words name the setting where TLS is the reason."""
    connection = kind(**options, ssl=context)
    try:
        await connection._connect()
    except OperationalError as error:
        part = f"the database at {options.get('host')}:{options.get('port')}"
        cause = error.__cause__ or error.__context__
        await asyncio.sleep(TICK_S)  # what aiomysql closes it does not wait for
        problem = None if cause is None else handshake_problem(cause, part, MYSQL_TLS, MODE)
        if problem is not None:
            raise OperationalError(SSL_CONNECTION_ERROR, problem) from error
        raise
    return connection
