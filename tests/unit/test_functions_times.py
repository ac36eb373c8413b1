"""Functions of dates, times and timestamps, by what ksqlDB's sources and its own tests say of each."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from scalar_cases import FAILS, Case, listed, run

MAY = datetime(2020, 5, 26, 23, 59, 58, 123_000, tzinfo=UTC)
MAY_MS = 1_590_537_598_123
DAY = date(2020, 5, 26)


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def formats(*cases: tuple[str, Any]) -> list[Case]:
    """Cases of FORMAT_TIMESTAMP of one moment."""
    return [((MAY, pattern), result) for pattern, result in cases]


CASES: dict[str, list[Case]] = {
    "DATEADD": [
        (("DAYS", 3, date(2020, 2, 27)), date(2020, 3, 1)),
        (("day", -1, date(2020, 3, 1)), date(2020, 2, 29)),
        (("HOURS", 25, DAY), date(2020, 5, 27)),
        (("HOURS", -1, DAY), date(2020, 5, 25)),
        (("HOURS", 1, date(1969, 12, 31)), date(1970, 1, 1)),
        ((None, 1, DAY), None),
        (("DAYS", None, DAY), None),
        (("DAYS", 1, None), None),
        (("WEEKS", 1, DAY), FAILS),
        (("DAYS", 2_000_000_000, DAY), FAILS),
    ],
    "DATESUB": [
        (("DAYS", 1, date(2020, 3, 1)), date(2020, 2, 29)),
        (("DAYS", 1, None), None),
        (("DAYS", 2_000_000_000, DAY), FAILS),
    ],
    "TIMEADD": [
        (("HOURS", 2, time(23, 30)), time(1, 30)),
        (("MILLISECOND", 5, time(0, 0)), time(0, 0, 0, 5_000)),
        (("NANOSECONDS", 1_999_999, time(0, 0)), time(0, 0, 0, 1_000)),
        (("DAYS", 3, time(5, 6, 7)), time(5, 6, 7)),
        (("HOURS", 2, None), None),
        (("HOURZ", 2, time(1)), FAILS),
    ],
    "TIMESUB": [
        (("MINUTES", 45, time(0, 30)), time(23, 45)),
        (("NANOSECONDS", 1, time(0, 0)), time(23, 59, 59, 999_000)),
        (("HOURS", None, time(1)), None),
    ],
    "TIMESTAMPADD": [
        (("SECONDS", 2, MAY), at(2020, 5, 27, 0, 0, 0, 123_000)),
        (("MICROSECONDS", 1_999, MAY), at(2020, 5, 26, 23, 59, 58, 124_000)),
        (("MICROSECONDS", -1_999, MAY), at(2020, 5, 26, 23, 59, 58, 122_000)),
        (("DAYS", 5_000_000, MAY), FAILS),
        (("DAYS", 5, None), None),
    ],
    "TIMESTAMPSUB": [
        (("DAY", 1, MAY), at(2020, 5, 25, 23, 59, 58, 123_000)),
        (("DAYS", 50_000, at(1970, 1, 1)), at(1833, 2, 8)),
        ((None, 5, MAY), None),
    ],
    "FORMAT_DATE": [
        ((DAY, "yyyy-MM-dd"), "2020-05-26"),
        ((DAY, "dd.MMM.yy, EEEE, D, 'Q'Q, G"), "26.May.20, Tuesday, 147, Q2, AD"),
        ((DAY, "'T'''yyyy''"), "T'2020'"),
        ((None, "yyyy"), None),
        ((DAY, None), None),
        ((DAY, "HH"), FAILS),
        ((DAY, "XXX"), FAILS),
        ((DAY, "YYYY"), FAILS),
        ((DAY, "yyyy["), FAILS),
        ((DAY, "'yyyy"), FAILS),
    ],
    "FORMAT_TIME": [
        ((time(13, 5, 9, 7_000), "HH:mm:ss.SSS"), "13:05:09.007"),
        ((time(13, 5, 9), "h:m:s a"), "1:5:9 PM"),
        ((time(0, 5), "hh KK kk HH a"), "12 00 24 00 AM"),
        ((time(0, 0, 1), "N"), "1000000000"),
        ((None, "HH"), None),
        ((time(1), "yyyy"), FAILS),
        ((time(1), "X"), FAILS),
    ],
    "FORMAT_TIMESTAMP": [
        *formats(
            ("yyyy-MM-dd HH:mm:ss.SSS", "2020-05-26 23:59:58.123"),
            ("yyyy-MM-dd'T'HH:mm:ssX", "2020-05-26T23:59:58Z"),
            ("S SS SSSSSS", "1 12 123000"),
            ("X XX XXX x xx xxx Z", "Z Z Z +00 +0000 +00:00 +0000"),
            ("VV z", "UTC UTC"),
            ("MMMMM LLLL M", "M May 5"),
            ("w", FAILS),
            ("VVV", FAILS),
        ),
        ((MAY, "HH:mm XXX VV z", "America/New_York"), "19:59 -04:00 America/New_York EDT"),
        ((MAY, "HH:mm x", "+05:30"), "05:29 +0530"),
        ((MAY, "HH", "Mars/Olympus"), FAILS),
        ((MAY, "HH", "../etc/passwd"), FAILS),
        ((MAY, "HH", "America"), FAILS),
        ((at(1, 1, 1), "HH", "America/New_York"), FAILS),
        ((None, "yyyy"), None),
        ((MAY, "yyyy", None), None),
    ],
    "PARSE_DATE": [
        (("2018-05-11Lit", "yyyy-MM-dd'Lit'"), date(2018, 5, 11)),
        (("11/05/2019", "dd/MM/yyyy"), date(2019, 5, 11)),
        (("01-JAN-2022", "dd-MMM-yyyy"), date(2022, 1, 1)),
        (("JAN-2022", "MMM-yyyy"), date(2022, 1, 1)),
        (("20200526", "yyyyMMdd"), DAY),
        (("26 5 20", "d M yy"), DAY),
        (("2020-147", "yyyy-DDD"), DAY),
        (("2021-06-31", "yyyy-MM-dd"), date(2021, 6, 30)),
        (("Tue 2020-05-26", "EEE yyyy-MM-dd"), DAY),
        (("Mon 2020-05-26", "EEE yyyy-MM-dd"), FAILS),
        (("2021-366", "yyyy-DDD"), FAILS),
        (("366", "DDD"), FAILS),
        (("2021-06-32", "yyyy-MM-dd"), FAILS),
        (("2021-13-01", "yyyy-MM-dd"), FAILS),
        (("0000-01-01", "yyyy-MM-dd"), FAILS),
        (("2021-06-31 12", "yyyy-MM-dd HH"), FAILS),
        (("2021", "yyyy-yyyy"), FAILS),
        (("abcd", "yyyy-MM-dd"), FAILS),
        ((None, "yyyy"), None),
        (("2020", None), None),
    ],
    "PARSE_TIME": [
        (("13:25", "HH:mm"), time(13, 25)),
        (("01:05 PM", "hh:mm a"), time(13, 5)),
        (("12:05 AM", "hh:mm a"), time(0, 5)),
        (("24", "kk"), time(0, 0)),
        (("11 PM", "KK a"), time(23, 0)),
        (("24:00", "HH:mm"), time(0, 0)),
        (("13:25:01.9999", "HH:mm:ss.SSSS"), time(13, 25, 1, 999_000)),
        (("3600000000000", "N"), time(1, 0)),
        (("01:05", "hh:mm"), FAILS),
        (("24:01", "HH:mm"), FAILS),
        (("25:00", "HH:mm"), FAILS),
        (("25", "mm"), FAILS),
        (("2020 13", "yyyy HH"), FAILS),
        (("1:05", "HH:mm"), FAILS),
        ((None, "HH"), None),
    ],
    "PARSE_TIMESTAMP": [
        (("2020-05-26 23:59:58.123", "yyyy-MM-dd HH:mm:ss.SSS"), MAY),
        (("2020-05-26T23:59:58.123456789Z", "yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSSX"), MAY),
        (("2020-05-27 01:59:58.123", "yyyy-MM-dd HH:mm:ss.SSS", "Europe/Berlin"), MAY),
        (("2020-05-27 01:59:58.123+0200", "yyyy-MM-dd HH:mm:ss.SSSXX", "Asia/Tokyo"), MAY),
        (("2020-05-27 01:59 Europe/Berlin", "yyyy-MM-dd HH:mm VV"), at(2020, 5, 26, 23, 59)),
        (("2021-06-31 12:18:39.446", "yyyy-MM-dd HH:mm:ss.SSS"), at(2021, 6, 30, 12, 18, 39, 446_000)),
        (("2020-03-29 02:30", "yyyy-MM-dd HH:mm", "Europe/Berlin"), at(2020, 3, 29, 1, 30)),
        (("2020-10-25 02:30", "yyyy-MM-dd HH:mm", "Europe/Berlin"), at(2020, 10, 25, 0, 30)),
        (("2020-12-31 24:00", "yyyy-MM-dd HH:mm"), at(2021, 1, 1)),
        (("2020", "yyyy"), at(2020, 1, 1)),
        (("05", "MM"), at(1970, 5, 1)),
        (("07", "ss"), at(1970, 1, 1, 0, 0, 7)),
        (("9999-12-31 24:00", "yyyy-MM-dd HH:mm"), FAILS),
        (("0001-01-01", "yyyy-MM-dd", "Asia/Tokyo"), FAILS),
        (("2020", "yyyy", "Nowhere/Land"), FAILS),
        (("2020", "yyyy", "+19:00"), FAILS),
        (("2020 x", "yyyy"), FAILS),
        ((None, "yyyy"), None),
        (("2020", "yyyy", None), None),
    ],
    "FROM_DAYS": [((0,), date(1970, 1, 1)), ((-1,), date(1969, 12, 31)), ((None,), None), ((3_000_000,), FAILS)],
    "FROM_UNIXTIME": [
        ((MAY_MS,), MAY),
        ((-1,), at(1969, 12, 31, 23, 59, 59, 999_000)),
        ((None,), None),
        ((1 << 62,), FAILS),
    ],
    "UNIX_DATE": [((DAY,), 18_408), ((date(1969, 12, 31),), -1), ((None,), None, ("DATE",))],
    "UNIX_TIMESTAMP": [
        ((MAY,), MAY_MS),
        ((MAY + timedelta(microseconds=999),), MAY_MS),
        ((at(1969, 12, 31, 23, 59, 59, 999_999),), -1),
        ((None,), None, ("TIMESTAMP",)),
    ],
    "CONVERT_TZ": [
        ((MAY, "UTC", "America/Los_Angeles"), at(2020, 5, 26, 16, 59, 58, 123_000)),
        ((MAY, "America/Los_Angeles", "UTC"), at(2020, 5, 27, 6, 59, 58, 123_000)),
        ((MAY, "UTC", "PDT"), FAILS),
        ((MAY, None, "UTC"), None),
        ((None, "UTC", "UTC"), None),
    ],
    "DATETOSTRING": [
        ((18_408, "yyyy-MM-dd"), "2020-05-26"),
        ((-1, "dd/MM/yyyy"), "31/12/1969"),
        ((None, "yyyy"), None),
        ((18_408, "HH"), FAILS),
    ],
    "STRINGTODATE": [
        (("2020-05-26", "yyyy-MM-dd"), 18_408),
        (("26-may-2020 12:30", "dd-MMM-yyyy HH:mm"), 18_408),
        (("2020-05", "yyyy-MM"), FAILS),
        (("x", "yyyy-MM-dd"), FAILS),
        ((None, "yyyy"), None),
    ],
    "STRINGTOTIMESTAMP": [
        (("2020-05-26 23:59:58.123", "yyyy-MM-dd HH:mm:ss.SSS"), MAY_MS),
        (("2020-05-27 01:59:58", "yyyy-MM-dd HH:mm:ss", "+02:00"), MAY_MS - 123),
        (("x", "yyyy"), FAILS),
        ((None, "yyyy"), None),
    ],
    "TIMESTAMPTOSTRING": [
        ((MAY_MS, "yyyy-MM-dd HH:mm:ss.SSS"), "2020-05-26 23:59:58.123"),
        ((MAY_MS, "yyyy-MM-dd HH", "Asia/Tokyo"), "2020-05-27 08"),
        ((1 << 62, "yyyy"), FAILS),
        ((None, "yyyy"), None),
    ],
}


@pytest.mark.parametrize(("name", "arguments", "result", "names"), listed(CASES))
def test_case(name: str, arguments: tuple[Any, ...], result: Any, names: Any) -> None:
    run(name, arguments, result, names)
