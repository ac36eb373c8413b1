"""Event times in text: Java's letters, offsets, fractions; what is no time is a bad record."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadRecord, SettingError
from pipeline.event_times import LETTERS, EventTimeFormat, event_time_format
from pipeline.timebase import LAST_MS, to_ms


def ms(*parts: int) -> int:
    return to_ms(datetime(*parts, tzinfo=UTC))  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2026-02-03 04:05:06", ms(2026, 2, 3, 4, 5, 6)),
        ("yyyy-MM-dd", "2026-02-03", ms(2026, 2, 3)),
        ("yyyyMMddHHmmss", "20260203040506", ms(2026, 2, 3, 4, 5, 6)),
        ("uuuu-MM-dd'T'HH:mm:ss.SSS", "2026-02-03T04:05:06.007", ms(2026, 2, 3, 4, 5, 6, 7_000)),
        ("yyyy-MM-dd'T'HH:mm:ss.S", "2026-02-03T04:05:06.7", ms(2026, 2, 3, 4, 5, 6, 700_000)),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSS", "2026-02-03T04:05:06.007999999", ms(2026, 2, 3, 4, 5, 6, 7_000)),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2026-02-03T04:05:06Z", ms(2026, 2, 3, 4, 5, 6)),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2026-02-03T04:05:06+01", ms(2026, 2, 3, 3, 5, 6)),
        ("yyyy-MM-dd'T'HH:mm:ssXX", "2026-02-03T04:05:06-0530", ms(2026, 2, 3, 9, 35, 6)),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2026-02-03T04:05:06+05:30", ms(2026, 2, 2, 22, 35, 6)),
        ("d.M.yyyy H:m:s", "3.2.2026 4:5:6", ms(2026, 2, 3, 4, 5, 6)),
        ("d.M.yyyy H:m:s", "13.12.2026 14:15:16", ms(2026, 12, 13, 14, 15, 16)),
        ("'it''s' yyyy''MM''dd", "it's 2026'02'03", ms(2026, 2, 3)),
        ("yyyy.MM.dd", "0001.01.01", ms(1, 1, 1)),
        ("yyyy-MM-ddX", "0001-01-01+01", ms(1, 1, 1) - 3_600_000),  # before the first year, but a number all the same
    ],
)
def test_letters(pattern: str, text: str, expected: int) -> None:
    assert event_time_format(pattern).to_ms(text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "sentence"),
    [
        ("yyyy.MM.dd", "2026-02-03", r"^'2026-02-03' is not in the format 'yyyy\.MM\.dd'$"),
        ("yyyy-MM-dd", "2026-02-03 ", "is not in the format"),
        ("yyyy-MM-dd", "2026-02-03\n", "is not in the format"),
        ("yyyy-MM-dd", "", "^'' is not in the format"),
        ("yyyy-MM-dd", "٢٠٢٦-02-03", "is not in the format"),
        ("yyyy-MM-dd", 20260203, "^20260203 is not in the format"),
        ("yyyy-MM-dd", "2026-2-3", "is not in the format"),
        ("yyyy-MM-dd", "0000-00-00", "^'0000-00-00' is no time: "),
        ("yyyy-MM-dd", "2026-02-29", "is no time: day"),
        ("yyyy-MM-dd HH", "2026-02-03 24", "is no time: hour"),
        ("yyyy-MM-ddX", "2026-02-03+25", "is no time: offset"),
    ],
)
def test_what_is_no_time_is_a_bad_record(pattern: str, text: str, sentence: str) -> None:
    with pytest.raises(BadRecord, match=sentence):
        event_time_format(pattern).to_ms(text)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("yyyy-MM-dd hh:mm", "'yyyy-MM-dd hh:mm' has hh, but must be made of yyyy, uuuu, MM, M, dd"),
        ("yy-MM-dd", "has yy, but must be made of"),
        ("yyyy-MMM-dd", "has MMM, but must be made of"),
        ("yyyy-MM-ddTHH", "has THH|has T, but"),
        ("yyyy-MM-dd SSSSSSSSSS", "has SSSSSSSSSS, but"),
        ("yyyy-MM-dd'T", "has an apostrophe, which must have a second one"),
        ("yyyy-MM-dd[ HH]", r"has \[, which must be in apostrophes"),
        ("yyyy-MM-dd dd", "has a part of the time twice"),
        ("HH:mm", "has no day and no month and no year"),
        ("yyyy-MM", "has no day"),
        ("", "has no day and no month and no year"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        EventTimeFormat(pattern)


ZONES = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-14 * 60, 14 * 60))


@given(st.integers(0, LAST_MS), ZONES)
def test_what_java_would_write_is_read_back(time_ms: int, zone: timezone) -> None:
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).astimezone(zone)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{moment.microsecond // 1000:03}"
    text = f"{moment.year:04}{text[text.index('-') :]}"
    offset = moment.strftime("%z")
    assert event_time_format("yyyy-MM-dd'T'HH:mm:ss.SSSXX").to_ms(text + offset) == time_ms
    assert event_time_format("yyyy-MM-dd'T'HH:mm:ss.SSSXXX").to_ms(f"{text}{offset[:3]}:{offset[3:]}") == time_ms


@given(st.one_of(st.text(max_size=30), st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}", fullmatch=True)))
def test_any_text_is_a_time_or_a_bad_record(text: str) -> None:
    try:
        assert isinstance(event_time_format("yyyy-MM-dd HH:mm").to_ms(text), int)
    except BadRecord as error:
        assert repr(text) in str(error)


@given(st.lists(st.one_of(st.sampled_from([*LETTERS, "'", "''", "'T'", "-", " "]), st.text(max_size=2)), max_size=9))
def test_any_pattern_is_taken_or_refused_with_a_sentence(parts: list[str]) -> None:
    pattern = "".join(parts)
    try:
        EventTimeFormat(pattern)
    except SettingError as error:
        assert f"event time format {pattern!r} has " in str(error)
