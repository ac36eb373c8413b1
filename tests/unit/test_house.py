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


def test_no_modules_import_each_other() -> None:
    assert circles(imports()) == []


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """Else a circle could hide in a function, or behind types."""
    path = tmp_path / "module.py"
    path.write_text(
        "import one\nfrom two import name\nfrom package import three\n"
        "if TYPE_CHECKING:\n    from four import Name\n\n"
        "def run():\n    from five import name\n    import six as other\n"
    )
    names = {"one", "two", "package.three", "four", "five", "six"}
    assert set(_imported(path, dict.fromkeys((*names, "package", "seven"), path))) == names
