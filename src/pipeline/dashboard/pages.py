"""The pages beside the live one, made on the server: health, and saved queries. They need no Dash."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, render_template, request
from flask.blueprints import BlueprintSetupState

from pipeline.dashboard.health import Watch, lights, worst
from pipeline.dashboard.saved import MOST_ROWS, Desk, Query, as_csv, chart
from pipeline.dashboard.snapshot import Freshness
from pipeline.dashboard.theme import css
from pipeline.dashboard.web import as_text
from pipeline.errors import QueryError
from pipeline.settings import Settings
from pipeline.shown import sentence
from pipeline.timebase import format_ms, now_ms


class Answer(NamedTuple):
    """What became of a saved query: rows, or a sentence on what is wrong and its HTTP status."""

    query: Query
    rows: list[dict[str, Any]]
    error: str | None
    status: int


def pages(
    settings: Settings,
    watch: Watch,
    queries: Mapping[str, Query],
    desk: Desk,
    fresh: Callable[[], Freshness],
    *,
    title: str,
    home: str = "",
) -> Blueprint:
    """Routes /health, /queries, /queries/<name> and /queries/<name>.csv below the base path.

    `home` is the address of the index of several applications, "" without one.
    """
    routes = Blueprint(
        "pages", __name__, url_prefix=settings.dashboard_base_path.rstrip("/"), template_folder="templates"
    )
    base = {"prefix": settings.dashboard_base_path, "theme_css": css(), "name": title, "home": home}

    @routes.record_once
    def texts(state: BlueprintSetupState) -> None:
        state.app.jinja_env.finalize = as_text
        state.app.jinja_env.filters["sentence"] = sentence

    @routes.get("/health")
    def health() -> str:
        report = watch.current()
        found = (
            []
            if report is None
            else [replace(light, reason=sentence(light.reason)) for light in lights(report, settings, fresh())]
        )
        age_s = None if report is None else max(0, now_ms() - report.at_ms) // 1000
        return render_template(
            "health.html",
            **base,
            page="health",
            report=report,
            lights=found,
            worst=worst(found),
            age_s=age_s,
            group=settings.app_id,
            moment=format_ms,
            now_ms=now_ms(),
        )

    @routes.get("/queries")
    def index() -> str:
        return render_template("queries.html", **base, page="queries", queries=queries, query=None)

    @routes.get("/queries/<name>")
    def one(name: str) -> tuple[str, int]:
        query, rows, error, status = _asked(name)
        shown: dict[str, Any] = {"rows": rows, "error": error, "chart": chart(rows), "most": MOST_ROWS}
        given = {p.name: request.args.get(p.name) or p.default for p in query.parameters}
        text = render_template(
            "queries.html",
            **base,
            **shown,
            page="queries",
            queries=queries,
            query=query,
            given=given,
            search=request.query_string.decode("ascii", "replace"),
        )
        return text, status

    @routes.get("/queries/<name>.csv")
    def download(name: str) -> Response:
        query, rows, error, status = _asked(name)
        if error is not None:
            return Response(error, status, mimetype="text/plain")
        disposition = {"Content-Disposition": f"attachment; filename={query.name}.csv"}
        return Response(as_csv(rows), headers=disposition, mimetype="text/csv")

    def _asked(name: str) -> Answer:
        query = queries.get(name)
        if query is None:
            abort(404)
        try:
            sql = query.filled(request.args)
        except QueryError as error:
            return Answer(query, [], sentence(str(error)), 400)
        try:
            return Answer(query, desk.run(sql), None, 200)
        except QueryError as error:
            return Answer(query, [], sentence(str(error)), 503)

    return routes
