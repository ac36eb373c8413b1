"""The audit of dependencies: each locked version has been looked at, and nothing unsafe goes by."""

import runpy
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

AUDIT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "audit"))
TODAY = date(2026, 11, 27)
LOCKED = {("a", "1.0")}


def entry(version: str = "1.0", days: int = 0, **more: str) -> dict[str, Any]:
    return {"name": "a", "version": version, "looked": TODAY - timedelta(days=days), **more}


@pytest.mark.parametrize(
    ("entries", "failing", "warning"),
    [
        ([entry()], "", ""),
        ([entry(days=180)], "", ""),
        ([entry(days=181)], "", "181 days ago"),
        ([entry(days=-1)], "yet to come", ""),
        ([], "not in audited.toml", ""),
        ([entry("1.1")], "not in audited.toml", "but not locked"),
        ([entry(unsafe="it runs what it reads")], "is unsafe: it runs", ""),
        ([entry(unsafe="x", accepted="not called, until 2027-01-01")], "", "accepted: not called"),
    ],
)
def test_what_fails_and_what_is_a_warning(entries: list[dict[str, Any]], failing: str, warning: str) -> None:
    for found, wanted in zip(AUDIT["audit"](LOCKED, entries, TODAY), (failing, warning), strict=True):
        assert len(found) == bool(wanted)
        assert wanted in "".join(found)


def test_every_line_of_a_lock_is_read() -> None:
    text = "a==1.0 \\\n    --hash=sha256:0\nb-c[x]==2.0.post1 ; python_version < '4' \\\n    # via d==3\n"
    assert list(AUDIT["locked_packages"](text)) == [("a", "1.0"), ("b-c", "2.0.post1")]


def test_all_that_is_locked_has_been_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert AUDIT["main"]() == 0, capsys.readouterr().err
