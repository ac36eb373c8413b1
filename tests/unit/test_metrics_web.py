"""The web of workers and poller: /metrics behind a token, a page for health checks, and nothing else."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestClient, TestServer
from certificates import write_certificate

from pipeline.app import new_app
from pipeline.errors import SettingError
from pipeline.settings import Settings, load
from pipeline.sources import metrics_server
from pipeline.sources.metrics import PollerMetrics
from pipeline.sources.position import Position, Range
from pipeline.transport.metrics import serve_metrics
from pipeline.web import is_bearer

TOKEN = "s3cret-t0ken"
OF_FAUST = ("/stats", "/graph", "/graph/", "/table/", "/table", "/router/", "/performance", "/performance/", "/static/")
WRONG = ("", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \udcff")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def worker(**given: Any) -> Iterator[Any]:
    app = new_app(load(worker_web_port=1, **given))
    serve_metrics(app, {})
    yield app
    app.web.web_app.freeze()


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_a_worker_shows_its_metrics_and_nothing_else(token: str) -> None:
    with worker(metrics_bearer_token=token) as app:
        async with TestClient(TestServer(await app.web.wsgi())) as client:
            health = await client.get("/")
            assert (health.status, await health.json()) == (200, {"status": "OK"})
            page = await client.get("/metrics", headers=bearer(TOKEN))
            assert page.status == 200
            assert "faust_" in await page.text()
            assert page.headers["Server"] == "pipeline"
            for path in OF_FAUST:
                assert (await client.get(path, headers=bearer(TOKEN))).status == 404, path
            for method in ("POST", "PUT", "DELETE"):
                assert (await client.request(method, "/metrics", headers=bearer(TOKEN))).status == 405
            open_paths = {resource.canonical for resource in app.web.web_app.router.resources()}
            assert open_paths == {"/", "/metrics"}


async def test_a_worker_asks_for_its_token() -> None:
    with worker(metrics_bearer_token=TOKEN) as app:
        async with TestClient(TestServer(await app.web.wsgi())) as client:
            for path in ("/metrics", *OF_FAUST):
                for header in ("", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
                    reply = await client.get(path, headers={"Authorization": header})
                    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
                    assert "faust_" not in await reply.text()


async def test_what_fails_in_a_worker_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> bytes:
        raise RuntimeError(TOKEN)

    monkeypatch.setattr("faust.sensors.prometheus.generate_latest", fail)
    with worker() as app:
        async with TestClient(TestServer(await app.web.wsgi())) as client:
            reply = await client.get("/metrics")
            assert (reply.status, await reply.text()) == (500, "This has failed; the worker's log says why.")


def test_a_worker_listens_where_it_is_told() -> None:
    assert new_app(load()).conf.web_enabled is False
    assert new_app(load(worker_web_port=7)).conf.web_bind == "127.0.0.1"
    assert new_app(load(worker_web_port=7, worker_web_host="0.0.0.0")).conf.web_bind == "0.0.0.0"


def test_tokens_are_compared_whole() -> None:
    assert [header for header in WRONG if is_bearer(header, TOKEN)] == []
    assert is_bearer(f"bearer  {TOKEN} ", TOKEN)


def poller_settings(**given: Any) -> Settings:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return load(poller_web_port=taken.getsockname()[1], **given)


def asked(settings: Settings, path: str, **given: Any) -> httpx.Response:
    scheme = "https" if settings.metrics_ssl_certfile else "http"
    with httpx.Client(trust_env=False, verify=given.pop("verify", True)) as client:
        return client.request(
            given.pop("method", "GET"), f"{scheme}://127.0.0.1:{settings.poller_web_port}{path}", **given
        )


def test_metrics_of_the_poller_are_served_and_a_port_in_use_is_a_sentence() -> None:
    settings = poller_settings()
    metrics = PollerMetrics()
    metrics.count("flash_sales", 3, Position(7, 1, (Range(2, 4, 0),)), (Range(1, 1, 0),))
    with metrics.served(settings):
        page = asked(settings, "/metrics").text
        wrong = f"setting poller_web_port is {settings.poller_web_port}"
        with pytest.raises(SettingError, match=wrong), PollerMetrics().served(settings):
            pass
    assert "pipeline_poller_missing_ids 3.0" in page
    assert "pipeline_poller_sales_total 3.0" in page
    with PollerMetrics().served(load()):
        pass


def test_the_poller_asks_for_its_token_which_may_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    settings = poller_settings(metrics_bearer_token_file=file)
    with PollerMetrics().served(settings):
        assert asked(settings, "/").text == "OK"
        for path in ("/metrics", "/other", "/metrics/../x"):
            for header in ("", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
                reply = asked(settings, path, headers={"Authorization": header})
                assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "pipeline_poller" in asked(settings, "/metrics", headers=bearer(TOKEN)).text
        assert asked(settings, "/other", headers=bearer(TOKEN)).status_code == 404
        reply = asked(settings, "/metrics", method="POST")
        assert (reply.status_code, "<" in reply.text) == (501, False)
        file.write_text("another")
        assert asked(settings, "/metrics", headers=bearer(TOKEN)).status_code == 401
        file.unlink()
        assert asked(settings, "/metrics", headers=bearer("another")).status_code == 200, "the last good one stays"
    with pytest.raises(SettingError, match="metrics_bearer_token_file"), PollerMetrics().served(settings):
        pass


def test_the_poller_speaks_tls(tmp_path: Path) -> None:
    certfile, keyfile = write_certificate(tmp_path, "poller")
    settings = poller_settings(metrics_ssl_certfile=certfile, metrics_ssl_keyfile=keyfile)
    with PollerMetrics().served(settings):
        context = ssl.create_default_context(cafile=str(certfile))
        assert asked(settings, "/metrics", verify=context).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{settings.poller_web_port}/metrics", trust_env=False)
        with worker(metrics_ssl_certfile=certfile, metrics_ssl_keyfile=keyfile) as app:
            assert isinstance(app.conf.web_ssl_context, ssl.SSLContext)


def test_slow_clients_of_the_poller_are_few_and_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_S", 2.0)
    settings = poller_settings()
    with PollerMetrics().served(settings), ExitStack() as stack:
        address = ("127.0.0.1", settings.poller_web_port)
        slow = [stack.enter_context(socket.create_connection(address, 5)) for _ in range(metrics_server.AT_ONCE)]
        for connection in slow:
            connection.sendall(b"G")
        time.sleep(0.3)
        with pytest.raises(httpx.HTTPError):
            asked(settings, "/metrics")
        assert [connection.recv(1) for connection in slow] == [b""] * len(slow)
        time.sleep(0.3)
        assert asked(settings, "/metrics").status_code == 200
