"""How Kafka's clients prove who they are and whom they trust."""

import asyncio
import shlex
import ssl
import time
from typing import Any

import httpx
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator

from pipeline.errors import AccessError, SettingError
from pipeline.settings import Settings
from pipeline.tls import Tls

KAFKA_TLS = Tls("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_key_password")
PROTOCOL = "kafka_security_protocol"
TOKEN_TIMEOUT_S = 10.0
TOKEN_SPARE_S = 30.0
"""A token is asked for anew so long before it ends."""
REFUSAL_HEARD = b"\x01"
"""What a client answers to a token's refusal (RFC 7628, section 3.2.3); only then does the broker fail."""


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client of aiokafka gets: the brokers' addresses and how to be let in.

    Raises SettingError when a certificate, key or password that is needed is missing or unusable.
    """
    return {"bootstrap_servers": settings.bootstrap_servers, **security_options(settings)}


def security_options(settings: Settings) -> dict[str, Any]:
    """The part of `client_options` about security: aiokafka's own names."""
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = _context(settings)
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        if settings.kafka_sasl_mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = token_provider(settings)
        else:
            options["sasl_plain_username"] = _required(settings, "kafka_sasl_username", settings.kafka_sasl_username)
            options["sasl_plain_password"] = _required(
                settings, "kafka_sasl_password", settings.secret("kafka_sasl_password")
            )
    return options


def _context(settings: Settings) -> ssl.SSLContext:
    return KAFKA_TLS.context(settings, check_hostname=settings.kafka_ssl_check_hostname)


def _required(settings: Settings, name: str, value: str) -> str:
    if not value:
        raise SettingError(
            f"setting {name} is not set, but {PROTOCOL}={settings.kafka_security_protocol} with "
            f"kafka_sasl_mechanism={settings.kafka_sasl_mechanism} needs it"
        )
    return value


class HearingAuthenticator(OAuthAuthenticator):  # type: ignore[misc]  # aiokafka has no types
    """Sends a token, and hears its refusal: a message without an error code, which aiokafka's own takes for a welcome.

    The client would go on, get answers without brokers, and never be told why.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """What is sent next, and whether there is an answer to it; None at the end."""
        if self._token_sent and payload:
            return REFUSAL_HEARD, True
        found: tuple[bytes, bool] | None = await super().step(payload)
        return found


def _hearing(connection: AIOKafkaConnection) -> HearingAuthenticator:
    return HearingAuthenticator(sasl_oauth_token_provider=connection._sasl_oauth_token_provider)


AIOKafkaConnection.authenticator_oauth = _hearing


class TokenCommand(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """Tokens that a command prints, one for each connection."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    async def token(self) -> str:
        """The command's output; raises AccessError when it fails or prints nothing."""
        setting = "kafka_sasl_oauthbearer_token_command"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise AccessError(f"setting {setting}: {self._command[0]!r} cannot be run: {error.strerror}") from None
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TOKEN_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AccessError(f"setting {setting}: no token came within {TOKEN_TIMEOUT_S:.0f} s") from None
        token = output.decode(errors="replace").strip()
        if process.returncode or not token:
            what = f"ended with exit code {process.returncode}" if process.returncode else "printed no token"
            raise AccessError(f"setting {setting}: the command {what}")
        return token


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """Tokens from an address, by the client credentials grant (RFC 6749, section 4.4); kept until they end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.kafka_sasl_oauthbearer_token_endpoint_url
        self._token = ""
        self._until_s = 0.0

    async def token(self) -> str:
        """A token that is valid for a while; raises AccessError when none is given."""
        if time.monotonic() >= self._until_s:
            found = await self._ask()
            self._token = str(found["access_token"])
            self._until_s = time.monotonic() + float(found.get("expires_in", 0)) - TOKEN_SPARE_S
        return self._token

    async def _ask(self) -> dict[str, Any]:
        settings = self._settings
        user = (
            _required(settings, "kafka_sasl_oauthbearer_client_id", settings.kafka_sasl_oauthbearer_client_id),
            settings.secret("kafka_sasl_oauthbearer_client_secret"),
        )
        form = {"grant_type": "client_credentials"}
        if settings.kafka_sasl_oauthbearer_scope:
            form["scope"] = settings.kafka_sasl_oauthbearer_scope
        where = "setting kafka_sasl_oauthbearer_token_endpoint_url: "
        try:
            async with httpx.AsyncClient(verify=_trusted(settings), timeout=TOKEN_TIMEOUT_S, trust_env=False) as client:
                reply = await client.post(self._url, data=form, auth=user)
            if not reply.is_success:
                raise AccessError(
                    f"{where}the token endpoint refuses kafka_sasl_oauthbearer_client_id={user[0]} or its secret "
                    f"(HTTP {reply.status_code})"
                )
            found = reply.json()
            return {**found, "access_token": found["access_token"]}
        except httpx.HTTPError as error:
            raise AccessError(f"{where}it cannot be asked: {error or type(error).__name__}") from None
        except (ValueError, TypeError, KeyError):
            raise AccessError(f"{where}its answer holds no access_token") from None


def _trusted(settings: Settings) -> ssl.SSLContext:
    """For token endpoints: the system's authorities and those of kafka_ssl_cafile; names are always checked."""
    context = ssl.create_default_context()
    if settings.kafka_ssl_cafile is not None:
        context.load_verify_locations(settings.kafka_ssl_cafile)
    return context


def token_provider(settings: Settings) -> AbstractTokenProvider:
    """Where OAUTHBEARER's tokens come from; raises SettingError unless exactly one place is set."""
    command, url = (
        settings.kafka_sasl_oauthbearer_token_command,
        settings.kafka_sasl_oauthbearer_token_endpoint_url,
    )
    if bool(command) == bool(url):
        raise SettingError(
            "kafka_sasl_mechanism=OAUTHBEARER needs one of kafka_sasl_oauthbearer_token_command and "
            f"kafka_sasl_oauthbearer_token_endpoint_url, and {'both are' if command else 'none is'} set"
        )
    return TokenCommand(command) if command else TokenEndpoint(settings)
