"""The async engine of the shop's database, and its errors as sentences."""

import codecs
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.sources.mysql_tls import SSL_CONNECTION_ERROR, connector

CONNECT_TIMEOUT_S = 5
ODD_TEXT = "pipeline_utf8"
"""UTF-8 that reads bytes which are none as lone surrogates, as Python does with file names: the driver knows only
strict codecs, and one damaged text would keep all rows of a query from being read."""


def _odd_text(name: str) -> codecs.CodecInfo | None:
    if name != ODD_TEXT:
        return None
    utf8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(
        utf8.encode, lambda data, errors="strict": utf8.decode(data, "surrogateescape"), name=ODD_TEXT
    )


codecs.register(_odd_text)

LACKING_RIGHT = "; see the grants in docs/security.md"
HINTS: dict[object, str] = {
    1045: "; see settings mysql_url and mysql_password",
    1698: "; see settings mysql_url and mysql_password",
    3159: "; see setting mysql_ssl_mode",
    **dict.fromkeys((1044, 1142, 1143, 1227), LACKING_RIGHT),
}
"""What is behind some of MySQL's error numbers."""


def parse_url(settings: Settings) -> URL:
    """The database's URL with the password of the settings; raises SettingError when SQLAlchemy cannot read it."""
    try:
        url = make_url(settings.mysql_url)
        password = settings.secret("mysql_password")
        return url.set(password=password) if password else url
    except (ArgumentError, ValueError):  # their words may repeat a part of the password
        raise SettingError(
            "setting mysql_url is no SQLAlchemy URL such as mysql+aiomysql://user:password@host:3306/shop; in a "
            "password : / @ and % are written %3A %2F %40 and %25"
        ) from None


def address(settings: Settings) -> str:
    """The database's URL without its password, for messages; nor its query, which may hold one for the driver."""
    return parse_url(settings).set(query={}).render_as_string(hide_password=True)


def engine(settings: Settings) -> AsyncEngine:
    """An async engine whose sessions are in UTC; the caller disposes of it.

    Text that is no UTF-8 is read with lone surrogates in the place of its bytes.
    """
    database = create_async_engine(
        parse_url(settings),
        pool_pre_ping=False,
        pool_size=2,
        connect_args={
            "init_command": "SET time_zone = '+00:00'",
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "async_creator_fn": connector(settings),
        },
    )

    @event.listens_for(database.sync_engine, "connect")
    def read_odd_text(connection: Any, _: Any) -> None:
        driver = connection.driver_connection
        if hasattr(driver, "_encoding"):  # aiomysql's
            driver._encoding = ODD_TEXT

    return database


def reason(error: BaseException) -> str:
    """The database's own words on one line, without the SQL statement; and the setting that they are about."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    number = cause.args[0] if cause.args else None
    told = cause.args[1:] if number == SSL_CONNECTION_ERROR else cause.args
    words = " ".join(str(argument) for argument in told) or type(cause).__name__
    return " ".join(words.split())[:300] + HINTS.get(number, "")


def is_outage(error: BaseException) -> bool:
    """True for errors that go away when the server comes back; a wrong password or statement does not.

    MySQL's numbers: 1040 too many connections, 1053 server shutdown, 1205 and 1213 lock wait and deadlock, 1412 a table
    was altered under the transaction, 2xxx are the client's connection errors.
    """
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = error.orig
        number = cause.args[0] if cause is not None and cause.args else None
        if isinstance(number, int):
            lost = 2000 <= number < 3000 and number != SSL_CONNECTION_ERROR
            return number in (1040, 1053, 1205, 1213, 1412) or lost or number == 0
        return isinstance(cause, OSError | EOFError)
    return isinstance(error, OSError | EOFError)
