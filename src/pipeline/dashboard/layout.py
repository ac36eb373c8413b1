"""The page's components: header with the freshness chip, filters, KPIs and charts. No numbers, no callbacks."""

from typing import Any

from dash import dcc, html

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
    "trend": ("Flash sales per hour", "hours in UTC; hatched: still open"),
    "sales_by_group": ("Flash sales by product group", "largest first"),
    "sales_by_region": ("Flash sales by region", "region of the sale"),
    "pageviews_by_region": ("Page views by region", "region of the viewer, where known"),
}
BLANK = {
    "data": [],
    "layout": {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
    },
}
DROPDOWN_HEIGHT = 420
GRAPH_CONFIG: Any = {"displayModeBar": False, "scrollZoom": False, "doubleClick": "reset"}


def index() -> str:
    """The HTML around the page; `{%...%}` are Dash's."""
    return f"""<!DOCTYPE html>
<html lang="en">
    <head>
        {{%metas%}}
        <meta name="color-scheme" content="light dark">
        <title>{{%title%}}</title>
        <link rel="icon" type="image/svg+xml" href="assets/favicon.svg">
        <style>{css()}</style>
        {{%css%}}
    </head>
    <body>
        <noscript>This page shows live data and needs JavaScript.</noscript>
        {{%app_entry%}}
        <footer>{{%config%}}{{%scripts%}}{{%renderer%}}</footer>
    </body>
</html>"""


def layout(settings: Settings) -> Any:
    """The whole page as it is before the first data."""
    return html.Div(
        className="page",
        children=[
            dcc.Interval(id="tick", interval=max(200, round(settings.refresh_s * 1000))),
            dcc.Interval(id="clock", interval=1000),
            dcc.Store(id="scheme"),
            dcc.Store(id="seen"),
            dcc.Store(id="freshness"),
            dcc.Store(id="paused", data=False),
            _header(),
            _filters(),
            html.Main([_kpis(), _charts()]),
            html.Div(id="banner", className="banner hidden", role="alert"),
        ],
    )


def _header() -> Any:
    return html.Header(
        className="top",
        children=[
            html.H1(TITLE),
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
                            html.Span(id="chip-refresh"),
                        ],
                    ),
                    html.Button("Pause", id="pause", className="button", type="button"),
                ],
            ),
        ],
    )


def _filters() -> Any:
    return html.Section(
        className="filters",
        **_labelled("Filters"),
        children=[
            _field(
                "Dates (UTC)",
                dcc.DatePickerRange(id="dates", display_format="YYYY-MM-DD", clearable=True, minimum_nights=0),
            ),
            _field(
                "Product group",
                _dropdown("groups", "All product groups"),
            ),
            _field(
                "Region",
                _dropdown("regions", "All regions"),
            ),
            html.Button("Clear", id="clear", className="button", type="button", **_labelled("Clear all filters")),
        ],
    )


def _dropdown(name: str, placeholder: str) -> Any:
    return dcc.Dropdown(
        id=name, multi=True, options=[], placeholder=placeholder, searchable=False, maxHeight=DROPDOWN_HEIGHT
    )


def _labelled(text: str) -> dict[str, Any]:
    return {"aria-label": text}


def _field(label: str, control: Any) -> Any:
    return html.Div([html.Label(label, htmlFor=control.id), control], className="field")


def _kpis() -> Any:
    return html.Section(
        className="kpis",
        **_labelled("Totals"),
        children=[
            html.Div(
                className="card kpi",
                children=[
                    html.H2(title),
                    html.P("–", id=f"kpi-{panel}", className="value"),  # noqa: RUF001
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
            html.H2(title),
            _note(panel, subtitle),
            html.Div(
                dcc.Graph(id=f"figure-{panel}", figure=BLANK, config=GRAPH_CONFIG, responsive=True),
                className="graph",
                role="img",
                **_labelled(f"Bar chart: {title}"),
            ),
        ],
    )


def _note(panel: str, subtitle: str) -> Any:
    """What a number is of, and which filters do not apply to it."""
    return html.P([html.Span(subtitle), html.Span(id=f"note-{panel}", className="unfiltered")], className="note")
