"""docs/statements.md: every application of the page gives what its case says, on one partition and on five."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.applications.loading import declared
from pipeline.declare.application import Application
from pipeline.runner.cases import load, run
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "statements"
SETTINGS = Settings()
PAGE = (ROOT / "docs" / "statements.md").read_text("utf-8")
PRELUDE, *_ = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """One heading of the page with what stands below it."""

    title: str
    body: str

    @property
    def slug(self) -> str:
        """The name of its files."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def blocks(self, language: str) -> list[str]:
        """Its blocks in one language."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.body, re.DOTALL | re.MULTILINE)

    def application(self) -> Application:
        """What its Python declares."""
        names: dict[str, Any] = {}
        exec(compile(PRELUDE, "docs/statements.md", "exec"), names)
        exec(compile(self.blocks("python")[0], f"docs/statements.md, {self.title}", "exec"), names)
        found = names["APPLICATION"]
        assert isinstance(found, Application)
        return found

    def outputs(self, partitions: int) -> Path:
        """What is expected on so many partitions."""
        five = FOLDER / f"{self.slug}.five.output.json"
        return five if partitions == 5 and five.exists() else FOLDER / f"{self.slug}.output.json"


SECTIONS = [
    Section(title, body)
    for title, body in re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
]


def written(application: LocalApplication, declared: Application) -> set[str]:
    """The topics for others in which there is a record: results, dead letters and late records."""
    shown = {*(topic.name for topic in declared.outputs), DEAD_LETTERS.name, LATE_RECORDS.name}
    return shown & application.broker.topics.keys()


@pytest.mark.parametrize("partitions", [1, 5])
@pytest.mark.parametrize("section", SECTIONS, ids=[section.slug for section in SECTIONS])
def test_a_section_gives_what_its_case_says(section: Section, partitions: int) -> None:
    application = section.application()
    case = load(FOLDER / f"{section.slug}.input.json", section.outputs(partitions))
    local = LocalApplication(SETTINGS, declared(application), partitions)
    difference = asyncio.run(run(case, local))
    assert difference is None, str(difference)
    assert written(local, application) == {output["topic"] for output in case.outputs}


def test_a_section_is_one_statement_in_sql_and_one_in_python() -> None:
    assert len(SECTIONS) >= 60
    assert len({section.slug for section in SECTIONS}) == len(SECTIONS)
    for section in SECTIONS:
        sql, python = section.blocks("sql"), section.blocks("python")
        assert (len(sql), len(python)) == (1, 1), section.title
        assert re.search(r"\n?APPLICATION = Application\((.|\n)*\)\n\Z", python[0]), section.title


def test_each_section_has_a_case_and_each_case_a_section() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    fives = {name for name in files if name.endswith(".five.output.json")}
    wanted = {f"{section.slug}.{kind}.json" for section in SECTIONS for kind in ("input", "output")}
    assert files - fives == wanted
    assert {name.removesuffix(".five.output.json") for name in fives} <= {section.slug for section in SECTIONS}


def test_an_output_says_something_and_names_topics_of_its_application() -> None:
    for section in SECTIONS:
        application = section.application()
        names = {*(topic.name for topic in application.outputs), DEAD_LETTERS.name, LATE_RECORDS.name}
        expected = {output["topic"] for output in load(*_files(section)).outputs}
        assert expected & {topic.name for topic in application.outputs}, section.title
        assert expected <= names, section.title


def _files(section: Section) -> tuple[Path, Path]:
    return FOLDER / f"{section.slug}.input.json", section.outputs(1)


def test_what_is_said_of_five_partitions_is_said_in_the_page() -> None:
    for section in SECTIONS:
        if section.outputs(5) != section.outputs(1):
            assert "five partitions" in section.body, section.title


def test_the_page_has_every_name_that_an_application_is_declared_with() -> None:
    elsewhere = ("database", "draws", "endpoints", "generators", "pages", "panels")
    data = {name for place in elsewhere for name in pipeline._PLACES[f"declare.{place}"]}
    python = "\n".join(block for section in SECTIONS for block in section.blocks("python"))
    unused = {name for name in pipeline.__all__ if not re.search(rf"\b{name}\b", python)}
    assert unused <= data


CLAUSES = """
WHERE, HAVING, GROUP BY, PARTITION BY, WINDOW TUMBLING, WINDOW HOPPING, WINDOW SESSION, GRACE PERIOD, EMIT FINAL,
EXPLODE(, CASE WHEN, CAST(, IN (, BETWEEN, LIKE, IS NULL, IS NOT NULL, IS DISTINCT FROM, ->, [1], ROWTIME, WITHIN,
INNER JOIN, LEFT JOIN, RIGHT JOIN, FULL OUTER JOIN, TIMESTAMP_FORMAT, VALUE_DELIMITER, VALUE_FORMAT = 'AVRO',
VALUE_FORMAT = 'JSON', VALUE_FORMAT = 'JSON_SR', VALUE_FORMAT = 'PROTOBUF', VALUE_FORMAT = 'DELIMITED',
VALUE_FORMAT = 'KAFKA', KEY_FORMAT = 'KAFKA', KEY_FORMAT = 'JSON', KEY_FORMAT = 'AVRO'
"""


def test_the_page_has_every_clause() -> None:
    sql = "\n".join(block for section in SECTIONS for block in section.blocks("sql"))
    assert [clause for clause in re.split(r",\s+", CLAUSES.strip()) if clause not in sql] == []
