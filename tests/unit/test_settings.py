"""Settings: sources and their order, sentences for what is not allowed, the page that documents them."""

import json
import runpy
from pathlib import Path

import pytest

from pipeline.errors import SettingError
from pipeline.settings import ENDPOINTS_FILE, Settings, load, variable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_running_stack_supplies_addresses_and_the_environment_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ENDPOINTS_FILE).write_text(json.dumps({"registry_url": "http://stack:1", "bootstrap_servers": "a:1"}))
    monkeypatch.setenv("PIPELINE_BOOTSTRAP_SERVERS", "mine:9092")
    settings = load()
    assert (settings.registry_url, settings.bootstrap_servers) == ("http://stack:1", "mine:9092")


def test_a_value_that_is_not_allowed_is_named_with_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TUMBLING_SIZE_MS", "0")
    with pytest.raises(SettingError, match=r"tumbling_size_ms is '0', but: .*greater than or equal to 1"):
        load()


def test_settings_pass_to_other_processes_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(partitions=7, app_id="other", grace_ms=None, kafka_ports=(1, 2, 3))
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load() == settings


def test_secrets_pass_through_the_environment_of_a_process_and_are_not_among_what_is_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "registry_url": "http://me:planted@r:1",
        "mysql_url": "mysql+aiomysql://me@db/shop?passwd=planted",
        "pinot_registry_url": "http://me:plan/ted@r:1",
        "kafka_sasl_oauthbearer_token_command": "get --secret planted",
        "mysql_password": "planted",
    }
    settings = load(**given)
    assert not {variable(name) for name in given} & settings.as_environment().keys()
    assert settings.secret_environment() == {variable(name): value for name, value in given.items()}
    for name, value in (settings.as_environment() | settings.secret_environment()).items():
        monkeypatch.setenv(name, value)
    assert load() == settings


@pytest.mark.parametrize(
    "url", ["mysql+aiomysql://admin@127.0.0.1:3306/shop", "mysql+aiomysql://pipeline:pipeline@127.0.0.1:3306/shop"]
)
def test_the_local_stack_s_own_address_is_written_down_so_that_no_inherited_one_takes_its_place(url: str) -> None:
    assert load(mysql_url=url).as_environment()["PIPELINE_MYSQL_URL"] == url


def test_the_page_of_settings_is_up_to_date() -> None:
    text = runpy.run_path(str(ROOT / "scripts" / "document-settings"))["text"]()
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == text, "run scripts/document-settings"
    assert all(field.description for field in Settings.model_fields.values())
