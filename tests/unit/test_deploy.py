"""deploy/ held against the code: what a deployment names must be what the program has, and its cluster the tested one.

There was no Docker engine to try it with, so a slip here would be found by a user.
"""

import base64
import re
import runpy
import stat
import tomllib
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import click
import pytest
import yaml
from cryptography import x509
from sqlalchemy import make_url

from pipeline.access import PROCESSES, user_of
from pipeline.applications.loading import runnable
from pipeline.cli import main
from pipeline.processes import programs
from pipeline.serving.tables import tables
from pipeline.settings import Settings
from pipeline.sources.grants import grants
from pipeline.stack.artifacts import load_lock
from pipeline.stack.credentials import Secrets
from pipeline.stack.datadir import DataDir
from pipeline.stack.fetch import Cache
from pipeline.stack.parts import PARTS, Site, mysql, pinot, registry, zookeeper
from pipeline.stack.parts.kafka import NODES, KafkaNode
from pipeline.stack.parts.pinot import parse_properties
from pipeline.stack.ports import PORTS_OF

ROOT = Path(__file__).parents[2]
GRANTS = grants(runnable(Settings()))
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"pinot-volumes", "provision", "app-provision"}
OF_AN_APPLICATION = {"app-provision", "app-worker"}
"""Services of the profile `app`."""


class Loader(yaml.SafeLoader):
    """YAML with Compose's `!override`: this value in the place of the other file's, not merged with it."""


class Override:
    def __init__(self, value: Any) -> None:
        self.value = value


def _override(loader: yaml.SafeLoader, node: yaml.Node) -> Override:
    if isinstance(node, yaml.MappingNode):
        return Override(loader.construct_mapping(node, deep=True))
    return Override(loader.construct_sequence(cast(yaml.SequenceNode, node), deep=True))


Loader.add_constructor("!override", _override)
SECURED_FILE = (DEPLOY / "compose.secured.yml").read_text()
OVER: dict[str, Any] = yaml.load(SECURED_FILE, Loader)


def merged(base: Any, over: Any, key: str = "") -> Any:
    """Compose's rules, as far as these files need them: mappings are merged, lists appended but for commands."""
    if isinstance(over, Override):
        return over.value
    if isinstance(base, dict) and isinstance(over, dict):
        return {
            name: merged(base[name], over[name], name)
            if name in base and name in over
            else over.get(name, base.get(name))
            for name in {**base, **over}
        }
    if isinstance(base, list) and isinstance(over, list) and key not in ("command", "entrypoint", "test"):
        return [*base, *over]
    return over


SECURED: dict[str, dict[str, Any]] = merged(SERVICES, OVER["services"])
LONG_RUNNING = sorted(SERVICES.keys() - ONE_SHOT)
BROKERS = [f"kafka-{node}" for node in NODES]
PYTHON = {name: service for name, service in SERVICES.items() if "build" in service}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SETTINGS = {f"PIPELINE_{name.upper()}" for name in Settings.model_fields}
VARIABLE = re.compile(r"\bPIPELINE_[A-Z0-9_]+")
MIB = 1024**2
UNITS_OF_MEMORY = {"M": MIB, "G": 1024 * MIB}

COMMANDS = {
    **{f"compose {name}": service["command"] for name, service in PYTHON.items()},
    **{
        f"systemd {unit.stem}": match[1].split()
        for unit in UNITS
        if (match := re.search(r"^ExecStart=\S+/pipeline (.+)$", unit.read_text(), re.MULTILINE))
    },
}


def environment(name: str) -> dict[str, str]:
    """A service's environment as the container sees it by default: `${NAME:-default}` is the default."""
    return {key: resolved(value) for key, value in (SERVICES[name].get("environment") or {}).items()}


def resolved(value: str) -> str:
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)


def compose_settings(name: str) -> Settings:
    fields = {key.removeprefix("PIPELINE_").lower(): value for key, value in environment(name).items()}
    return Settings.model_validate({"data_dir": "/nowhere", "cache_dir": "/nowhere", **fields})


def container_ports(name: str) -> set[int]:
    return {int(port.rsplit(":", 1)[1]) for port in SERVICES[name].get("ports", [])}


def version_of(section: str, artifact: str) -> str:
    """The version that the local stack runs."""
    (version,) = {a.fields[2] for a in load_lock().section(section) if a.fields[1] == artifact}
    return version


def property_name(variable: str) -> str:
    return variable.removeprefix("KAFKA_").lower().replace("_", ".")


@pytest.fixture
def node(tmp_path: Path) -> KafkaNode:
    ports = {name: 21_000 + i for i, name in enumerate(name for part in PARTS for name in PORTS_OF[part])}
    folder = DataDir(tmp_path / "data")
    folder.claim()
    return KafkaNode(Site(folder, ports, Cache(tmp_path / "cache"), load_lock()), 1)


# --- what the program has -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        path.relative_to(DEPLOY).as_posix()
        for path in sorted(DEPLOY.rglob("*"))
        if path.is_file() and not {"secrets", "__pycache__"} & set(path.parts)  # those are the user's
    ],
)
def test_every_variable_is_a_setting(file: str) -> None:
    unknown = set(VARIABLE.findall((DEPLOY / file).read_text())) - SETTINGS
    assert not unknown


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_containers_get_settings_only_and_values_that_are_allowed(name: str) -> None:
    assert environment(name).keys() <= SETTINGS
    compose_settings(name)


def test_the_example_environment_is_allowed() -> None:
    lines = (DEPLOY / "systemd" / "pipeline.env.example").read_text().splitlines()
    values = dict(line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?PIPELINE_", line))
    assert values.keys() <= SETTINGS
    Settings.model_validate({name.removeprefix("PIPELINE_").lower(): value for name, value in values.items()})


def test_rates_and_seed_default_to_those_of_the_settings() -> None:
    given, default = compose_settings("generators"), Settings.model_fields
    for name in ("pageview_rate", "user_rate", "sale_rate", "seed"):
        assert getattr(given, name) == pytest.approx(default[name].default), name


@pytest.mark.parametrize("where", sorted(COMMANDS))
def test_every_command_exists_and_takes_its_arguments(where: str) -> None:
    name, *arguments = COMMANDS[where]
    command = main.commands[name]
    command.make_context(name, list(arguments), resilient_parsing=False)
    assert not isinstance(command, click.Group)


def test_every_process_of_the_demo_is_deployed_both_ways() -> None:
    demo = {program.command[3] for program in programs(Settings(data_dir=Path("/nowhere")), 1)}
    assert {SERVICES[name]["command"][0] for name in PYTHON} == demo | {"provision"}
    assert {command[0] for where, command in COMMANDS.items() if where.startswith("systemd")} == demo
    assert len([where for where in COMMANDS if where.startswith("systemd")]) == len(UNITS)


def test_the_image_runs_the_installed_command_as_another_user_than_root() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert re.findall(r'^ENTRYPOINT \["(.+)"\]$', DOCKERFILE, re.MULTILINE) == [*scripts]
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == PYTHON["worker"]["user"] != "root"
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert "--no-deps" in DOCKERFILE


def test_the_image_has_all_that_it_copies_and_the_ignore_file_lets_it_through() -> None:
    allowed = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!") and (ROOT / line[1:]).exists()
    }
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source.rstrip("/") for line in copies for source in line.split()} == allowed
    image_folder = re.search(r"PIPELINE_PINOT_DIR=(\S+)", DOCKERFILE)
    assert image_folder and f"COPY pinot/ {image_folder[1]}/" in DOCKERFILE


def test_the_version_of_the_image_is_the_project_s() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"] for service in PYTHON.values()} == {f"pipeline:{version}"}


# --- the cluster is the one that the tests run ------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKERS)
def test_brokers_have_the_local_stack_s_settings(name: str, node: KafkaNode) -> None:
    own = {"node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}
    own |= {"listener.security.protocol.map", "inter.broker.listener.name"}
    given = {property_name(key): value for key, value in environment(name).items() if key != "KAFKA_HEAP_OPTS"}
    given.pop("cluster.id")
    wanted = {key: str(value) for key, value in node.properties().items()}
    assert given.keys() == wanted.keys()
    assert {key: given[key] for key in wanted.keys() - own} == {key: wanted[key] for key in wanted.keys() - own}


@pytest.mark.parametrize("number", NODES)
def test_each_broker_is_itself_and_advertises_what_clients_can_reach(number: int) -> None:
    name = f"kafka-{number}"
    env = environment(name)
    listeners = dict(listener.split("://") for listener in env["KAFKA_LISTENERS"].split(","))
    advertised = dict(listener.split("://") for listener in env["KAFKA_ADVERTISED_LISTENERS"].split(","))
    voters = env["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
    (published,) = SERVICES[name]["ports"]
    assert env["KAFKA_NODE_ID"] == str(number)
    assert SERVICES[name]["hostname"] == name
    assert voters == [f"{n}@kafka-{n}:19093" for n in NODES]
    assert listeners["CONTROLLER"] == voters[number - 1].split("@")[1]
    assert listeners["INTERNAL"] == advertised["INTERNAL"] == f"{name}:9092"
    assert published == f"{advertised['EXTERNAL']}{listeners['EXTERNAL']}"
    assert advertised.keys() == listeners.keys() - {env["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert SERVICES[name]["healthcheck"]["test"][-2:] == listeners["INTERNAL"].split(":")
    assert SERVICES[name]["volumes"] == [f"{name}:{env['KAFKA_LOG_DIRS']}"]


def test_brokers_are_one_cluster() -> None:
    (cluster_id,) = {environment(name)["CLUSTER_ID"] for name in BROKERS}
    assert len(base64.urlsafe_b64decode(cluster_id + "==")) == 16


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_topics_are_as_in_the_local_stack(name: str) -> None:
    given, default = compose_settings(name), Settings.model_fields
    assert (given.partitions, given.replication) == (default["partitions"].default, default["replication"].default)
    assert environment("kafka-1")["KAFKA_NUM_PARTITIONS"] == str(given.partitions)
    assert environment("kafka-1")["KAFKA_DEFAULT_REPLICATION_FACTOR"] == str(given.replication)


def test_products_are_of_the_versions_that_the_tests_run() -> None:
    assert {SERVICES[name]["image"] for name in BROKERS} == {f"apache/kafka:{version_of('kafka', 'kafka_2.13')}"}
    version = version_of("registry", "apicurio-registry-app")
    assert SERVICES["registry"]["image"] == f"apicurio/apicurio-registry-kafkasql:{version}"
    version = version_of("pinot", "pinot-tools")
    images = {service["image"] for name, service in SERVICES.items() if name.startswith("pinot-")}
    assert images == {f"apachepinot/pinot:{version}"}
    assert SERVICES["zookeeper"]["image"] == f"zookeeper:{version_of('pinot', 'zookeeper')}"


def test_the_database_is_the_local_stack_s_by_name_user_and_character_set() -> None:
    env, options = environment("mysql"), SERVICES["mysql"]["command"]
    assert re.fullmatch(r"mysql:8\.4\.\d+", SERVICES["mysql"]["image"])
    assert (env["MYSQL_DATABASE"], env["MYSQL_USER"]) == (mysql.DATABASE, mysql.USER)
    assert env["MYSQL_PASSWORD"] == mysql.PASSWORD
    assert {"--character-set-server=utf8mb4", "--default-time-zone=+00:00"} <= set(options)
    url = make_url(compose_settings("poller").mysql_url)
    assert (url.username, url.password, url.database) == (mysql.USER, mysql.PASSWORD, mysql.DATABASE)


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_addresses_are_those_of_services(name: str) -> None:
    given = compose_settings(name)
    mysql_url = make_url(given.mysql_url)
    assert given.bootstrap_servers == given.pinot_kafka_bootstrap == ",".join(f"{broker}:9092" for broker in BROKERS)
    assert given.registry_url == given.pinot_registry_url == f"http://registry:8080{registry.COMPAT_PATH}"
    urls = (given.registry_url, given.pinot_controller_url, given.pinot_broker_url)
    addresses = [(str(urlsplit(url).hostname), urlsplit(url).port) for url in urls]
    for host, port in [*addresses, (str(mysql_url.host), mysql_url.port)]:
        assert port in container_ports(host), host
    ui = environment("kafka-ui")
    assert ui["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == given.bootstrap_servers
    assert ui["KAFKA_CLUSTERS_0_SCHEMAREGISTRY"] == given.registry_url
    assert environment("registry")["KAFKA_BOOTSTRAP_SERVERS"] == given.bootstrap_servers


def test_pinot_tables_name_the_services() -> None:
    given = compose_settings("provision").model_copy(update={"pinot_dir": ROOT / "pinot"})
    for table in tables(given):
        stream = table.config["tableIndexConfig"]["streamConfigs"]
        assert stream["stream.kafka.broker.list"] == given.pinot_kafka_bootstrap
        assert stream["stream.kafka.decoder.prop.schema.registry.rest.url"] == given.pinot_registry_url


@pytest.mark.parametrize("role", pinot.ROLES)
def test_pinot_s_parts_read_the_checkout_s_configuration_and_keep_their_names(role: str) -> None:
    service = SERVICES[f"pinot-{role}"]
    wrapper = parse_properties((DEPLOY / "pinot" / f"{role}.conf").read_text())
    common = parse_properties((ROOT / "pinot" / "cluster" / f"{role}.conf").read_text())
    name = {"controller": "controller.host", "broker": "pinot.broker.hostname", "server": "pinot.server.netty.host"}
    assert wrapper == {"include": f"/etc/pinot-cluster/{role}.conf", name[role]: service["hostname"]}
    assert service["hostname"] == f"pinot-{role}"
    assert service["command"] == [f"Start{role.title()}", "-configFileName", f"/etc/pinot/{role}.conf"]
    assert {"./pinot:/etc/pinot:ro", "../pinot/cluster:/etc/pinot-cluster:ro"} <= set(service["volumes"])
    assert common["pinot.zk.server"] == "zookeeper:2181"
    ports = {"controller": "controller.port", "broker": "pinot.broker.client.queryPort"}
    health_port = common[ports.get(role, "pinot.server.adminapi.port")]
    assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{health_port}/health"
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    for key in (key for key in common if re.search(r"(data\.dir|dataDir|segmentTarDir)$", key)):
        assert any(common[key].startswith(f"{folder}/") for folder in mounted), key


def test_pinot_logs_as_in_the_local_stack() -> None:
    text = (DEPLOY / "pinot" / "log4j2.xml").read_text()
    assert text.partition("-->\n")[2] == zookeeper.LOGGING


# --- the file itself --------------------------------------------------------------------------------------------------


def test_nothing_but_what_compose_knows() -> None:
    """The Compose Specification's names, as far as this file needs them; README.md tells of the full check."""
    known = "build cap_add cap_drop command depends_on deploy entrypoint environment healthcheck hostname image init"
    known += " logging network_mode ports profiles read_only restart security_opt stop_grace_period tmpfs ulimits"
    known += " user volumes"
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}
    for name, service in SERVICES.items():
        assert service.keys() <= set(known.split()), name
        assert all(isinstance(value, str) for value in (service.get("environment") or {}).values()), name
        health = service.get("healthcheck", {})
        assert health.keys() <= {"test", "interval", "timeout", "retries", "start_period", "start_interval"}, name


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_for_long_tells_its_health_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    kind, *rest = service["healthcheck"]["test"]
    assert kind in ("CMD", "CMD-SHELL")
    assert rest
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_what_runs_once_is_not_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.search(r"\d+\.\d+", tag), SERVICES[name]["image"]


def test_the_base_image_is_pinned_and_of_the_python_that_the_lock_is_for() -> None:
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", bases.pop())


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_dependencies_exist_and_can_be_met(name: str) -> None:
    for target, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if target in ONE_SHOT else "service_healthy"
        assert target in SERVICES
        assert how == {"condition": expected}, target


def test_dependencies_have_no_circle() -> None:
    waiting = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    while ready := [name for name, needs in waiting.items() if not needs]:
        waiting = {name: needs - set(ready) for name, needs in waiting.items() if name not in ready}
    assert not waiting


def test_the_application_starts_when_it_is_provisioned() -> None:
    for name in PYTHON.keys() - {"provision"} - OF_AN_APPLICATION:
        assert "provision" in SERVICES[name]["depends_on"], name
    assert SERVICES["app-worker"]["depends_on"]["app-provision"] == {"condition": "service_completed_successfully"}


def test_ports_are_this_machine_s_only_and_each_is_given_once() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    matches = [re.fullmatch(r"127\.0\.0\.1:(\d+):\d+", port) for port in published]
    assert all(matches)
    hosts = [match[1] for match in matches if match]
    assert len(hosts) == len(set(hosts))
    assert all(service.get("network_mode") != "host" for service in SERVICES.values())


def test_the_dashboard_and_the_workers_health_are_where_they_are_asked() -> None:
    dashboard, worker = compose_settings("dashboard"), compose_settings("worker")
    assert SERVICES["dashboard"]["ports"] == [f"127.0.0.1:{dashboard.dashboard_port}:{dashboard.dashboard_port}"]
    assert f"http://127.0.0.1:{dashboard.dashboard_port}/healthz" in SERVICES["dashboard"]["healthcheck"]["test"]
    assert f"http://127.0.0.1:{worker.worker_web_port}/" in SERVICES["worker"]["healthcheck"]["test"]
    for name, checks in {"worker": {9092}, "poller": {9092, 3306}, "generators": {9092, 3306}}.items():
        test = SERVICES[name]["healthcheck"]["test"]
        assert {int(check[4:]) for check in test if check.startswith("tcp:")} == checks


def test_workers_can_be_several() -> None:
    worker = SERVICES["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert not worker.keys() & {"ports", "container_name", "hostname"}


def test_volumes_are_declared_used_and_files_exist() -> None:
    mounts = [resolved(mount).split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {source for source, *_ in mounts if not source.startswith(".")} == COMPOSE["volumes"].keys()
    for source, *rest in mounts:
        if source == "./apps":  # where PIPELINE_APP_DIR is not set: the profile needs a folder of the user's
            assert rest == ["/apps", "ro"]
        elif source.startswith("."):
            assert (DEPLOY / source).resolve().is_dir()
            assert rest[-1] == "ro"


def test_nobody_is_root_but_the_one_that_gives_volumes_away() -> None:
    roots = {name for name, service in SERVICES.items() if service["user"].partition(":")[0] in ("root", "0")}
    assert roots == {"pinot-volumes"}
    alone = SERVICES["pinot-volumes"]
    assert (alone["network_mode"], alone["cap_add"]) == ("none", ["CHOWN"])
    assert alone["entrypoint"][2] == SERVICES["pinot-server"]["user"] == SERVICES["pinot-controller"]["user"]
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_memory_is_limited_and_fits_a_laptop() -> None:
    total = 0
    for name, service in SERVICES.items():
        limit = service["deploy"]["resources"]["limits"]["memory"]
        size = int(limit[:-1]) * UNITS_OF_MEMORY[limit[-1]]
        heap = re.search(r"-Xmx(\d+)m", str(service.get("environment")))
        assert heap is None or int(heap[1]) * MIB < 0.75 * size, name
        total += 0 if name in ONE_SHOT | OF_AN_APPLICATION else size * cast(int, service["deploy"].get("replicas", 1))
    assert total < 6.2 * 1024 * MIB


def test_python_processes_are_reaped_and_write_nothing() -> None:
    for name, service in PYTHON.items():
        assert service["init"] is True, name
        assert service["read_only"] is True, name


# --- compose.secured.yml, as it is together with compose.yml ----------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("made") / "secrets"
    runpy.run_path(str(DEPLOY / "make_secrets.py"))["make"](folder)
    return folder


def secured_environment(name: str) -> dict[str, str]:
    return {key: resolved(value) for key, value in (SECURED[name].get("environment") or {}).items()}


def secured_settings(name: str) -> Settings:
    fields = {key.removeprefix("PIPELINE_").lower(): value for key, value in secured_environment(name).items()}
    return Settings.model_validate({"data_dir": "/nowhere", "cache_dir": "/nowhere", **fields})


def test_every_secret_that_is_used_is_declared_and_made(made: Path) -> None:
    used = {secret for service in SECURED.values() for secret in service.get("secrets", [])}
    assert used == OVER["secrets"].keys()
    for name, how in OVER["secrets"].items():
        assert how == {"file": f"./secrets/{name}"}
        assert (made / name).stat().st_size, name


def test_the_folder_of_secrets_is_its_owner_s_and_what_signs_goes_into_no_container(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for name in ("ca.key", "tokens.key"):
        assert stat.S_IMODE((made / name).stat().st_mode) == 0o600
        assert name not in OVER["secrets"]
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert not any(line.startswith("!deploy/secrets") for line in (ROOT / ".dockerignore").read_text().splitlines())


def test_secrets_are_made_once(made: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    runpy.run_path(str(DEPLOY / "make_secrets.py"))["make"](made)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.parametrize("name", sorted(SECURED))
def test_a_service_has_every_secret_that_it_names_and_no_other(name: str, made: Path) -> None:
    given = set(SECURED[name].get("secrets", []))
    files = [str(SECURED[name])]
    files += [(DEPLOY / "secured" / "zoo.cfg").read_text()] if name == "zookeeper" else []
    files += [(made / secret).read_text() for secret in given if secret.endswith((".conf", ".properties", ".json"))]
    named = {path for text in files for path in re.findall(r"/run/secrets/([\w.-]*\w)", text)}
    if name == "provision":  # it passes one file on to Pinot, and gives users the passwords of the folder
        named |= {f"{user_of(process)}.password" for process in PROCESSES}
    assert named == given


def test_no_password_is_in_the_file(made: Path) -> None:
    kinds = ("*.password", "*.token", "*.auth")
    values = [path.read_text().strip() for kind in kinds for path in made.glob(kind)]
    assert not [value for value in values if value in SECURED_FILE]
    for name in SECURED.keys() - {"kafka-ui"}:
        assert not re.search(r"//\w+:\w+@", str(SECURED[name])), name
        plain = {f"PIPELINE_{secret.upper()}" for secret in Settings.secret_names()}
        assert not plain & secured_environment(name).keys(), name
    assert not {"MYSQL_PASSWORD", "MYSQL_USER"} & secured_environment("mysql").keys()


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_processes_are_secured_users_of_their_own(name: str) -> None:
    assert secured_environment(name).keys() <= SETTINGS
    given = secured_settings(name)
    assert given.mysql_ssl_mode == "VERIFY_IDENTITY"
    urls = (given.registry_url, given.pinot_registry_url, given.pinot_controller_url, given.pinot_broker_url)
    assert {urlsplit(url).scheme for url in urls} == {"https"}
    files = {given.kafka_ssl_cafile, given.registry_ssl_cafile, given.mysql_ssl_ca, given.pinot_ssl_cafile}
    assert files == {Path("/run/secrets/ca.pem")}
    process = {"generators": "generator", "app-worker": "worker"}.get(name, name)
    if "provision" not in name:
        assert given.kafka_security_protocol == "SASL_SSL"
        assert given.kafka_sasl_username == user_of(process)
        others = {user_of(other) for other in PROCESSES} - {user_of(process)}
        assert not any(secret.startswith(tuple(others)) for secret in SECURED[name]["secrets"])
        assert "admin.pem" not in SECURED[name]["secrets"]
    if process in GRANTS:
        assert make_url(given.mysql_url).username == user_of(process)


def test_pinot_gets_at_kafka_and_the_registry_by_ports_that_they_listen_on(made: Path) -> None:
    given = secured_settings("provision")
    assert given.pinot_kafka_bootstrap == secured_settings("worker").bootstrap_servers
    for number in NODES:
        env = secured_environment(f"kafka-{number}")
        listeners = dict(listener.split("://") for listener in env["KAFKA_LISTENERS"].split(","))
        assert listeners["CLIENTS"] in given.pinot_kafka_bootstrap.split(",")
        assert listeners[env["KAFKA_INTER_BROKER_LISTENER_NAME"]] in given.bootstrap_servers.split(",")
        protocols = dict(pair.split(":") for pair in env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
        assert protocols.keys() == listeners.keys()
        assert set(protocols.values()) == {"SSL", "SASL_SSL"}
    port = parse_properties((made / "registry.properties").read_text())["quarkus.http.ssl-port"]
    assert given.registry_url == f"https://registry:{port}{registry.COMPAT_PATH}"
    configs = given.model_copy(
        update={"pinot_dir": ROOT / "pinot", "pinot_stream_configs": made / "pinot-stream-configs.json"}
    )
    for table in tables(configs):
        assert table.config["tableIndexConfig"]["streamConfigs"]["security.protocol"] == "SASL_SSL"


def test_secured_brokers_have_the_local_stack_s_authorizer(made: Path, tmp_path: Path) -> None:
    ports = {name: 21_000 + i for i, name in enumerate(name for part in PORTS_OF for name in PORTS_OF[part])}
    site = Site(DataDir(tmp_path), ports, Cache(tmp_path), load_lock(), secrets=Secrets(made))
    wanted = KafkaNode(site, 1).properties()
    names = ("authorizer.class.name", "allow.everyone.if.no.acl.found", "super.users", "ssl.enabled.protocols")
    given = {property_name(key): value for key, value in secured_environment("kafka-1").items()}
    assert {name: given[name] for name in names} == {name: wanted[name] for name in names}


@pytest.mark.parametrize("host", [*BROKERS, "registry", "mysql", "zookeeper", *(f"pinot-{r}" for r in pinot.ROLES)])
def test_certificates_are_for_the_services_names(host: str, made: Path) -> None:
    name = "pinot" if host.startswith("pinot-") else host
    certificate = x509.load_pem_x509_certificate((made / f"{name}.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert host in names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("role", pinot.ROLES)
def test_secured_pinot_keeps_its_names_and_ports_and_has_no_plain_one(role: str, made: Path) -> None:
    given = parse_properties((made / f"pinot-{role}.conf").read_text())
    plain = parse_properties((ROOT / "pinot" / "cluster" / f"{role}.conf").read_text())
    (port_name,) = plain.keys() & set(pinot.REPLACED)
    assert port_name not in given
    (port,) = (value for key, value in given.items() if key.endswith("access.protocols.https.port"))
    assert port == plain[port_name]
    assert SECURED[f"pinot-{role}"]["healthcheck"]["test"][-1] == f"https://localhost:{port}/health"
    own = parse_properties((DEPLOY / "pinot" / f"{role}.conf").read_text())
    assert {key: given[key] for key in own if key != "include"} == {k: v for k, v in own.items() if k != "include"}
    assert given["pinot.zk.server"] == "zookeeper:2281"


def test_the_override_names_services_and_keys_that_compose_knows() -> None:
    assert {key for key in OVER if not key.startswith("x-")} == {"services", "secrets"}
    assert OVER["services"].keys() - SERVICES.keys() == {"registry-access"}
    for name, service in SECURED.items():
        assert {"restart", "user", "cap_drop", "security_opt"} <= service.keys(), name
        assert service["image"] == SERVICES.get(name, SERVICES["kafka-1"])["image"]
        assert all(isinstance(value, str) for value in (service.get("environment") or {}).values()), name
        for target in service.get("depends_on", {}):
            assert target in SECURED


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_no_service_dumps_core_where_its_passwords_would_be(name: str) -> None:
    assert SERVICES[name]["ulimits"] == {"core": 0}


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: cast(Path, path).stem)
def test_units_restart_stop_cleanly_and_are_confined(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    for line in (
        "Restart=always",
        "KillSignal=SIGTERM",
        "Wants=network-online.target",
        "NoNewPrivileges=yes",
        "LimitCORE=0",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "RemoveIPC=yes",
        "LimitCORE=0",
        "AmbientCapabilities=",
        "User=pipeline",
        "StateDirectory=pipeline",
        "EnvironmentFile=/etc/pipeline/pipeline.env",
        "WantedBy=pipeline.target",
        "PartOf=pipeline.target",
    ):
        assert line in lines, line
    (pause,) = (int(line.removeprefix("RestartSec=")) for line in lines if line.startswith("RestartSec="))
    assert pause >= 3  # a process that ends with a sentence at its start does not fill the log
    assert any(line.startswith("TimeoutStopSec=") for line in lines)


def test_an_application_of_one_s_own_is_a_profile_that_starts_nothing_else() -> None:
    assert {name for name, service in SERVICES.items() if service.get("profiles")} == OF_AN_APPLICATION
    needed, todo = set[str](), ["app-worker"]
    while todo:
        name = todo.pop()
        needed.add(name)
        todo += SERVICES[name].get("depends_on", {}).keys() - needed
    assert needed == {"app-worker", "app-provision", "registry", *BROKERS}
    for name in OF_AN_APPLICATION:
        assert SERVICES[name]["profiles"] == ["app"]
        assert SERVICES[name]["environment"]["PIPELINE_APP"] == "${PIPELINE_APP:-flash_sales}"
        assert SERVICES[name]["environment"]["PIPELINE_APP_DIR"] == "/apps"
        assert SERVICES[name]["volumes"] == ["${PIPELINE_APP_DIR:-./apps}:/apps:ro"]
    assert OVER["services"]["app-provision"]["command"] == ["provision", "--access"]
    worker = {key: value for key, value in SERVICES["worker"].items() if key not in ("depends_on", "environment")}
    assert worker == {key: SERVICES["app-worker"][key] for key in worker}


def test_a_worker_s_instance_may_be_of_an_application_of_one_s_own() -> None:
    lines = (DEPLOY / "systemd" / "pipeline-worker@.service").read_text().splitlines()
    files = [line for line in lines if line.startswith("EnvironmentFile=")]
    assert files == ["EnvironmentFile=/etc/pipeline/pipeline.env", "EnvironmentFile=-/etc/pipeline/worker-%i.env"]
    text = (DEPLOY / "README.md").read_text()
    for instance in re.findall(r"pipeline-worker@(clicks-\d)", text):
        assert f"/etc/pipeline/worker-{instance}.env" in text


def test_the_worker_s_unit_is_a_template() -> None:
    assert [unit.name for unit in UNITS if "@" in unit.name] == ["pipeline-worker@.service"]
    assert "%i" in (DEPLOY / "systemd" / "pipeline-worker@.service").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: cast(Path, path).stem)
def test_a_secured_unit_has_the_secrets_of_its_own_user_from_files_of_root(unit: Path) -> None:
    text = (DEPLOY / "systemd" / "secured" / f"{unit.name}.d" / "secured.conf").read_text()
    assert f"/etc/systemd/system/{unit.name}.d/" in text
    process = unit.stem.removeprefix("pipeline-").rstrip("@")
    assert process in PROCESSES
    loaded = dict(re.findall(r"^LoadCredential=(\w+):(\S+)$", text, re.MULTILINE))
    values = dict(re.findall(r"^Environment=PIPELINE_(\w+)=(\S+)$", text, re.MULTILINE))
    secret = {f"{name.upper()}_FILE" for name in Settings.secret_names()}
    files = {name: value for name, value in values.items() if name in secret}
    assert {value.removeprefix("%d/") for value in files.values()} == loaded.keys()
    assert not values.keys() & {name.upper() for name in Settings.secret_names()}
    assert values["KAFKA_SASL_USERNAME"] == user_of(process)
    assert all(path.startswith("/etc/pipeline/secrets/") for path in loaded.values())
    others = {user_of(other) for other in PROCESSES} - {user_of(process)}
    assert not any(other in text for other in others)
    assert ("MYSQL_PASSWORD_FILE" in values) == (process in GRANTS)
    Settings.model_validate({"data_dir": "/nowhere", **{name.lower(): value for name, value in values.items()}})


# --- the README -------------------------------------------------------------------------------------------------------


def test_the_readme_names_files_and_commands_that_exist() -> None:
    text = (DEPLOY / "README.md").read_text()
    for name in re.findall(r"`(?:/\S+/)?pipeline ([a-z-]+)", text):
        assert name in main.commands, name
    for path in set(re.findall(r"\bdeploy/[\w./@-]*\w", text)) - {"deploy/.env"}:  # that one is the user's
        assert (ROOT / path).exists() or path.startswith("deploy/secrets"), path  # which the command before makes
    for unit in re.findall(r"\bpipeline-[a-z]+@?", text):
        assert any(path.name.startswith(unit) for path in UNITS), unit
