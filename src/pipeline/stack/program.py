"""A process that the supervisor runs, and the supervisor's configuration made from such."""

import resource
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from pipeline.errors import StackError

OPEN_FILES = 65_536
WITHOUT_CORE = (
    "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); from supervisor.supervisord import main; main()"
)


class Stage(IntEnum):
    """Stages start in ascending order and stop in descending order; within one, all at once."""

    BASE = 100
    PINOT = 200
    APP = 300


@dataclass(frozen=True)
class Program:
    """One supervised process.

    `command` is an argument list, its first element an absolute path; it runs in `directory`, or in the folder of
    logs. `env` is added to the environment of the command that started the stack; it is written down, so it is no place
    for secrets, and neither is `command`, which every user of the machine sees. After `stop_signal` the process
    has `stop_wait_s` to end, then it is killed with its children. If it ends by itself it is started again, unless
    `restart` is false. It has failed for good when it ends `retries` times in a row within its first second.
    `ports` are only shown by the status.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""
    stage: int = Stage.APP
    stop_signal: str = "TERM"
    stop_wait_s: int = 10
    restart: bool = True
    retries: int = 5
    ports: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A form for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Program":
        """The program that `to_json` came from."""
        return cls(**{**data, "command": tuple(data["command"]), "ports": tuple(data["ports"])})


def supervisor_config(programs: Iterable[Program], *, socket: Path, folder: Path, logs: Path) -> str:
    """The text of supervisord.conf: a daemon with its pid file in `folder` that logs to `logs`."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    sections = [
        _section(
            "supervisord",
            {
                "logfile": _value(logs / "supervisord.log"),
                "logfile_maxbytes": "5MB",
                "logfile_backups": "1",
                "pidfile": _value(folder / "supervisord.pid"),
                "childlogdir": _value(logs),
                "minfds": str(files),
                "nocleanup": "true",
                "directory": _value(logs),
            },
        ),
        _section("unix_http_server", {"file": _value(socket), "chmod": "0600"}),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    sections += [_program_section(program, logs) for program in programs]
    return "\n".join(sections)


def supervisor_command(config: Path) -> list[str]:
    """The command that starts the daemon. Neither it nor what it starts dumps core, which would hold passwords."""
    return [sys.executable, "-c", WITHOUT_CORE, "-c", str(config)]


def _program_section(program: Program, logs: Path) -> str:
    options = {
        "command": _value(shlex.join(program.command)),
        "environment": ",".join(f"{key}={_quoted(value)}" for key, value in program.env.items()),
        "directory": _value(program.directory),
        "priority": str(int(program.stage)),
        "autostart": "false",
        "autorestart": "true" if program.restart else "false",
        "startsecs": "1",
        "startretries": str(program.retries),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_wait_s),
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _value(_value(log_file(logs, program.name))),  # supervisor expands this one twice
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "2",
    }
    return _section(f"program:{program.name}", {key: value for key, value in options.items() if value})


def log_file(logs: Path, name: str) -> Path:
    """Where the program's output goes."""
    return logs / f"{name}.log"


def _section(name: str, options: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in options.items()), ""])


def _value(value: str | Path) -> str:
    """Escape for supervisor's ini file, in which ' ;' and ' #' begin comments that nothing can escape."""
    text = str(value)
    if any(token in text for token in ("\n", "\r", " ;", " #", "\t;", "\t#")):
        raise StackError(f"{text!r} cannot be given to the supervisor: it has a line break, ' ;' or ' #' in it")
    return text.replace("%", "%%")


def _quoted(value: str) -> str:
    if '"' in value and "'" in value:
        raise StackError(f"the environment value {value!r} cannot be given to the supervisor: it has both quotes in it")
    quote = "'" if '"' in value else '"'
    return f"{quote}{_value(value)}{quote}"
