"""The house: no module too long to be read at once, no circle among the imports."""

from pathlib import Path

import pytest

import pipeline

FOLDER = Path(pipeline.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
LONGEST = 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_module_has_no_more_than_300_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST
