"""docs/formats.md: its examples run, and its tables name every format."""

import re
from pathlib import Path

from pipeline.topics import KeyFormat, ValueFormat

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_example_runs_and_asserts_something() -> None:
    names: dict[str, object] = {}
    assert len(BLOCKS) == 6
    for number, block in enumerate(BLOCKS):
        assert "assert " in block, block
        exec(compile(block, f"docs/formats.md, example {number + 1}", "exec"), names)


def test_every_format_has_a_row() -> None:
    values, keys = PAGE.split("## Value formats")[1], PAGE.split("## Keys")[1]
    assert re.findall(r"^\| `([A-Z_]+)` \|", values, re.MULTILINE)[: len(ValueFormat)] == [
        one.name for one in ValueFormat
    ]
    assert re.findall(r"^\| `([A-Z_]+)` \|", keys, re.MULTILINE) == [one.name for one in KeyFormat]
