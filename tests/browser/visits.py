"""Who visits, from where, and by which way: an application whose page has every kind of panel."""

from pipeline import (
    KPI,
    Application,
    Bars,
    Count,
    CountDistinct,
    Filter,
    Grid,
    Hopping,
    Map,
    Page,
    Session,
    Sessions,
    Stream,
    TimeSeries,
    Tumbling,
    Windows,
    c,
    minutes,
    seconds,
)

VISITS = Stream("visits", {"user": "STRING", "source": "STRING", "country": "STRING"}, key="user")
BY_SOURCE = VISITS.group_by(c.source).aggregate(views=Count(), users=CountDistinct(c.user))
COUNTRIES = VISITS.group_by(c.country).aggregate(views=Count(), users=CountDistinct(c.user)).to("VISITS_BY_COUNTRY")
TUMBLING = BY_SOURCE.window(Tumbling(minutes(1))).to("VISITS_TUMBLING")
HOPPING = BY_SOURCE.window(Hopping(minutes(1), seconds(30))).to("VISITS_HOPPING")
SESSIONS = BY_SOURCE.window(Session(seconds(30))).to("VISITS_SESSION")

APPLICATION = Application(
    "visits",
    COUNTRIES,
    TUMBLING,
    HOPPING,
    SESSIONS,
    pinot=True,
    page=Page(
        "Who visits, and which way",
        KPI(
            "Page views",
            "SELECT SUM(views) AS value FROM VISITS_BY_COUNTRY",
            trend=TUMBLING,
            value="views",
            unit="views",
            note="since the beginning",
        ),
        KPI("Users", "SELECT SUM(users) AS value, SUM(views) AS previous FROM VISITS_BY_COUNTRY", unit="users"),
        KPI("Revenue", "SELECT SUM(revenue) AS value FROM VISITS_BY_COUNTRY", unit="$"),
        Map(
            "Users around the world",
            "SELECT country, users, average_age FROM VISITS_BY_COUNTRY /* map */",
            value="users",
            also="average_age",
            unit="users",
        ),
        Bars(
            "Users by country",
            "SELECT country, users, average_age FROM VISITS_BY_COUNTRY ORDER BY users DESC",
            x="country",
            y="users",
            also="average_age",
        ),
        Windows("Users by source, each minute", TUMBLING, by="source", value="users", unit="users"),
        Windows("Users by source, minutes every 30 s", HOPPING, by="source", value="users", kind="lines", unit="users"),
        Sessions("Visits by source", SESSIONS, by="source", value="users", unit="users"),
        TimeSeries(
            "Views over time",
            "SELECT window_start_ms AS time_ms, source, views AS value FROM VISITS_TUMBLING",
            by="source",
            unit="views",
        ),
        Bars("By device", "SELECT device, n FROM NO_SUCH_TABLE", x="device", y="n"),
        Grid("Latest sessions", "SELECT session_id, source, first_view_ms, views FROM LATEST LIMIT 20"),
        filters=[Filter("source"), Filter("country")],
        refresh_s=1,
    ),
)
