"""One real broker that lets clients in by PLAIN and by OAUTHBEARER, certificates that have ended, a token endpoint."""

import base64
import json
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import issue_ended
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from rich.console import Console

from pipeline.settings import load
from pipeline.stack import tokens
from pipeline.stack.artifacts import load_lock
from pipeline.stack.credentials import ADMIN, Secrets
from pipeline.stack.datadir import DataDir
from pipeline.stack.fetch import Cache
from pipeline.stack.parts.base import Site, java, listens
from pipeline.stack.parts.kafka import KafkaNode
from pipeline.stack.ports import FREE_PORTS, PORTS_OF, free_port
from pipeline.stack.tokens import Tokens

USER, STRANGER = "pipeline-worker", "stranger"
CLIENT_ID, CLIENT_SECRET = "pipeline", "se:cret"
MODULES = "org.apache.kafka.common.security"
START_S = 120


class SaslNode(KafkaNode):
    """A cluster of one node, where USER may do everything, and STRANGER nothing.

    Its second listener shows a certificate that has ended.
    """

    def __init__(self, site: Site, keys: Path, ended: Path) -> None:
        super().__init__(site, 1)
        self._keys = keys.as_uri()
        self._ended = ended

    def properties(self) -> dict[str, object]:
        """Those of a secured stack's node, with other mechanisms, for a cluster of one."""
        assert self.site.secrets is not None
        users = " ".join(f'user_{user}="{self.site.secrets.password(user)}"' for user in (USER, STRANGER))
        common = super().properties()
        login = {
            "plain.sasl.jaas.config": f"{MODULES}.plain.PlainLoginModule required {users};",
            "oauthbearer.sasl.jaas.config": f"{MODULES}.oauthbearer.OAuthBearerLoginModule required;",
            "oauthbearer.sasl.server.callback.handler.class": (
                f"{MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            # without it 4.1 takes the validator of clients, which looks at no signature
            "sasl.oauthbearer.jwt.validator.class": f"{MODULES}.oauthbearer.BrokerJwtValidator",
            "sasl.oauthbearer.jwks.endpoint.url": self._keys,
            "sasl.oauthbearer.expected.issuer": tokens.ISSUER,
        }
        return common | {
            "controller.quorum.voters": f"1@{self.site.address('kafka_controller_1')}",
            "sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
            **{f"listener.name.{name}.{key}": value for name in ("clients", "proxied") for key, value in login.items()},
            "listener.name.proxied.ssl.keystore.type": "PEM",
            "listener.name.proxied.ssl.keystore.location": self._ended,
            "super.users": f"{common['super.users']};User:{USER}",
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
        }

    def _java(self, name: str, heap: str, main: tuple[str, ...]) -> tuple[str, ...]:
        options = (
            f"-Xmx{heap}",
            f"-Dlog4j2.configurationFile={self._logging}",
            f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._keys}",
        )
        return java(self.site, name, options, self.class_archive(), main, lists=False)


class SaslBroker:
    """The running broker: its address, its users' passwords, and who signs its tokens."""

    def __init__(self, folder: Path) -> None:
        settings = load(data_dir=folder / "data", **FREE_PORTS)
        place = DataDir(settings.data_dir)
        place.claim()
        self.secrets = Secrets(place.secrets)
        self.secrets.make(["kafka-1", "endpoint", ADMIN], [USER, STRANGER])
        issue_ended(self.secrets, "ended")
        self.tokens = Tokens(place.secrets)
        self.tokens.make(dict.fromkeys((USER, STRANGER), "any"))
        keys = place.config / "keys.json"
        keys.write_text(json.dumps(key_set(self.tokens)))
        ports: dict[str, int] = {}
        for name in (*PORTS_OF["kafka"], *PORTS_OF["secured"], *PORTS_OF["proxied"]):
            ports[name] = next(port for port in iter(free_port, 0) if port not in ports.values())
        lock, cache = load_lock(), Cache(settings.cache_dir)
        cache.ensure(lock.of(["kafka"]), Console(quiet=True))
        self.site = Site(place, ports, cache, lock, {1: ports["kafka_proxied_1"]}, self.secrets)
        self.node = SaslNode(self.site, keys, self.secrets.identity("ended").pem)
        self.address = self.site.address("kafka_1")
        self.ended_address = self.site.address("kafka_proxied_1")
        self.log = place.logs / "kafka-1.log"

    @contextmanager
    def running(self) -> Iterator["SaslBroker"]:
        """The broker's process while the block runs."""
        self.node.prepare()
        with self.log.open("wb") as log:
            process = subprocess.Popen(self.node.program().command, stdout=log, stderr=log, cwd=self.log.parent)
            try:
                deadline = time.monotonic() + START_S
                while not listens(self.site.ports["kafka_1"]) or b"Kafka Server started" not in self.log.read_bytes():
                    assert process.poll() is None and time.monotonic() < deadline, self.log.read_text()[-3_000:]
                    time.sleep(0.2)
                yield self
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def expired_token(self, folder: Path) -> Path:
        """A file with a token of USER that ended an hour ago."""
        made = self._other_tokens(folder)
        (folder / "tokens.key").write_bytes((self.tokens.folder / "tokens.key").read_bytes())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokens, "CERTIFICATE_DAYS", 0)
            made.make({USER: "any"})
        return made.file(USER)

    def foreign_token(self, folder: Path) -> Path:
        """A file with a token of USER that somebody else has signed."""
        made = self._other_tokens(folder)
        made.make({USER: "any"})
        return made.file(USER)

    def _other_tokens(self, folder: Path) -> Tokens:
        folder.mkdir()
        return Tokens(folder)


def key_set(signer: Tokens) -> dict[str, Any]:
    """The key that verifies the tokens, as brokers read it (RFC 7517)."""
    key = load_der_public_key(base64.b64decode(signer.public_key))
    assert isinstance(key, RSAPublicKey)
    numbers = key.public_numbers()
    parts = {
        name: base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()
        for name, number in (("n", numbers.n), ("e", numbers.e))
    }
    return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", **parts}]}


@contextmanager
def token_endpoint(secrets: Secrets, token: Path) -> Iterator[str]:
    """The address of an endpoint over TLS that gives this token to CLIENT_ID."""
    who = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            is_client = self.headers["Authorization"] == f"Basic {who}"
            answer = {"access_token": token.read_text().strip(), "expires_in": 3_600}
            self.send_response(200 if is_client else 401)
            self.end_headers()
            self.wfile.write(json.dumps(answer if is_client else {"error": "invalid_client"}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secrets.identity("endpoint").pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
