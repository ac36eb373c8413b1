"""Why a Kafka cluster does not let a client in, or does not let it do what it wants: one sentence each.

aiokafka keeps most reasons to itself ("unable to bootstrap"). So when no connection was made each broker is asked once
more, step by step, until something is known for certain. What is not certain counts as an outage, which goes by.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.admin import SaslHandShakeRequest

from pipeline.errors import AccessError, PipelineError, StackError
from pipeline.kafka_security import KAFKA_TLS, PROTOCOL, security_options
from pipeline.settings import Settings
from pipeline.tls import handshake_problem, unverified_context

STEP_TIMEOUT_S = 5.0
GOODBYE_S = 1.0
"""How long a connection may take to end: TLS says goodbye."""
TICK_S = 0.1
"""For the connections that aiokafka closes when they are refused, and does not wait for."""
ALERT_WAIT_S = 0.3
"""A server that refuses a client's certificate says so after the handshake (TLS 1.3)."""
DOCS = "see the table of rights in docs/security.md"
REFUSED_RIGHTS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    ClusterAuthorizationFailedError,
)
NO_MECHANISM = "?"
TOKEN_URL = "kafka_sasl_oauthbearer_token_endpoint_url"


async def unreachable(settings: Settings, error: BaseException) -> StackError | AccessError:
    """The sentence for a cluster to which no connection was made: AccessError where it does not let this client in."""
    if isinstance(error, REFUSED_RIGHTS):
        return denied(settings, error)
    addresses = [address.strip() for address in settings.bootstrap_servers.split(",")]
    reasons = await asyncio.gather(*(_reason(settings, *_host_and_port(address)) for address in addresses))
    await asyncio.sleep(TICK_S)
    refused = [AccessError(reason) for reason in reasons if reason]
    if refused:
        return refused[0]
    is_away = isinstance(error, KafkaConnectionError | OSError)
    why = (
        "; `pipeline demo` or `pipeline stack up` starts some, PIPELINE_BOOTSTRAP_SERVERS names your own"
        if is_away
        else f": {error or type(error).__name__}"
    )
    return StackError(f"no Kafka broker of bootstrap_servers={settings.bootstrap_servers} answers{why}")


@contextmanager
def rights_told(settings: Settings) -> Iterator[None]:
    """Raise AccessError in the place of aiokafka's error when a right is missing."""
    try:
        yield
    except REFUSED_RIGHTS as error:
        raise denied(settings, error) from error


def broker_error(settings: Settings, what: str, error: BaseException) -> PipelineError:
    """The sentence for an answer of the brokers that is an error: AccessError when a right is missing."""
    if isinstance(error, REFUSED_RIGHTS):
        return denied(settings, error)
    return StackError(f"{what}: {error or type(error).__name__}")


def denied(settings: Settings, error: BaseException, thing: str = "") -> AccessError:
    """The sentence for a right that the cluster does not give; `error` is one of REFUSED_RIGHTS."""
    return AccessError(f"{principal(settings)} {_lacks(error, thing)}; {DOCS}")


def principal(settings: Settings) -> str:
    """Who this client is to Kafka, as far as the settings tell."""
    if not settings.kafka_security_protocol.startswith("SASL"):
        shown = settings.kafka_ssl_certfile
        return f"the Kafka user of kafka_ssl_certfile={shown}" if shown else "an anonymous Kafka user"
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return "the Kafka user of the OAUTHBEARER token"
    return f"Kafka user {settings.kafka_sasl_username}"


def _lacks(error: BaseException, thing: str) -> str:
    named = thing or ", ".join(sorted(map(str, _things(error))))
    match error:
        case TopicAuthorizationFailedError():
            return f"has not the rights that it needs on topic {named}".rstrip()
        case GroupAuthorizationFailedError():
            return f"has not the rights that it needs on consumer group {named}".rstrip()
        case TransactionalIdAuthorizationFailed():
            return f"may not write transactions {named}".rstrip()
        case _:
            return "lacks a right on the cluster"


def _things(error: BaseException) -> Iterable[Any]:
    """What aiokafka gives the error: a name, or a set of names."""
    for argument in error.args:
        yield from argument if isinstance(argument, set | frozenset | list | tuple) else (argument,)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else (address, 9092)


async def _reason(settings: Settings, host: str, port: int) -> str | None:
    """Why a broker does not let this client in; None when it does, does not answer, or that is not certain."""
    part = f"the Kafka broker at {host}:{port}"
    options = security_options(settings)
    try:
        problem = await _tls_problem(host, port, part, options.get("ssl_context"))
        if problem is None:
            async with _connected(host, port, options):
                return await _protocol_problem(settings, host, port, part)
    except SaslAuthenticationFailed as error:
        return f"{part} refuses {_credentials(settings)}: {error.args[0] if error.args else 'wrong credentials'}"
    except AccessError as error:
        return str(error)
    except (KafkaError, OSError, TimeoutError):
        problem = None
    return await _protocol_problem(settings, host, port, part) or problem


def _credentials(settings: Settings) -> str:
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        command = settings.kafka_sasl_oauthbearer_token_command
        return f"the token of {'kafka_sasl_oauthbearer_token_command' if command else TOKEN_URL}"
    file = settings.kafka_sasl_password_file
    password = "kafka_sasl_password" if file is None else f"kafka_sasl_password_file={file}"
    return f"kafka_sasl_username={settings.kafka_sasl_username} with the password of {password}"


async def _tls_problem(host: str, port: int, part: str, context: ssl.SSLContext | None) -> str | None:
    """What is wrong with the handshake; raises OSError when nothing listens."""
    if context is None:
        return None
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), ALERT_WAIT_S)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), GOODBYE_S)
    except ssl.SSLError as error:
        return handshake_problem(error, part, KAFKA_TLS, PROTOCOL)
    return None


async def _protocol_problem(settings: Settings, host: str, port: int, part: str) -> str | None:
    """Whether the broker's port speaks something else than the settings say; None where that is not known."""
    for transport, context in (("PLAINTEXT", None), ("SSL", unverified_context())):
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            options = {"security_protocol": transport, "ssl_context": context}
            async with _connected(host, port, options) as connection:
                reply = await connection.send(SaslHandShakeRequest(NO_MECHANISM))
                is_sasl = reply.error_code != IllegalSaslStateError.errno
                offered = f"SASL_{transport}" if is_sasl else transport
                return _mismatch(settings, part, offered, reply.enabled_mechanisms)
    return None


def _mismatch(settings: Settings, part: str, offered: str, mechanisms: Iterable[str]) -> str | None:
    wanted = settings.kafka_security_protocol
    if offered != wanted:
        return f"{part} speaks {offered}, but setting {PROTOCOL} is {wanted}"
    known = sorted(mechanisms)
    if offered.startswith("SASL") and settings.kafka_sasl_mechanism not in known:
        return (
            f"{part} knows {', '.join(known) or 'no mechanism'}, but setting kafka_sasl_mechanism is "
            f"{settings.kafka_sasl_mechanism}"
        )
    return None


@asynccontextmanager
async def _connected(host: str, port: int, options: dict[str, Any]) -> AsyncIterator[AIOKafkaConnection]:
    connection = await create_conn(host, port, request_timeout_ms=int(STEP_TIMEOUT_S * 1_000), **options)
    try:
        yield connection
    finally:
        await asyncio.wait([connection.close()], timeout=GOODBYE_S)
