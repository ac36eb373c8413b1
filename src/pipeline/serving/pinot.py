"""The one client for Pinot queries: a single pooled connection per process, limits on every query, one exception."""

import atexit
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx
import pinotdb
from pinotdb import exceptions

from pipeline.errors import QueryError, SettingError
from pipeline.http_security import REFUSED, Peer
from pipeline.serving.texts import stored, told
from pipeline.settings import Settings

Row = dict[str, Any]
CONNECT_TIMEOUT_S = 2.0
MOST_ROWS = 1_000_000
ACCESS_DENIED = 180
"""The code of Pinot's error for a user that it does not know, or that may not ask this."""


class Pinot:
    """A client of one Pinot broker; safe to use from several threads.

    The connection is opened by the first query, so that a client may be made before a fork.
    """

    def __init__(self, settings: Settings) -> None:
        self._peer = Peer(settings, "pinot_broker_url")
        self._peer.options()  # what is wrong with a setting is told at once
        self.url = self._peer.url
        self.timeout_s = settings.pinot_timeout_s
        parts = urlsplit(self.url)
        self._address = {
            "host": f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname,
            "port": parts.port or (443 if parts.scheme == "https" else 80),
            "scheme": parts.scheme,
            "path": f"{parts.path.rstrip('/')}/query/sql",
        }
        self._session: httpx.Client | None = None
        self._connection: Any = None
        self._lock = Lock()

    def rows(self, table: str) -> list[Row]:
        """All rows of a table, MOST_ROWS at most; raises QueryError as `query` does."""
        return self.query(f"SELECT * FROM {table} LIMIT {MOST_ROWS}")

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query as {column: value}; write a LIMIT, since Pinot's default is 10.

        `params` fill `%(name)s` with quoted values (never identifiers). Raises QueryError when the broker is out of
        reach, does not answer within `timeout_s`, or refuses the query; a partial answer counts as none. Texts are as
        in the topics, NUL included (`texts.py`).
        """
        try:
            cursor = self._connect().cursor()
        except SettingError as error:  # a file has changed
            raise QueryError(str(error)) from None
        try:
            given = {name: stored(value) if isinstance(value, str) else value for name, value in (params or {}).items()}
            cursor.execute(sql, given, queryOptions=f"timeoutMs={int(self.timeout_s * 1000)}")
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, map(_exact, row), strict=True)) for row in cursor.fetchall()]
        except SettingError as error:
            raise QueryError(str(error)) from None
        except httpx.TimeoutException as error:
            raise QueryError(f"Pinot at {self.url} did not answer within {self.timeout_s:g} s") from error
        except (httpx.HTTPError, OSError) as error:
            if sentence := self._peer.fault(error):
                self.close()  # files may be replaced: the next query reads them again
                raise QueryError(sentence) from None
            raise QueryError(f"Pinot at {self.url} cannot be reached: {error or type(error).__name__}") from error
        except (exceptions.Error, exceptions.Warning) as error:
            if status := _refusal(cursor):
                raise QueryError(self._peer.refused(status)) from None
            raise QueryError(f"Pinot at {self.url} refused a query: {_reason(cursor, error)}") from error

    def close(self) -> None:
        """Close the connection; a later query opens a new one."""
        with self._lock:
            session, self._session, self._connection = self._session, None, None
        if session is not None:
            session.close()

    def _connect(self) -> Any:
        with self._lock:
            if self._connection is None:
                timeout = httpx.Timeout(self.timeout_s, connect=min(CONNECT_TIMEOUT_S, self.timeout_s))
                self._session = httpx.Client(timeout=timeout, **self._peer.options())
                self._connection = pinotdb.connect(**self._address, session=self._session, timeout=self.timeout_s)
            return self._connection


def _exact(value: Any) -> Any:
    return told(value) if isinstance(value, str) else value


def _reason(cursor: Any, error: BaseException) -> str:
    """Pinot's own message without the Java stack trace that follows it."""
    reply = (cursor.raw_query_response or {}).get("response")
    found = reply.get("exceptions") if isinstance(reply, dict) else None
    lines = str(found[0].get("message") if found else error).splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(("at ", "..."))]
    return " ".join(told)[:300] or type(error).__name__


def _refusal(cursor: Any) -> int | None:
    """HTTP 401 or 403, as a status or as Pinot says it in an answer; None when it is something else."""
    answer = cursor.raw_query_response or {}
    if answer.get("status_code") in REFUSED:
        return int(answer["status_code"])
    reply = answer.get("response")
    found = reply.get("exceptions") if isinstance(reply, dict) else None
    denied = any(isinstance(one, dict) and one.get("errorCode") == ACCESS_DENIED for one in found or ())
    return int(httpx.codes.FORBIDDEN) if denied else None


@lru_cache(maxsize=32)
def client(settings: Settings) -> Pinot:
    """The process's client with these settings: one, or one for each page that it serves."""
    made = Pinot(settings)
    atexit.register(made.close)
    return made
