"""Functions of dates, times and timestamps. None of them asks a clock, so a replay gives the same."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, tzinfo

from pipeline.functions import time_reading
from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.kinds import DATE, INT, LONG, STRING, TIME_MILLIS, TIMESTAMP_MILLIS
from pipeline.functions.moments import at_midnight, moment, of_days, of_ms, time_ms, to_ms, zone
from pipeline.functions.signatures import function
from pipeline.functions.time_patterns import written
from pipeline.tables.types import DAY_0

NANOS = {
    "NANOSECOND": 1,
    "MICROSECOND": 1_000,
    "MILLISECOND": 1_000_000,
    "SECOND": 1_000_000_000,
    "MINUTE": 60_000_000_000,
    "HOUR": 3_600_000_000_000,
    "DAY": 86_400_000_000_000,
}
NANOS_OF_MS = NANOS["MILLISECOND"]
MS_OF_DAY = NANOS["DAY"] // NANOS_OF_MS


def _nanos(unit: str, interval: int) -> int:
    name = unit.upper()
    found = NANOS.get(name) or NANOS.get(name.removesuffix("S"))
    if found is None:
        raise EvaluationError(f"has the unit {unit!r}, which must be one of {', '.join(NANOS)}, or its plural")
    return found * interval


def _towards_zero(number: int, by: int) -> int:
    return number // by if number >= 0 else -(-number // by)


def _ms(unit: str, interval: int) -> int:
    return _towards_zero(_nanos(unit, interval), NANOS_OF_MS)


def _add_to_date(sign: int) -> Callable[[str, int, date], date]:
    return lambda unit, interval, day: of_days(
        _towards_zero((day - DAY_0).days * MS_OF_DAY + sign * _ms(unit, interval), MS_OF_DAY)
    )


def _add_to_time(sign: int) -> Callable[[str, int, time], time]:
    def call(unit: str, interval: int, of_day: time) -> time:
        nanos = time_ms(of_day) * NANOS_OF_MS + sign * _nanos(unit, interval)
        return of_ms(nanos % NANOS["DAY"] // NANOS_OF_MS).time()

    return call


def _add_to_timestamp(sign: int) -> Callable[[str, int, datetime], datetime]:
    return lambda unit, interval, value: of_ms(to_ms(value) + sign * _ms(unit, interval))


def _in(value: datetime, where: tzinfo) -> datetime:
    try:
        return moment(value).astimezone(where)
    except OverflowError:
        raise EvaluationError("would not be in the years 1 to 9999") from None


def _format_timestamp(value: datetime, pattern: str, where: str = "UTC") -> str:
    return written(_in(value, zone(where)), pattern)


def _format_date(day: date, pattern: str) -> str:
    return written(at_midnight(day), pattern, of_day=False)


def _format_time(of_day: time, pattern: str) -> str:
    return written(datetime.combine(DAY_0, of_day, UTC), pattern, of_day=True)


def _parse_timestamp(text: str, pattern: str, where: str = "UTC") -> datetime:
    return time_reading.read_timestamp(text, pattern, zone(where))


def _convert_tz(value: datetime, given: str, wanted: str) -> datetime:
    shift = _in(value, zone(wanted)).utcoffset(), _in(value, zone(given)).utcoffset()
    milliseconds = [int(part.total_seconds() * 1_000) for part in shift if part is not None]
    return of_ms(to_ms(value) + milliseconds[0] - milliseconds[1])


MAY = datetime(2020, 5, 26, 23, 59, 58, 123_000, tzinfo=UTC)
MAY_MS = 1_590_537_598_123
UNITS = "Units are DAY, HOUR, MINUTE, SECOND, MILLISECOND, MICROSECOND and NANOSECOND, or their plurals."
YEARS = "A result outside of the years 1 to 9999 gives null."
PATTERNS = (
    "Names are English. The letters Y, w, W, e, c, p, B, g and the optional parts in [ ] give null, and so does a zone "
    "name of several words."
)
ZONE = "Without a zone it is UTC; ksqlDB takes the zone of its server."
BAD = "A text that is not in its pattern, and a bad pattern, give null."


def _shift(name: str, kind: str, about: str, call: object, example: Example, edges: str) -> ScalarFunction:
    result = {"DATE": DATE, "TIME": TIME_MILLIS, "TIMESTAMP": TIMESTAMP_MILLIS}[kind]
    forms = {f"UNIT, INT, {kind}": result}
    return function(name, forms, call, about, example, edges=f"{UNITS} {edges}", differs=YEARS)  # type: ignore[arg-type]


TIMES: tuple[ScalarFunction, ...] = (
    _shift(
        "DATEADD",
        "DATE",
        "The date so many units later.",
        _add_to_date(1),
        Example(("DAYS", 3, date(2020, 2, 27)), date(2020, 3, 1)),
        "What is left of a day is cut off, towards 1970.",
    ),
    _shift(
        "DATESUB",
        "DATE",
        "The date so many units earlier.",
        _add_to_date(-1),
        Example(("DAYS", 1, date(2020, 3, 1)), date(2020, 2, 29)),
        "What is left of a day is cut off, towards 1970.",
    ),
    _shift(
        "TIMEADD",
        "TIME",
        "The time so many units later.",
        _add_to_time(1),
        Example(("HOURS", 2, time(23, 30)), time(1, 30)),
        "After midnight it begins anew.",
    ),
    _shift(
        "TIMESUB",
        "TIME",
        "The time so many units earlier.",
        _add_to_time(-1),
        Example(("MINUTES", 45, time(0, 30)), time(23, 45)),
        "Before midnight it is that of the day before.",
    ),
    _shift(
        "TIMESTAMPADD",
        "TIMESTAMP",
        "The timestamp so many units later.",
        _add_to_timestamp(1),
        Example(("SECONDS", 2, MAY), datetime(2020, 5, 27, 0, 0, 0, 123_000, tzinfo=UTC)),
        "What is finer than a millisecond is cut off.",
    ),
    _shift(
        "TIMESTAMPSUB",
        "TIMESTAMP",
        "The timestamp so many units earlier.",
        _add_to_timestamp(-1),
        Example(("DAY", 1, MAY), datetime(2020, 5, 25, 23, 59, 58, 123_000, tzinfo=UTC)),
        "What is finer than a millisecond is cut off.",
    ),
    function(
        "FORMAT_DATE",
        {"DATE, STRING": STRING},
        _format_date,
        "The date by a pattern of Java's DateTimeFormatter.",
        Example((date(2020, 5, 6), "EEE d MMM yyyy"), "Wed 6 May 2020"),
        edges="A pattern with a part of a time gives null, and so does a bad one.",
        differs=PATTERNS,
    ),
    function(
        "FORMAT_TIME",
        {"TIME, STRING": STRING},
        _format_time,
        "The time by a pattern of Java's DateTimeFormatter.",
        Example((time(13, 5, 9), "h:mm a"), "1:05 PM"),
        edges="A pattern with a part of a date or zone gives null, and so does a bad one.",
        differs=PATTERNS,
    ),
    function(
        "FORMAT_TIMESTAMP",
        {"TIMESTAMP, STRING": STRING, "TIMESTAMP, STRING, STRING": STRING},
        _format_timestamp,
        "The timestamp by a pattern of Java's DateTimeFormatter, in a zone.",
        Example((MAY, "yyyy-MM-dd'T'HH:mm:ssXXX", "Europe/Berlin"), "2020-05-27T01:59:58+02:00"),
        edges="A bad pattern, and a zone that is none, give null.",
        differs=f"{ZONE} {PATTERNS}",
    ),
    function(
        "PARSE_DATE",
        {"STRING, STRING": DATE},
        time_reading.read_date,
        "The date of a text by a pattern of Java's DateTimeFormatter.",
        Example(("26-MAY-2020", "dd-MMM-yyyy"), date(2020, 5, 26)),
        edges=f"{BAD} So does a part of a time. Names may be in letters of either case. A part that is missing is that "
        "of 1970-01-01, and a day up to 31 that its month has not is its last.",
        differs=PATTERNS,
    ),
    function(
        "PARSE_TIME",
        {"STRING, STRING": TIME_MILLIS},
        time_reading.read_time,
        "The time of a text by a pattern of Java's DateTimeFormatter.",
        Example(("01:05 PM", "hh:mm a"), time(13, 5)),
        edges=f"{BAD} So does a part of a date, and a text without hour. What is finer than a millisecond is cut off.",
        differs=PATTERNS,
    ),
    function(
        "PARSE_TIMESTAMP",
        {"STRING, STRING": TIMESTAMP_MILLIS, "STRING, STRING, STRING": TIMESTAMP_MILLIS},
        _parse_timestamp,
        "The timestamp of a text by a pattern of Java's DateTimeFormatter, in a zone.",
        Example(
            ("2020-05-27 01:59:58.123", "yyyy-MM-dd HH:mm:ss.SSS", "Europe/Berlin"),
            MAY,
        ),
        edges=f"{BAD} A zone in the text goes first. A part that is missing is that of 1970-01-01T00:00, and a day up "
        "to 31 that its month has not is its last. An hour that a zone has twice is the first.",
        differs=f"{ZONE} {PATTERNS}",
    ),
    function(
        "FROM_DAYS",
        {"INT": DATE},
        of_days,
        "The date so many days after 1970-01-01.",
        Example((18_408,), date(2020, 5, 26)),
        differs=YEARS,
    ),
    function(
        "FROM_UNIXTIME",
        {"BIGINT": TIMESTAMP_MILLIS},
        of_ms,
        "The timestamp so many milliseconds after 1970.",
        Example((MAY_MS,), MAY),
        differs=YEARS,
    ),
    function(
        "UNIX_DATE",
        {"DATE": INT},
        lambda day: (day - DAY_0).days,
        "The days since 1970-01-01.",
        Example((date(2020, 5, 26),), 18_408),
        differs="UNIX_DATE() without argument is refused: it is the present day, so a replay would not give the same.",
    ),
    function(
        "UNIX_TIMESTAMP",
        {"TIMESTAMP": LONG},
        to_ms,
        "The milliseconds since 1970.",
        Example((MAY,), MAY_MS),
        differs="UNIX_TIMESTAMP() without argument is refused: it is the present moment, so a replay would not give "
        "the same.",
    ),
    function(
        "CONVERT_TZ",
        {"TIMESTAMP, STRING, STRING": TIMESTAMP_MILLIS},
        _convert_tz,
        "The timestamp moved by as much as the second zone is ahead of the first at it.",
        Example((MAY, "UTC", "America/Los_Angeles"), datetime(2020, 5, 26, 16, 59, 58, 123_000, tzinfo=UTC)),
        edges="A zone that is none gives null.",
        differs=YEARS,
    ),
    function(
        "DATETOSTRING",
        {"INT, STRING": STRING},
        lambda days, pattern: _format_date(of_days(days), pattern),
        "As FORMAT_DATE, of the days since 1970-01-01.",
        Example((18_408, "dd/MM/yyyy"), "26/05/2020"),
        edges="A pattern with a part of a time gives null, and so does a bad one.",
        differs=PATTERNS,
    ),
    function(
        "STRINGTODATE",
        {"STRING, STRING": INT},
        lambda text, pattern: (time_reading.read_whole_date(text, pattern) - DAY_0).days,
        "The days since 1970-01-01 of a text by a pattern of Java's DateTimeFormatter.",
        Example(("26/05/2020", "dd/MM/yyyy"), 18_408),
        edges=f"{BAD} So does a date that is not whole. A time in the text is left out.",
        differs=PATTERNS,
    ),
    function(
        "STRINGTOTIMESTAMP",
        {"STRING, STRING": LONG, "STRING, STRING, STRING": LONG},
        lambda *arguments: to_ms(_parse_timestamp(*arguments)),
        "As PARSE_TIMESTAMP, in milliseconds since 1970.",
        Example(("2020-05-26 23:59:58.123", "yyyy-MM-dd HH:mm:ss.SSS"), MAY_MS),
        edges=BAD,
        differs=f"{ZONE} {PATTERNS}",
    ),
    function(
        "TIMESTAMPTOSTRING",
        {"BIGINT, STRING": STRING, "BIGINT, STRING, STRING": STRING},
        lambda milliseconds, *arguments: _format_timestamp(of_ms(milliseconds), *arguments),
        "As FORMAT_TIMESTAMP, of the milliseconds since 1970.",
        Example((MAY_MS, "yyyy-MM-dd HH:mm:ss.SSS"), "2020-05-26 23:59:58.123"),
        edges="A bad pattern, and a zone that is none, give null.",
        differs=f"{ZONE} {PATTERNS}",
    ),
)
