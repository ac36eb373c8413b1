"""The lock, the cache and what a user reads when a download goes wrong."""

import errno
import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.errors import StackError
from pipeline.stack import archives, fetch
from pipeline.stack.archives import ClassArchive
from pipeline.stack.artifacts import Artifact, load_lock, parse_lock
from pipeline.stack.fetch import Cache
from pipeline.stack.parts import PARTS
from pipeline.stack.unpack import unpacked_tar, unpacked_zip

CONTENT = b"some bytes of a jar"
SHA = hashlib.sha256(CONTENT).hexdigest()
ARTIFACT = Artifact("org.example:thing:1.0", SHA, len(CONTENT))
QUIET = Console(quiet=True)


def download_of(content: bytes) -> Callable[[Artifact, Path, Callable[[int], None]], Path]:
    def download(artifact: Artifact, folder: Path, advance: Callable[[int], None]) -> Path:
        path = folder / artifact.path.name
        path.write_bytes(content)
        advance(len(content))
        return path

    return download


def never(artifact: Artifact, folder: Path, advance: Callable[[int], None]) -> Path:
    raise AssertionError(f"{artifact} was downloaded")


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_packaged_lock_has_every_part_and_names_no_host() -> None:
    lock = load_lock()
    assert set(lock.sections) == set(PARTS)
    assert all(lock.sections.values())
    everything = lock.of(PARTS)
    assert len(set(everything)) == len(everything)
    assert not any("//" in artifact.coordinates for artifact in everything)


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        ("org.example:thing:1.0", "org/example/thing/1.0/thing-1.0.jar"),
        ("org.example:thing:1.0:shaded", "org/example/thing/1.0/thing-1.0-shaded.jar"),
        ("org.example:thing:1.0:all:tar.gz", "org/example/thing/1.0/thing-1.0-all.tar.gz"),
        ("org.example:thing:1.0::pom", "org/example/thing/1.0/thing-1.0.pom"),
    ],
)
def test_coordinates_give_the_path_in_a_repository(coordinates: str, path: str) -> None:
    assert str(Artifact(coordinates, SHA, 1).path) == path


def test_a_lock_keeps_the_order_of_the_class_path() -> None:
    lock = parse_lock(
        f"# comment\n[kafka]\nb:b:1 sha256:{SHA} 2\n\na:a:1 sha256:{SHA} 3\n[mysql]\nb:b:1 sha256:{SHA} 2\n"
    )
    assert [artifact.coordinates for artifact in lock.section("kafka")] == ["b:b:1", "a:a:1"]
    assert [artifact.coordinates for artifact in lock.of(["kafka", "mysql"])] == ["b:b:1", "a:a:1"]


@pytest.mark.parametrize("line", ["a:b:1 sha256:abc 3", f"a:b sha256:{SHA} 3", f"a:b:1 sha256:{SHA}", "nonsense"])
def test_a_bad_lock_line_is_named(line: str) -> None:
    with pytest.raises(StackError, match="line 2 is"):
        parse_lock(f"[kafka]\n{line}\n")


def test_a_missing_section_is_named() -> None:
    with pytest.raises(StackError, match=r"no section \[mysql\]"):
        parse_lock("[kafka]\n").section("mysql")


def test_a_download_is_verified_moved_into_place_and_not_repeated(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", download_of(CONTENT))
    cache.ensure([ARTIFACT], QUIET)
    assert cache.path(ARTIFACT).read_bytes() == CONTENT
    Cache(tmp_path / "cache", never).ensure([ARTIFACT], QUIET)
    assert files_below(tmp_path / "cache") == ["lock", "thing-1.0.jar", "verified.json"]


def test_a_corrupt_download_is_removed_and_told(tmp_path: Path) -> None:
    cache = Cache(tmp_path, download_of(b"cut off"))
    with pytest.raises(StackError, match=r"org.example:thing:1.0 is corrupt.*run the command again"):
        cache.ensure([ARTIFACT], QUIET)
    assert files_below(tmp_path) == ["lock"]
    Cache(tmp_path, download_of(CONTENT)).ensure([ARTIFACT], QUIET)
    assert cache.path(ARTIFACT).read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [b"", b"cut off", CONTENT.upper()])
def test_a_file_damaged_in_the_cache_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path, download_of(CONTENT))
    cache.ensure([ARTIFACT], QUIET)
    cache.path(ARTIFACT).write_bytes(damage)
    cache.ensure([ARTIFACT], QUIET)
    assert cache.path(ARTIFACT).read_bytes() == CONTENT


def test_a_disk_that_fills_up_is_told_in_one_sentence(tmp_path: Path) -> None:
    def full(artifact: Artifact, folder: Path, advance: Callable[[int], None]) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StackError, match=r"the disk of .* is full: free some space") as caught:
        Cache(tmp_path, full).ensure([ARTIFACT], QUIET)
    assert "\n" not in str(caught.value)
    assert files_below(tmp_path) == ["lock"]


def test_space_is_asked_for_before_anything_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(StackError, match=r"has 1 MB free, but 67 MB are needed"):
        Cache(tmp_path, never).ensure([ARTIFACT], QUIET)


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be written"):
        Cache(tmp_path / "file" / "cache", never).ensure([ARTIFACT], QUIET)


def fetched(folder: Path, artifact: Artifact, content: bytes) -> Cache:
    cache = Cache(folder, never)
    cache.path(artifact).parent.mkdir(parents=True)
    cache.path(artifact).write_bytes(content)
    return cache


def test_a_zip_is_unpacked_once_with_what_is_needed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("in/bin/server", "in/bin/other", "in/share/a/b.txt", "elsewhere"):
            archive.writestr(name, name)
    cache = fetched(tmp_path, ARTIFACT, buffer.getvalue())
    home = unpacked_zip(cache, ARTIFACT, "in/", ("bin/server", "share/"))
    assert files_below(home) == ["b.txt", "server"]
    assert (home / "bin/server").stat().st_mode & 0o111
    cache.path(ARTIFACT).unlink()
    assert unpacked_zip(cache, ARTIFACT, "in/", ("bin/server", "share/")) == home


def test_a_tar_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    cache = fetched(tmp_path, ARTIFACT, b"no tar")
    with pytest.raises(StackError, match="cannot be unpacked"):
        unpacked_tar(cache, ARTIFACT)
    assert [path.suffix for path in (tmp_path / "unpacked").iterdir()] == [".lock"]


def test_a_tar_is_unpacked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("lib/a.jar"))
    assert files_below(unpacked_tar(fetched(tmp_path, ARTIFACT, buffer.getvalue()), ARTIFACT)) == ["a.jar"]


def test_a_class_archive_belongs_to_its_jars_as_they_are(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"1")
    archive = ClassArchive.of("kafka", str(jar), tmp_path, tmp_path)
    assert archive.java_options(lists=True) == [f"-XX:DumpLoadedClassList={tmp_path}/kafka.classes"]
    assert archive.java_options(lists=False) == []
    Path(archive.file).touch()
    assert archive.java_options(lists=True) == [f"-XX:SharedArchiveFile={archive.file}"]
    assert archives.program([archive], tmp_path / "spec") is None
    jar.write_bytes(b"22")
    changed = ClassArchive.of("kafka", str(jar), tmp_path, tmp_path)
    assert changed.file != archive.file
    maker = archives.program([changed, changed], tmp_path / "spec")
    assert maker is not None
    assert not maker.restart
    assert (tmp_path / "spec").read_text().count('"class_path"') == 1


def test_what_a_killed_download_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "partial-x").mkdir()
    (tmp_path / "partial-x" / "half.jar").touch()
    Cache(tmp_path, download_of(CONTENT)).ensure([ARTIFACT], QUIET)
    assert not (tmp_path / "partial-x").exists()
