"""docs/operators.md: its examples run, and the tests that it names exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operators.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/\S+?)::(\w+)`", PAGE)))


def test_every_example_runs_and_asserts_something() -> None:
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        assert "assert " in block, block
        exec(compile(block, f"docs/operators.md, example {number + 1}", "exec"), names)


def test_every_example_of_an_operator_stands_beside_a_statement() -> None:
    assert PAGE.count("```sql\n") >= 11
    assert len(BLOCKS) >= PAGE.count("```sql\n")


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_tests_that_hold_the_rules_exist(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_rule_names_a_test() -> None:
    section = PAGE.split("## Each rule")[1].split("\n## ")[0]
    rules = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rules) > 30
    assert all("::test_" in rule for rule in rules)
