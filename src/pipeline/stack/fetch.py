"""Fetch the lock's artifacts into the user's cache: in parallel, verified, whole or not at all.

A file is downloaded to a temporary folder, its SHA-256 is compared with the lock's, and only then it is moved into
place. `verified.json` remembers size and modification time of what was verified, so that later starts need not
hash half a gigabyte; a file that has changed since is hashed again, and fetched again if it is not the lock's.
"""

import errno
import fcntl
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver
from requests import RequestException
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pipeline.errors import StackError
from pipeline.stack.artifacts import Artifact, sha256_of
from pipeline.stack.say import say

WORKERS = 16
ATTEMPTS = 3
SHOWN_BYTES = 512 * 1024
PARTIAL = "partial-"  # what is half done; whoever holds the folder's lock may remove it
SPARE_BYTES = 64 * 1024**2
Download = Callable[[Artifact, Path, Callable[[int], None]], Path]
log = logging.getLogger(__name__)


class Cache:
    """The verified downloads below `folder`; several stacks may share it."""

    def __init__(self, folder: Path, download: Download | None = None) -> None:
        self.folder = folder
        self._download = download or _download_with_jgo
        self._stamps_file = folder / "verified.json"
        self._stop = Event()

    def path(self, artifact: Artifact) -> Path:
        """Where the artifact is, once it has been fetched."""
        return self.folder / "maven" / artifact.path

    def ensure(self, artifacts: Iterable[Artifact], console: Console) -> None:
        """Fetch what is missing; raises StackError with one sentence if that cannot be done."""
        artifacts = list(artifacts)
        with full_disk_told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                remove_partial(self.folder)
                stamps = self._read_stamps()
                missing = [artifact for artifact in artifacts if not self._is_verified(artifact, stamps, console)]
                if missing:
                    self._fetch(missing, stamps, console)
                self._stamps_file.write_text(json.dumps(stamps))

    def _read_stamps(self) -> dict[str, list[int]]:
        try:
            stamps: dict[str, list[int]] = json.loads(self._stamps_file.read_text())
        except (OSError, ValueError):
            return {}
        return stamps

    def _is_verified(self, artifact: Artifact, stamps: dict[str, list[int]], console: Console) -> bool:
        path = self.path(artifact)
        if not path.is_file():
            return False
        if stamps.get(artifact.sha256) == _stamp(path):
            return True
        if path.stat().st_size == artifact.size and sha256_of(path) == artifact.sha256:
            stamps[artifact.sha256] = _stamp(path)
            return True
        say(console, f"{path.name} in the cache is damaged (its SHA-256 is not the lock's): fetching it again")
        path.unlink()
        return False

    def _fetch(self, missing: list[Artifact], stamps: dict[str, list[int]], console: Console) -> None:
        total = sum(artifact.size for artifact in missing)
        require_space(self.folder, total)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        say(console, f"fetching {len(missing)} files, {total / 1e6:.0f} MB, into {self.folder}")
        with (
            Progress(*columns, console=console, transient=True) as progress,
            tempfile.TemporaryDirectory(prefix=PARTIAL, dir=self.folder) as partial,
            ThreadPoolExecutor(WORKERS) as pool,
        ):
            task = progress.add_task("downloading", total=total)

            def fetch(artifact: Artifact) -> Artifact:
                self._fetch_one(artifact, Path(partial), lambda size: progress.advance(task, size))
                return artifact

            self._stop.clear()
            try:
                for artifact in pool.map(fetch, sorted(missing, key=lambda artifact: -artifact.size)):
                    stamps[artifact.sha256] = _stamp(self.path(artifact))
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _fetch_one(self, artifact: Artifact, partial: Path, advance: Callable[[int], None]) -> None:
        pending = 0

        def advance_or_stop(size: int) -> None:
            nonlocal pending
            if self._stop.is_set():
                raise StackError("the download was broken off")
            pending += size
            if pending >= SHOWN_BYTES:
                advance(pending)
                pending = 0

        with tempfile.TemporaryDirectory(dir=partial) as folder:
            path = self._download(artifact, Path(folder), advance_or_stop)
            verify(path, artifact)
            target = self.path(artifact)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            advance(pending)


def verify(path: Path, artifact: Artifact) -> None:
    """Raise StackError, and remove the file, if its SHA-256 is not the lock's."""
    found = sha256_of(path)
    if found != artifact.sha256:
        path.unlink()
        raise StackError(
            f"the download of {artifact.coordinates} is corrupt: its SHA-256 is {found}, but must be "
            f"{artifact.sha256}; it was removed, so run the command again"
        )


def remove_partial(folder: Path, prefix: str = PARTIAL) -> None:
    """Remove what a killed process left half done; the caller holds the folder's lock."""
    for path in folder.glob(f"{prefix}*"):
        shutil.rmtree(path, ignore_errors=True)


def require_space(folder: Path, needed: int) -> None:
    """Raise StackError if the disk of the (existing) folder has not `needed` bytes and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise StackError(
            f"the disk of {folder} has {free / 1e6:.0f} MB free, but {(needed + SPARE_BYTES) / 1e6:.0f} MB are needed; "
            "free some space, or choose another folder by PIPELINE_CACHE_DIR and PIPELINE_DATA_DIR"
        )


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turn 'no space left' and 'not permitted' while working below the folder into a StackError of one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StackError(
                f"the disk of {folder} is full: free some space, or choose another folder by "
                "PIPELINE_CACHE_DIR and PIPELINE_DATA_DIR, and run the command again"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise StackError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
        raise


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _download_with_jgo(artifact: Artifact, folder: Path, advance: Callable[[int], None]) -> Path:
    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance

    group, name, version, classifier, packaging = artifact.fields
    for attempt in range(1, ATTEMPTS + 1):
        attempt_folder = folder / str(attempt)
        context = MavenContext(
            repo_cache=attempt_folder,
            local_repos=[],
            remote_repos={"central": MAVEN_CENTRAL_URL},
            resolver=PythonResolver(progress_callback=progress),
        )
        try:
            component = context.project(group, name).at_version(version)
            return Path(component.artifact(classifier=classifier, packaging=packaging).resolve())
        except RequestException as error:
            shutil.rmtree(attempt_folder, ignore_errors=True)
            log.debug("attempt %d to fetch %s: %s", attempt, artifact.coordinates, error)
            reason = type(error).__name__
        except RuntimeError as error:
            raise StackError(f"{artifact.coordinates} cannot be fetched: {error}") from None
    raise StackError(
        f"{artifact.coordinates} cannot be fetched from Maven Central ({reason}): "
        "check the network and run the command again; what was fetched is kept"
    )
