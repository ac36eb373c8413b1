"""What every request passes before it is answered: its client's limits, its size and the password."""

import binascii
from base64 import b64decode

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.answers import refused
from pipeline.errors import SettingError
from pipeline.security_settings import user_and_password
from pipeline.settings import Settings
from pipeline.web import LastGood, same
from pipeline.web_limits import Buckets

BURST_S = 2
FAILURES = 10
FAILURES_PER_S = FAILURES / 60
"""Wrong passwords that one address may give: ten at once, then one every six seconds."""
CHALLENGE = {"WWW-Authenticate": 'Basic realm="api", charset="UTF-8"'}


class Guard:
    """In front of the application; `/healthz` is answered to anybody."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._rate = settings.api_rate_limit
        self._asks = Buckets(self._rate, max(1.0, BURST_S * self._rate))
        self._failures = Buckets(FAILURES_PER_S, FAILURES)
        self._expected = LastGood(lambda: password(settings))

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
        wanted = self._expected()
        if not wanted:
            return None
        given = headers.get("authorization", "")
        if not given:
            return refused(401, "a password is needed", CHALLENGE)
        if wait_s := self._failures.wait_s(client):
            return refused(429, "there are too many wrong passwords from this address", {"Retry-After": str(wait_s)})
        if same(_told(given), wanted.encode()):
            return None
        self._failures.take(client)
        return refused(401, "a password is needed", CHALLENGE)


def password(settings: Settings) -> str:
    """user:password, '' for none; raises SettingError where a file has something else."""
    try:
        return user_and_password(SecretStr(settings.secret("api_auth"))).get_secret_value()
    except ValueError as error:
        raise SettingError(f"setting api_auth_file names a file with a wrong text: {error}") from None


def _told(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    try:
        given = b64decode(encoded.strip().encode("latin-1"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return given if scheme.lower() == "basic" else b""
