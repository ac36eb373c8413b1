"""Streaming applications in Python: what an application is declared with.

    from pipeline import Application, Count, Stream, Tumbling, c, minutes

    clicks = Stream("clicks", {"user": "STRING", "source": "STRING"}, key="user")
    per_minute = clicks.window(Tumbling(minutes(1))).group_by(c.source).aggregate(clicks=Count())
    APPLICATION = Application("clicks", per_minute.to("CLICKS_PER_MINUTE"))

Then `pipeline demo --app clicks` runs it. See docs/applications.md. Each name is imported when it is first used:
commands which need none of them start quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.declare.aggregates import (
        Average,
        CollectList,
        CollectSet,
        Correlation,
        Count,
        CountDistinct,
        EarliestByOffset,
        Histogram,
        LatestByOffset,
        Max,
        Min,
        SampleVariance,
        StandardDeviation,
        Sum,
        SumDecimal,
        TopK,
        TopKDistinct,
    )
    from pipeline.declare.application import Application
    from pipeline.declare.database import Bulk, DatabaseTable, Incrementing, TimestampIncrementing
    from pipeline.declare.draws import (
        Visits,
        by,
        lognormal,
        normal,
        now,
        numbers,
        of_row,
        one_of,
        or_null,
        texts,
        whole,
    )
    from pipeline.declare.endpoints import Endpoint, SqlEndpoint
    from pipeline.declare.expressions import c, case, cast, f
    from pipeline.declare.fluent import Stream, Table
    from pipeline.declare.generators import Generator, Rows
    from pipeline.declare.joins import INNER, LEFT, OUTER, RIGHT
    from pipeline.declare.pages import CodePage, Filter, Page
    from pipeline.declare.panels import KPI, Bars, Grid, Map, Sessions, TimeSeries, Windows
    from pipeline.declare.times import days, hours, minutes, seconds
    from pipeline.tables.windows import Hopping, Session, Tumbling

_PLACES = {
    "declare.aggregates": (
        "Average",
        "CollectList",
        "CollectSet",
        "Correlation",
        "Count",
        "CountDistinct",
        "EarliestByOffset",
        "Histogram",
        "LatestByOffset",
        "Max",
        "Min",
        "SampleVariance",
        "StandardDeviation",
        "Sum",
        "SumDecimal",
        "SumDecimal",
        "TopK",
        "TopKDistinct",
    ),
    "declare.application": ("Application",),
    "declare.database": ("Bulk", "DatabaseTable", "Incrementing", "TimestampIncrementing"),
    "declare.endpoints": ("Endpoint", "SqlEndpoint"),
    "declare.expressions": ("c", "case", "cast", "f"),
    "declare.fluent": ("Stream", "Table"),
    "declare.draws": (
        "Visits",
        "by",
        "lognormal",
        "normal",
        "now",
        "numbers",
        "of_row",
        "one_of",
        "or_null",
        "texts",
        "whole",
    ),
    "declare.generators": ("Generator", "Rows"),
    "declare.joins": ("INNER", "LEFT", "OUTER", "RIGHT"),
    "declare.pages": ("CodePage", "Filter", "Page"),
    "declare.panels": ("KPI", "Bars", "Grid", "Map", "Sessions", "TimeSeries", "Windows"),
    "declare.times": ("days", "hours", "minutes", "seconds"),
    "tables.windows": ("Hopping", "Session", "Tumbling"),
}
_PLACE = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "INNER",
    "KPI",
    "LEFT",
    "OUTER",
    "RIGHT",
    "Application",
    "Average",
    "Bars",
    "Bulk",
    "CodePage",
    "CollectList",
    "CollectSet",
    "Correlation",
    "Count",
    "CountDistinct",
    "DatabaseTable",
    "EarliestByOffset",
    "Endpoint",
    "Filter",
    "Generator",
    "Grid",
    "Histogram",
    "Hopping",
    "Incrementing",
    "LatestByOffset",
    "Map",
    "Max",
    "Min",
    "Page",
    "Rows",
    "SampleVariance",
    "Session",
    "Sessions",
    "SqlEndpoint",
    "StandardDeviation",
    "Stream",
    "Sum",
    "SumDecimal",
    "Table",
    "TimeSeries",
    "TimestampIncrementing",
    "TopK",
    "TopKDistinct",
    "Tumbling",
    "Visits",
    "Windows",
    "by",
    "c",
    "case",
    "cast",
    "days",
    "f",
    "hours",
    "lognormal",
    "minutes",
    "normal",
    "now",
    "numbers",
    "of_row",
    "one_of",
    "or_null",
    "seconds",
    "texts",
    "whole",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACE:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(f"pipeline.{_PLACE[name]}"), name)
