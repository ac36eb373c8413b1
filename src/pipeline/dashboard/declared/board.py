"""What a declared page knows: for each of its queries the last good rows, and what is wrong with it now."""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from pipeline.dashboard.declared.queries import TABLE, Query
from pipeline.errors import QueryError
from pipeline.timebase import SECOND_MS, now_ms

Row = Mapping[str, Any]
QUERIES_AT_ONCE = 4
SLACK_S = 0.5
HISTORY = 60
JAVA = re.compile(r"\b(?:[a-z]\w*\.){2,}\w+(?:Exception|Error): ")
"""Names of Java's classes, which tell a viewer nothing that the words behind them do not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The last good rows of a query, in Pinot's order; `error` is a sentence while the latest asking failed."""

    rows: tuple[Row, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """Answers by the names of the queries. `history` are (epoch ms, total) of KPIs, oldest first, as they were seen."""

    answers: Mapping[str, Answer] = field(default_factory=lambda: MappingProxyType({}))
    newest_event_ms: int | None = None
    history: Mapping[str, tuple[tuple[int, float], ...]] = field(
        default_factory=lambda: MappingProxyType({}), compare=False
    )

    @property
    def totals(self) -> tuple[int, ...]:
        """None: what SQL gives may fall."""
        return ()

    @property
    def rows(self) -> int:
        """Rows in the application's tables, without those that are retired."""
        found = [answer.rows[0] for name, answer in self.answers.items() if name.startswith(TABLE) and answer.rows]
        return sum(int(row["n"] or 0) for row in found)


class Client(Protocol):
    """What is needed of `pipeline.serving.pinot.Pinot`."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query."""


class PageSource:
    """One call is one refresh: the queries that are due, several at a time.

    A query that fails keeps its rows, with a sentence. Raises QueryError when all that were asked failed.
    """

    def __init__(
        self,
        client: Client,
        queries: Sequence[Query],
        watched: Mapping[str, Callable[[Sequence[Row]], float | None]],
        clock_ms: Callable[[], int] = now_ms,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._queries = tuple(queries)
        self._watched = watched
        self._clock_ms = clock_ms
        self._clock_s = clock_s
        self._answers: dict[str, Answer] = {}
        self._asked_s: dict[str, float] = {}
        self._history: dict[str, deque[tuple[int, float]]] = {name: deque(maxlen=HISTORY) for name in watched}
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self) -> Board:
        if self._pool is None:  # the first call comes from the process that serves, after its fork
            self._pool = ThreadPoolExecutor(QUERIES_AT_ONCE, "page-query")
        now, now_s = self._clock_ms(), self._clock_s()
        due = [query for query in self._queries if self._is_due(query, now_s)]
        found = dict(zip(due, self._pool.map(lambda query: self._ask(query, now), due), strict=True))
        if due and all(answer.error for answer in found.values()):
            raise QueryError(next(iter(found.values())).error)
        for query, answer in found.items():
            self._asked_s[query.name] = now_s
            known = self._answers.get(query.name, Answer())
            self._answers[query.name] = replace(known, error=answer.error) if answer.error else answer
        return Board(MappingProxyType(dict(self._answers)), self._newest(now), MappingProxyType(self._seen(now)))

    def _is_due(self, query: Query, now_s: float) -> bool:
        asked_s = self._asked_s.get(query.name)
        failed = query.name in self._answers and self._answers[query.name].error
        return asked_s is None or bool(failed) or now_s - asked_s >= query.every_s - SLACK_S

    def _ask(self, query: Query, now: int) -> Answer:
        try:
            return Answer(tuple(self._client.query(query.sql(now))))
        except QueryError as error:
            return Answer(error=JAVA.sub("", str(error)))

    def _newest(self, now: int) -> int | None:
        """The newest event in the tables, at most now: an event may be dated ahead."""
        found = [answer.rows[0] for name, answer in self._answers.items() if name.startswith(TABLE) and answer.rows]
        newest = [int(row["newest"]) for row in found if row["n"]]
        return min(max(newest), now) if newest else None

    def _seen(self, now: int) -> dict[str, tuple[tuple[int, float], ...]]:
        for name, total in self._watched.items():
            value = total(self._answers.get(name, Answer()).rows)
            past = self._history[name]
            if value is not None and (not past or now - past[-1][0] >= SECOND_MS):
                past.append((now, value))
        return {name: tuple(past) for name, past in self._history.items()}
