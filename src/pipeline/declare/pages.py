"""The page of an application: panels of SQL that Pinot runs, and of outputs of the application.

    Page(
        "Who visits, and which way",
        KPI("Page views", "SELECT SUM(views) AS value FROM VIEWS_PER_COUNTRY", trend=per_minute, value="views"),
        Bars("Users by country", "SELECT country, users FROM VIEWS_PER_COUNTRY", x="country", y="users"),
        Windows("Users by source, each minute", per_minute, by="source", value="users"),
        filters=[Filter("source")],
    )

What a panel of an output names is checked here; SQL is checked by Pinot when it runs, and what Pinot says against it
is shown in its panel. A query without LIMIT gets one. Rows that are retired are left out of queries that panels make;
SQL says so itself: `WHERE retired = false`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.declare.panels import Panel
from pipeline.errors import SettingError
from pipeline.names import COLUMN_NAME

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Filter:
    """Viewers choose among the values of a column; it holds for every panel whose rows have this column."""

    column: str
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or COLUMN_NAME.fullmatch(self.column) is None:
            raise SettingError(f"page, Filter: column is {self.column!r}, but must be the name of a column")

    @property
    def title(self) -> str:
        """What it is called."""
        return self.label or self.column.replace("_", " ").capitalize()


@dataclass(frozen=True, init=False, slots=True)
class Page:
    """The page of an application: its title, panels in the order in which they stand, what viewers filter by, and the
    seconds between two refreshes. Raises SettingError where a panel or filter is none, or one is there twice.
    """

    title: str
    panels: tuple[Panel, ...]
    filters: tuple[Filter, ...] = ()
    refresh_s: float = 15.0

    def __init__(self, title: str, *panels: Panel, filters: Sequence[Filter] = (), refresh_s: float = 15.0) -> None:
        where = f"page {title!r}"
        if not isinstance(title, str) or not title.strip():
            raise SettingError(f"page: title is {title!r}, but must be a text")
        if not panels:
            raise SettingError(f"{where}: there is no panel, but must be at least one")
        for panel in panels:
            if not isinstance(panel, Panel):
                raise SettingError(f"{where}: {panel!r} is no panel, but must be KPI(...), Bars(...) or the like")
        for one in filters:
            if not isinstance(one, Filter):
                raise SettingError(f"{where}: filter is {one!r}, but must be Filter(...)")
        for kind, found in (("panel", [p.title for p in panels]), ("filter", [f.column for f in filters])):
            if twice := next((name for name in found if found.count(name) > 1), None):
                raise SettingError(f"{where}: {kind} {twice!r} is there twice, but must be there once")
        if not refresh_s >= 1:
            raise SettingError(f"{where}: refresh_s is {refresh_s!r}, but must be at least 1 second")
        for name, value in (
            ("title", title),
            ("panels", panels),
            ("filters", tuple(filters)),
            ("refresh_s", refresh_s),
        ):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class CodePage:
    """A page that is code: "package.module:function" names a function of the settings that gives a Dash application."""

    function: str

    def __post_init__(self) -> None:
        if not isinstance(self.function, str) or IMPORT_PATH.fullmatch(self.function) is None:
            raise SettingError(f"CodePage: function is {self.function!r}, but must be like 'package.module:function'")
