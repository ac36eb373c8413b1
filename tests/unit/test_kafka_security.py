"""How Kafka's clients are let in: options by settings, tokens, and what a port speaks told in one sentence."""

import asyncio
import contextlib
import gc
import json
import ssl
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials

from pipeline import kafka_refusals
from pipeline.app import broker_credentials
from pipeline.errors import AccessError, SettingError, StackError
from pipeline.kafka_refusals import broker_error, denied, rights_told, unreachable
from pipeline.kafka_security import TokenCommand, TokenEndpoint, security_options
from pipeline.settings import Settings, load
from pipeline.sources.runtime import is_kafka_outage
from pipeline.stack.credentials import Secrets

SCRAM = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "pipeline-worker",
    "kafka_sasl_password": "se:cret",
}
OAUTH = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    made = Secrets(tmp_path_factory.mktemp("tls") / "secrets")
    made.make(["broker", "client"], [])
    return made


def test_plain_text_asks_for_nothing() -> None:
    assert security_options(load()) == {"security_protocol": "PLAINTEXT"}
    assert broker_credentials(load()) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_user_and_password(mechanism: str) -> None:
    settings = load(**SCRAM, kafka_sasl_mechanism=mechanism)
    options = security_options(settings)
    context = options.pop("ssl_context")
    assert options == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "pipeline-worker",
        "sasl_plain_password": "se:cret",
    }
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    credentials = broker_credentials(settings)
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.username, credentials.password, credentials.mechanism.value) == (
        "pipeline-worker",
        "se:cret",
        mechanism,
    )


def test_a_password_file_may_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = load(**SCRAM | {"kafka_sasl_password": ""}, kafka_sasl_password_file=file)
    for password in ("one", "two"):
        file.write_text(f"{password}\n")
        assert security_options(settings)["sasl_plain_password"] == password
    file.write_text("")
    with pytest.raises(SettingError, match="but that file is empty"):
        security_options(settings)


def test_mutual_tls(secrets: Secrets) -> None:
    files = secrets.identity("client")
    tls = {"kafka_security_protocol": "SSL", "kafka_ssl_cafile": secrets.ca, "kafka_ssl_certfile": files.certificate}
    settings = load(**tls, kafka_ssl_keyfile=files.key)
    assert set(security_options(settings)) == {"security_protocol", "ssl_context"}
    assert isinstance(broker_credentials(settings), SSLCredentials)
    with pytest.raises(SettingError, match="does not fit the certificate of kafka_ssl_certfile"):
        security_options(load(**tls, kafka_ssl_keyfile=secrets.identity("broker").key))
    unchecked = security_options(load(**tls, kafka_ssl_keyfile=files.key, kafka_ssl_check_hostname=False))
    assert (unchecked["ssl_context"].check_hostname, unchecked["ssl_context"].verify_mode) == (False, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({**SCRAM, "kafka_sasl_username": ""}, "kafka_sasl_username is not set"),
        ({**SCRAM, "kafka_sasl_password": ""}, "kafka_sasl_password is not set"),
        (OAUTH, "none is set"),
        (
            {
                **OAUTH,
                "kafka_sasl_oauthbearer_token_command": "x",
                "kafka_sasl_oauthbearer_token_endpoint_url": "http://x",
            },
            "both are set",
        ),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": Path("/nowhere")}, "kafka_ssl_cafile is '/nowhere'"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        security_options(load(**given))


def command(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


def test_a_command_gives_tokens() -> None:
    settings = load(**OAUTH, kafka_sasl_oauthbearer_token_command=command("print('a.b.c')"))
    provider = security_options(settings)["sasl_oauth_token_provider"]
    assert asyncio.run(provider.token()) == "a.b.c"
    assert isinstance(broker_credentials(settings), OAuthCredentials)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (command("raise SystemExit(3)"), "ended with exit code 3"),
        (command("pass"), "printed no token"),
        ("/nowhere/token", "'/nowhere/token' cannot be run"),
    ],
)
def test_a_command_that_gives_none_is_told(line: str, sentence: str) -> None:
    with pytest.raises(AccessError, match=sentence):
        asyncio.run(TokenCommand(line).token())


@contextmanager
def token_server(answers: list[tuple[int, str]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An endpoint that gives these answers, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked.append({"form": form, "authorization": self.headers["Authorization"]})
            status, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def endpoint(url: str) -> TokenEndpoint:
    return TokenEndpoint(
        load(
            **OAUTH,
            kafka_sasl_oauthbearer_token_endpoint_url=url,
            kafka_sasl_oauthbearer_client_id="pipeline",
            kafka_sasl_oauthbearer_client_secret="se:cret",
            kafka_sasl_oauthbearer_scope="kafka",
        )
    )


def test_an_endpoint_gives_tokens_that_are_kept_until_they_end() -> None:
    lasting = json.dumps({"access_token": "long", "expires_in": 3_600})
    ending = json.dumps({"access_token": "short", "expires_in": 10})
    with token_server([(200, ending), (200, lasting)]) as (url, asked):
        provider = endpoint(url)

        async def three() -> list[str]:
            return [await provider.token() for _ in range(3)]

        assert asyncio.run(three()) == ["short", "long", "long"]
    assert len(asked) == 2
    assert asked[0]["form"] == {"grant_type": ["client_credentials"], "scope": ["kafka"]}
    assert asked[0]["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, "no"), r"refuses kafka_sasl_oauthbearer_client_id=pipeline or its secret \(HTTP 401\)"),
        ((200, "{}"), "holds no access_token"),
        ((200, "<html>"), "holds no access_token"),
    ],
)
def test_an_endpoint_that_gives_none_is_told_without_the_secret(answer: tuple[int, str], sentence: str) -> None:
    with token_server([answer]) as (url, _), pytest.raises(AccessError, match=sentence) as told:
        asyncio.run(endpoint(url).token())
    assert "se:cret" not in str(told.value)


def test_an_endpoint_that_is_away_is_told() -> None:
    with pytest.raises(AccessError, match="token_endpoint_url: it cannot be asked"):
        asyncio.run(endpoint("http://127.0.0.1:1/token").token())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TopicAuthorizationFailedError({"B", "A"}), "has not the rights that it needs on topic A, B"),
        (GroupAuthorizationFailedError("shop"), "has not the rights that it needs on consumer group shop"),
        (TransactionalIdAuthorizationFailed(), "may not write transactions"),
        (ClusterAuthorizationFailedError(), "lacks a right on the cluster"),
    ],
)
def test_a_right_that_is_missing_is_a_sentence_and_no_outage(error: Exception, sentence: str) -> None:
    settings = load(**SCRAM)
    told = denied(settings, error)
    assert str(told).startswith(f"Kafka user pipeline-worker {sentence}")
    assert str(told).endswith("see the table of rights in docs/security.md")
    assert isinstance(broker_error(settings, "offsets cannot be read", error), AccessError)
    with pytest.raises(AccessError), rights_told(settings):
        raise error
    assert not is_kafka_outage(error)
    assert not is_kafka_outage(told)
    assert is_kafka_outage(KafkaConnectionError())


def reason(settings: Settings) -> Exception:
    """What is told; no connection may be left open."""
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        told = asyncio.run(unreachable(settings, KafkaConnectionError("Unable to bootstrap")))
        gc.collect()
    assert [str(warning.message) for warning in left] == []
    return told


def test_brokers_that_are_away_are_an_outage() -> None:
    told = reason(load(**SCRAM, bootstrap_servers="127.0.0.1:1,127.0.0.1:2"))
    assert isinstance(told, StackError)
    assert str(told).startswith("no Kafka broker of bootstrap_servers=127.0.0.1:1,127.0.0.1:2 answers; `pipeline demo`")


@contextmanager
def listener(context: ssl.SSLContext | None, host: str = "127.0.0.1", *, is_mute: bool = False) -> Iterator[str]:
    """A port that takes connections, with TLS or without, and closes them, or is mute until the other side does."""
    started, stopped = threading.Event(), []
    address: list[str] = []

    async def serve() -> None:
        stop = asyncio.Event()
        stopped.append((asyncio.get_running_loop(), stop))

        async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if is_mute:
                with contextlib.suppress(OSError):
                    await reader.read()
            writer.close()

        async with await asyncio.start_server(closes, host, 0, ssl=context) as server:
            address.append(f"{host}:{server.sockets[0].getsockname()[1]}")
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield address[0]
    finally:
        loop, stop = stopped[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def server_context(secrets: Secrets) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secrets.identity("broker").pem)
    return context


def test_an_authority_that_is_not_trusted_is_certain(secrets: Secrets, tmp_path: Path) -> None:
    other = Secrets(tmp_path / "other")
    other.make([], [])
    with listener(server_context(secrets)) as address:
        told = reason(load(**SCRAM, bootstrap_servers=address, kafka_ssl_cafile=other.ca))
    assert isinstance(told, AccessError)
    assert str(told).startswith(
        f"the certificate of the Kafka broker at {address} is from no authority of setting kafka_ssl_cafile"
    )


def test_a_certificate_for_another_name_is_certain(secrets: Secrets) -> None:
    with listener(server_context(secrets), "127.0.0.2") as address:
        told = reason(load(**SCRAM, bootstrap_servers=address, kafka_ssl_cafile=secrets.ca))
    assert isinstance(told, AccessError)
    assert f"the certificate of the Kafka broker at {address} is for another name" in str(told)


def test_a_broker_that_is_mute_may_be_busy(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_refusals, "STEP_TIMEOUT_S", 0.3)
    with listener(server_context(secrets), is_mute=True) as address:
        told = reason(load(**SCRAM, bootstrap_servers=address, kafka_ssl_cafile=secrets.ca))
    assert isinstance(told, StackError)


def test_a_broker_that_only_closes_connections_may_be_going_down(secrets: Secrets) -> None:
    with listener(server_context(secrets)) as address:
        told = reason(load(**SCRAM, bootstrap_servers=address, kafka_ssl_cafile=secrets.ca))
    assert isinstance(told, StackError)
    with listener(None) as address:
        told = reason(load(bootstrap_servers=address))
    assert isinstance(told, StackError)
