"""How a secured stack configures Pinot, ZooKeeper and the registry, and the tokens that the registry verifies."""

import json
import stat
from pathlib import Path

import pytest

from pipeline.settings import Settings
from pipeline.stack.artifacts import load_lock
from pipeline.stack.credentials import Secrets
from pipeline.stack.datadir import DataDir
from pipeline.stack.fetch import Cache
from pipeline.stack.parts import PARTS, Site, build, endpoints
from pipeline.stack.parts.pinot import (
    ADMIN,
    DASHBOARD,
    IDENTITIES,
    KAFKA_USER,
    PASSWORDS,
    PINOT_USERS,
    Pinot,
    authorization,
    parse_properties,
)
from pipeline.stack.parts.registry import REGISTRY_USERS, Registry
from pipeline.stack.parts.zookeeper import ZooKeeper
from pipeline.stack.ports import PORTS_OF
from pipeline.stack.tokens import Tokens

PORTS = {name: 21_000 + i for i, name in enumerate(name for part in PARTS for name in PORTS_OF[part])}


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    made = Secrets(tmp_path / "data" / "secrets")
    made.make(["registry", *IDENTITIES], PASSWORDS)
    return made


@pytest.fixture
def site(tmp_path: Path, secrets: Secrets) -> Site:
    folder = DataDir(tmp_path / "data")
    folder.config.mkdir()
    return Site(folder, PORTS, Cache(tmp_path / "cache"), load_lock(), secrets=secrets)


def config(site: Site, name: str) -> dict[str, str]:
    return parse_properties((site.folder.config / name).read_text())


def test_every_port_of_pinot_speaks_tls_only(site: Site) -> None:
    Pinot(site).prepare()
    found = {role: config(site, f"pinot-{role}.conf") for role in ("controller", "broker", "server")}
    everything = {name: value for properties in found.values() for name, value in properties.items()}
    assert {value for name, value in everything.items() if name.endswith("access.protocols")} == {"https"}
    assert not any(".protocols.http." in name for name in everything)
    assert found["server"]["pinot.server.netty.enabled"] == "false"
    assert found["server"]["pinot.server.nettytls.port"] == str(PORTS["pinot_server"])
    assert found["server"]["pinot.server.tls.client.auth.enabled"] == "true"


def test_the_users_of_pinot(site: Site, secrets: Secrets) -> None:
    Pinot(site).prepare()
    controller, server = config(site, "pinot-controller.conf"), config(site, "pinot-server.conf")
    prefix = "controller.admin.access.control.principals"
    assert controller[prefix] == f"{ADMIN},{DASHBOARD}"
    assert controller[f"{prefix}.{DASHBOARD}.permissions"] == "READ"
    assert f"{prefix}.{ADMIN}.permissions" not in controller
    token = authorization(ADMIN, secrets.password(PINOT_USERS[ADMIN].secret))
    assert server["pinot.server.segment.uploader.auth.token"] == token


def test_zookeeper_wants_a_certificate(site: Site) -> None:
    ZooKeeper(site).prepare()
    found = config(site, "zookeeper.properties")
    assert "clientPort" not in found
    assert found["secureClientPort"] == str(PORTS["zookeeper"])
    assert found["ssl.clientAuth"] == "need"


def test_secrets_are_in_private_files_only(site: Site, secrets: Secrets) -> None:
    for artifact in site.lock.section("pinot"):
        site.cache.path(artifact).parent.mkdir(parents=True, exist_ok=True)
        site.cache.path(artifact).touch()
    Registry(site).prepare()
    for part in (ZooKeeper(site), Pinot(site)):
        part.prepare()
        part.program()
    hidden = [
        secrets.store_password,
        *map(secrets.password, PASSWORDS),
        *map(Tokens(secrets.folder).token, REGISTRY_USERS),
    ]
    for file in site.folder.config.iterdir():
        if any(secret in file.read_text() for secret in hidden):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert not any(secret in str(Pinot(site).program()) for secret in hidden)


def test_no_password_of_kafka_is_in_a_table(site: Site, secrets: Secrets) -> None:
    pinot = Pinot(site)
    pinot.prepare()
    text = pinot.stream_configs_file.read_text()
    assert json.loads(text)["security.protocol"] == "SASL_SSL"
    assert secrets.password(KAFKA_USER) not in text


def test_what_the_settings_say(site: Site, secrets: Secrets) -> None:
    found = endpoints(build(site, ("registry", "pinot")))
    assert set(found) <= set(Settings.model_fields)
    assert {found[name].partition(":")[0] for name in found if name.endswith("_url")} == {"https"}
    assert not any(secrets.password(user) in found.values() for user in PASSWORDS)
    given = Settings(**Pinot(site).settings(DASHBOARD))
    assert given.pinot_user == DASHBOARD
    assert given.secret("pinot_password") == secrets.password(PINOT_USERS[DASHBOARD].secret)


def test_tokens_are_made_once_and_anew_for_another_role_or_key(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.make({"a": "reader", "b": "writer"})
    first = {user: tokens.token(user) for user in "ab"}
    tokens.make({"a": "reader", "b": "admin"})
    assert tokens.token("a") == first["a"]
    assert tokens.token("b") != first["b"]
    (tmp_path / "tokens.key").unlink()
    tokens.make({"a": "reader"})
    assert tokens.token("a") != first["a"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "e30.e30.e30"])
def test_a_token_that_is_none_is_made_anew(tmp_path: Path, text: str) -> None:
    tokens = Tokens(tmp_path)
    tokens.make({"a": "reader"})
    tokens.file("a").write_text(text)
    tokens.make({"a": "reader"})
    assert tokens.token("a").count(".") == 2 and len(tokens.token("a")) > 100


def test_no_command_line_of_kafka_and_pinot_has_a_secret_in_it(tmp_path: Path) -> None:
    from pipeline.stack import parts

    folder = DataDir(tmp_path / "data")
    folder.claim()
    made = Secrets(folder.secrets)
    made.make(parts.IDENTITIES, (*parts.USERS, *parts.PASSWORDS))
    ports = {name: 21_000 + i for i, name in enumerate(name for found in PORTS_OF.values() for name in found)}
    site = Site(folder, ports, Cache(tmp_path / "cache"), load_lock(), secrets=made)
    for name in ("kafka", "pinot"):
        for artifact in site.lock.section(name):
            site.cache.path(artifact).parent.mkdir(parents=True, exist_ok=True)
            site.cache.path(artifact).touch()
    programs = [part.program() for part in build(site, ("kafka", "pinot"))]
    hidden = {made.store_password, *map(made.password, (*parts.USERS, *parts.PASSWORDS))}
    assert len(programs) == 5
    for program in programs:
        assert not any(secret in f"{program.command} {program.env}" for secret in hidden), program.name
