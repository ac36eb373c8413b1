"""The supervisor of one data folder: a supervisord daemon, spoken to over its unix socket."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from pipeline.errors import StackError
from pipeline.stack.credentials import write_private
from pipeline.stack.datadir import DataDir, Run
from pipeline.stack.program import Program, supervisor_command, supervisor_config

TAG = "PIPELINE_STACK_ID"  # in the environment of every process of a stack: how orphans are told
NOT_INHERITED = ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
POLL_S = 0.1
ORPHAN_WAIT_S = 5
LIVE = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")


class Supervisor:
    """Starts, asks and stops the daemon. Every method may be called from any thread and any process."""

    def __init__(self, folder: DataDir) -> None:
        self._folder = folder
        self._config = folder.config / "supervisord.conf"
        self._programs = folder.config / "programs.json"

    def is_alive(self) -> bool:
        """Whether the daemon that was started last still runs (its pid, and the time when that began)."""
        run = self._folder.load_run()
        if run is None:
            return False
        try:
            process = psutil.Process(run.pid)
            return abs(process.create_time() - run.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def start(self, ports: dict[str, int], secrets: Mapping[str, str] | None = None) -> None:
        """Start the daemon with no programs; raises StackError if it does not start. `ports` are remembered.

        `secrets` are environment variables that the programs inherit, and that are written nowhere.
        """
        sockets = self._folder.socket_folder()
        socket = sockets / "supervisor.sock"
        self._folder.save_run(Run(0, 0.0, str(sockets), ports))
        self._write([], socket)
        env = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
        done = subprocess.run(
            supervisor_command(self._config),
            env={**env, **(secrets or {}), TAG: self._folder.stack_id},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise StackError(f"the supervisor did not start: {done.stdout.strip()}")
        pid = int(self._call("supervisor.getPID"))
        self._folder.save_run(Run(pid, psutil.Process(pid).create_time(), str(sockets), ports))

    def remember_ports(self, ports: dict[str, int]) -> None:
        """Remember the ports of parts that are about to be started beside those that run."""
        if run := self._folder.load_run():
            self._folder.save_run(replace(run, ports=ports))

    def add(self, programs: Iterable[Program]) -> None:
        """Make the programs known, none is started; one with a known name and another definition replaces that."""
        known = {program.name: program for program in self.programs()}
        new = {program.name: program for program in programs}
        changed = [name for name, program in new.items() if known.get(name) != program]
        self._write([*(known | new).values()], self._socket())
        self._call("supervisor.reloadConfig")
        groups = {process["group"] for process in self._call("supervisor.getAllProcessInfo")}
        for name in changed:
            if name in groups:
                self.stop([name])
                self._call("supervisor.removeProcessGroup", name)
        for name in new:
            if name in changed or name not in groups:
                self._call("supervisor.addProcessGroup", name)

    def programs(self) -> list[Program]:
        """The programs that are known to the daemon."""
        try:
            return [Program.from_json(data) for data in json.loads(self._programs.read_text())]
        except (OSError, ValueError):
            return []

    def processes(self) -> dict[str, dict[str, Any]]:
        """Name -> what supervisor's getAllProcessInfo says: statename, pid, start and now (Unix seconds), ..."""
        return {process["name"]: process for process in self._call("supervisor.getAllProcessInfo")}

    def start_program(self, name: str) -> None:
        """Start one program without waiting; nothing happens if it runs."""
        try:
            self._call("supervisor.startProcess", name, False)
        except Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise StackError(f"{name} could not be started: {fault.faultString}") from None

    def stop(self, names: Iterable[str]) -> None:
        """Stop these programs at once, and return when they have ended."""
        names = list(names)
        waits = {program.name: program.stop_wait_s for program in self.programs()}
        for name in names:
            try:
                self._call("supervisor.stopProcess", name, False)
            except Fault as fault:
                if fault.faultCode not in (Faults.NOT_RUNNING, Faults.BAD_NAME):
                    raise StackError(f"{name} could not be stopped: {fault.faultString}") from None
        deadline = time.monotonic() + max((waits.get(name, 0) for name in names), default=0) + 5
        while any(process["statename"] in LIVE for name, process in self.processes().items() if name in names):
            if time.monotonic() > deadline:
                raise StackError(f"{', '.join(names)} could not be stopped, not even by SIGKILL")
            time.sleep(POLL_S)

    def shutdown(self) -> None:
        """End the daemon, and whatever it still runs."""
        run = self._folder.load_run()
        self._call("supervisor.shutdown")
        if run is not None:
            try:
                process = psutil.Process(run.pid)
                while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    self._wake()
                    time.sleep(POLL_S / 2)
            except psutil.NoSuchProcess:
                pass

    def orphans(self) -> list[psutil.Process]:
        """Processes of this data folder's stack, the daemon included, other than this one and its ancestors."""
        if not self._folder.is_ours():
            return []
        tag = self._folder.stack_id
        me = psutil.Process()
        spared = {me.pid, *(parent.pid for parent in me.parents())}
        return [process for process in psutil.process_iter() if process.pid not in spared and _tag_of(process) == tag]

    def kill_orphans(self) -> int:
        """End what the daemon left behind: SIGTERM, and SIGKILL a few seconds later. The number of processes."""
        orphans = self.orphans()
        found = len(orphans)
        for action in (psutil.Process.terminate, psutil.Process.kill):
            _each(orphans, action)
            _, orphans = psutil.wait_procs(orphans, timeout=ORPHAN_WAIT_S)
        return found

    def _socket(self) -> Path:
        run = self._folder.load_run()
        if run is None:
            raise StackError(f"the local stack in {self._folder.path} is not running")
        return Path(run.sockets) / "supervisor.sock"

    def _write(self, programs: list[Program], socket: Path) -> None:
        text = supervisor_config(programs, socket=socket, folder=self._folder.config, logs=self._folder.logs)
        write_private(self._config, text)
        write_private(self._programs, json.dumps([program.to_json() for program in programs]))

    def _wake(self) -> None:
        """Any request makes the daemon's loop turn now, rather than within a second."""
        with suppress(StackError, Fault):
            self._call("supervisor.getState")

    def _call(self, method: str, *args: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket()}")
        try:
            return getattr(ServerProxy("http://127.0.0.1", transport=transport), method)(*args)
        except Fault as fault:
            if fault.faultCode == Faults.CANT_REREAD:
                raise StackError(f"the supervisor refuses its configuration: {fault.faultString}") from None
            raise
        except (OSError, HTTPException) as error:
            raise StackError(f"the supervisor of {self._folder.path} does not answer: {error}") from None
        finally:
            transport.close()


def _tag_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TAG)
    except (psutil.Error, OSError):
        return None


def _each(processes: Iterable[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            action(process)
