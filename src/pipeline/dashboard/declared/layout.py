"""A declared page's components: header with the freshness chip, filters, KPIs, panels in rows. No numbers."""

import json
from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from pipeline.dashboard.declared.queries import name_of
from pipeline.dashboard.layout import BLANK, GRAPH_CONFIG, navigation
from pipeline.declare.pages import Filter, Page
from pipeline.declare.panels import KPI, WIDEST, Grid, Panel

DASH = "–"  # noqa: RUF001 - the typographer's dash stands for a number


def layout(page: Page, prefix: str, home: str) -> Any:
    """The whole page as it is before the first data."""
    numbers = [(name_of(n), panel) for n, panel in enumerate(page.panels) if isinstance(panel, KPI)]
    others = [(name_of(n), panel) for n, panel in enumerate(page.panels) if not isinstance(panel, KPI)]
    return html.Div(
        className="page declared",
        children=[
            dcc.Interval(id="tick", interval=1000),
            dcc.Interval(id="clock", interval=1000),
            *(dcc.Store(id=name) for name in ("scheme", "seen", "freshness", "view", "panels", "painted")),
            dcc.Store(id="paused", data=False),
            dcc.Store(id="chosen", data={}),
            _header(page.title, prefix, home),
            *([_filters(page.filters)] if page.filters else []),
            html.Main(
                [
                    *([_labelled(html.Section, "Totals", "kpis", [_kpi(*one) for one in numbers])] if numbers else []),
                    _labelled(html.Section, "Panels", "panels", _placed(others)),
                ]
            ),
            html.Div(id="banner", className="banner hidden", role="alert"),
        ],
    )


def spans(widths: Sequence[int]) -> list[int]:
    """Widths in columns, of WIDEST, so that every row is full: a row ends where the next panel has no room.

    What is free is given to the row's panels, the narrowest first, from its end.
    """
    rows: list[list[int]] = []
    for width in widths:
        if not rows or sum(rows[-1]) + width > WIDEST:
            rows.append([])
        rows[-1].append(width)
    for row in rows:
        while sum(row) < WIDEST:
            row[max(range(len(row)), key=lambda n: (-row[n], n))] += 1
    return [width for row in rows for width in row]


def _placed(panels: Sequence[tuple[str, Panel]]) -> list[Any]:
    widths = spans([panel.width or panel.WIDTH for _, panel in panels])
    return [_panel(name, panel, width) for (name, panel), width in zip(panels, widths, strict=True)]


def _marks(found: dict[str, str]) -> dict[str, Any]:
    """Attributes whose names Python does not take."""
    return dict(found)


def _labelled(make: Any, label: str, style: str, children: Any) -> Any:
    return make(children, className=style, **_marks({"aria-label": label}))


def _header(title: str, prefix: str, home: str) -> Any:
    chip = [html.Span(className="dot"), html.Span("Starting", id="chip-state", role="status")]
    return html.Header(
        className="top",
        children=[
            html.Div([html.H1(title), navigation(prefix, home)], className="brand"),
            html.Div(
                className="status",
                children=[
                    html.Span(chip, id="chip", className="chip starting"),
                    html.Span(
                        [html.Span("Waiting for the first answer", id="chip-event"), html.Span(id="chip-refresh")],
                        className="ages",
                    ),
                    html.Button("Pause", id="pause", className="button", type="button"),
                    html.Button("Theme: auto", id="theme", className="button", type="button"),
                ],
            ),
        ],
    )


def _filters(filters: Sequence[Filter]) -> Any:
    fields = [
        html.Div(
            [
                html.Span(one.title, className="label"),
                html.Div(
                    className="control multi",
                    **_marks({"data-filter": one.column, "data-label": "All"}),
                ),
            ],
            className="field",
        )
        for one in filters
    ]
    reset = html.Button(
        "Reset", id="clear", className="button", type="button", **_marks({"aria-label": "Reset all filters"})
    )
    columns = {"data-columns": json.dumps([one.column for one in filters])}
    return html.Section(
        [*fields, reset], className="choices", id="choices", **_marks({"aria-label": "Filters"}), **_marks(columns)
    )


def _kpi(name: str, panel: KPI) -> Any:
    return html.Div(
        className="card kpi",
        children=[
            html.H2(panel.title),
            html.Div(
                [
                    html.P(
                        [html.Span(DASH, id=f"kpi-{name}"), html.Span(id=f"unit-{name}", className="unit")],
                        className="value",
                    ),
                    html.Div(id=f"spark-{name}", className="spark"),
                ],
                className="figure",
            ),
            html.P(
                [html.Span(id=f"change-{name}", className="change"), html.Span(id=f"hint-{name}")], className="hint"
            ),
            *_notes(name, panel),
        ],
    )


def _panel(name: str, panel: Panel, width: int) -> Any:
    kind = type(panel).__name__.lower()
    is_table = isinstance(panel, Grid)
    table = html.Button(
        "Table", id=f"table-{name}", className="small", type="button", **_marks({"aria-label": f"Table: {panel.title}"})
    )
    return html.Div(
        className=f"card chart span-{width} {kind}",
        children=[
            html.Div([html.H2(panel.title), *([] if is_table else [table])], className="head"),
            *_notes(name, panel),
            *(_grid(name, panel) if is_table else _graph(name, panel)),
        ],
    )


def _graph(name: str, panel: Panel) -> list[Any]:
    return [
        html.Div(
            id=f"rows-{name}",
            className="rows",
            tabIndex=0,
            hidden=True,
            **_marks({"aria-label": f"{panel.title} as a table"}),
        ),
        html.Div(
            dcc.Graph(id=f"figure-{name}", figure=BLANK, config=GRAPH_CONFIG, responsive=True),
            id=f"graph-{name}",
            className="graph",
            role="img",
            **_marks(
                {"aria-label": f"Chart: {panel.title}", "data-upwards": "yes" if type(panel).__name__ == "Bars" else ""}
            ),
        ),
    ]


def _grid(name: str, panel: Panel) -> list[Any]:
    table = html.Table([html.Thead(id=f"head-{name}"), html.Tbody(id=f"body-{name}")])
    return [html.Div(table, className="scroll", tabIndex=0, role="region", **_marks({"aria-label": panel.title}))]


def _notes(name: str, panel: Panel) -> list[Any]:
    """What a panel is of, what its figure leaves out, and what is wrong with it now."""
    return [
        html.P(
            [html.Span(panel.note, className="subtitle"), html.Span(id=f"note-{name}", className="told")],
            className="note",
        ),
        html.P(id=f"problem-{name}", className="problem", role="status"),
    ]
