"""The page's components: header with the freshness chip, filters, KPIs and charts. No numbers, no callbacks."""

import json
from collections.abc import Iterable
from typing import Any

from dash import dcc, html

from pipeline.dashboard.choices import DEFAULT_PERIOD, PERIODS
from pipeline.dashboard.formats import DEFAULT_STYLE, STYLES, zone_options
from pipeline.dashboard.theme import css
from pipeline.settings import Settings

TITLE = "Flash sales live"
DESCRIPTION = "Page views, users and flash sales of an e-shop as they happen."
KPIS = {
    "pageviews": ("Page views", "of all page groups"),
    "sales": ("Flash sales", "sale price times quantity"),
    "users": ("Users", "registered"),
}
CHARTS = {
    "trend": ("Flash sales over time", "per window; hatched: still open"),
    "top_products": ("Top products", "by sales, in the colour of their group"),
    "sales_by_group": ("Flash sales by product group", "click a bar to filter"),
    "sales_by_region": ("Flash sales by region", "region of the sale; click to filter"),
    "pageviews_by_region": ("Page views by region", "where known; click to filter"),
    "tumbling": ("Tumbling windows", "page views by page group"),
    "hopping": ("Hopping windows", "they overlap: a view counts in each"),
    "sessions": ("Session windows", "from first to last view"),
    "sales_hopping": ("Sales in hopping windows", "by product group; a sale counts in each"),
    "sales_sessions": ("Sales in session windows", "by product group, from first to last sale"),
}
SOURCES = {
    "pageviews": "pageviews",
    "users": "users",
    "pageviews_by_region": "regions",
    "tumbling": "pageviews",
    "hopping": "pageviews",
    "sessions": "pageviews",
}
"""{panel: the source that its age is taken from}, "sales" for the others."""
CROSS_FILTERS = {"sales_by_group": "groups", "sales_by_region": "regions", "pageviews_by_region": "regions"}
"""{chart: the filter that a click on one of its bars sets or clears}."""
PACES = {1000: "1 s", 5000: "5 s", 15000: "15 s"}
LATEST = ("Time", "Product", "Group", "Region", "Pieces", "Amount")
BLANK = {
    "data": [],
    "layout": {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
    },
}
GRAPH_CONFIG: Any = {"displayModeBar": False, "scrollZoom": False, "doubleClick": "reset"}


def index(prefix: str) -> str:
    """The HTML around the page; `{%...%}` are Dash's."""
    return f"""<!DOCTYPE html>
<html lang="en">
    <head>
        {{%metas%}}
        <meta name="color-scheme" content="light dark">
        <title>{{%title%}}</title>
        <link rel="icon" type="image/svg+xml" href="{prefix}assets/favicon.svg">
        <style>{css()}</style>
        <script src="{prefix}assets/boot.js"></script>
        {{%css%}}
    </head>
    <body>
        <noscript>This page shows live data and needs JavaScript.</noscript>
        {{%app_entry%}}
        <footer>{{%config%}}{{%scripts%}}{{%renderer%}}</footer>
    </body>
</html>"""


def layout(settings: Settings, prefix: str = "/", home: str = "") -> Any:
    """The whole page as it is before the first data; `home` is the index of several pages, "" without one."""
    stores = ("scheme", "seen", "freshness", "view", "panels", "painted")
    return html.Div(
        className="page",
        children=[
            dcc.Interval(id="tick", interval=1000),
            dcc.Interval(id="clock", interval=1000),
            *(dcc.Store(id=name) for name in stores),
            dcc.Store(id="paused", data=False),
            *(dcc.Store(id=name) for name in ("groups", "regions", "first_day", "last_day")),
            dcc.Store(id="period", data=DEFAULT_PERIOD),
            dcc.Store(id="zone", data=settings.dashboard_timezone),
            dcc.Store(id="format", data=DEFAULT_STYLE),
            dcc.Store(id="pace", data=1000),
            _header(prefix, home),
            _filters(settings),
            html.Ul(id="doubts", className="doubts", **_live("What the address has and the page cannot use")),
            html.Main([_kpis(), _charts(), _latest()]),
            html.Div(id="banner", className="banner hidden", role="alert"),
        ],
    )


def navigation(prefix: str, home: str) -> Any:
    """Links to the pages of an application, and to the index of all where there is one."""
    pages = {"": "Dashboard", "health": "Health", "queries": "Queries", "topics": "Topics"}
    index = [html.A("All", href=home)] if home else []
    links = [html.A(label, href=prefix + path, **_current(path)) for path, label in pages.items()]
    return html.Nav([*index, *links], **_labelled("Pages"))


def _header(prefix: str, home: str) -> Any:
    return html.Header(
        className="top",
        children=[
            html.Div(
                className="brand",
                children=[
                    html.H1(TITLE),
                    navigation(prefix, home),
                ],
            ),
            html.Div(
                className="status",
                children=[
                    html.Span(
                        id="chip",
                        className="chip starting",
                        children=[html.Span(className="dot"), html.Span("Starting", id="chip-state", role="status")],
                    ),
                    html.Span(
                        className="ages",
                        children=[
                            html.Span("Waiting for the first answer", id="chip-event"),
                            html.Span([html.Span(id="chip-refresh"), html.Span(id="latency", className="latency")]),
                        ],
                    ),
                    _control("pace", "segments", "Refresh every", list(PACES.items())),
                    html.Button("Pause", id="pause", className="button", type="button"),
                    html.Button("Theme: auto", id="theme", className="button", type="button"),
                ],
            ),
        ],
    )


def _filters(settings: Settings) -> Any:
    return html.Section(
        className="filters",
        **_labelled("Filters"),
        children=[
            html.Div(
                [
                    html.Span("Period", className="label"),
                    _control("period", "segments", "Period", list(PERIODS.items())),
                ],
                className="field period",
            ),
            _field("Product group", _control("groups", "multi", "All product groups", [])),
            _field("Region", _control("regions", "multi", "All regions", [])),
            _field(
                "Time zone", _control("zone", "select", "Time zone", _same(zone_options(settings.dashboard_timezone)))
            ),
            _field(
                f"Numbers ({settings.dashboard_currency})", _control("format", "select", "Number format", _same(STYLES))
            ),
            html.Button("Reset", id="clear", className="button", type="button", **_labelled("Reset all filters")),
        ],
    )


def _control(name: str, kind: str, label: str, options: list[tuple[Any, str]]) -> Any:
    """A place for a native control, which `assets/controls.js` makes; its value is in the store `name`."""
    return html.Div(id=f"control-{name}", className=f"control {kind}", **_described(kind, label, options))


def _described(kind: str, label: str, options: list[tuple[Any, str]]) -> dict[str, Any]:
    return {"data-kind": kind, "data-label": label, "data-options": json.dumps(options)}


def _same(names: Iterable[str]) -> list[tuple[Any, str]]:
    return [(name, name) for name in names]


def _current(path: str) -> dict[str, Any]:
    return {} if path else {"aria-current": "page"}


def _source(panel: str) -> dict[str, Any]:
    return {"data-source": SOURCES.get(panel, "sales")}


def _filtering(panel: str) -> dict[str, Any]:
    return {"data-filter": CROSS_FILTERS[panel]} if panel in CROSS_FILTERS else {}


def _labelled(text: str) -> dict[str, Any]:
    return {"aria-label": text}


def _live(text: str) -> dict[str, Any]:
    return {"role": "status", **_labelled(text)}


def _field(label: str, control: Any) -> Any:
    return html.Div([html.Span(label, className="label"), control], className="field")


def _kpis() -> Any:
    return html.Section(
        className="kpis",
        **_labelled("Totals"),
        children=[
            html.Div(
                className="card kpi",
                children=[
                    html.H2(title),
                    html.Div(
                        [
                            html.P("–", id=f"kpi-{panel}", className="value"),  # noqa: RUF001
                            html.Div(id=f"spark-{panel}", className="spark"),
                        ],
                        className="figure",
                    ),
                    html.P(
                        [html.Span(id=f"change-{panel}", className="change"), html.Span(id=f"hint-{panel}")],
                        className="hint",
                    ),
                    _note(panel, subtitle),
                ],
            )
            for panel, (title, subtitle) in KPIS.items()
        ],
    )


def _charts() -> Any:
    return html.Section(
        className="charts",
        **_labelled("Charts"),
        children=[_chart(panel, title, subtitle) for panel, (title, subtitle) in CHARTS.items()],
    )


def _chart(panel: str, title: str, subtitle: str) -> Any:
    return html.Div(
        className=f"card chart {panel}",
        children=[
            html.Div(
                [
                    html.H2(title),
                    html.Button(
                        "Table", id=f"table-{panel}", className="small", type="button", **_labelled(f"Table: {title}")
                    ),
                ],
                className="head",
            ),
            _note(panel, subtitle),
            html.Div(id=f"rows-{panel}", className="rows", tabIndex=0, hidden=True, **_labelled(f"{title} as a table")),
            html.Div(
                dcc.Graph(id=f"figure-{panel}", figure=BLANK, config=GRAPH_CONFIG, responsive=True),
                id=f"graph-{panel}",
                className="graph",
                role="img",
                **_labelled(f"Bar chart: {title}"),
                **_filtering(panel),
            ),
        ],
    )


def _latest() -> Any:
    return html.Section(
        className="card latest",
        children=[
            html.H2("Latest sales"),
            _note("latest", "newest first"),
            html.Div(
                html.Table(
                    [html.Thead(html.Tr([html.Th(name, scope="col") for name in LATEST])), html.Tbody(id="sales")]
                ),
                className="scroll",
                tabIndex=0,
                role="region",
                **_labelled("Latest sales"),
            ),
        ],
    )


def _note(panel: str, subtitle: str) -> Any:
    """What a number is of, how old its newest event is, and which filters do not apply to it."""
    age = html.Span(className="age", **_source(panel))
    return html.P(
        [html.Span(subtitle, className="subtitle"), age, html.Span(id=f"note-{panel}", className="unfiltered")],
        className="note",
    )
