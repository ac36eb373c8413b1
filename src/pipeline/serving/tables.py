"""Pinot's tables and saved queries as they lie in the `pinot/` folder: read, filled in and checked.

`tables/<TOPIC>.schema.json` and `tables/<TOPIC>.table.json` declare one realtime table per output topic and enriched
stream, with the topic's name; `${KAFKA_BOOTSTRAP}` and `${SCHEMA_REGISTRY}` are filled in from the settings. Every
`queries/<name>.sql` begins with a comment that says what the query means. The setting `pinot_stream_configs` names a
file of further streamConfigs, which every table gets.

Texts: `maxLength` holds the longest text that can come (Pinot cuts at 512 characters unless it is told more), and
dictionaries have entries of their own length, not all as long as the longest. Pinot ends a text at NUL, so that keys
which differ behind it would be one: tables keep NUL under other characters, see `texts.py`.

Nulls: Pinot 0.11 keeps a null vector beside each column (`nullHandlingEnabled`), so that `IS NULL` and `IS NOT NULL`
are exact. What a query returns for a null is the column's default: '' for strings, 0 for numbers. It has no option yet
that would return the null itself from an aggregation.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from pipeline.errors import ProvisionError
from pipeline.http_security import without_user
from pipeline.settings import Settings
from pipeline.topics import ENRICHED, OUTPUTS

TABLES = tuple(topic.name for topic in (*ENRICHED, *OUTPUTS))
FIELD_SPECS = ("dimensionFieldSpecs", "metricFieldSpecs", "dateTimeFieldSpecs")


@dataclass(frozen=True, slots=True)
class Table:
    """One realtime table: Pinot's schema and table JSON, ready to be sent."""

    name: str
    schema: dict[str, Any]
    config: dict[str, Any]

    @property
    def columns(self) -> dict[str, str]:
        """{column: Pinot's data type}."""
        return {spec["name"]: spec["dataType"] for kind in FIELD_SPECS for spec in self.schema.get(kind, ())}


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A query kept as a file: `meaning` is its leading comment, `sql` the rest."""

    name: str
    meaning: str
    sql: str


def tables(settings: Settings) -> list[Table]:
    """All twelve tables in the order of their topics; raises ProvisionError when a file is missing or no JSON."""
    values = {
        "KAFKA_BOOTSTRAP": settings.pinot_kafka_bootstrap or settings.bootstrap_servers,
        "SCHEMA_REGISTRY": settings.pinot_registry_url or without_user(settings.registry_url),
    }
    folder = settings.pinot_dir / "tables"
    further = stream_configs(settings.pinot_stream_configs)
    return [
        Table(
            name,
            _load(folder / f"{name}.schema.json", values),
            _with_stream(_load(folder / f"{name}.table.json", values), further),
        )
        for name in TABLES
    ]


def stream_configs(path: Path | None) -> dict[str, str]:
    """The further streamConfigs of every table; none without a file. `${NAME}` in them is left to Pinot."""
    if path is None:
        return {}
    where = f"setting pinot_stream_configs is {str(path)!r}, but"
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ProvisionError(f"{where} that cannot be read: {error.strerror}") from None
    except ValueError:
        raise ProvisionError(f"{where} that is no JSON") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ProvisionError(f"{where} that is no JSON object of strings")
    return found


def _with_stream(config: dict[str, Any], further: dict[str, str]) -> dict[str, Any]:
    if not further:
        return config
    index = config.get("tableIndexConfig") or {}
    streams = {**(index.get("streamConfigs") or {}), **further}
    return {**config, "tableIndexConfig": {**index, "streamConfigs": streams}}


def _load(path: Path, values: dict[str, str]) -> dict[str, Any]:
    escaped = {name: json.dumps(value)[1:-1] for name, value in values.items()}
    try:
        return dict(json.loads(Template(path.read_text("utf-8")).substitute(escaped)))
    except OSError as error:
        raise ProvisionError(f"setting pinot_dir: {path} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ProvisionError(f"{path} is not a JSON object with known placeholders: {error}") from error


def saved_queries(folder: Path) -> dict[str, SavedQuery]:
    """{name: query} of `<folder>/queries/*.sql`; raises ProvisionError where a file has no leading comment."""
    return {path.stem: _query(path) for path in sorted((folder / "queries").glob("*.sql"))}


def _query(path: Path) -> SavedQuery:
    lines = path.read_text("utf-8").strip().splitlines()
    head = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    meaning = " ".join(line.removeprefix("--").strip() for line in lines[:head])
    sql = "\n".join(lines[head:]).strip().rstrip(";")
    if not meaning or not sql:
        raise ProvisionError(f"{path} must begin with a comment (--) that says what it means, then a query")
    return SavedQuery(path.stem, meaning, sql)
