"""Unpacked archives in the cache: whole or not there, shared by all stacks."""

import fcntl
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import StackError
from pipeline.stack.artifacts import Artifact
from pipeline.stack.fetch import PARTIAL, Cache, full_disk_told, remove_partial, require_space

SPACE_PER_BYTE = 3  # an unpacked archive takes at most about this many times its size


def unpacked_tar(cache: Cache, artifact: Artifact) -> Path:
    """The folder of an unpacked .tar.gz."""

    def unpack(target: Path) -> None:
        with tarfile.open(cache.path(artifact)) as archive:
            archive.extractall(target, filter="data")

    return _unpacked(cache, artifact, unpack)


def unpacked_zip(cache: Cache, artifact: Artifact, inside: str, needed: tuple[str, ...]) -> Path:
    """The folder with those members below `inside` that are in `needed` (a trailing slash: all below it)."""

    def unpack(target: Path) -> None:
        with zipfile.ZipFile(cache.path(artifact)) as archive:
            for member in archive.infolist():
                name = member.filename.removeprefix(inside)
                if member.is_dir() or not name.startswith(needed):
                    continue
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1024**2)
                if path.parent.name in ("bin", "scripts"):
                    path.chmod(0o755)

    return _unpacked(cache, artifact, unpack)


def _unpacked(cache: Cache, artifact: Artifact, unpack: Callable[[Path], None]) -> Path:
    target = cache.folder / "unpacked" / f"{artifact.fields[1]}-{artifact.sha256[:12]}"
    if target.is_dir():
        return target
    prefix = f"{PARTIAL}{target.name}-"
    target.parent.mkdir(parents=True, exist_ok=True)
    with full_disk_told(cache.folder), (target.parent / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        remove_partial(target.parent, prefix)
        require_space(cache.folder, SPACE_PER_BYTE * artifact.size)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as partial:
            whole = Path(partial) / "whole"
            try:
                unpack(whole)
            except (tarfile.TarError, zipfile.BadZipFile) as error:
                raise StackError(f"{cache.path(artifact)} cannot be unpacked: {error}") from None
            whole.replace(target)
    return target
