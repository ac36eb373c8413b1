"""docs/tutorial.md: its files, saved one after the other, and its commands that need no cluster print what it says."""

import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline import settings as configuration
from pipeline.cli import main
from printed import Commands, File, steps

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
STEPS = list(steps(PAGE))
ALONE = ("pipeline explain ", "pipeline test-runner ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and settings as they were at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(configuration.variable("app"), "coffee")
    configuration.settings.cache_clear()
    return tmp_path


def given(line: str) -> str:
    """What a command prints."""
    sys.modules.pop("coffee", None)
    done = CliRunner().invoke(main, shlex.split(line)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_what_needs_no_cluster_prints_what_the_page_says(folder: Path) -> None:
    compared = 0
    try:
        for step in STEPS:
            if isinstance(step, File):
                (folder / step.name).write_text(step.text, "utf-8")
                sys.modules.pop("coffee", None)
            elif all(line.startswith(ALONE) for line in step.lines):
                assert "".join(map(given, step.lines)) == step.output
                compared += 1
    finally:
        sys.modules.pop("coffee", None)
        configuration.settings.cache_clear()
    assert compared >= 4


def test_a_mistake_gives_the_sentence_that_the_page_tells(folder: Path) -> None:
    first = next(step for step in STEPS if isinstance(step, File))
    (folder / first.name).write_text(first.text.replace("c.cups", "c.cup"), "utf-8")
    sys.modules.pop("coffee", None)
    done = CliRunner().invoke(main, ["explain", "--app", "coffee"])
    sys.modules.pop("coffee", None)
    configuration.settings.cache_clear()
    assert done.exit_code == 1
    assert done.output.strip().removeprefix("pipeline: application coffee: ") in PAGE.read_text("utf-8")


def test_every_command_shows_what_it_prints_but_those_of_the_beginning() -> None:
    silent = [step for step in STEPS if isinstance(step, Commands) and not step.output]
    assert [step.lines[0] for step in silent] == ["make install"]
