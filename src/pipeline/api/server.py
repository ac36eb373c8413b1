"""The web application of `pipeline api`, and what serves it."""

import asyncio
import inspect
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from pipeline.api.answers import answered, refused
from pipeline.api.asking import Ask
from pipeline.api.changes import events
from pipeline.api.guard import Guard
from pipeline.api.replica import NotFreshError, Replica
from pipeline.api.tables import WrongRequest, described, route
from pipeline.api.totals import Totals, that_can_be_asked
from pipeline.applications.loading import Runnable, changelog
from pipeline.declare.endpoints import Endpoint, SqlEndpoint
from pipeline.errors import QueryError, SettingError
from pipeline.serving.pinot import client
from pipeline.settings import Settings
from pipeline.web import Certificate

log = logging.getLogger(__name__)


def create_app(settings: Settings, found: Runnable) -> FastAPI:
    """The API of an application. Raises SettingError where there is nothing to ask."""
    statements = that_can_be_asked(found.application.statements)
    endpoints = found.application.endpoints
    if not statements and not endpoints:
        raise SettingError(
            f"application {settings.app} keeps nothing that can be asked: aggregate something, and .to(TOPIC) or "
            ".materialize(NAME)"
        )
    totals = Totals(statements)
    states = {found.plan.merged(one.state) for one in statements}
    replica = Replica(settings, totals, [changelog(settings.app_id, state) for state in states])

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(replica.run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    api = FastAPI(
        title=found.name,
        description=f"What the workers of {found.name} keep, as far as it is committed.",
        lifespan=lifespan,
        docs_url=None,  # it would load scripts from another server
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(only_known)],
    )
    api.state.replica = replica
    _handle_errors(api)
    _own_paths(api, settings, replica)
    for endpoint in endpoints:
        _add(api, settings, replica, endpoint)
    api.add_middleware(Guard, settings=settings)
    return api


def _own_paths(api: FastAPI, settings: Settings, replica: Replica) -> None:
    totals = replica.totals
    followers = asyncio.Semaphore(settings.api_followers)

    @api.get("/healthz")
    async def healthz() -> Response:
        """200 once the state has been read, 503 before."""
        return answered({"ready": True}) if replica.is_read else refused(503, f"not yet: {replica.problem}")

    @api.get("/")
    async def paths() -> Response:
        """What can be asked."""
        return answered({"paths": sorted({getattr(one, "path", "") for one in api.routes}), "openapi": "/openapi.json"})

    @api.get("/tables")
    async def tables() -> Response:
        """The tables that can be asked."""
        return answered({"tables": [described(name, table) for name, table in totals.tables.items()]})

    def follow(name: str) -> Callable[..., Awaitable[Response]]:
        async def changes(last_event_id: Annotated[str, Header()] = "") -> Response:
            if totals.tables[name].is_sliced:
                raise WrongRequest(
                    f"{name} has windows of which each change changes many: ask for its rows instead of following them"
                )
            if followers.locked():
                return refused(503, "there are too many followers", {"Retry-After": "10"})

            async def stream() -> AsyncIterator[bytes]:
                async with followers:
                    async for event in events(replica, name, last_event_id):
                        yield event

            await replica.fresh()
            return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

        changes.__doc__ = f"The changes of {name}, as server-sent events."
        return changes

    for name in totals.tables:
        api.add_api_route(f"/tables/{name}", route(name, totals, replica.fresh), methods=["GET"], name=name)
        api.add_api_route(f"/tables/{name}/changes", follow(name), methods=["GET"], name=f"{name} changes")

    @api.get("/tables/{name}", include_in_schema=False)
    async def no_table(name: str) -> Response:
        known = ", ".join(totals.tables) or "none"
        return refused(404, f"there is no table {name[:100]}, but: {known}; what is no aggregate cannot be asked")


def _add(api: FastAPI, settings: Settings, replica: Replica, endpoint: Endpoint | SqlEndpoint) -> None:
    if isinstance(endpoint, SqlEndpoint):
        api.add_api_route(endpoint.path, _of_sql(settings, endpoint), methods=["GET"], name=endpoint.path)
        return

    async def answer(stale_ms: int | None, **given: Any) -> Response:
        await replica.fresh(stale_ms)
        try:
            return answered(endpoint.answer(Ask(replica.totals), **given))
        except ValueError as error:
            raise WrongRequest(str(error)) from error

    stale = inspect.Parameter(
        "stale_ms",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[int | None, Query(ge=0, description="what was committed in the last ms may be missing")],
    )
    keywords = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in endpoint.parameters]
    answer.__signature__ = inspect.Signature([*keywords, stale])  # type: ignore[attr-defined]
    answer.__doc__ = inspect.getdoc(endpoint.answer)
    api.add_api_route(endpoint.path, answer, methods=["GET"], name=endpoint.path)


def _of_sql(settings: Settings, endpoint: SqlEndpoint) -> Callable[[], Response]:
    def answer() -> Response:  # not async: the framework runs it in a thread
        rows = client(settings).query(endpoint.sql)
        if endpoint.one:
            return answered(rows[0] if rows else {})
        return answered({"rows": rows})

    answer.__doc__ = endpoint.says
    return answer


MUST_BE = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def _sentence(error: Mapping[str, Any]) -> str:
    """What is wrong with a parameter."""
    name, kind = error["loc"][-1], str(error["type"])
    if kind == "missing":
        return f"parameter {name} is missing"
    given = repr(error.get("input"))
    given = given if len(given) < 100 else f"{given[:100]}..."
    if (wanted := MUST_BE.get(kind.partition("_")[0])) is not None:
        return f"{name} is {given}, but must be {wanted}"
    return f"{name} is {given}: {error['msg']}"


async def only_known(request: Request) -> None:
    """Refuse parameters that the path does not have, and those that come twice."""
    known = {one.alias for one in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            told = f"takes {', '.join(sorted(known))}" if known else "takes no parameters"
            raise WrongRequest(f"there is no parameter {name[:100]!r}: this path {told}")
        if len(request.query_params.getlist(name)) > 1:
            raise WrongRequest(f"parameter {name} is there twice")


def _handle_errors(api: FastAPI) -> None:
    @api.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        return refused(400, "; ".join(map(_sentence, error.errors())))

    @api.exception_handler(WrongRequest)
    async def wrong_request(_: Request, error: WrongRequest) -> Response:
        return refused(400, str(error))

    @api.exception_handler(NotFreshError)
    async def not_fresh(_: Request, error: NotFreshError) -> Response:
        return refused(503, str(error), {"Retry-After": "1"})

    @api.exception_handler(QueryError)
    async def no_answer(_: Request, error: QueryError) -> Response:
        return refused(503, str(error), {"Retry-After": "1"})

    @api.exception_handler(SettingError)
    async def wrong_here(request: Request, error: SettingError) -> Response:
        log.error("%s: %s", request.url.path, error)
        return refused(500, str(error))

    @api.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:  # its traceback is logged, too
        return refused(500, f"{request.url.path} failed: {type(error).__name__}; the log says where")

    @api.exception_handler(HTTPException)
    async def refusal(request: Request, error: HTTPException) -> Response:
        sentence = {404: f"there is no {request.url.path} here: see /", 405: "only GET is answered here"}
        return refused(error.status_code, sentence.get(error.status_code, str(error.detail)), error.headers)


class _Server(uvicorn.Server):
    """Ends with 0 at SIGINT and SIGTERM, where uvicorn gives them to the process once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(api: FastAPI, listener: socket.socket, certificate: Certificate | None) -> None:
    """Serve until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        api,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16_384,
        ws="none",
    )
    config.load()
    if certificate is not None:
        config.ssl = certificate.context
    _Server(config).run(sockets=[listener])
