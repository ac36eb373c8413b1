"""The async engine of the shop's database, its errors as sentences, and the back-off when it is away."""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from pipeline.errors import SettingError
from pipeline.settings import Settings

CONNECT_TIMEOUT_S = 5


def parse_url(settings: Settings) -> URL:
    """The database's URL; raises SettingError when SQLAlchemy cannot read it."""
    try:
        return make_url(settings.mysql_url)
    except ArgumentError as error:
        raise SettingError(
            f"setting mysql_url is no SQLAlchemy URL such as mysql+aiomysql://user:password@host:3306/shop: {error}"
        ) from None


def address(settings: Settings) -> str:
    """The database's URL without its password, for messages."""
    return parse_url(settings).render_as_string(hide_password=True)


def engine(settings: Settings) -> AsyncEngine:
    """An async engine whose sessions are in UTC; the caller disposes of it."""
    return create_async_engine(
        parse_url(settings),
        pool_pre_ping=False,
        pool_size=2,
        connect_args={
            "init_command": "SET time_zone = '+00:00'",
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_TIMEOUT_S,
        },
    )


def reason(error: BaseException) -> str:
    """The database's own words on one line, without the SQL statement."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    words = " ".join(str(argument) for argument in cause.args) or type(cause).__name__
    return " ".join(words.split())[:300]


def is_outage(error: BaseException) -> bool:
    """True for errors that go away when the server comes back; a wrong password or statement does not.

    MySQL's numbers: 1040 too many connections, 1053 server shutdown, 1205 and 1213 lock wait and deadlock, 2xxx are the
    client's connection errors.
    """
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = error.orig
        number = cause.args[0] if cause is not None and cause.args else None
        if isinstance(number, int):
            return number in (1040, 1053, 1205, 1213) or 2000 <= number < 3000 or number == 0
        return isinstance(cause, OSError | asyncio.TimeoutError | EOFError)
    return isinstance(error, OSError | asyncio.TimeoutError | EOFError)


def retrying(
    log: logging.Logger,
    what: str,
    stop: asyncio.Event,
    *,
    retry_on: Callable[[BaseException], bool] = is_outage,
    longest_s: float = 10.0,
) -> AsyncRetrying:
    """Tenacity's loop for outages: half a second doubling up to `longest_s`, one log line an attempt.

    It ends with the last error when `stop` is set; setting it also ends a wait at once.
    """

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        wait_s = state.next_action.sleep if state.next_action is not None else 0.0
        log.warning(
            "%s: attempt %d failed, next in %.1f s: %s",
            what,
            state.attempt_number,
            wait_s,
            reason(error) if error is not None else "no result",
        )

    async def sleep(seconds: float) -> None:
        await wait(stop, seconds)

    return AsyncRetrying(
        sleep=sleep,
        stop=lambda _: stop.is_set(),
        wait=wait_exponential_jitter(initial=0.5, max=longest_s, jitter=0.5),
        retry=retry_if_exception(retry_on),
        before_sleep=tell,
        reraise=True,
    )


async def wait(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, but no longer than until `stop` is set; returns whether it is."""
    if seconds > 0 and not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return False
    return stop.is_set()
