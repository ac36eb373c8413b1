"""Every golden case passes, and a broken expectation is found."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import CaseError
from pipeline.runner.cases import Case, Difference, load, run
from pipeline.runner.local import flash_sales_application
from pipeline.settings import Settings
from pipeline.topics import OUTPUTS

FOLDER = Path(__file__).parent
NAMES = sorted(path.name.removesuffix(".input.json") for path in FOLDER.glob("*.input.json"))


def case(name: str) -> Case:
    return load(FOLDER / f"{name}.input.json", FOLDER / f"{name}.output.json")


def difference(case: Case) -> Difference | None:
    return asyncio.run(run(case, flash_sales_application(Settings())))


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str) -> None:
    assert difference(case(name)) is None


def test_every_output_has_a_case() -> None:
    assert {output["topic"] for name in NAMES for output in case(name).outputs} == {topic.name for topic in OUTPUTS}


@pytest.mark.parametrize("name", NAMES)
def test_a_row_less_or_more_or_another_order_is_found(name: str) -> None:
    good = case(name)
    for outputs in (good.outputs[:-1], (*good.outputs, good.outputs[-1]), good.outputs[::-1]):
        assert difference(dataclasses.replace(good, outputs=outputs)) is not None


def test_a_wrong_number_is_shown_with_topic_position_expected_and_actual(tmp_path: Path) -> None:
    broken = json.loads((FOLDER / "sales_by_region.output.json").read_text())
    broken["outputs"][1]["value"] = {"total_sales": 0.300002}
    (tmp_path / "output.json").write_text(json.dumps(broken))
    arguments = ["--input", str(FOLDER / "sales_by_region.input.json"), "--output", str(tmp_path / "output.json")]
    result = CliRunner().invoke(main, ["test-runner", *arguments])
    assert result.exit_code == 1
    assert ">>> Test failed: topic TOTAL_SALES_BY_REGION_TUMBLING_WINDOW, record 1:" in result.output
    assert '"total_sales":0.300002' in result.output
    assert '"total_sales":0.3}' in result.output


def test_doubles_are_compared_within_a_millionth(tmp_path: Path) -> None:
    close = json.loads((FOLDER / "sales_by_region.output.json").read_text())
    close["outputs"][1]["value"] = {"total_sales": 0.3000009}
    (tmp_path / "output.json").write_text(json.dumps(close))
    assert difference(load(FOLDER / "sales_by_region.input.json", tmp_path / "output.json")) is None


def test_the_command_says_that_a_case_passed() -> None:
    files = [str(FOLDER / f"user_transformed.{kind}.json") for kind in ("input", "output")]
    result = CliRunner().invoke(main, ["test-runner", "--input", files[0], "--output", files[1]])
    assert (result.exit_code, result.output) == (0, ">>> Test passed!\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ('{"inputs": 1}', "must be"),
        ('{"inputs": [{"key": "x"}]}', "must be"),
        ('{"inputs": [{"topic": "Nowhere", "value": {}}]}', "no topic 'Nowhere'"),
        ('{"inputs": [{"topic": "PageView", "value": {"colour": 1}}]}', "columns that its schema has not: colour"),
        ('{"inputs": [{"topic": "PageView", "value": {"viewtime": "x"}}]}', "does not fit its schema"),
        ('{"inputs": [{"topic": "PageView", "value": 5}]}', "must be an object or null"),
    ],
)
def test_a_damaged_case_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "input.json").write_text(text)
    with pytest.raises(CaseError, match=sentence):
        difference(load(tmp_path / "input.json", FOLDER / "user_transformed.output.json"))


@pytest.fixture
def folder(apps_in: Callable[[Path], None]) -> None:
    """Applications are found in the folder of these tests."""
    apps_in(FOLDER)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["", "null_keys.", "groups."])
def test_an_application_of_ones_own(name: str) -> None:
    """Rows without a key are counted like all others when they are grouped by a column."""
    files = [str(FOLDER / "users" / f"{name}{kind}.json") for kind in ("input", "output")]
    result = CliRunner().invoke(main, ["test-runner", "--app", "users", "--input", files[0], "--output", files[1]])
    assert (result.exit_code, result.output) == (0, ">>> Test passed!\n")


@pytest.mark.usefixtures("folder")
def test_an_application_that_is_not_there_is_refused() -> None:
    files = [str(FOLDER / "users" / f"{kind}.json") for kind in ("input", "output")]
    result = CliRunner().invoke(main, ["test-runner", "--app", "nobody", "--input", files[0], "--output", files[1]])
    assert result.exit_code == 1
    assert "application nobody: " in result.output
