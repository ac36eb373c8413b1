"""What every request passes before it is answered: its client's limits, its size and the password."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.answers import refused
from pipeline.settings import Settings
from pipeline.web_limits import Buckets
from pipeline.web_login import Login

BURST_S = 2


class Guard:
    """In front of the application; `/healthz` is answered to anybody."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._rate = settings.api_rate_limit
        self._asks = Buckets(self._rate, max(1.0, BURST_S * self._rate))
        self._login = Login(settings, "api_auth", "api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may not pass, or hand it on."""
        answer = self._refusal(scope) if scope["type"] == "http" and scope["path"] != "/healthz" else None
        await (self._app if answer is None else answer)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        client, headers = (scope.get("client") or ("",))[0], Headers(scope=scope)
        if self._rate and (wait_s := self._asks.take(client)):
            return refused(429, "there are too many requests from this address", {"Retry-After": str(wait_s)})
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return refused(413, "a request has no body here", {"Connection": "close"})
        found = self._login.refusal(headers.get("authorization", ""), client)
        return None if found is None else refused(found.status, found.sentence, found.headers)
