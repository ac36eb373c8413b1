"""Scalar functions against their laws: casts that come back, padding, parts, arithmetic, times by patterns."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.functions import (
    EvaluationError,
    arithmetic,
    cast,
    decimal,
    find,
    kind_of_value,
    parse_type,
)
from pipeline.functions.kinds import INT, LONG, STRING, digits
from pipeline.functions.moments import zone as tzinfo_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTS = st.integers(-(1 << 31), (1 << 31) - 1)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
MILLIS = st.integers(0, 999).map(lambda number: number * 1_000)
TIMESTAMPS = st.builds(
    lambda moment, fraction: moment.replace(microsecond=fraction, tzinfo=UTC),
    st.datetimes(*(datetime(*day, tzinfo=UTC).replace(tzinfo=None) for day in ((1, 1, 2), (9999, 12, 30)))),
    MILLIS,
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "-03:30"])


def call(name: str, *arguments: Any) -> Any:
    return find(name).evaluator([kind_of_value(value) for value in arguments])(*arguments)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda number: Decimal(number).scaleb(-scale))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("INT", INTS),
        ("BIGINT", LONGS),
        ("DOUBLE", st.floats(allow_nan=False)),
        ("DECIMAL(12, 5)", decimals(12, 5)),
        ("BOOLEAN", st.booleans()),
        ("DATE", st.dates()),
        ("TIME", st.builds(time, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))),
        ("TIMESTAMP", TIMESTAMPS),
    ],
)
@given(data=st.data())
def test_a_value_comes_back_from_its_text(name: str, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    kind = parse_type(name)
    value = data.draw(values)
    again = cast(STRING, kind)(cast(kind, STRING)(value))
    assert again == value
    assert type(again) is type(value)


@given(
    TEXTS,
    st.sampled_from(["INT", "BIGINT", "DOUBLE", "DECIMAL(9, 2)", "BOOLEAN", "DATE", "TIME", "TIMESTAMP", "BYTES"]),
)
def test_any_text_has_a_value_or_a_sentence(text: str, name: str) -> None:
    try:
        cast(STRING, parse_type(name))(text)
    except EvaluationError as error:
        assert str(error)


@given(TEXTS, st.integers(0, 40), TEXTS.filter(bool), st.sampled_from(["LPAD", "RPAD"]))
def test_padding_has_its_length_and_keeps_the_text(text: str, length: int, padding: str, name: str) -> None:
    found = call(name, text, length, padding)
    assert len(found) == length
    kept = text[:length]
    assert found.endswith(kept) if name == "LPAD" else found.startswith(kept)
    rest = found[: length - len(kept)] if name == "LPAD" else found[len(kept) :]
    assert (padding * length).startswith(rest)


@given(TEXTS, st.integers(-30, 30), st.integers(-5, 30))
def test_a_part_is_what_a_walk_over_its_positions_gives(text: str, position: int, length: int) -> None:
    begin = max(len(text) + position, 0) if position < 0 else max(position, 1) - 1
    walked = "".join(text[at] for at in range(begin, begin + length) if at < len(text))
    assert call("SUBSTRING", text, position, length) == walked
    assert text.endswith(call("SUBSTRING", text, position))


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(-2, 10), st.integers(-2, 10))
def test_a_slice_has_the_items_of_its_positions(items: list[int], begin: int, end: int) -> None:
    run = find("SLICE").evaluator([parse_type("ARRAY<INT>"), INT, INT])
    if begin < 1 or end > len(items):
        assert run(items, begin, end) is None
    elif begin > end + 1:
        with pytest.raises(EvaluationError):
            run(items, begin, end)
    else:
        assert run(items, begin, end) == [items[at - 1] for at in range(begin, end + 1)]


@given(st.lists(st.one_of(st.none(), INTS)), st.lists(st.one_of(st.none(), INTS)))
def test_arrays_as_sets(left: list[int | None], right: list[int | None]) -> None:
    kinds = [parse_type("ARRAY<INT>")] * 2
    union, both, rest = (
        find(f"ARRAY_{name}").evaluator(kinds)(left, right) for name in ("UNION", "INTERSECT", "EXCEPT")
    )
    assert set(union) == {*left, *right} and len(union) == len(set(union))
    assert set(both) == {*left} & {*right} and set(rest) == {*left} - {*right}
    assert [item for item in find("ARRAY_DISTINCT").evaluator(kinds[:1])(left) if item in both] == both


@given(TEXTS, TEXTS.filter(bool))
def test_a_split_text_is_joined_again(text: str, delimiter: str) -> None:
    parts = call("SPLIT", text, delimiter)
    assert delimiter.join(parts) == text
    assert "".join(call("SPLIT", text, "")) == text


@given(TEXTS, TEXTS.filter(bool), st.integers(1, 3))
def test_instr_finds_what_is_there(text: str, part: str, occurrence: int) -> None:
    found = call("INSTR", text, part, 1, occurrence)
    begins = [at + 1 for at in range(len(text)) if text.startswith(part, at)]
    assert found == (begins[occurrence - 1] if len(begins) >= occurrence else 0)


@given(st.binary(max_size=20), st.sampled_from(["hex", "base64"]))
def test_bytes_come_back_from_their_text(raw: bytes, encoding: str) -> None:
    assert call("TO_BYTES", call("FROM_BYTES", raw, encoding), encoding) == raw


@given(TEXTS)
def test_parameters_of_urls_come_back(text: str) -> None:
    encoded = call("URL_ENCODE_PARAM", text)
    assert call("URL_DECODE_PARAM", encoded) == text
    assert encoded.isascii()


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), INTS, TEXTS),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    )
)
def test_json_of_a_value_is_json(value: Any) -> None:
    text = find("TO_JSON_STRING").call(value)
    assert call("IS_JSON_STRING", text) is True
    assert call("EXTRACTJSONFIELD", text, "$") == (value if isinstance(value, str) else text)


@given(LONGS, LONGS, st.sampled_from("+-*/%"))
def test_whole_numbers_are_exact_or_have_no_value(a: int, b: int, op: str) -> None:
    _, operation = arithmetic(op, LONG, LONG)
    if b == 0 and op in "/%":
        with pytest.raises(EvaluationError):
            operation(a, b)
        return
    quotient = math.trunc(Fraction(a, b)) if b else 0
    exact = {"+": a + b, "-": a - b, "*": a * b, "/": quotient, "%": a - quotient * b}[op]
    if -(1 << 63) <= exact < 1 << 63:
        assert operation(a, b) == exact
    else:
        with pytest.raises(EvaluationError):
            operation(a, b)


@given(decimals(9, 4), decimals(7, 2), st.sampled_from("+-*/%"))
def test_decimals_are_exact_and_fit_their_type(a: Decimal, b: Decimal, op: str) -> None:
    kind, operation = arithmetic(op, decimal(9, 4), decimal(7, 2))
    if b == 0 and op in "/%":
        with pytest.raises(EvaluationError):
            operation(a, b)
        return
    found = operation(a, b)
    precision, scale = digits(kind)
    left, right = Fraction(a), Fraction(b)
    exact = {
        "+": left + right,
        "-": left - right,
        "*": left * right,
        "/": left / right if right else left,
        "%": left - right * math.trunc(left / right) if right else left,
    }[op]
    assert abs(Fraction(found) - exact) <= (Fraction(1, 2 * 10**scale) if op == "/" else 0)
    assert -found.as_tuple().exponent == scale  # type: ignore[operator]
    assert abs(found) < 10 ** (precision - scale)


@given(st.one_of(decimals(9, 4), st.floats(-1e6, 1e6)), st.integers(-4, 6))
def test_rounding_is_half_up_towards_the_greater(value: Any, places: int) -> None:
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    unit = Fraction(10) ** -places
    rounded = math.floor(exact / unit + Fraction(1, 2)) * unit
    kind = decimal(15, 6) if isinstance(value, Decimal) else kind_of_value(value)
    found = find("ROUND").evaluator([kind, INT])(value, places)
    assert found == (float(rounded) if isinstance(value, float) else rounded)


@given(TIMESTAMPS, ZONES)
@example(datetime(1905, 1, 1, tzinfo=UTC), "Asia/Kolkata")
def test_a_timestamp_comes_back_from_a_pattern_with_an_offset(moment: datetime, zone: str) -> None:
    pattern = "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"
    offset = moment.astimezone(tzinfo_of(zone)).utcoffset()
    if offset is None or offset.seconds % 60:
        zone = "UTC"  # local times of long ago have seconds in their offsets, which XXX cannot show
    assert call("PARSE_TIMESTAMP", call("FORMAT_TIMESTAMP", moment, pattern, zone), pattern) == moment


@given(TIMESTAMPS)
def test_a_timestamp_comes_back_from_names_and_halves_of_days(moment: datetime) -> None:
    pattern = "EEEE, d MMMM yyyy, h:mm:ss.SSS a"
    assert call("PARSE_TIMESTAMP", call("FORMAT_TIMESTAMP", moment, pattern), pattern) == moment


@given(st.dates(), st.sampled_from(["yyyyMMdd", "yyyy-DDD", "d.M.yyyy", "EEE dd MMM yyyy", "'on' yyyy/MM/dd"]))
def test_a_date_comes_back_from_a_pattern(day: date, pattern: str) -> None:
    assert call("PARSE_DATE", call("FORMAT_DATE", day, pattern), pattern) == day
    assert call("STRINGTODATE", call("FORMAT_DATE", day, pattern), pattern) == call("UNIX_DATE", day)


@given(
    TIMESTAMPS, st.integers(-10_000, 10_000), st.sampled_from(["DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS"])
)
def test_what_was_added_can_be_taken_away(moment: datetime, interval: int, unit: str) -> None:
    try:
        later = call("TIMESTAMPADD", unit, interval, moment)
    except EvaluationError:
        return
    assert call("TIMESTAMPSUB", unit, interval, later) == moment


@given(TEXTS, TEXTS)
def test_no_pattern_of_times_or_of_texts_ends_a_worker(text: str, pattern: str) -> None:
    for name in ("PARSE_DATE", "PARSE_TIME", "PARSE_TIMESTAMP", "STRINGTODATE", "REGEXP_SPLIT_TO_ARRAY"):
        try:
            call(name, text, pattern)
        except EvaluationError as error:
            assert str(error)
    for name in ("REGEXP_EXTRACT", "REGEXP_EXTRACT_ALL", "EXTRACTJSONFIELD"):
        try:
            call(name, pattern, text)
        except EvaluationError as error:
            assert str(error)


@given(TEXTS)
def test_every_url_has_parts_or_a_sentence(url: str) -> None:
    for part in ("PROTOCOL", "HOST", "PORT", "PATH", "QUERY", "FRAGMENT"):
        try:
            call(f"URL_EXTRACT_{part}", url)
        except EvaluationError as error:
            assert str(error)


@pytest.mark.parametrize("text", ["(a)|b", "[a-z&&[b]]", "(?<n>x)\\k<n>", "\\p{Alpha}+", "a{2,1}", "(?i)é"])
@given(TEXTS)
def test_patterns_never_warn(text: str, subject: str) -> None:
    try:
        call("REGEXP_EXTRACT", text, subject)
    except EvaluationError as error:
        assert str(error)
