"""The topics of user sessions, and what is made of them. Names of topics and states never change."""

from pipeline import (
    LEFT,
    Average,
    CollectSet,
    Count,
    CountDistinct,
    LatestByOffset,
    Max,
    Min,
    Stream,
    Sum,
    Table,
    c,
    cast,
    f,
    minutes,
)

VIEW = {"session_id": "STRING", "user_id": "STRING", "source": "STRING", "event_timestamp": "BIGINT"}
LOGIN = {
    "session_id": "STRING",
    "user_id": "STRING",
    "user_name": "STRING",
    "login_timestamp": "BIGINT",
    "device": "STRING",
}
USER = {
    "user_id": "STRING",
    "age": "INT",
    "gender": "STRING",
    "country": "STRING",
    "subscription": "STRING",
    "updated_at": "BIGINT",
}

views = Stream("web.pageviews", VIEW, key="session_id", time="event_timestamp")
logins = Stream("web.usersessions", LOGIN, key="session_id", time="login_timestamp")
users = Table("web.users", USER, key="user_id")

cleaned = users.where(~(c.age.is_null() | c.gender.is_null() | c.country.is_null() | c.subscription.is_null())).to(
    "CLEANED_USERS"
)

# Each view with its user as of its time. A user who was not complete then has no country here: it has a NULL.
seen = (
    views.repartition("pageview-by-user", key=c.user_id)
    .join("user", users.select(c.user_id, c.age, c.gender, c.country, c.subscription).named("users"), kind=LEFT)
    .select(
        c.session_id,
        c.user_id,
        c.source,
        age=c.user.age,
        gender=c.user.gender,
        country=c.user.country,
        subscription=c.user.subscription,
        event_time_ms=c.ROWTIME,
        origin_partition=c.ROWPARTITION,
        origin_offset=c.ROWOFFSET,
    )
    .to("PAGEVIEW_USERS", time="event_time_ms")
)
is_complete = ~(c.age.is_null() | c.gender.is_null() | c.country.is_null() | c.subscription.is_null())

per_user = (
    seen.where(is_complete)
    .group_by(c.country, c.user_id)
    .aggregate(views=Count(), age=LatestByOffset(c.age))
    .to("PAGEVIEW_COUNTRY_USER")
)
by_country = (
    per_user.table()
    .group_by(c.country)
    .aggregate(views=Sum(c.views), users=Count(), average_age=Average(c.age))
    .to("PAGEVIEW_COUNTRY")
)

# A view and each login of its session; a view without one comes when none can come any more.
visited = (
    views.select(
        c.session_id,
        c.source,
        c.event_timestamp,
        view=f.concat_ws("/", cast(c.ROWPARTITION, "STRING"), cast(c.ROWOFFSET, "STRING")),
    )
    .join("login", logins, within=minutes(30), grace=minutes(5), kind=LEFT)
    .select(c.session_id, c.source, c.event_timestamp, c.view, device=c.login.device, event_time_ms=c.ROWTIME)
    .to("SESSION_VIEWS", time="event_time_ms")
)
summary = (
    visited.group_by(c.session_id)
    .aggregate(
        device=LatestByOffset(c.device),
        first_view_ms=Min(c.event_timestamp),
        last_view_ms=Max(c.event_timestamp),
        views=CountDistinct(c.view),
        sources=CollectSet(c.source),
    )
    .to("SESSION_SUMMARY")
)


by_source = views.group_by(c.source).aggregate(views=Count(), users=CountDistinct(c.user_id))
