"""How example data are drawn: by seed, by what belongs together, with nulls, silences and late rows."""

from collections import Counter
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest

from pipeline import (
    Generator,
    Rows,
    Stream,
    Table,
    Visits,
    by,
    lognormal,
    minutes,
    normal,
    now,
    numbers,
    of_row,
    one_of,
    or_null,
    seconds,
    texts,
    whole,
)
from pipeline.errors import SettingError

NOW = 1_795_829_940_000
VISITS = Stream("visits", {"id": "STRING", "user": "STRING", "at": "BIGINT", "text": "STRING"}, key="id", time="at")
USERS = Table("users", {"id": "STRING", "age": "INT", "name": "STRING"}, key="id")


def values(draw: Any, count: int = 4_000, now_ms: int = NOW) -> list[Any]:
    random = Random(1)
    return [draw(random, now_ms) for _ in range(count)]


def test_distributions() -> None:
    assert sum(values(normal(10, 2))) / 4_000 == pytest.approx(10, abs=0.2)
    assert min(values(normal(0, 5, low=-1, high=1))) == -1
    assert median(values(lognormal(50, 1))) == pytest.approx(50, rel=0.1)
    assert set(map(type, values(whole(normal(10, 2))))) == {int}
    assert values(or_null(7, 0.25)).count(None) == pytest.approx(1_000, rel=0.15)
    often = Counter(values(texts("u{}", 100, skew=1.0)))
    assert often["u1"] == pytest.approx(2 * often["u2"], rel=0.25)
    assert set(values(texts("u{}", 3))) == {"u1", "u2", "u3"}


def test_each_value_falls_silent_in_its_turn() -> None:
    draw = one_of("a", "b", "c", silent_ms=seconds(45), every_ms=minutes(3))
    silent = Counter[str]()
    for second in range(180):
        seen = set(values(draw, 200, NOW + second * 1_000))
        assert len(seen) >= 2
        silent.update({"a", "b", "c"} - seen)
    assert silent == {"a": 45, "b": 45, "c": 45}


def test_what_belongs_to_a_value_is_the_same_in_every_generator() -> None:
    user = by("id", texts("u{}", 50))
    one = Generator(VISITS, id=texts("v{}", 20), user=user).maker(3)
    other = Generator(
        Stream("logins", {"id": "STRING", "user": "STRING"}, key="id"), id=texts("v{}", 20), user=user
    ).maker(3)
    users = {row["id"]: row["user"] for row in (one(NOW) for _ in range(500))}
    assert len(users) == 20
    assert len(set(users.values())) > 10
    assert all(users[row["id"]] == row["user"] for row in (other(NOW) for _ in range(500)))
    assert [maker["user"] for maker in [Generator(VISITS, id="v1", user=user).maker(4)(NOW)]] != [users["v1"]]


def test_a_column_may_be_computed_of_the_row() -> None:
    made = Generator(VISITS, id="v1", user=by("id", "u"), text=of_row(lambda row: f"{row['id']} {row['user']}"))
    assert made.maker(1)(NOW) == {"id": "v1", "user": "u", "at": NOW, "text": "v1 u"}


def test_visits_begin_and_end() -> None:
    visits = Visits("s{}", per_s=2, lasting_ms=minutes(1))
    began = [values(visits.began(), 1, NOW + 500 * step)[0] for step in range(120)]
    assert len(set(began)) == 120
    going_on = set(values(visits.going_on(), 5_000, NOW + 60_000 - 500))
    assert going_on == set(began)


def test_late_rows_have_an_earlier_time() -> None:
    made = Generator(VISITS, late=0.1, late_ms=(seconds(5), minutes(10)))
    times = made.times(1)
    lags = [NOW - times(NOW) for _ in range(5_000)]
    assert lags.count(0) == pytest.approx(4_500, rel=0.05)
    assert all(lag == 0 or 5_000 <= lag <= 600_000 for lag in lags)
    assert {Generator(VISITS).times(1)(ms) for ms in (1, 2)} == {1, 2}


def test_rows_have_what_they_name_and_draw_the_rest() -> None:
    rows = Rows(USERS, [{"id": "a", "age": 3}, {"id": "b"}], age=numbers(20, 30), name=by("id", texts("n{}", 9)))
    first, second = rows.records(1, NOW)
    assert (first["id"], first["age"], second["id"]) == ("a", 3, "b")
    assert 20 <= second["age"] <= 30
    assert rows.records(1, NOW) == [first, second]
    assert Rows(USERS, [{"id": "a"}]).records(1, NOW) == [{"id": "a", "age": None, "name": None}]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Generator(VISITS, user=by("text", 1), text=by("id", "u")), "it belongs to text, but must belong to a"),
        (lambda: Generator(VISITS, id=7), "generator, column id: 7 is made, but must be of type string"),
        (lambda: Generator(VISITS, late=2), "late is 2 and late_ms (1000, 3600000), but must be in 0 .. 1"),
        (lambda: Generator(VISITS, id=or_null(by("id", 1), 0.1)), "must not stand within another draw"),
        (lambda: Rows(USERS, [{"id": "a"}], age="old"), "rows, column age: 'old' is made, but must be of type int"),
        (lambda: Rows(USERS, [{"id": "a"}], height=1), "there is no column height"),
        (lambda: one_of("a", "b", silent_ms=minutes(2)), "silent_ms is 120000, but must be at most every_ms by"),
        (lambda: one_of("a", silent_ms=1), "of at least 2 values"),
        (lambda: numbers(2, 1), "low is 2 and high is 1"),
        (lambda: normal(0, -1), "deviation is -1"),
        (lambda: lognormal(0, 1), "median is 0"),
        (lambda: texts("u{}", 0), "different is 0"),
        (lambda: or_null(1, 1.5), "share is 1.5"),
        (lambda: Visits("s{}", 0, 1), "per_s is 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(SettingError) as error:
        make()
    assert sentence in str(error.value)


def test_now_is_the_present() -> None:
    assert now()(Random(1), 5) == 5


def test_the_example_of_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "applications.md").read_text()
    code = text.partition("## Example data\n")[2].partition("```python\n")[2].partition("```")[0]
    login = {"session_id": "STRING", "user_id": "STRING"}
    found: dict[str, Any] = {
        "users": Table("users", {"user_id": "STRING", "age": "INT", "updated_at": "BIGINT"}, key="user_id"),
        "logins": Stream("logins", login, key="session_id"),
        "views": Stream("views", {**login, "source": "STRING"}, key="session_id"),
    }
    exec(code, found)
    assert len(found["DATA"]) == 3
