"""The stack's data folder: whose it is, what is in it, and what may be wiped.

```
<data_dir>/
  .pipeline-stack   marker: this folder belongs to a local stack; its content is the stack's id
  stack.lock        held while `up` or `down` is at work
  ports.json        the ports picked, reused by the next start
  run.json          only while the stack runs: supervisor's pid and creation time, the socket folder
  endpoints.json    only while the stack runs: addresses, read by pipeline.settings
  kafka/ zookeeper/ pinot/ registry/ mysql/ apps/    state
  secrets/          only of a secured stack, see credentials.py
  config/ logs/ tmp/    generated configuration, logs, scratch: for the owner's eyes only (mode 0700)
```
"""

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import StackError
from pipeline.settings import ENDPOINTS_FILE

MARKER = ".pipeline-stack"
STATE = ("kafka", "zookeeper", "pinot", "registry", "mysql", "mysql.new", "apps", "secrets", "config", "logs", "tmp")
UNFIT = "%,;:#$\"'\\{}"
SOCKET_PATH_LIMIT = 100  # AF_UNIX paths end at 107 bytes


def held(path: Path) -> TextIO | None:
    """A lock file, which is this process's as long as it is open; None where another process has it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@dataclass(frozen=True)
class Run:
    """A supervisor that was started: its pid, its creation time (Unix seconds), socket folder, ports by name."""

    pid: int
    created: float
    sockets: str
    ports: dict[str, int] = field(default_factory=dict)


def require_plain(setting: str, path: Path) -> None:
    """Raise StackError if the path has a character that Java, Pinot or the supervisor give a meaning to."""
    if found := sorted(set(str(path)) & set(UNFIT)) + [c for c in str(path) if not c.isprintable()]:
        characters = " ".join(map(repr, found))
        raise StackError(
            f"setting {setting} is {str(path)!r}, but not every part of the stack can take a path with {characters} "
            "in it; choose another folder"
        )


class DataDir:
    """The paths below one data folder; nothing is created before `claim`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.config = self.path / "config"
        self.logs = self.path / "logs"
        self.tmp = self.path / "tmp"
        self.secrets = self.path / "secrets"
        self.endpoints_file = self.path / ENDPOINTS_FILE
        self.ports_file = self.path / "ports.json"
        self._marker = self.path / MARKER
        self._run_file = self.path / "run.json"

    def claim(self) -> None:
        """Make the folder a stack's; raises StackError if it holds something else."""
        if not self.is_ours():
            self.require_ours()
            self.path.mkdir(parents=True, exist_ok=True)
            self._marker.write_text(uuid.uuid4().hex)
        for folder in (self.config, self.logs, self.tmp):
            make_private(folder)

    def clear_scratch(self) -> None:
        """Empty tmp/: what killed processes left there; only while nothing runs."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        make_private(self.tmp)

    def is_ours(self) -> bool:
        """Whether the folder bears the marker."""
        return self._marker.is_file()

    @property
    def stack_id(self) -> str:
        """The id that was given to this folder when it was claimed."""
        return self._marker.read_text().strip()

    def require_ours(self) -> None:
        """Raise StackError if the folder has anything in it, and is not a stack's."""
        if self.path.exists() and not self.is_ours() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise StackError(
                f"setting data_dir is {str(self.path)!r}, which is not the folder of a local stack (it has no "
                f"{MARKER} file) and not empty: it is not touched; set PIPELINE_DATA_DIR to an empty or a new folder"
            )

    def wipe(self) -> None:
        """Remove the stack's state, and nothing else; raises StackError if the folder is not a stack's."""
        self.require_ours()
        for name in STATE:
            path = self.path / name
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock; raises StackError if another command holds it."""
        file = held(self.path / "stack.lock")
        if file is None:
            raise StackError(f"another `pipeline` command is starting or stopping the stack in {self.path}")
        with file:
            yield

    def socket_folder(self) -> Path:
        """A private folder for unix sockets: below the data folder, or a temporary one if that path is too long."""
        folder = self.path / "run"
        if len(os.fsencode(folder)) + len("/supervisor.sock.12345678") <= SOCKET_PATH_LIMIT:
            folder.mkdir(mode=0o700, exist_ok=True)
            return folder
        return Path(tempfile.mkdtemp(prefix="pipeline-"))

    def save_run(self, run: Run) -> None:
        """Remember the supervisor."""
        write_json(self._run_file, asdict(run))

    def load_run(self) -> Run | None:
        """The supervisor that was started last and not stopped; it may be dead."""
        data = read_json(self._run_file)
        try:
            return Run(int(data["pid"]), float(data["created"]), str(data["sockets"]), dict(data["ports"]))
        except (KeyError, TypeError, ValueError):
            return None

    def forget_run(self) -> None:
        """Remove what only a running stack has: endpoints, run file, sockets."""
        if run := self.load_run():
            shutil.rmtree(run.sockets, ignore_errors=True)
        self.endpoints_file.unlink(missing_ok=True)
        self._run_file.unlink(missing_ok=True)


def make_private(folder: Path) -> None:
    """Make the folder, or one that is there already, its owner's alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def write_json(path: Path, value: object) -> None:
    """Write the file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The file's object; empty if there is no such file or it is not one."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
