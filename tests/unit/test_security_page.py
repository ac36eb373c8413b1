"""docs/security.md: its tables of rights are those that the code gives, and what it names exists."""

import re
import runpy
from pathlib import Path

import pytest

from pipeline import topics
from pipeline.access import PROCESSES, rights, user_of
from pipeline.applications.loading import runnable
from pipeline.kafka_access import Pattern, Resource
from pipeline.settings import Settings
from pipeline.sources.grants import grants

GRANTS = grants(runnable(Settings()))
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "document-access"))
RIGHTS = PAGE.partition(SCRIPT["BEGIN"])[2].partition(SCRIPT["END"])[0]


def test_the_tables_of_rights_are_up_to_date() -> None:
    assert SCRIPT["page"](PAGE) == PAGE, "run scripts/document-access"


def test_every_right_is_in_the_table_and_no_more() -> None:
    given = {
        (process, right.resource, right.pattern, right.name, right.operation)
        for process, theirs in rights(Settings.model_construct(app_id="APP-ID")).items()
        for right in theirs
    }
    assert told() == given


def told() -> set[tuple[object, ...]]:
    """The rights that the page tells, read back from its words."""
    operations = {word: operation for operation, word in SCRIPT["WORDS"].items()}
    groups = {
        name: re.findall(r"`([^`]+)`", row)
        for name, row in re.findall(r"^\| (every [a-z ]+) \(\d+\) \| (.+) \|$", RIGHTS, re.MULTILINE)
    }
    everything = "every topic of the application"
    groups[everything] = [name for group in groups.values() for name in group]
    found: set[tuple[object, ...]] = set()
    for process, thing, may in re.findall(r"^\| `(\w+)` \| `pipeline-\w+` \| (.+) \| ([A-Za-z, ]+) \|$", RIGHTS, re.M):
        if process in GRANTS and re.search(r"SELECT|INSERT", may):
            continue
        pattern = Pattern.PREFIXED if "begins with" in thing else Pattern.LITERAL
        kinds = {"group": Resource.GROUP, "transactional": Resource.TRANSACTIONAL_ID, "the": Resource.CLUSTER}
        kind = kinds.get(thing.removeprefix("every ").split()[0], Resource.TOPIC)
        names = re.findall(r"`([^`]+)`", thing)
        names += [name for called in re.findall(r"(every [a-z ]+) \(\d+\)", thing) for name in groups[called]]
        names = names or ["kafka-cluster"]
        found |= {(process, kind, pattern, name, operations[word]) for name in names for word in may.split(", ")}
    return found


def test_every_topic_and_process_is_there() -> None:
    assert {topic.name for topic in topics.ALL} <= set(re.findall(r"`([^`]+)`", RIGHTS))
    assert {user_of(process) for process in PROCESSES} <= set(re.findall(r"`([^`]+)`", RIGHTS))


@pytest.mark.parametrize("process", sorted(GRANTS))
def test_every_grant_is_in_the_table(process: str) -> None:
    rows = re.findall(rf"^\| `{process}` \| `{user_of(process)}` \| `(\w+)` \| ([A-Z, ]+) \|$", RIGHTS, re.MULTILINE)
    assert dict(rows) == GRANTS[process]


def test_every_variable_is_a_setting() -> None:
    known = {f"PIPELINE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bPIPELINE_[A-Z0-9_]*[A-Z0-9]\b", PAGE)) - known <= {"PIPELINE_"}


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([\w./-]+\.md)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"`(deploy/[\w./]+|scripts/[\w-]+)`", PAGE):
        assert (ROOT / path).exists(), path
