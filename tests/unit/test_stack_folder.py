"""The data folder, its ports, and the refusals that protect other people's files and programs."""

import json
import os
import socket
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from pipeline.errors import StackError
from pipeline.settings import Settings, load
from pipeline.stack import ports
from pipeline.stack.cluster import Stack
from pipeline.stack.datadir import MARKER, SOCKET_PATH_LIMIT, DataDir, Run
from pipeline.stack.supervisor import Supervisor

QUIET = Console(quiet=True)
ALL = ("kafka", "registry", "mysql", "pinot")


def settings_in(tmp_path: Path, **overrides: object) -> Settings:
    return load(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", **overrides)


def test_a_new_folder_is_claimed_once(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "data")
    folder.claim()
    stack_id = folder.stack_id
    folder.claim()
    assert folder.stack_id == stack_id
    assert folder.config.is_dir()


def test_a_folder_with_other_files_is_neither_claimed_nor_wiped(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "thesis.txt").touch()
    for action in (DataDir(tmp_path).claim, DataDir(tmp_path).wipe):
        with pytest.raises(StackError, match=r"setting data_dir is .* it is not touched"):
            action()
    assert [path.name for path in tmp_path.iterdir()] == ["kafka"]


def test_up_fresh_refuses_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").touch()
    with pytest.raises(StackError, match="not the folder of a local stack"):
        Stack(settings_in(tmp_path)).up(fresh=True)


def test_wiping_takes_the_state_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = DataDir(tmp_path / "data")
    folder.claim()
    (folder.path / "kafka").mkdir()
    (folder.path / "kafka" / "log").touch()
    (folder.path / "mysql").symlink_to(outside)
    (folder.path / "notes.txt").touch()
    folder.wipe()
    assert sorted(path.name for path in folder.path.iterdir()) == [MARKER, "notes.txt"]
    assert (outside / "kept").exists()


def test_one_command_at_a_time(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "data")
    folder.claim()
    with folder.locked(), pytest.raises(StackError, match="another `pipeline` command"), folder.locked():
        pass


def test_a_long_path_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    short, long = DataDir(Path("/tmp/x")), DataDir(tmp_path / ("long" * 30))
    long.claim()
    sockets = long.socket_folder()
    try:
        assert len(os.fsencode(sockets / "supervisor.sock.12345678")) <= SOCKET_PATH_LIMIT
        assert sockets.stat().st_mode & 0o777 == 0o700
        long.save_run(Run(1, 1.0, str(sockets)))
        long.forget_run()
        assert not sockets.exists()
    finally:
        sockets.rmdir() if sockets.exists() else None
    assert short.path == Path("/tmp/x")


def test_a_supervisor_is_told_by_pid_and_creation_time(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "data")
    folder.claim()
    supervisor = Supervisor(folder)
    assert not supervisor.is_alive()
    me = psutil.Process()
    folder.save_run(Run(me.pid, me.create_time(), "sockets"))
    assert supervisor.is_alive()
    folder.save_run(Run(me.pid, me.create_time() - 60, "sockets"))  # the pid was given to another process
    assert not supervisor.is_alive()
    assert supervisor.orphans() == []


def test_what_is_not_running_says_so(tmp_path: Path) -> None:
    stack = Stack(settings_in(tmp_path))
    assert not stack.is_running()
    assert not stack.down()
    assert stack.status() == []
    assert stack.endpoints == {}
    with pytest.raises(StackError, match="not running; start it with `pipeline stack up`"):
        stack.restart("kafka-1")
    assert not (tmp_path / "data").exists()


def test_unknown_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no part cassandra; the parts are kafka, registry, mysql, pinot"):
        Stack(settings_in(tmp_path), without=["cassandra"])


def test_picked_ports_are_free_distinct_and_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = ports.assign(settings_in(tmp_path), ALL, memory, {}, QUIET)
    assert set(first) == {name for part in ALL for name in ports.PORTS_OF[part]}
    assert len(set(first.values())) == len(first)
    assert all(ports.is_free(port) for port in first.values())
    assert ports.assign(settings_in(tmp_path), ALL, memory, {}, QUIET) == first


def test_a_remembered_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    with socket.socket() as other:
        other.bind((ports.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        memory.write_text(json.dumps({"mysql": taken}))
        assert ports.assign(settings_in(tmp_path), ("mysql",), memory, {}, QUIET)["mysql"] != taken


def test_a_configured_port_in_use_is_told_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((ports.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(StackError, match=f"setting mysql_port is {taken}, .* in use by another program") as caught:
            ports.assign(settings_in(tmp_path, mysql_port=taken), ("mysql",), tmp_path / "p", {}, QUIET)
        assert "\n" not in str(caught.value)
        with pytest.raises(StackError, match=f"setting kafka_ports is {taken}"):
            Stack(settings_in(tmp_path, kafka_ports=(taken, 0, 0))).up()
        held = {"mysql": taken}  # by this very stack: that is no conflict
        assert ports.assign(settings_in(tmp_path, mysql_port=taken), ("mysql",), tmp_path / "p", held, QUIET) == held


def test_one_port_for_two_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="another part of the stack has this port already"):
        ports.assign(settings_in(tmp_path, kafka_ports=(29_000, 29_000, 0)), ("kafka",), tmp_path / "p", {}, QUIET)


@pytest.mark.parametrize("name", ["100%", "a,b", "a:b", "$HOME", "a\nb"])
def test_paths_that_some_part_cannot_take_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StackError, match=r"setting data_dir is .* choose another folder"):
        Stack(load(data_dir=tmp_path / name)).up()
    assert list(tmp_path.iterdir()) == []
