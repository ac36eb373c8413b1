"""The programs, how each is started, and what it cannot do."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.peers import pipeline_app
from bench.peers.configuration import Configuration
from bench.workloads import Kind, Workload
from pipeline.errors import PipelineError, StackError
from pipeline.settings import FLASH_SALES, Settings
from pipeline.stack.artifacts import parse_lock
from pipeline.stack.fetch import Cache

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
PEERS = HERE / "peers"
COUNTING = (Kind.TUMBLING, Kind.HOPPING, Kind.SESSION)


class LeftOut(PipelineError):
    """A program cannot take part here; the message says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """One of the programs. `share` is the part of the records that it is given by default, since it is slow."""

    name: str
    title: str
    share: float
    kinds: tuple[Kind, ...]
    guarantees: tuple[str, ...] = ("at_least_once",)

    def missing(self, workload: Workload) -> str:
        """Why it cannot do a workload; empty when it can."""
        return "" if workload.kind in self.kinds else f"{self.title} has nothing for {workload.kind} as it is"


BOTH = ("at_least_once", "exactly_once")
PROGRAMS = {
    program.name: program
    for program in (
        Program(
            "pipeline",
            "this application",
            1.0,
            (*COUNTING, Kind.ENRICHMENT, Kind.APPLICATION),
            BOTH if "processing_guarantee" in Settings.model_fields else ("at_least_once",),
        ),
        Program("kafka_streams", "Kafka Streams 4.1.0", 1.0, (*COUNTING, Kind.ENRICHMENT), BOTH),
        Program("quix_streams", "Quix Streams 3.28.1", 0.1, (*COUNTING, Kind.ENRICHMENT)),
        Program("faust", "plain Faust 0.15.3", 0.02, (Kind.TUMBLING, Kind.HOPPING, Kind.ENRICHMENT)),
    )
}


def prepare(names: list[str], settings: Settings, console: Console) -> dict[str, str]:
    """Fetch and compile what the programs need; returns {program: why it is left out}."""
    left_out = {}
    for name in names:
        try:
            if name == "quix_streams":
                quix_python(settings, console)
            elif name == "kafka_streams":
                streams_classes(settings, console)
        except PipelineError as error:
            left_out[name] = str(error)
    return left_out


def command(name: str, config: Configuration, settings: Settings, console: Console) -> tuple[list[str], dict[str, str]]:
    """(command, environment) of a program's process."""
    environment = {**os.environ, **config.as_environment(), "PYTHONPATH": str(CHECKOUT)}
    if name == "pipeline":
        own = settings.model_copy(
            update={"app_id": config.app_id, "commit_interval_s": config.commit_interval_ms / 1000}
        ).as_environment()
        own["PIPELINE_PROCESSING_GUARANTEE"] = config.guarantee
        app = FLASH_SALES if config.kind == Kind.APPLICATION else pipeline_app.NAME
        worker = [sys.executable, "-m", "pipeline", "worker", "--app", app, "--log-level", "warning"]
        return worker, {**environment, **own}
    if name == "faust":
        return [sys.executable, "-m", "bench.peers.faust_app", "worker"], environment
    if name == "quix_streams":
        return [str(quix_python(settings, console)), "-m", "bench.peers.quix_app"], environment
    classes, jars = streams_classes(settings, console)
    java = Path(str(shutil.which("javac"))).resolve().with_name("java")
    path = os.pathsep.join([str(classes), *map(str, jars)])
    return [str(java), "-Xmx2g", "-cp", path, "KafkaStreamsBench"], environment


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=540)
    if done.returncode:
        raise LeftOut(f"{what} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def quix_python(settings: Settings, console: Console) -> Path:
    """The interpreter of an environment with Quix Streams, made once in the cache; raises LeftOut."""
    lock = PEERS / "quix.requirements.lock"
    folder = settings.cache_dir / "bench" / f"quix-{sys.version_info[0]}.{sys.version_info[1]}-{_digest(lock)}"
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        console.print(f"making an environment for Quix Streams in {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], "making an environment for Quix Streams")
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
        _run(install, "installing Quix Streams")
        done.touch()
    return python


def streams_classes(settings: Settings, console: Console) -> tuple[Path, list[Path]]:
    """(folder of the compiled program, its jars); raises LeftOut without a Java compiler, StackError offline."""
    javac = shutil.which("javac")
    if javac is None:
        raise LeftOut("there is no Java compiler (javac) on the PATH")
    lock, source = PEERS / "kafka_streams.lock", PEERS / "KafkaStreamsBench.java"
    cache = Cache(settings.cache_dir)
    artifacts = parse_lock(lock.read_text(encoding="ascii")).section("streams")
    cache.ensure(artifacts, console)
    jars = [cache.path(artifact) for artifact in artifacts]
    classes = settings.cache_dir / "bench" / f"kafka-streams-{_digest(lock, source)}"
    if not (classes / "KafkaStreamsBench.class").exists():
        classes.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(map(str, jars))
        _run([javac, "-nowarn", "-cp", path, "-d", str(classes), str(source)], "compiling the Kafka Streams program")
    return classes, jars


def versions() -> Mapping[str, str]:
    """{program: version}, of those that are pinned."""
    return {name: program.title for name, program in PROGRAMS.items() if name != "pipeline"}


__all__ = ["PROGRAMS", "LeftOut", "Program", "StackError", "command", "prepare"]
