"""The dashboard as a process of its own: encryption, certificates that are replaced, slow clients."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from certificates import write_certificate

from pipeline.dashboard import server
from pipeline.dashboard.worker import CLIENT_THREADS, HEAD_S, THREADS
from pipeline.errors import SettingError
from pipeline.settings import load
from pipeline.web import Certificate
from pipeline.web_listening import listen, url

AUTH = ("ann", "se:cret")


@dataclass
class Served:
    """A dashboard and the files of its certificate."""

    url: str
    port: int
    certfile: Path
    keyfile: Path

    def shown(self) -> bytes:
        """The certificate that a new connection gets."""
        with self.connection() as connection:
            return connection.getpeercert(binary_form=True) or b""

    def connection(self, source: str = "127.0.0.1", most: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if most is not None:
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = most
        plain = socket.create_connection(("127.0.0.1", self.port), 10, (source, 0))
        return context.wrap_socket(plain)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    certfile, keyfile = write_certificate(folder, "one")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")},
        "PIPELINE_DATA_DIR": str(folder / "data"),
        "PIPELINE_DASHBOARD_AUTH": ":".join(AUTH),
        "PIPELINE_DASHBOARD_SSL_CERTFILE": str(certfile),
        "PIPELINE_DASHBOARD_SSL_KEYFILE": str(keyfile),
        "PIPELINE_PINOT_BROKER_URL": "http://127.0.0.1:9",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "dashboard", "--port", "0"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        with process.stdout as lines:
            found = re.fullmatch(r"dashboard: (https://127\.0\.0\.1:(\d+)/)\n", lines.readline())
            assert found is not None
            served = Served(found[1], int(found[2]), certfile, keyfile)
            wait_for(served)
            yield served
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_for(served: Served) -> None:
    for _ in range(100):
        try:
            asked(served, "healthz")
            return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError("the dashboard does not answer")


def asked(served: Served, path: str, auth: tuple[str, str] | None = None) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(served.certfile))
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        return client.get(served.url + path, auth=auth)


def test_the_page_is_encrypted_and_tells_the_browser_to_stay_so(served: Served) -> None:
    reply = asked(served, "", AUTH)
    assert reply.status_code == 200
    assert reply.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert reply.headers["Cache-Control"] == "no-store"
    assert asked(served, "").status_code == 401
    with socket.create_connection(("127.0.0.1", served.port), 10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in plain.recv(100)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_old_versions_of_tls_are_refused(served: Served) -> None:
    with served.connection(most=ssl.TLSVersion.TLSv1_2) as connection:
        assert connection.version() == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served.connection(most=ssl.TLSVersion.TLSv1_1)


def test_a_certificate_that_is_replaced_is_shown_to_the_next_connection(served: Served, tmp_path: Path) -> None:
    first = served.shown()
    served.certfile.write_text("half a fi")
    assert served.shown() == first, "what cannot be used is not taken"
    certfile, keyfile = write_certificate(tmp_path, "two")
    os.replace(keyfile, served.keyfile)
    os.replace(certfile, served.certfile)
    second = served.shown()
    assert second == ssl.PEM_cert_to_DER_cert(served.certfile.read_text())
    assert second != first


def test_slow_clients_do_not_hold_up_others(served: Served) -> None:
    """Some of another address, more than there are threads, and some of ours; each sends a byte a second."""
    stopped, sockets = Event(), []
    with ExitStack() as stack:
        for _n in range(THREADS + 16):
            plain = socket.create_connection(("127.0.0.1", served.port), 10, ("127.0.0.2", 0))
            sockets.append(stack.enter_context(plain))
        for _ in range(CLIENT_THREADS - 4):
            sockets.append(stack.enter_context(served.connection()))
        began = time.monotonic()

        def drip() -> None:
            for byte in [b"\x16", *(bytes([n]) for n in b"\x03\x01" * 30)]:
                for client in list(sockets):
                    try:
                        client.send(b"G" if isinstance(client, ssl.SSLSocket) else byte)
                    except OSError:
                        sockets.remove(client)
                if stopped.wait(1):
                    return

        dripping = Thread(target=drip)
        dripping.start()
        try:
            time.sleep(1.5)
            took_s = []
            for _ in range(20):
                asking = time.monotonic()
                assert asked(served, "", AUTH).status_code == 200
                took_s.append(time.monotonic() - asking)
            assert max(took_s) < 2
            while len(sockets) > THREADS and time.monotonic() - began < HEAD_S + 8:
                time.sleep(0.5)
            assert HEAD_S - 1 < time.monotonic() - began < HEAD_S + 8, "they are cut off after a while"
        finally:
            stopped.set()
            dripping.join()


def test_what_is_wrong_with_a_certificate_is_a_sentence(tmp_path: Path) -> None:
    (one, one_key), (_, two_key) = (write_certificate(tmp_path, name) for name in ("one", "two"))
    ended, ended_key = write_certificate(tmp_path, "ended", hours=-1)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for certfile, keyfile, setting, why in (
        (tmp_path / "none.pem", one_key, "certfile", "cannot be read: No such file"),
        (text, one_key, "certfile", "has no PEM block of a certificate"),
        (one, text, "keyfile", "has no PEM block of a private key"),
        (one, two_key, "keyfile", "does not fit the certificate of dashboard_ssl_certfile"),
        (one, encrypted, "keyfile", "is encrypted"),
        (damaged, one_key, "keyfile", "cannot be used"),
        (one, None, "certfile", "has no PEM block of a private key"),
        (ended, ended_key, "certfile", f"that certificate expired on {an_hour_ago:%Y-%m-%d}"),
    ):
        settings = load(dashboard_ssl_certfile=certfile, dashboard_ssl_keyfile=keyfile)
        with pytest.raises(SettingError, match=f"setting dashboard_ssl_{setting} is .*{why}"):
            server.certificate(settings)
    with pytest.raises(SettingError, match="dashboard_ssl_keyfile is set, but dashboard_ssl_certfile is not"):
        load(dashboard_ssl_keyfile=one_key)
    both = tmp_path / "both.pem"
    both.write_text(one.read_text() + one_key.read_text())
    assert isinstance(server.certificate(load(dashboard_ssl_certfile=both)), Certificate)
    assert server.certificate(load()) is None


def test_what_is_open_to_others_is_warned_of(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as here, listen("0.0.0.0", 0) as everywhere:
        assert server.warning(load(), here, False) == ""
        assert "asks nobody for a password" in server.warning(load(), everywhere, True)
        secured = load(dashboard_auth="ann:secret")
        assert "without encryption" in server.warning(secured, everywhere, False)
        assert server.warning(secured, everywhere, True) == ""
        assert url(everywhere, "https").startswith("https://127.0.0.1:")


def test_the_log_and_the_answers_of_a_health_check_name_no_secret(served: Served) -> None:
    reply = asked(served, "healthz")
    assert reply.status_code == 503
    assert json.loads(reply.text)["ok"] is False
    assert AUTH[1] not in reply.text
