"""Which page an application has, and several behind one address with an index."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import Client

from pipeline import settings as configuration
from pipeline.cli import main
from pipeline.dashboard import hosting
from pipeline.dashboard.health import Report
from pipeline.dashboard.hosting import Several, page_of, start
from pipeline.dashboard.layout import TITLE
from pipeline.errors import SettingError
from pipeline.settings import Settings, load
from pipeline.status.model import GroupStatus, PinotTable, Status

HEAD = """from pipeline import *
CLICKS = Stream("{name}-clicks", {{"user": "STRING", "source": "STRING"}}, key="user")
COUNT = CLICKS.group_by(c.source).aggregate(n=Count()).to("{name}-COUNT")
"""
PAGE = (
    'APPLICATION = Application("{name}", COUNT, pinot=True, page=Page("Clicks <b>", Grid("G", "SELECT 1 AS a FROM T")))'
)
WITHOUT = 'APPLICATION = Application("{name}", COUNT, pinot=True)'
CODE = 'APPLICATION = Application("{name}", COUNT, pinot=True, page=CodePage("{page}"))'
SERVED: list[Several] = []
AUTH = {"Authorization": "Basic " + base64.b64encode(b"eve:secret").decode()}


def write(folder: Path, name: str, text: str, about: str = "", page: str = "") -> None:
    head = f'"""{about}\n\nMore of it."""\n' if about else ""
    (folder / f"{name}.py").write_text(head + (HEAD + text).format(name=name, page=page))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write(tmp_path, "host_shown", PAGE, "Clicks of <script>everybody</script>")
    write(tmp_path, "host_bare", WITHOUT)
    write(tmp_path, "host_code", CODE, page="host_pages:make")
    write(tmp_path, "host_wrong", CODE, page="host_pages:nothing")
    write(tmp_path, "host_number", CODE, page="host_pages:number")
    (tmp_path / "host_pages.py").write_text(
        "from dash import Dash, html\n"
        "def make(settings, *, home):\n"
        "    app = Dash('own', url_base_pathname=settings.dashboard_base_path)\n"
        "    app.title = f'Own, at home in {home}'\n"
        "    app.layout = html.P('own')\n"
        "    return app\n"
        "def number(settings, *, home):\n"
        "    return 7\n"
    )
    return load(app_dir=tmp_path, pinot_broker_url="http://127.0.0.1:1")


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_APP", "flash_sales")  # a command sets it for the process
    yield
    configuration.settings.cache_clear()
    while SERVED:
        SERVED.pop().stop()


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked: a report is there already."""
    status = Status(
        brokers=(),
        topics={},
        groups={"host_shown": GroupStatus(1_234, {})},
        schemas={},
        pinot={"host_bare-COUNT": PinotTable(56)},
        problems={"groups": "no answer <i>within</i> 20 s"},
        has_poller=False,
    )
    monkeypatch.setattr(hosting.Watch, "current", lambda self: Report(status, 0, {}, {}))


def status(browser: Client, path: str, **given: Any) -> int:
    """The status of an answer, which may be a file that is to be closed."""
    with browser.get(path, **given) as reply:
        return int(reply.status_code)


def several(settings: Settings, *names: str, **more: Any) -> Client:
    base = settings.replaced(**more) if more else settings
    made = Several(base, [base.replaced(app=name, app_id=name) for name in names])
    SERVED.append(made)
    return Client(made)


def test_an_application_without_a_page_says_so(settings: Settings) -> None:
    with pytest.raises(SettingError, match="application host_bare has no page, but `pipeline dashboard` serves"):
        page_of(settings.replaced(app="host_bare"))
    reply = CliRunner().invoke(
        main, ["dashboard", "--app", "host_bare"], env={"PIPELINE_APP_DIR": str(settings.app_dir)}
    )
    assert isinstance(reply.exception, SettingError) or "has no page" in reply.output


def test_a_page_that_is_code_is_what_its_function_gives(settings: Settings) -> None:
    app = page_of(settings.replaced(app="host_code"), home="/all/")
    assert app.title == "Own, at home in /all/"
    start(app.server)  # of code of its own there is nothing to start
    with pytest.raises(
        SettingError, match="its page is 'host_pages:nothing', but module 'host_pages' has no attribute"
    ):
        page_of(settings.replaced(app="host_wrong"))
    with pytest.raises(SettingError, match="host_pages:number gives 7, but must give a Dash application"):
        page_of(settings.replaced(app="host_number"))


def test_flash_sales_is_a_page_that_is_code() -> None:
    assert page_of(load()).title == TITLE


def test_each_page_is_below_its_name(settings: Settings) -> None:
    browser = several(settings, "host_shown", "flash_sales", "host_bare")
    assert "<title>Clicks" in browser.get("/host_shown/").text
    assert f"<title>{TITLE}</title>" in browser.get("/flash_sales/").text
    assert status(browser, "/flash_sales/assets/style.css") == 200
    assert browser.get("/host_shown/queries").status_code == 200
    for path in ("/host_bare/", "/nosuch/", "/host_shown", "/host_shownx/"):
        assert browser.get(path).status_code in (404, 308), path


def test_the_index_tells_what_runs_and_how_it_is(settings: Settings) -> None:
    reply = several(settings, "host_shown", "host_bare").get("/")
    text = reply.text
    assert '<a href="/host_shown/">Clicks &lt;b&gt;</a>' in text
    assert "Clicks of &lt;script&gt;everybody&lt;/script&gt;" in text
    assert "More of it" not in text
    assert "Waiting for data" in text
    assert "<dd>1,234</dd>" in text
    assert "<dd>56</dd>" in text
    assert "Workers: no answer &lt;i&gt;within&lt;/i&gt; 20 s" in text
    assert ">No page</span>" in text
    assert 'href="/host_bare/' not in text
    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]


def test_an_address_without_its_last_slash_leads_to_the_page(settings: Settings) -> None:
    browser = several(settings, "host_shown", "host_bare")
    reply = browser.get("/host_shown?source=Inbox")
    assert (reply.status_code, reply.headers["Location"]) == (308, "/host_shown/?source=Inbox")
    assert [browser.get(path).status_code for path in ("/host_bare", "/nothing")] == [404, 404]


def test_the_index_is_well_when_every_page_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = several(settings, "host_shown", "host_bare", "host_code")
    reply = browser.get("/healthz")
    assert (reply.status_code, reply.json) == (
        503,
        {"ok": False, "pages": {"host_shown": "starting", "host_code": None}},
    )
    assert browser.get("/host_shown/healthz").status_code == 503


def test_the_password_is_asked_everywhere(settings: Settings) -> None:
    browser = several(settings, "host_shown", "host_bare", dashboard_auth="eve:secret")
    for path in ("/", "/host_shown/", "/assets/style.css", "/host_shown/health"):
        assert status(browser, path) == 401, path
        assert status(browser, path, headers=AUTH) == 200, path
    assert browser.get("/", headers=AUTH).headers["Cache-Control"] == "no-store"


def test_all_of_it_may_lie_below_a_path(settings: Settings) -> None:
    browser = several(settings, "host_shown", "flash_sales", dashboard_base_path="/all/")
    assert '<a href="/all/host_shown/">' in browser.get("/all/").text
    assert status(browser, "/all/assets/style.css") == 200
    assert browser.get("/all/flash_sales/").status_code == 200
    assert browser.get("/all/healthz").status_code == 503
