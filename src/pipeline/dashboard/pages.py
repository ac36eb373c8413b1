"""The pages beside the live one, made on the server: health, and saved queries. They need no Dash."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, render_template, request

from pipeline.dashboard.health import Watch, lights, worst
from pipeline.dashboard.saved import MOST_ROWS, Desk, Query, as_csv, chart
from pipeline.dashboard.snapshot import Freshness
from pipeline.dashboard.theme import css
from pipeline.errors import QueryError
from pipeline.settings import Settings
from pipeline.timebase import format_ms, now_ms


def pages(
    settings: Settings, watch: Watch, queries: dict[str, Query], desk: Desk, fresh: Callable[[], Freshness]
) -> Blueprint:
    """Routes /health, /queries, /queries/<name> and /queries/<name>.csv below the base path."""
    routes = Blueprint(
        "pages", __name__, url_prefix=settings.dashboard_base_path.rstrip("/"), template_folder="templates"
    )
    base = {"prefix": settings.dashboard_base_path, "theme_css": css()}

    @routes.get("/health")
    def health() -> str:
        report = watch.current()
        found = [] if report is None else lights(report, settings, fresh())
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
        rows, error, query = _asked(name)
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
            search=request.query_string.decode(),
        )
        return text, 200 if error is None else 400

    @routes.get("/queries/<name>.csv")
    def download(name: str) -> Response:
        rows, error, _ = _asked(name)
        if error is not None:
            return Response(error, 400, mimetype="text/plain")
        disposition = {"Content-Disposition": f"attachment; filename={name}.csv"}
        return Response(as_csv(rows), headers=disposition, mimetype="text/csv")

    def _asked(name: str) -> tuple[list[dict[str, Any]], str | None, Query]:
        query = queries.get(name)
        if query is None:
            abort(404)
        try:
            return desk.run(query.filled(request.args)), None, query
        except QueryError as error:
            return [], str(error), query

    return routes
