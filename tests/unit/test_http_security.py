"""HTTP clients of the registry and of Pinot: each fault is one sentence, and has no password."""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from certificates import issue_ended

from pipeline.errors import PipelineError, ProvisionError, QueryError, RegistryError, SettingError
from pipeline.http_security import Peer, basic, without_user
from pipeline.registry import PatientRegistry, Registry, is_registry_outage
from pipeline.serving.pinot import Pinot
from pipeline.serving.provision import provision
from pipeline.settings import Settings, load
from pipeline.stack.credentials import Secrets
from pipeline.status import parts

PLANTED = "hunter2-hunter2"
ANSWERED = {"exceptions": [], "numServersQueried": 1, "numServersResponded": 1}
ONE_ROW = {"dataSchema": {"columnNames": ["n"], "columnDataTypes": ["LONG"]}, "rows": [[1]]}
URLS = ("registry_url", "pinot_controller_url", "pinot_broker_url")


class Server:
    """Answers every request with `status` and `reply`; a user must be one of `accepted` if there are any."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.status = 200
        self.reply: Any = {}
        self.accepted: set[str] = set()
        self.headers: list[str | None] = []

    def answer(self, header: str | None) -> tuple[int, bytes]:
        self.headers.append(header)
        if self.accepted and header not in self.accepted:
            return 401, b"go away"
        return self.status, self.reply if isinstance(self.reply, bytes) else json.dumps(self.reply).encode()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers; with a context they speak TLS."""
    running: list[tuple[ThreadingHTTPServer, Thread]] = []

    def start(context: ssl.SSLContext | None = None) -> Server:
        fake = Server()

        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, payload = fake.answer(self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = respond

            def log_message(self, *args: object) -> None:
                """Silence."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                """Silence: that handshakes fail is what is tested."""

        server = Quiet(("127.0.0.1", 0), Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        running.append((server, thread))
        fake.port = server.server_port
        fake.url = f"{'http' if context is None else 'https'}://127.0.0.1:{fake.port}"
        return fake

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    made = Secrets(tmp_path / "secrets")
    made.make(["server", "client"], [])
    return made


def server_context(secrets: Secrets, *, wants_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secrets.identity("server").pem)
    if wants_certificate:
        context.load_verify_locations(secrets.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that the alert is part of the handshake
    return context


def settings_for(url: str, **changes: Any) -> Settings:
    return load(**dict.fromkeys(URLS, url), **changes)


def refusals(settings: Settings) -> dict[str, str]:
    """What each client says when it is refused."""
    told = {}
    with pytest.raises(RegistryError) as refused:
        asyncio.run(PatientRegistry(settings).by_id(1))
    assert not is_registry_outage(refused.value)
    told["registry"] = str(refused.value)
    with pytest.raises(PipelineError) as status:
        asyncio.run(parts.collect_schemas(settings))
    assert str(status.value) == told["registry"]
    with pytest.raises(QueryError) as query:
        Pinot(settings).query("SELECT 1 FROM t LIMIT 1")
    told["broker"] = str(query.value)
    with pytest.raises(ProvisionError) as provisioned:
        asyncio.run(provision(settings))
    told["controller"] = str(provisioned.value)
    with pytest.raises(PipelineError) as status:
        asyncio.run(parts.collect_pinot(settings))
    assert str(status.value) == told["controller"]
    assert not any(PLANTED in sentence for sentence in told.values())
    return told


def test_certificates_are_verified_and_shown(serve: Serve, secrets: Secrets) -> None:
    server = serve(server_context(secrets, wants_certificate=True))
    server.reply = {"schema": "{}"}
    own = secrets.identity("client")
    both = {
        f"{system}_ssl_{kind}": path
        for system in ("registry", "pinot")
        for kind, path in (("cafile", secrets.ca), ("certfile", own.certificate), ("keyfile", own.key))
    }
    settings = settings_for(server.url, **both)
    found = asyncio.run(Registry(settings).by_id(1))
    assert found is not None and found.text == "{}"
    server.reply = {**ANSWERED, "resultTable": ONE_ROW}
    pinot = Pinot(settings_for(server.url, **both | {"pinot_ssl_certfile": own.pem, "pinot_ssl_keyfile": None}))
    assert pinot.query("SELECT 1 AS n FROM t LIMIT 1") == [{"n": 1}]
    pinot.close()
    told = refusals(settings_for(server.url, registry_ssl_cafile=secrets.ca, pinot_ssl_cafile=secrets.ca))
    for name, system in (("registry", "registry"), ("broker", "pinot"), ("controller", "pinot")):
        assert f"at {server.url} wants a certificate, but {system}_ssl_certfile is empty" in told[name]


def test_an_authority_that_is_not_trusted(serve: Serve, secrets: Secrets, tmp_path: Path) -> None:
    server = serve(server_context(secrets))
    other = Secrets(tmp_path / "other")
    other.make([], [])
    told = refusals(settings_for(server.url, registry_ssl_cafile=other.ca, pinot_ssl_cafile=other.ca))
    why = "self-signed certificate in certificate chain"
    for name, called in (
        ("registry", "schema registry"),
        ("broker", "Pinot broker"),
        ("controller", "Pinot controller"),
    ):
        cafile = f"{'registry' if name == 'registry' else 'pinot'}_ssl_cafile"
        wanted = f"the certificate of the {called} at {server.url} is not from an authority of {cafile}: "
        assert told[name].startswith(wanted) and told[name] != wanted
    assert why in told["registry"] or "unable to get" in told["registry"] or "signature" in told["registry"]
    told = refusals(settings_for(server.url))
    assert told["registry"].endswith(f"and registry_ssl_cafile is empty: {why}")


def test_a_certificate_that_has_expired(serve: Serve, secrets: Secrets) -> None:
    issue_ended(secrets, "server", "client")
    server = serve(server_context(secrets))
    trusting = {"registry_ssl_cafile": secrets.ca, "pinot_ssl_cafile": secrets.ca}
    told = refusals(settings_for(server.url, **trusting))
    assert (
        told["registry"] == f"the certificate of the schema registry at {server.url} (setting registry_url) has expired"
    )
    assert told["broker"].endswith("(setting pinot_broker_url) has expired")
    own = secrets.identity("client").pem
    ended = datetime.now(UTC) - timedelta(days=1)
    with pytest.raises(
        SettingError, match=rf"registry_ssl_certfile is '.*client\.pem', but .* expired on {ended:%Y-%m}"
    ):
        Registry(settings_for(server.url, **trusting, registry_ssl_certfile=own))


def test_a_certificate_for_another_name(serve: Serve, secrets: Secrets) -> None:
    server = serve(server_context(secrets))
    url = server.url.replace("127.0.0.1", "127.0.0.2")
    context = ssl.create_default_context(cafile=str(secrets.ca))
    with pytest.raises(httpx.ConnectError) as refused, httpx.Client(verify=context, trust_env=False) as client:
        client.get(server.url, extensions={"sni_hostname": "elsewhere"})
    assert Peer(settings_for(url), "pinot_broker_url").fault(refused.value) == (
        f"the certificate of the Pinot broker at {url} is for another name than the one in pinot_broker_url"
    )


def test_plain_http_where_tls_is_spoken_and_the_other_way_round(serve: Serve, secrets: Secrets) -> None:
    secure, plain = serve(server_context(secrets)), serve()
    url = secure.url.replace("https", "http")
    told = refusals(settings_for(url))
    assert told["registry"] == (
        f"setting registry_url is {url}, but the schema registry speaks TLS there: it must begin with https"
    )
    assert "the Pinot broker speaks TLS" in told["broker"] and "pinot_controller_url" in told["controller"]
    url = plain.url.replace("http", "https")
    told = refusals(settings_for(url))
    assert told["registry"] == (
        f"setting registry_url is {url}, but the schema registry speaks plain HTTP there, not TLS"
    )


def test_a_server_that_is_away_is_an_outage() -> None:
    with pytest.raises(RegistryError) as away:
        asyncio.run(Registry(settings_for("https://127.0.0.1:1")).by_id(1))
    assert is_registry_outage(away.value)


@pytest.mark.parametrize(
    ("given", "header", "who"),
    [
        (
            {"registry_basic_auth_user_info": f"me:{PLANTED}"},
            basic("me", PLANTED),
            "the user that registry_basic_auth_",
        ),
        (
            {"registry_bearer_auth_token": PLANTED},
            f"Bearer {PLANTED}",
            "the token that registry_bearer_auth_token names",
        ),
        ({"pinot_user": "me", "pinot_password": PLANTED}, basic("me", PLANTED), "the user that pinot_user names"),
        ({"pinot_auth_token": f"Basic {PLANTED}"}, f"Basic {PLANTED}", "the header that pinot_auth_token names"),
    ],
)
def test_who_is_there(serve: Serve, given: dict[str, str], header: str, who: str) -> None:
    server = serve()
    server.accepted = {"somebody else's"}
    told = refusals(settings_for(server.url, **given))
    ours, others = ("registry", "broker") if next(iter(given)).startswith("registry") else ("broker", "registry")
    assert f"at {server.url} refuses {who}" in told[ours] and told[ours].endswith("(HTTP 401)")
    assert "asks who is there, but neither " in told[others]
    assert header in server.headers
    server.accepted, server.status, server.reply = {header}, 403, b""
    assert "does not allow this, or does not know" in refusals(settings_for(server.url, **given))[ours]


def test_a_user_in_the_address_is_used_and_not_told(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()
    server.accepted = {"nobody"}
    url = server.url.replace("http://", f"http://me:{PLANTED}%21@")
    with caplog.at_level(logging.DEBUG):
        told = refusals(settings_for(url))
    assert told["registry"] == (
        f"the schema registry at {server.url} refuses the user that registry_url names (HTTP 401)"
    )
    assert set(server.headers) == {basic("me", f"{PLANTED}!")}
    assert PLANTED not in caplog.text
    assert without_user("http://a:b@c:1/d@e") == "http://c:1/d@e"


@pytest.mark.parametrize("url", [f"http://me:{PLANTED}/x@host", f"http://me:{PLANTED}@host:port", f"me:{PLANTED}@h"])
def test_an_address_that_is_none_does_not_tell_its_password(url: str) -> None:
    with pytest.raises(SettingError, match="registry_url") as refused:
        Registry(load(registry_url=url))
    assert PLANTED not in str(refused.value)


def test_a_password_is_read_again_when_its_file_is_replaced(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    server.reply = ANSWERED
    file = tmp_path / "password"
    file.write_text("old\n")
    pinot = Pinot(settings_for(server.url, pinot_user="me", pinot_password_file=file))
    pinot.query("SELECT 1 FROM t LIMIT 1")
    file.write_text("new\n")
    pinot.query("SELECT 1 FROM t LIMIT 1")
    file.unlink()
    with pytest.raises(QueryError, match="setting pinot_password_file is"):
        pinot.query("SELECT 1 FROM t LIMIT 1")
    pinot.close()
    assert server.headers == [basic("me", "old"), basic("me", "new")]


def test_pinot_denies_access_in_an_answer(serve: Serve) -> None:
    server = serve()
    server.reply = {"exceptions": [{"errorCode": 180, "message": "AccessDeniedError"}]}
    with pytest.raises(QueryError, match=r"or does not know the user that pinot_user names \(HTTP 403\)"):
        Pinot(settings_for(server.url, pinot_user="me", pinot_password=PLANTED)).query("SELECT 1 FROM t LIMIT 1")


def test_files_that_cannot_be_used(secrets: Secrets, tmp_path: Path) -> None:
    own, other = secrets.identity("client"), secrets.identity("server")
    (text := tmp_path / "text.pem").write_text("hello")
    (binary := tmp_path / "binary.pem").write_bytes(b"\xff\xfe")
    (broken := tmp_path / "broken.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ascii"
    )
    (locked := tmp_path / "locked.pem").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "ascii"
    )
    for changes, why in (
        ({"cafile": tmp_path / "none"}, "pinot_ssl_cafile is '.*none', but that cannot be read: No such file"),
        ({"cafile": tmp_path}, "that cannot be read: Is a directory"),
        ({"cafile": text}, "pinot_ssl_cafile is '.*text.pem', but that is no PEM file"),
        ({"cafile": binary}, "that is no PEM file"),
        ({"cafile": own.key}, "there is no certificate in it"),
        ({"cafile": broken}, "it holds no certificate that can be read"),
        ({"certfile": broken}, "pinot_ssl_certfile is '.*', but it holds no certificate that can be read"),
        ({"certfile": own.certificate}, "pinot_ssl_certfile is '.*', but there is no private key in it"),
        (
            {"certfile": own.certificate, "keyfile": other.key},
            "pinot_ssl_keyfile .* fit the certificate of pinot_ssl_c",
        ),
        ({"certfile": own.certificate, "keyfile": locked}, "its key is encrypted with a password"),
        ({"keyfile": own.key}, "pinot_ssl_certfile is empty: whose key is it"),
    ):
        with pytest.raises(SettingError, match=why):
            Pinot(load(**{f"pinot_ssl_{kind}": path for kind, path in changes.items()}))


def test_half_of_a_user() -> None:
    with pytest.raises(SettingError, match="setting pinot_user is 'me', but there is no pinot_password"):
        Pinot(load(pinot_user="me"))
    with pytest.raises(SettingError, match="pinot_user is empty") as refused:
        Pinot(load(pinot_password=PLANTED))
    assert PLANTED not in str(refused.value)
