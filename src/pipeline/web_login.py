"""The password that a web server asks for: HTTP Basic, read anew each time, with few tries for who gives wrong ones."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import SecretStr

from pipeline.errors import SettingError
from pipeline.security_settings import user_and_password
from pipeline.settings import Settings
from pipeline.web import LastGood, same
from pipeline.web_limits import Buckets

FAILURES = 10
FAILURES_PER_S = FAILURES / 60
"""Wrong passwords that one address may give: ten at once, then one every six seconds."""


class Refused(NamedTuple):
    """A request that may not pass: the status, a sentence, and headers."""

    status: int
    sentence: str
    headers: Mapping[str, str]


class Login:
    """Who may ask a server: anybody where the setting is empty, else who brings user and password.

    Raises SettingError where a file has something else.
    """

    def __init__(self, settings: Settings, setting: Literal["dashboard_auth", "api_auth"], realm: str) -> None:
        self._expected = LastGood(lambda: password(settings, setting))
        self._failures = Buckets(FAILURES_PER_S, FAILURES)
        self._challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}

    def refusal(self, header: str, client: str) -> Refused | None:
        """What is wrong with a request of a client that has this Authorization header; None: nothing."""
        wanted = self._expected()
        if not wanted:
            return None
        needed = Refused(401, "A password is needed.", self._challenge)
        if not header:
            return needed
        if wait_s := self._failures.wait_s(client):
            return Refused(429, "Too many wrong passwords from this address.", {"Retry-After": str(wait_s)})
        if same(_given(header), wanted.encode()):
            return None
        self._failures.take(client)
        return needed


def password(settings: Settings, setting: Literal["dashboard_auth", "api_auth"]) -> str:
    """user:password, '' for none; raises SettingError where a file has something else."""
    try:
        return user_and_password(SecretStr(settings.secret(setting))).get_secret_value()
    except ValueError as error:
        raise SettingError(f"setting {setting}_file names a file with a wrong text: {error}") from None


def _given(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    try:
        given = b64decode(encoded.strip().encode("latin-1"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return given if scheme.lower() == "basic" else b""
