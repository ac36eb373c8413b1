"""The house: no module too long to be read at once, no circle among the imports."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import pipeline

FOLDER = Path(pipeline.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
LONGEST = 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_module_has_no_more_than_300_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def imports() -> dict[str, set[str]]:
    """{module: those that it imports}: at once, in functions, and for types alone."""
    paths = {".".join(["pipeline", *path.relative_to(FOLDER).with_suffix("").parts]): path for path in MODULES}
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    return {name: {one for one in _imported(path, paths) if one != name} for name, path in paths.items()}


def _imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in known:
            for one in node.names:
                module = f"{node.module}.{one.name}"
                yield module if module in known else node.module
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in known)


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Modules that import each other, over however many others."""
    reach: dict[str, set[str]] = {}
    for name in graph:
        found, todo = set(), list(graph[name])
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += graph[one]
        reach[name] = found
    made = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]}
    return [set(circle) for circle in made]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [{"b", "c"}]


def test_the_one_circle_is_that_of_a_fluent_api() -> None:
    """Streams make groups and tables, and these make streams."""
    names = ("groups", "relations", "statements", "steps", "streams", "tables")
    assert circles(imports()) == [{f"pipeline.declare.{name}" for name in names}]
