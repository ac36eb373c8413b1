"""User sessions: which way do people reach a page, and who are they?"""

from pipeline import Application, Hopping, Session, Tumbling, minutes, seconds
from pipeline.applications.user_sessions.page import page
from pipeline.applications.user_sessions.sources import DATA, TABLES
from pipeline.applications.user_sessions.topology import (
    by_country,
    by_source,
    cleaned,
    per_user,
    seen,
    summary,
    visited,
)
from pipeline.settings import Settings


def application(settings: Settings) -> Application:
    """The application, with windows as they are set."""
    size, advance, gap = (
        settings.parameter(name, default)
        for name, default in (("size_ms", minutes(1)), ("advance_ms", seconds(30)), ("gap_ms", seconds(30)))
    )
    tumbling = by_source.window(Tumbling(size)).to("PAGEVIEW_TUMBLING")
    hopping = by_source.window(Hopping(size, advance)).to("PAGEVIEW_HOPPING")
    sessions = by_source.window(Session(gap)).to("PAGEVIEW_SESSION")
    outputs = (cleaned, by_country, tumbling, hopping, sessions, summary)
    return Application(
        "user_sessions",
        *(seen, per_user, visited),
        *outputs,
        sources=TABLES,
        data=DATA,
        pinot=outputs,
        page=page(tumbling, hopping, sessions),
    )


APPLICATION = application
