"""docs/tutorial.md, followed as it is printed: every file and every command, on a real cluster of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from printed import Commands, File, steps

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
READY = "rows in every output after"
LONGEST_S = 120.0
DRINKS = "espresso|latte|tea"


class Reader:
    """Somebody with an empty folder, and `pipeline` on the path."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "PIPELINE_DATA_DIR": str(data), "COLUMNS": "110"}
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")} | mine
        self.demo: subprocess.Popen[bytes] | None = None
        self.log = data.with_name("demo.log")

    def give(self, line: str) -> str:
        """What a command prints."""
        command = ("bash", "-c", line)
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=LONGEST_S)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, line: str) -> str:
        """Start a demo in a terminal of its own, the one before having ended; what it prints until rows are there."""
        self.stop()
        with self.log.open("wb") as log:
            self.demo = subprocess.Popen(line.split(), cwd=self.folder, env=self.env, stdout=log, stderr=log)
        end_s = time.monotonic() + LONGEST_S
        while READY not in (printed := self.log.read_text()):
            assert self.demo.poll() is None and time.monotonic() < end_s, printed
            time.sleep(0.2)
        return printed

    def stop(self) -> None:
        """Ctrl-C in the demo's terminal."""
        if self.demo is not None:
            self.demo.send_signal(signal.SIGINT)
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
            made.demo.send_signal(signal.SIGINT)
            made.demo.wait(timeout=60)


def shape(text: str) -> list[str]:
    """What does not change from run to run: without numbers, drawn lines and widths, and which drink it was."""
    text = re.sub(rf"\b({DRINKS})\b", "DRINK", re.sub(r"[\u2500-\u257f]+", " ", text))
    text = re.sub(r"\d+(?:[.,:]\d+)*", "N", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_a_reader_gets_there(reader: Reader) -> None:
    seen = 0
    for step in steps(PAGE):
        if isinstance(step, File):
            (reader.folder / step.name).write_text(step.text, "utf-8")
        elif step.lines[0].startswith("pipeline demo "):
            (line,) = step.lines
            printed = shape(reader.start(line))
            assert [told for told in shape(step.output or "") if told not in printed] == [], printed
            seen += 1
        elif step.lines[0] != "make install":
            printed = "".join(map(reader.give, step.lines))
            assert shape(printed) == shape(step.output or ""), printed
            seen += 1
    reader.stop()
    assert seen >= 8
    assert not isinstance(step, Commands) or step.output
