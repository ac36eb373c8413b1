"""docs/tutorial.md, followed as it is printed: every file and every command that needs a cluster, on one of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from printed import File, steps
from running import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
READY = ("rows in every output after", "Ctrl-C stops everything")
"""What a demo says when all of it is there: without a page, and with one."""
LONGEST_S = 120.0
ALONE = ("pipeline explain ", "pipeline test-runner ")
"""What needs no cluster is given by tests/golden/test_tutorial.py."""
DRINKS = "espresso|latte|tea"


class Reader:
    """Somebody with an empty folder, and `pipeline` on the path."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "PIPELINE_DATA_DIR": str(data), "COLUMNS": "110"}
        mine |= {"PIPELINE_DASHBOARD_PORT": str(free_port())}
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")} | mine
        self.demo: subprocess.Popen[bytes] | None = None
        self.log = data.with_name("demo.log")

    def give(self, line: str) -> str:
        """What a command prints."""
        command = ("bash", "-c", line)
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=LONGEST_S)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, line: str, ready: str) -> str:
        """Start a demo in a terminal of its own, after the one before; what it prints until it says `ready`."""
        self.stop()
        with self.log.open("wb") as log:
            self.demo = subprocess.Popen(line.split(), cwd=self.folder, env=self.env, stdout=log, stderr=log)
        end_s = time.monotonic() + LONGEST_S
        while ready not in (printed := self.log.read_text()):
            assert self.demo.poll() is None and time.monotonic() < end_s, printed
            time.sleep(0.2)
        return printed

    def stop(self) -> None:
        """Ctrl-C in the demo's terminal; SIGTERM does the same, and is not ignored by what runs in the background."""
        if self.demo is not None:
            self.demo.terminate()
            assert self.demo.wait(timeout=60) == 0, self.log.read_text()
            self.demo = None


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    folder = tmp_path / "coffee"
    folder.mkdir()
    made = Reader(folder, tmp_path / "data")
    try:
        yield made
    finally:
        if made.demo is not None:
            made.demo.terminate()
            made.demo.wait(timeout=60)


def shape(text: str) -> list[str]:
    """What does not change from run to run: without numbers, drawn lines and widths, and which drink it was."""
    text = re.sub(rf"\b({DRINKS})\b", "DRINK", re.sub(r"[\u2500-\u257f]+", " ", text))
    text = re.sub(r"\d+(?:[.,:]\d+)*", "N", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def holds(told: list[str], printed: list[str]) -> bool:
    """Whether what the page tells was printed: all of it, or, where it has a line of three points, what is told."""
    if "..." not in told:
        return told == printed
    left = iter(printed)
    return all(line in left for line in told if line != "...")


def test_a_reader_gets_there(reader: Reader) -> None:
    compared = 0
    for step in steps(PAGE):
        if isinstance(step, File):
            (reader.folder / step.name).write_text(step.text, "utf-8")
        elif step.lines[0] != "make install" and not step.lines[0].startswith(ALONE):
            assert step.output is not None, step.lines
            if step.lines[0].startswith("pipeline demo "):
                [line] = step.lines
                printed = reader.start(line, next(ready for ready in READY if ready in step.output))
            else:
                printed = "".join(map(reader.give, step.lines))
            assert holds(shape(step.output), shape(printed)), printed
            compared += 1
    assert compared >= 6
    [url] = re.findall(r"live at (\S+)", reader.log.read_text())
    page = httpx.get(f"{url}/_dash-layout", trust_env=False).text
    assert "Cups in each minute" in page
    the_topics_page_shows_what_peek_shows(url)
    reader.stop()


def the_topics_page_shows_what_peek_shows(url: str) -> None:
    """Its views over a real cluster, which the page's own tests have not."""
    seen = {
        "topics": ["/topics/DRINKS_PER_MINUTE", "/topics/coffee-DRINKS_PER_MINUTE-partials"],
        "topics/orders?count=50": ["50 records, the newest first", "guest-", "avro "],
        "topics/orders?from=5m&partition=1": ["the first from there on"],
        "topics/orders?text=no+such+text": ["0 records"],
        "topics/prices?key=latte": ["records, the newest first", "&#34;price&#34;"],
        "topics/orders?view=schemas": ["orders-value", "version 1"],
        "topics/orders?view=settings": ["cleanup.policy"],
        "topics/orders?view=readers": ["coffee"],
    }
    for path, texts in seen.items():
        answer = httpx.get(f"{url}/{path}", trust_env=False, timeout=20)
        assert answer.status_code == 200, answer.text
        assert [text for text in texts if text not in answer.text] == [], path
    missing = httpx.get(f"{url}/topics/no-such-topic", trust_env=False, timeout=20)
    assert (missing.status_code, "no-such-topic does not exist" in missing.text) == (503, True), missing.text
