"""An application's tables in Pinot, and saved queries.

Tables are those of the topics in `Application(pinot=...)`, and are called as these. They follow from what is declared
(`derived.py`); `<TOPIC>.json` in the application's folder `pinot/` overrides single things. The setting
`pinot_stream_configs` names a file of further streamConfigs, which every table gets.

Saved queries are `queries/<name>.sql` in the folder `pinot_dir`: each begins with a comment that says what it means.

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
from typing import Any

from pipeline.applications.loading import beside, runnable, source_file
from pipeline.errors import ProvisionError
from pipeline.http_security import without_user
from pipeline.serving.derived import schema_and_table
from pipeline.settings import Settings

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
    """All tables of the application that is set, in the order of its statements.

    Raises ProvisionError when an override is no JSON or changes what is not there, or Pinot cannot hold such rows.
    """
    kafka = settings.pinot_kafka_bootstrap or settings.bootstrap_servers
    registry = settings.pinot_registry_url or without_user(settings.registry_url)
    further = stream_configs(settings.pinot_stream_configs)
    folder = overrides_folder(source_file(settings.app, settings.app_dir))
    found = []
    for statement in runnable(settings).application.in_pinot:
        overrides = _overrides(folder / f"{statement.output.name}.json")
        schema, config = schema_and_table(statement, kafka, registry, overrides)
        found.append(Table(statement.output.name, schema, _with_stream(config, further)))
    return found


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


def overrides_folder(module: Path) -> Path:
    """Where an application's overrides lie: in its folder, or, of a single module `clicks.py`, in `clicks.pinot/`."""
    return beside(module, "pinot")


def _overrides(path: Path) -> dict[str, Any]:
    """What a file changes; nothing where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ProvisionError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ProvisionError(f"{path} is no JSON object, but must be one of columns and table")
    return found


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
