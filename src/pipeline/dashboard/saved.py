"""Saved Pinot queries with parameters: what may be asked is in files, so that nothing else can be.

A line `-- :name kind values: meaning` in a query's comment declares a parameter, and `/*:name*/` after a literal marks
where its value goes; the file as it stands runs with its defaults. Kinds: `choice A B C`, `integer MIN..MAX`.
"""

import csv
import io
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any

from pipeline.errors import ProvisionError, QueryError
from pipeline.serving.tables import saved_queries

MOST_ROWS = 1_000
AT_ONCE = 2
KEPT_S = 5.0
KEPT = 64
DECLARED = re.compile(r":(\w+) (choice|integer) (.+?): (.+?)(?= :\w+ (?:choice|integer) |$)")

FORMULA = (
    *"=+-@\t\r\n",
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)
"""What makes a text a formula to some spreadsheet; numbers are numbers, negative ones too."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `choices` of a choice, `bounds` (inclusive) of an integer; `default` as it stands in the file."""

    name: str
    meaning: str
    default: str
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None

    def checked(self, text: str) -> str:
        """The value, ready to stand in SQL; raises QueryError with a sentence for what is not allowed."""
        if self.bounds is None:
            if text not in self.choices:
                raise QueryError(f"parameter {self.name} is {text!r}, but must be one of {', '.join(self.choices)}")
            return f"'{text}'"
        low, high = self.bounds
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise QueryError(f"parameter {self.name} is {text!r}, but must be a whole number from {low} to {high}")
        return str(int(text))


@dataclass(frozen=True, slots=True)
class Query:
    """A saved query; `sql` with its marks."""

    name: str
    meaning: str
    sql: str
    parameters: tuple[Parameter, ...]

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ").capitalize()

    def filled(self, given: Mapping[str, str]) -> str:
        """The SQL with these values, defaults for the others; raises QueryError for one that is not allowed."""
        sql = self.sql
        for parameter in self.parameters:
            value = parameter.checked(given.get(parameter.name) or parameter.default)
            sql = re.sub(_mark(parameter.name), lambda _, value=value: value, sql)  # type: ignore[misc]
        return sql


def _mark(name: str) -> str:
    return rf"('[^']*'|\d+)\s*/\*:{name}\*/"


def load(folder: Path) -> dict[str, Query]:
    """The queries of `<folder>/queries`; raises ProvisionError for a parameter that is not marked or not declared."""
    return {name: parse(name, saved.meaning, saved.sql) for name, saved in saved_queries(folder).items()}


def parse(name: str, comment: str, sql: str) -> Query:
    """A query from its comment, joined to one line, and its SQL."""
    parameters = []
    for found in DECLARED.finditer(comment):
        marked = re.search(_mark(found[1]), sql)
        if marked is None:
            raise ProvisionError(f"query {name} declares parameter {found[1]}, but nothing is marked /*:{found[1]}*/")
        parameter = Parameter(found[1], found[4].strip().rstrip("."), marked[1].strip("'"))
        if found[2] == "choice":
            parameter = replace(parameter, choices=tuple(found[3].split()))
        else:
            low, _, high = found[3].partition("..")
            parameter = replace(parameter, bounds=(int(low), int(high)))
        parameter.checked(parameter.default)
        parameters.append(parameter)
    marks = set(re.findall(r"/\*:(\w+)\*/", sql))
    if marks != {parameter.name for parameter in parameters}:
        raise ProvisionError(f"query {name} marks {sorted(marks)}, but declares {[p.name for p in parameters]}")
    return Query(name, comment.split(" :", 1)[0].strip(), sql, tuple(parameters))


class Desk:
    """Runs saved queries: at most AT_ONCE at a time, an answer is kept for KEPT_S seconds, MOST_ROWS rows of it."""

    def __init__(self, ask: Callable[[str], Rows], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock_s = clock_s
        self._free = BoundedSemaphore(AT_ONCE)
        self._kept: dict[str, tuple[float, Rows]] = {}
        self._lock = Lock()

    def run(self, sql: str) -> Rows:
        """The rows; raises QueryError when Pinot fails, or too many queries are under way."""
        now_s = self._clock_s()
        with self._lock:
            self._kept = {text: kept for text, kept in self._kept.items() if now_s - kept[0] < KEPT_S}
            if sql in self._kept:
                return self._kept[sql][1]
        if not self._free.acquire(timeout=2.0):
            raise QueryError(f"{AT_ONCE} queries are under way already: try again in a moment")
        try:
            rows = self._ask(sql)[:MOST_ROWS]
        finally:
            self._free.release()
        with self._lock:
            if len(self._kept) < KEPT:
                self._kept[sql] = now_s, rows
        return rows


def as_csv(rows: Rows) -> str:
    """Rows with a head line; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    if rows:
        writer = csv.writer(out)
        writer.writerow(map(_harmless, rows[0]))
        writer.writerows(map(_harmless, row.values()) for row in rows)
    return out.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def chart(rows: Rows) -> tuple[str, str, list[tuple[str, float]]] | None:
    """(label column, number column, [(label, share of the largest)]) of the first text and number; None without."""
    if not rows:
        return None
    label = next((name for name, value in rows[0].items() if isinstance(value, str)), None)
    number = next((name for name, value in rows[0].items() if isinstance(value, int | float)), None)
    if label is None or number is None:
        return None
    top = max((float(row[number]) for row in rows), default=0.0)
    return label, number, [(str(row[label]), max(0.0, float(row[number]) / top) if top else 0.0) for row in rows[:30]]
