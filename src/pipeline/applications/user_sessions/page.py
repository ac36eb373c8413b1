"""The page of user sessions: countries and ages, sources in three kinds of windows, devices, tiers, latest sessions."""

from pipeline import KPI, Bars, Filter, Grid, Map, Page, Sessions, Windows
from pipeline.declare.relations import Relation

COUNTRIES = "SELECT country, users, views, average_age FROM PAGEVIEW_COUNTRY ORDER BY users DESC, country LIMIT 50"
NEW_FIRST = "ORDER BY last_view_ms DESC LIMIT 20"


def page(tumbling: Relation, hopping: Relation, sessions: Relation) -> Page:
    """The page over the outputs with windows."""
    return Page(
        "User sessions",
        KPI("Page views", "SELECT SUM(views) AS value FROM PAGEVIEW_TUMBLING", trend=tumbling, value="views"),
        KPI("Complete users", "SELECT COUNT(*) AS value FROM CLEANED_USERS WHERE retired = false"),
        KPI("Sessions with a login", "SELECT COUNT(*) AS value FROM SESSION_SUMMARY WHERE device IS NOT NULL"),
        Map("Users by country", COUNTRIES, place="country", value="users", also=("average_age", "views"), width=3),
        Bars(
            "Users by country, with their average age", COUNTRIES, x="country", y="users", also="average_age", width=3
        ),
        Windows("Users by source, in tumbling windows", tumbling, by="source", value="users"),
        Windows("Users by source, in hopping windows", hopping, by="source", value="users", kind="lines"),
        Sessions("Users by source, in sessions", sessions, by="source", value="users", width=2),
        Bars(
            "Devices",
            "SELECT device, COUNT(*) AS sessions FROM SESSION_SUMMARY WHERE device IS NOT NULL "
            "GROUP BY device ORDER BY sessions DESC",
            x="device",
            y="sessions",
            width=2,
        ),
        Bars(
            "Subscription tiers",
            "SELECT subscription, COUNT(*) AS users FROM CLEANED_USERS WHERE retired = false "
            "GROUP BY subscription ORDER BY users DESC",
            x="subscription",
            y="users",
            width=2,
        ),
        Grid(
            "Latest sessions",
            f"SELECT session_id, device, views, sources, first_view_ms, last_view_ms FROM SESSION_SUMMARY {NEW_FIRST}",
        ),
        filters=[Filter("country"), Filter("source"), Filter("device")],
    )
