"""The real supervisord with harmless programs: what comes back, what is stopped, what is left behind."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.errors import StackError
from pipeline.stack.datadir import DataDir
from pipeline.stack.program import Program, Stage
from pipeline.stack.supervisor import Supervisor

SLEEPER = Program("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), stage=Stage.BASE, stop_wait_s=2)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    folder = DataDir(tmp_path / "data with space")
    folder.claim()
    supervisor = Supervisor(folder)
    supervisor.start({})
    try:
        yield supervisor
    finally:
        supervisor.kill_orphans()
        folder.forget_run()


def until(true: Callable[[], object], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pid_of(supervisor: Supervisor, name: str) -> int:
    return int(supervisor.processes()[name]["pid"])


def test_a_program_that_is_killed_comes_back_and_a_shutdown_leaves_nothing(supervisor: Supervisor) -> None:
    supervisor.add([SLEEPER])
    assert supervisor.processes()["sleeper"]["statename"] == "STOPPED"
    supervisor.start_program("sleeper")
    supervisor.start_program("sleeper")  # a second time changes nothing
    first = pid_of(supervisor, "sleeper")
    until(lambda: supervisor.processes()["sleeper"]["statename"] == "RUNNING")
    os.kill(first, signal.SIGKILL)
    until(lambda: pid_of(supervisor, "sleeper") not in (0, first))
    supervisor.stop(["sleeper"])
    assert pid_of(supervisor, "sleeper") == 0
    supervisor.start_program("sleeper")
    supervisor.shutdown()
    assert not supervisor.is_alive()
    assert supervisor.orphans() == []


def test_a_changed_program_replaces_the_old_and_spares_the_others(supervisor: Supervisor) -> None:
    other = Program("other", SLEEPER.command, env={"X": "1"})
    supervisor.add([SLEEPER, other])
    for name in ("sleeper", "other"):
        supervisor.start_program(name)
    until(lambda: {process["statename"] for process in supervisor.processes().values()} == {"RUNNING"})
    kept, replaced = pid_of(supervisor, "sleeper"), pid_of(supervisor, "other")
    supervisor.add([SLEEPER, Program("other", SLEEPER.command, env={"X": "2"})])
    supervisor.start_program("other")
    assert pid_of(supervisor, "sleeper") == kept
    assert pid_of(supervisor, "other") not in (0, replaced)
    until(lambda: psutil.Process(pid_of(supervisor, "other")).environ().get("X") == "2")
    assert [program.name for program in supervisor.programs()] == ["sleeper", "other"]


def test_what_a_killed_supervisor_leaves_behind_is_found_and_ended(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add([SLEEPER])
    supervisor.start_program("sleeper")
    orphan = pid_of(supervisor, "sleeper")
    run = DataDir(tmp_path / "data with space").load_run()
    assert run is not None
    os.kill(run.pid, signal.SIGKILL)
    until(lambda: not supervisor.is_alive())
    assert [process.pid for process in supervisor.orphans()] == [orphan]
    assert supervisor.kill_orphans() == 1
    assert not psutil.pid_exists(orphan)
    with pytest.raises(StackError, match="does not answer"):
        supervisor.processes()


def test_a_program_that_ignores_its_stop_signal_is_killed(supervisor: Supervisor) -> None:
    code = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    stubborn = Program("stubborn", (sys.executable, "-c", code), stop_wait_s=1)
    supervisor.add([stubborn])
    supervisor.start_program("stubborn")
    until(lambda: "ready" in Path(supervisor.processes()["stubborn"]["stdout_logfile"]).read_text())
    began = time.monotonic()
    supervisor.stop(["stubborn"])
    assert 0.5 < time.monotonic() - began < 4


def test_no_process_dumps_core_and_what_is_written_is_the_owner_s_alone(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "data")
    folder.claim()
    supervisor = Supervisor(folder)
    supervisor.start({}, {"PIPELINE_MYSQL_PASSWORD": "planted-password"})
    try:
        supervisor.add([SLEEPER])
        supervisor.start_program("sleeper")
        run = folder.load_run()
        assert run is not None
        for pid in (run.pid, pid_of(supervisor, "sleeper")):
            assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        until(lambda: "PIPELINE_MYSQL_PASSWORD" in psutil.Process(pid_of(supervisor, "sleeper")).environ())
        assert {path.stat().st_mode & 0o777 for path in (folder.config, folder.logs, folder.tmp)} == {0o700}
        for name in ("supervisord.conf", "programs.json"):
            assert (folder.config / name).stat().st_mode & 0o777 == 0o600, name
        for path in folder.path.rglob("*"):
            assert not path.is_file() or "planted-password" not in path.read_text(errors="replace"), path
        assert "planted-password" not in " ".join(psutil.Process(run.pid).cmdline())
    finally:
        supervisor.kill_orphans()
        folder.forget_run()
