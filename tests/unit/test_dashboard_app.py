"""The application without a browser: what is served, its health, and how the server takes its port."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dashboard_data import NEXT, shop

from pipeline.cli import main
from pipeline.dashboard import app as dashboard_app
from pipeline.dashboard.app import create_app, health
from pipeline.dashboard.layout import TITLE
from pipeline.dashboard.snapshot import Poller, Snapshot
from pipeline.dashboard.theme import DARK, LIGHT
from pipeline.errors import SettingError, StackError
from pipeline.settings import load
from pipeline.web_listening import listen, url

ASSETS = dashboard_app.ASSETS


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller(shop, 60.0)
    yield poller
    poller.stop()


def test_making_the_application_starts_nothing(poller: Poller) -> None:
    create_app(load(), poller)
    assert poller.current == Snapshot()
    assert poller._thread is None


def test_the_page_needs_nothing_from_elsewhere(poller: Poller) -> None:
    page = create_app(load(), poller).server.test_client().get("/").text
    assert f"<title>{TITLE}</title>" in page
    assert '<html lang="en">' in page
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', page) == []
    for theme in (LIGHT, DARK):
        assert f"--page: {theme.css['page']}" in page


def test_assets_are_served(poller: Poller) -> None:
    browser = create_app(load(), poller).server.test_client()
    for path in ASSETS.iterdir():
        with browser.get(f"/assets/{path.name}") as reply:
            assert reply.status_code == 200
            if not path.name.startswith("plotly"):
                assert set(re.findall(r"https?://[^\"]*", reply.text)) <= {"http://www.w3.org/2000/svg"}


def test_styles_use_only_colours_that_the_theme_has() -> None:
    style = (ASSETS / "style.css").read_text()
    local = set(re.findall(r"(--[\w-]+)\s*:", style)) | {"--font"}
    assert set(re.findall(r"var\((--[\w-]+)", style)) <= local | {f"--{name}" for name in LIGHT.css}
    assert not re.search(r"#[0-9a-f]{3,6}\b(?![^{]*\{)", style)


def test_the_first_request_starts_the_poller(poller: Poller) -> None:
    browser = create_app(load(), poller).server.test_client()
    browser.get("/healthz")
    assert poller._thread is not None
    for _ in range(100):
        reply = browser.get("/healthz")
        if reply.status_code == 200:
            break
    assert reply.json is not None
    assert (reply.json["ok"], reply.json["version"]) == (True, 1)
    assert 0 <= reply.json["snapshot_age_s"] < 5


def test_health_follows_the_age_of_the_last_good_refresh() -> None:
    assert health(Snapshot(), NEXT, 3.0) == ({"ok": False, "snapshot_age_s": None, "version": 0}, 503)
    snapshot = Snapshot().refreshed(shop(), NEXT)
    assert health(snapshot, NEXT + 3000, 3.0) == ({"ok": True, "snapshot_age_s": 3.0, "version": 1}, 200)
    assert health(snapshot.failed("away"), NEXT + 3001, 3.0)[1] == 503


def test_every_answer_has_the_security_headers_and_is_compressed(poller: Poller) -> None:
    browser = create_app(load(), poller).server.test_client()
    reply = browser.get("/", headers={"Accept-Encoding": "gzip"})
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert "sha256-" in policy
    assert (reply.headers["X-Frame-Options"], reply.headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert reply.headers["Content-Encoding"] == "gzip"
    assert b"<title>" in gzip.decompress(reply.data)
    script = browser.get("/assets/plotly-basic.min.js", headers={"Accept-Encoding": "gzip"})
    assert len(script.data) < 450_000
    assert "Content-Encoding" not in browser.get("/").headers


def test_a_password_guards_everything_but_the_health_check(poller: Poller) -> None:
    browser = create_app(load(dashboard_auth="ann:se:cret"), poller).server.test_client()
    for path in ("/", "/health", "/queries", "/assets/style.css", "/_dash-layout"):
        assert browser.get(path).status_code == 401
        assert browser.get(path, auth=("ann", "wrong")).status_code == 401
    assert browser.get("/", auth=("ann", "se:cret")).status_code == 200
    assert browser.get("/healthz").status_code in (200, 503)


def test_behind_a_proxy_everything_is_below_the_base_path(poller: Poller) -> None:
    browser = create_app(load(dashboard_base_path="/shop/"), poller).server.test_client()
    page = browser.get("/shop/").text
    assert set(re.findall(r'(?:src|href)="(/[^/"]*/)', page)) == {"/shop/"}
    assert browser.get("/shop/queries").status_code == 200
    assert browser.get("/shop/healthz").status_code in (200, 503)
    assert browser.get("/").status_code == 404
    with pytest.raises(SettingError, match="dashboard_base_path"):
        load(dashboard_base_path="shop")


def tick(browser: Any, view: dict[str, Any] | None, seen: Any) -> Any:
    """A tick as a browser sends it, over HTTP."""
    (found,) = (one for one in browser.get("/_dash-dependencies").json if "figure-trend.figure" in one["output"])
    values = {"tick": 1, "view": view, "scheme": "dark", "seen": seen}
    body = {
        "output": found["output"],
        "outputs": [
            dict(zip(("id", "property"), name.rsplit(".", 1), strict=True))
            for name in found["output"].strip(".").split("...")
        ],
        "changedPropIds": ["tick.n_intervals"],
    }
    for part in ("inputs", "state"):
        body[part] = [{**one, "value": values[one["id"]]} for one in found[part]]
    return browser.post("/_dash-update-component", json=body, headers={"Accept-Encoding": "gzip"})


def test_a_tick_over_http_brings_the_page_and_then_little(poller: Poller) -> None:
    browser = create_app(load(), poller).server.test_client()
    poller.refresh()
    view = {"period": "all", "groups": [], "regions": ["South"]}
    first = json.loads(gzip.decompress(tick(browser, view, None).data))["response"]
    assert first["panels"]["data"]["kpis"]["sales"]["value"] == "$200.05"
    assert first["figure-sales_by_region"]["figure"]["data"][0]["y"] == ["South"]
    poller.refresh()
    again = tick(browser, view, first["seen"]["data"])
    assert set(again.json["response"]) <= {"banner", "freshness", "seen"}
    assert len(again.data) < 1_000
    assert tick(browser, None, None).status_code == 204  # the browser has not read its address yet


def test_every_control_and_panel_has_its_place(poller: Poller) -> None:
    browser = create_app(load(), poller).server.test_client()
    layout = browser.get("/_dash-layout").text
    named = set(re.findall(r'"id":"([\w-]+)"', layout))
    wanted = {
        name for one in browser.get("/_dash-dependencies").json for name in re.findall(r"([\w-]+)\.\w+", one["output"])
    }
    wanted |= {
        item["id"] for one in browser.get("/_dash-dependencies").json for item in (*one["inputs"], *one["state"])
    }
    assert wanted <= named
    assert {f"control-{name}" for name in ("pace", "period", "groups", "regions", "zone", "format")} <= named


def test_settings_that_make_no_sense_are_refused() -> None:
    for name, value in (("timezone", "Mars/Base"), ("currency", "dollars")):
        with pytest.raises(SettingError, match=f"setting dashboard_{name} is '{value}'"):
            load(**{f"dashboard_{name}": value})
    with pytest.raises(SettingError, match=r"dashboard_auth .* must be like user:password") as refused:
        load(dashboard_auth="hunter2")
    assert "hunter2" not in str(refused.value)


def test_port_zero_is_a_free_port() -> None:
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as two:
        assert url(one) != url(two)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url(one))


def test_the_url_of_every_address_is_this_machines() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert url(listener).startswith("http://127.0.0.1:")


def test_a_taken_port_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"setting dashboard_port is {port}, but something listens"):
            listen("127.0.0.1", port)
        result = CliRunner().invoke(main, ["dashboard", "--port", str(port)])
    assert result.exit_code == 1
    assert f"pipeline: setting dashboard_port is {port}" in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_a_host_that_is_not_ours_names_the_setting(host: str) -> None:
    with pytest.raises(SettingError, match="dashboard_host"):
        listen(host, 0)


def has_ipv6() -> bool:
    """Whether the machine has the address, found without what is tested."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_sockets_are_ipv6_too() -> None:
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6
        assert url(listener).startswith("http://[::1]:")


def test_assets_come_with_the_package() -> None:
    assert {path.name for path in ASSETS.iterdir()} == {
        "base.js",
        "boot.js",
        "clock.js",
        "controls.js",
        "declared.css",
        "declared.js",
        "favicon.svg",
        "pages.js",
        "panels.js",
        "plotly-basic.LICENSE.txt",
        "plotly-basic.min.js",
        "style.css",
    }
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 1_300_000
    assert Path(dashboard_app.__file__).parent == ASSETS.parent
