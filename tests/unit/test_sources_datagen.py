"""Generators: the same seed gives the same sequence, every value lies in its domain, and Avro takes it."""

from itertools import islice

import pytest

from pipeline.codecs import Decoder, Encoder, schema
from pipeline.sources import datagen
from pipeline.sources.datagen import PAGEVIEW_GENERATOR, USER_GENERATOR, VISIT_GENERATOR, first_users, pageviews, users


@pytest.mark.parametrize("records", [pageviews, users])
def test_the_seed_decides_the_sequence(records):
    assert list(islice(records(7), 200)) == list(islice(records(7), 200))
    assert list(islice(records(7), 200)) != list(islice(records(8), 200))


def test_pageviews_lie_in_their_domains():
    views = list(islice(pageviews(1), 5_000))
    assert [view["viewtime"] for view in views[:3]] == [1, 11, 21]
    assert views[-1]["viewtime"] == 1 + 10 * 4_999
    assert {view["userid"] for view in views} == {f"User_{n}" for n in range(1, 10)}
    assert {view["pageid"] for view in views} == {f"Page_{n}" for n in range(10, 100)}


def test_users_lie_in_their_domains():
    rows = list(islice(users(1), 5_000))
    assert {row["userid"] for row in rows} == {f"User_{n}" for n in range(1, 10)}
    assert {row["regionid"] for row in rows} == {f"Region_{n}" for n in range(1, 10)}
    assert {row["gender"] for row in rows} == {"MALE", "FEMALE", "OTHER"}
    assert {interest for row in rows for interest in row["interests"]} == {"Game", "News", "Sport", "Movies", "Travel"}
    assert all(len(set(row["interests"])) == 2 for row in rows)
    assert all(set(row["contactinfo"]) == {"zipcode", "state", "phone", "city"} for row in rows)
    assert all(row["contactinfo"]["phone"].isdigit() and len(row["contactinfo"]["phone"]) == 10 for row in rows)
    low, high = datagen.REGISTERED_MS
    assert all(low <= row["registertime"] <= high for row in rows)


def test_the_first_users_are_one_row_of_each():
    assert [row["userid"] for row in first_users(1)] == [f"User_{n}" for n in range(1, 10)]
    assert first_users(1) == first_users(1) != first_users(2)


@pytest.mark.parametrize("generator", [PAGEVIEW_GENERATOR, VISIT_GENERATOR, USER_GENERATOR])
def test_records_survive_the_wire(generator):
    name = generator.topic.schema
    decode = Decoder(name)
    decode.learn(3, schema(name))
    encode = Encoder(name, 3)
    make = generator.maker(1)
    records = [*generator.first(1), *(make(at_ms) for at_ms in range(0, 10**8, 10**6))]
    assert [decode(encode(record)) for record in records] == records
    assert all(isinstance(record[generator.topic.key], str) for record in records)
