"""The lock of everything that the local cluster runs: Maven coordinates with SHA-256 sums and sizes.

`artifacts.lock` has one section per part; the order of a section's lines is the order of its class path.
A line reads `group:artifact:version[:classifier[:packaging]] sha256:<hex> <bytes>`. `scripts/lock-artifacts`
writes the file; nothing in it, or anywhere else in this repository, names a package host.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path, PurePosixPath

from pipeline.errors import StackError

LOCK_FILE = "artifacts.lock"
_LINE = re.compile(r"(?P<coordinates>[^\s:]+(?::[^\s:]*){2,4}) sha256:(?P<sha256>[0-9a-f]{64}) (?P<size>[0-9]+)")
_SECTION = re.compile(r"\[([a-z]+)\]")


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository. `sha256` is lower-case hex, `size` is in bytes."""

    coordinates: str
    sha256: str
    size: int

    @cached_property
    def fields(self) -> tuple[str, str, str, str, str]:
        """Group, artifact, version, classifier ('' if none) and packaging ('jar' if not given)."""
        given = self.coordinates.split(":")
        group, name, version, classifier, packaging = given + ["", "jar"][len(given) - 3 :]
        return group, name, version, classifier, packaging

    @property
    def path(self) -> PurePosixPath:
        """Where the file is inside a Maven repository."""
        group, name, version, classifier, packaging = self.fields
        suffix = f"-{classifier}" if classifier else ""
        return PurePosixPath(*group.split("."), name, version, f"{name}-{version}{suffix}.{packaging}")


@dataclass(frozen=True)
class Lock:
    """The parsed lock: the artifacts of each section, in class path order."""

    sections: dict[str, tuple[Artifact, ...]]

    def of(self, names: Iterable[str]) -> tuple[Artifact, ...]:
        """The artifacts of these sections, each once."""
        return tuple(dict.fromkeys(artifact for name in names for artifact in self.section(name)))

    def section(self, name: str) -> tuple[Artifact, ...]:
        """The artifacts of one section; raises StackError if there is no such section."""
        if name not in self.sections:
            raise StackError(f"{LOCK_FILE} has no section [{name}]; it has {', '.join(self.sections)}")
        return self.sections[name]


def parse_lock(text: str) -> Lock:
    """Parse the lock's text; raises StackError naming the first line that is not understood."""
    sections: dict[str, list[Artifact]] = {}
    current: list[Artifact] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            current = sections.setdefault(section[1], [])
        elif current is not None and (match := _LINE.fullmatch(line)):
            current.append(Artifact(match["coordinates"], match["sha256"], int(match["size"])))
        else:
            raise StackError(
                f"{LOCK_FILE} line {number} is {line!r}, but must be [section] or "
                "group:artifact:version[:classifier[:packaging]] sha256:<64 hex digits> <bytes>"
            )
    return Lock({name: tuple(artifacts) for name, artifacts in sections.items()})


def load_lock() -> Lock:
    """The lock that comes with this package."""
    return parse_lock(resources.files("pipeline.stack").joinpath(LOCK_FILE).read_text(encoding="ascii"))


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
