"""Where the events of user sessions come from: users of a database, generators of logins, views and users."""

from typing import Any

from pipeline import (
    DatabaseTable,
    Generator,
    Rows,
    TimestampIncrementing,
    Visits,
    by,
    minutes,
    normal,
    now,
    one_of,
    or_null,
    seconds,
    texts,
    whole,
)
from pipeline.applications.user_sessions.topology import logins, users, views

USERS = 200
COUNTRIES = ("Brazil", "France", "Germany", "India", "Japan", "Kenya", "Mexico", "Spain", "Thailand", "United States")
NAMES = ("Alex", "Chris", "Dana", "Jamie", "Kim", "Lee", "Max", "Noor", "Robin", "Sam")

visits = Visits("s{}", per_s=1, lasting_ms=minutes(2))
user_id = by("session_id", texts("u{}", USERS, skew=0.4))
age = whole(normal(38, 13, low=16, high=90))
gender = one_of("female", "male", "other", weights=(49, 49, 2))
country = one_of(*COUNTRIES, weights=(12, 6, 8, 20, 8, 4, 8, 5, 5, 24))
subscription = one_of("Platinum", "Gold", "Silver", "Standard", weights=(1, 2, 3, 6))

PERSON: dict[str, Any] = {
    "age": or_null(age, 0.02),
    "gender": or_null(gender, 0.02),
    "country": or_null(country, 0.02),
    "subscription": or_null(subscription, 0.02),
    "updated_at": now(),
}

TABLES = [DatabaseTable(users, "users", TimestampIncrementing("updated_at", "user_id"))]

DATA: list[Generator | Rows] = [
    Rows(users, [{"user_id": f"u{number}"} for number in range(1, USERS + 1)], **PERSON),
    Generator(users, per_s=1, user_id=texts("u{}", USERS), **PERSON),
    Generator(
        logins,
        per_s=1,
        session_id=visits.began(),
        user_id=user_id,
        user_name=by("user_id", one_of(*NAMES)),
        device=one_of("phone", "desktop", "tablet", weights=(5, 4, 1)),
    ),
    Generator(
        views,
        per_s=20,
        late=0.02,
        late_ms=(seconds(1), seconds(50)),
        session_id=visits.going_on(),
        user_id=user_id,
        source=one_of("Homepage", "Inbox", "External", weights=(5, 3, 2), silent_ms=seconds(45)),
    ),
]
