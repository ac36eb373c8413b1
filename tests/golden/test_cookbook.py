"""docs/cookbook.md: every recipe, copied from the page into files, gives what its own case says."""

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.applications.loading import declared
from pipeline.applications.loading import load as load_application
from pipeline.runner.cases import Difference, load, run
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS

PAGE = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text("utf-8")
NAME = re.compile(r'Application\(\s*"([a-z][a-z0-9_]*)"')


@dataclass(frozen=True)
class Recipe:
    """One heading of the page with what stands below it."""

    title: str
    body: str

    def blocks(self, language: str) -> list[str]:
        """Its blocks in one language."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.body, re.DOTALL | re.MULTILINE)

    @property
    def name(self) -> str:
        """The application's name, under which the page says to save it."""
        [found] = NAME.findall(self.blocks("python")[0])
        return str(found)

    def copied(self, folder: Path) -> None:
        """Save its three blocks as a reader does."""
        [python] = self.blocks("python")
        inputs, outputs = self.blocks("json")
        for name, text in ((f"{self.name}.py", python), ("in.json", inputs), ("out.json", outputs)):
            (folder / name).write_text(text, "utf-8")


RECIPES = [
    Recipe(title, body) for title, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
]


def tried(folder: Path, name: str) -> Difference | None:
    """What `pipeline test-runner` finds in the folder."""
    sys.modules.pop(name, None)
    application = declared(load_application(name, folder))
    try:
        return asyncio.run(
            run(load(folder / "in.json", folder / "out.json"), LocalApplication(Settings(), application))
        )
    finally:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_a_recipe_gives_what_its_case_says(recipe: Recipe, tmp_path: Path) -> None:
    recipe.copied(tmp_path)
    difference = tried(tmp_path, recipe.name)
    assert difference is None, str(difference)


def test_a_recipe_whose_case_is_wrong_fails(tmp_path: Path) -> None:
    [overdrawn] = [recipe for recipe in RECIPES if recipe.name == "overdrawn"]
    overdrawn.copied(tmp_path)
    wrong = overdrawn.blocks("json")[1].replace("-35", "-36")
    (tmp_path / "out.json").write_text(wrong, "utf-8")
    assert "-36" in str(tried(tmp_path, "overdrawn"))


def test_a_recipe_is_a_question_an_application_three_remarks_and_a_case() -> None:
    assert len(RECIPES) >= 10
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    for recipe in RECIPES:
        assert (len(recipe.blocks("python")), len(recipe.blocks("json"))) == (1, 2), recipe.title
        assert re.match(r"\*[^\n]+\?\*\n```python\n", recipe.body), recipe.title
        assert len(re.findall(r"^- ", recipe.body, re.MULTILINE)) == 3, recipe.title
        assert len(recipe.blocks("python")[0].splitlines()) <= 15, recipe.title


def test_a_case_says_what_every_last_result_is() -> None:
    """What a recipe is about is compared: the results that nothing reads on, and letters where it speaks of them."""
    for recipe in RECIPES:
        compared = {output["topic"] for output in json.loads(recipe.blocks("json")[1])["outputs"]}
        written = set(re.findall(r'\.to\("([^"]+)"', recipe.blocks("python")[0]))
        assert compared & written, recipe.title
        assert compared <= written | {DEAD_LETTERS.name, LATE_RECORDS.name}, recipe.title
        for letters in (DEAD_LETTERS.name, LATE_RECORDS.name):
            assert (letters in compared) == (letters in recipe.body.split("```json")[0]), recipe.title


def test_what_is_said_of_the_last_of_the_copies_is_so(tmp_path: Path) -> None:
    [once] = [recipe for recipe in RECIPES if recipe.name == "payments_once"]
    once.copied(tmp_path)
    [session] = re.findall(r"`(payments\.window.+)` sends each id once", once.body)
    file = tmp_path / "payments_once.py"
    text = file.read_text("utf-8")
    changed = text.replace('payments.distinct("payments_once", c.id, within=minutes(10))', session)
    assert changed != text
    file.write_text(changed.replace("import Application,", "import Application, LatestByOffset, Session,"), "utf-8")
    expected = {"topic": "INCOME", "key": "north", "value": {"total": 7}}  # p2's; p1's session goes on
    (tmp_path / "out.json").write_text(json.dumps({"outputs": [expected]}), "utf-8")
    assert tried(tmp_path, "payments_once") is None


def test_what_is_said_of_a_table_of_mysql_is_so(tmp_path: Path) -> None:
    [bills] = [recipe for recipe in RECIPES if recipe.name == "bills"]
    bills.copied(tmp_path)
    [sources] = re.findall(r"`Application\(\.\.\., (sources=\[.+\])\)`", bills.body)
    file = tmp_path / "bills.py"
    text = file.read_text("utf-8").replace('.to("BILLS"))', f'.to("BILLS"), {sources})')
    file.write_text("from pipeline import Bulk, DatabaseTable\n" + text, "utf-8")
    assert tried(tmp_path, "bills") is None
    sys.modules.pop("bills", None)
    made = load_application("bills", tmp_path)
    sys.modules.pop("bills", None)
    assert len(made.database) == 1
