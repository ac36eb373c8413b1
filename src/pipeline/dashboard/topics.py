"""The topics page: the records of any topic, decoded; its schemas, settings and readers. It reads only."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, abort, render_template, request
from flask.blueprints import BlueprintSetupState

from pipeline.applications.loading import Runnable, runnable
from pipeline.dashboard.looking import COUNTS, MOST_BYTES, MOST_LOOKED_AT, Asked, Looks
from pipeline.dashboard.theme import css
from pipeline.dashboard.web import as_text
from pipeline.errors import PipelineError, SettingError
from pipeline.names import TOPIC_NAME
from pipeline.peek import facts
from pipeline.peek.decode import Shown
from pipeline.peek.scan import Found, Seen
from pipeline.registry import Version
from pipeline.settings import Settings
from pipeline.shown import sentence, visible
from pipeline.status import TopicStatus
from pipeline.timebase import format_ms
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS, Kind

T = TypeVar("T")
TAKEN_AWAY = "No topics are shown here: PIPELINE_DASHBOARD_TOPICS is false."
LINE, WHOLE = 160, 20_000
"""Characters of a value in the list, and when it is opened."""
VIEWS = ("records", "schemas", "settings", "readers")
LAST_MS = 253_402_300_800_000
"""The year 10000: what is beyond is no time that can be written."""


@dataclass(frozen=True, slots=True)
class Group:
    """Topics of one kind under a title."""

    title: str
    topics: Mapping[str, TopicStatus]


@dataclass(frozen=True, slots=True)
class Cell:
    """A key, a value or a header as it is shown: one line, and all lines where there is more to see."""

    line: str
    lines: tuple[str, ...]
    form: str
    note: str

    @property
    def is_long(self) -> bool:
        """Whether opening it shows more."""
        return bool(self.lines)


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it is shown; `time` in UTC."""

    time: str
    partition: int
    offset: int
    key: Cell
    value: Cell
    headers: tuple[tuple[str, Cell], ...]


def topic_pages(settings: Settings, looks: Looks | None = None, *, title: str, home: str = "") -> Blueprint:
    """Routes /topics and /topics/<name> below the base path; where the settings say so, a sentence in their place.

    `title` is the application's, `home` the address of the index of several applications, "" without one.
    """
    routes = Blueprint(
        "topics", __name__, url_prefix=settings.dashboard_base_path.rstrip("/"), template_folder="templates"
    )
    looks = looks or Looks(settings)
    base = {
        "prefix": settings.dashboard_base_path,
        "theme_css": css(),
        "page": "topics",
        "name": title,
        "home": home,
    }

    @routes.record_once
    def texts(state: BlueprintSetupState) -> None:
        state.app.jinja_env.finalize = as_text

    @routes.before_request
    def allowed() -> tuple[str, int] | None:
        if settings.dashboard_topics:
            return None
        return render_template("topics.html", **base, groups=[], error=TAKEN_AWAY), 404

    @routes.get("/topics")
    def index() -> tuple[str, int]:
        found, error, status = _tried(looks.topics)
        groups = [] if found is None else grouped(found, runnable(settings), settings.app_id)
        return render_template("topics.html", **base, groups=groups, error=error), status

    @routes.get("/topics/<name>")
    def one(name: str) -> tuple[str, int]:
        view = request.args.get("view", VIEWS[0])
        if TOPIC_NAME.fullmatch(name) is None or name in (".", "..") or view not in VIEWS:
            abort(404)
        shown: dict[str, Any] = dict(base, topic=name, view=view, views=VIEWS)
        if view == "records":
            more, status = _records(looks, name)
        elif view == "schemas":
            found, error, status = _tried(lambda: looks.schemas(name))
            more = {"error": error, "subjects": {subject: _history(of) for subject, of in (found or {}).items()}}
        elif view == "settings":
            settings_of, error, status = _tried(lambda: looks.configuration(name))
            more = {"error": error, "settings": settings_of or []}
        else:
            readers, error, status = _tried(lambda: looks.readers(name))
            more = {"error": error, "readers": readers}
        return render_template("topic.html", **shown, **more), status

    return routes


def grouped(found: Mapping[str, TopicStatus], application: Runnable, app_id: str) -> list[Group]:
    """Topics by what they are to the application: what it reads and writes, what is its own, and all others."""
    own = {topic.name: topic for topic in application.topics}
    inner = {name for name, topic in own.items() if topic.kind is Kind.INTERNAL} | {*application.changelogs(app_id)}
    letters = {DEAD_LETTERS.name, LATE_RECORDS.name}
    used = own.keys() - inner - letters
    named: list[tuple[str, Collection[str]]] = [
        (f"Read and written by {application.name}", used),
        ("Letters: what could not be used, and what came too late", letters),
        (f"Inner topics of {application.name}: partials, repartitions, state", inner),
        ("Others", found.keys() - used - inner - letters),
    ]
    groups = [Group(title, {name: found[name] for name in sorted(found) if name in names}) for title, names in named]
    return [group for group in groups if group.topics]


def _records(looks: Looks, name: str) -> tuple[dict[str, Any], int]:
    """What the list of records is made of, and the answer's HTTP status."""
    shown: dict[str, Any] = {"given": request.args, "counts": COUNTS, "rows": [], "error": None, "told": ""}
    shown["follows"] = request.args.get("follow") == "1"
    others = {key: value for key, value in request.args.items() if key != "follow"}
    shown["toggle"] = urlencode({**others, **({} if shown["follows"] else {"follow": "1"})})
    try:
        asked = Asked.of(request.args)
        if shown["follows"] and not asked.is_newest:
            raise SettingError("what is followed are the newest records: leave out from and offset")
    except SettingError as wrong:
        return {**shown, "error": sentence(str(wrong)), "follows": False}, 400
    found, error, status = _tried(lambda: looks.records(name, asked))
    if found is None:
        return {**shown, "error": error}, status
    rows = [row_of(seen) for seen in (reversed(found.records) if asked.is_newest else found.records)]
    return {**shown, "rows": rows, "told": told(found, asked)}, status


def told(found: Found, asked: Asked) -> str:
    """What the list is, and whether there is more."""
    order = "the newest first" if asked.is_newest else "the first from there on"
    text = f"{len(found.records):,} records, {order}; {found.looked_at:,} were looked at"
    if found.is_cut and len(found.records) < asked.count:
        return (
            f"{text}. There are more: one look ends after {MOST_LOOKED_AT:,} records, {MOST_BYTES >> 20} MiB or some "
            "seconds. Ask for one partition, or from a time on."
        )
    return f"{text}."


def row_of(seen: Seen) -> Row:
    """A record as it is shown."""
    moment = f"{format_ms(seen.time_ms)}.{seen.time_ms % 1000:03d}" if 0 <= seen.time_ms < LAST_MS else ""
    headers = tuple((name, cell(value)) for name, value in seen.headers)
    time = moment or str(seen.time_ms)
    return Row(time, seen.partition, seen.offset, cell(seen.key), cell(seen.value), headers)


def cell(shown: Shown) -> Cell:
    """What is shown of a key or a value."""
    text = visible(shown.text)
    if len(text) <= LINE and not isinstance(shown.value, dict | list):
        return Cell(text, (), shown.form, shown.note)
    whole = shown.text if isinstance(shown.value, str) else json.dumps(shown.value, indent=2, ensure_ascii=False)
    cut = whole[:WHOLE]
    lines = [visible(line) for line in cut.split("\n")]
    if len(whole) > len(cut):
        lines.append(f"... ({len(whole):,} characters; `pipeline peek --full` shows all)")
    line = text if len(text) <= LINE else f"{text[:LINE]}…"
    return Cell(line, tuple(lines), shown.form, shown.note)


def _history(versions: list[Version]) -> dict[str, Any]:
    """A subject's latest schema and, newest first, what each version has changed."""
    changes = [(newer, facts.differences(older, newer)) for older, newer in pairwise(versions)]
    return {"latest": versions[-1], "lines": facts.schema_lines(versions[-1]), "changes": changes[::-1]}


def _tried(ask: Callable[[], T]) -> tuple[T | None, str | None, int]:
    """(the answer, None, 200), or (None, a sentence, 503)."""
    try:
        return ask(), None, 200
    except PipelineError as error:
        return None, sentence(str(error)), 503
