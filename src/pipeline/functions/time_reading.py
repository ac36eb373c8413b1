"""Text into dates, times and timestamps by a pattern, as java.time resolves what it reads (ResolverStyle.SMART)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from pipeline.functions.base import EvaluationError
from pipeline.functions.moments import clamped, local, zone
from pipeline.functions.time_patterns import HALVES, Part, parts

Fields = dict[str, int]
FIRST = {"year": 1970, "month": 1, "day": 1}
"""What a date is without these fields (ksqlDB's StringToTimestampParser)."""
LIMITS = {
    "hour": (0, 24),
    "clock_hour": (1, 24),
    "hour_of_half": (0, 11),
    "clock_hour_of_half": (1, 12),
    "minute": (0, 59),
    "second": (0, 59),
    "day_of_year": (1, 366),
}
NANOS_OF_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Read:
    """What a text told: the fields, and its zone."""

    text: str
    fields: Fields
    where: tzinfo | None


@dataclass(frozen=True, slots=True)
class Reader:
    """A pattern that texts are read by; made by `reader`."""

    pattern: str
    regex: re.Pattern[str]
    groups: dict[str, Part]

    @property
    def has_date(self) -> bool:
        """Whether there is a part of a date."""
        return any(part.of_day is False for part in parts(self.pattern) if isinstance(part, Part))

    @property
    def has_time(self) -> bool:
        """Whether there is a part of a time of the day."""
        return any(part.of_day is True for part in parts(self.pattern) if isinstance(part, Part))

    def read(self, text: str) -> Read:
        """The fields of a text; EvaluationError when it is not of this pattern."""
        found = self.regex.fullmatch(text)
        if found is None:
            raise EvaluationError(f"was given {text!r}, which is not in the pattern {self.pattern!r}")
        fields: Fields = {}
        where: tzinfo | None = None
        for field, part in self.groups.items():
            written = found[field]
            if field == "zone":
                where = zone(written)
            elif field == "fraction":
                fields["nano"] = int(written.ljust(9, "0"))
            elif part.names:
                fields[field] = [name.lower() for name in part.names].index(written.lower())
            else:
                fields[field] = int(written)
        for field, (least, most) in LIMITS.items():
            if not least <= fields.get(field, least) <= most:
                raise EvaluationError(
                    f"was given {text!r}, in which {field.replace('_', ' ')} is {fields[field]}, "
                    f"but must be {least} to {most}"
                )
        return Read(text, fields, where)


@lru_cache(maxsize=256)
def reader(pattern: str, *, any_case: bool = False) -> Reader:
    """The reader of a pattern, made once; EvaluationError when the pattern is none."""
    regex: list[str] = []
    groups: dict[str, Part] = {}
    for part in parts(pattern):
        if isinstance(part, str):
            regex.append(re.escape(part))
        elif part.field is None:
            regex.append(f"(?:{part.regex})")
        elif part.field in groups:
            raise EvaluationError(f"has the pattern {pattern!r}, in which a part of the time is twice")
        else:
            groups[part.field] = part
            regex.append(f"(?P<{part.field}>{part.regex})")
    return Reader(pattern, re.compile("".join(regex), re.IGNORECASE if any_case else 0), groups)


def _date(read: Read, *, whole: bool) -> date:
    """The date; with `whole` no part of it may be missing."""
    fields = dict(read.fields)
    if "short_year" in fields:
        fields["year"] = 2000 + fields["short_year"]
    if "month_name" in fields:
        fields["month"] = fields["month_name"] + 1
    if "day_of_year" in fields:
        day = _day_of_year(fields.get("year"), fields["day_of_year"])
    else:
        missing = [field for field in FIRST if field not in fields]
        if whole and missing:
            raise EvaluationError(f"was given {read.text!r}, which tells no {' and no '.join(missing)}")
        day = clamped(*({**FIRST, **fields}[field] for field in FIRST))
    if "day_name" in fields and day.weekday() != fields["day_name"]:
        raise EvaluationError(f"was given {read.text!r}, which is another day of the week")
    return day


def _day_of_year(year: int | None, number: int) -> date:
    if number == 366 and year is None:
        raise EvaluationError("was given day 366 without its year")
    day = clamped(year or FIRST["year"], 1, 1)
    found = day + timedelta(days=number - 1)
    if found.year != day.year:
        raise EvaluationError(f"was given day {number} of {day.year}, which has 365")
    return found


def _nanos(read: Read) -> int | None:
    """The time as nanoseconds since midnight; None when no hour is told. 24:00 is a day."""
    fields = read.fields
    if "nano_of_day" in fields:
        return fields["nano_of_day"]
    hour = _hour(read)
    if hour is None:
        return None
    nanos = ((hour * 60 + fields.get("minute", 0)) * 60 + fields.get("second", 0)) * 1_000_000_000
    nanos += fields.get("nano", 0)
    if nanos > NANOS_OF_DAY:
        raise EvaluationError(f"was given {read.text!r}, which is later than 24:00")
    return nanos


def _hour(read: Read) -> int | None:
    fields = read.fields
    if "hour" in fields:
        return fields["hour"]
    if "clock_hour" in fields:
        return fields["clock_hour"] % 24
    of_half = fields.get("hour_of_half", fields.get("clock_hour_of_half"))
    if of_half is None:
        return None
    if "half" not in fields:
        raise EvaluationError(f"was given {read.text!r}, which tells neither {' nor '.join(HALVES)}")
    return of_half % 12 + 12 * fields["half"]


def _time(nanos: int) -> time:
    """The time of so many nanoseconds, without what is finer than a millisecond."""
    milliseconds = nanos // 1_000_000
    rest, second = divmod(milliseconds // 1_000, 60)
    hour, minute = divmod(rest, 60)
    return time(hour, minute, second, milliseconds % 1_000 * 1_000)


def read_timestamp(text: str, pattern: str, where: tzinfo = UTC) -> datetime:
    """The moment of a text. Parts that are missing are those of 1970-01-01T00:00; a zone in the text goes first."""
    read = reader(pattern).read(text)
    day = _date(read, whole=False)
    nanos = _nanos(read)
    if nanos is None:
        rest = {"minute": 60_000_000_000, "second": 1_000_000_000, "nano": 1}
        nanos = sum(read.fields.get(field, 0) * unit for field, unit in rest.items())
    if nanos == NANOS_OF_DAY:
        day, nanos = _next(day), 0
    return local(day, _time(nanos), read.where or where)


def _next(day: date) -> date:
    try:
        return day + timedelta(days=1)
    except OverflowError:
        raise EvaluationError("would be after the year 9999") from None


def read_date(text: str, pattern: str) -> date:
    """The date of a text (PARSE_DATE), in letters of either case; parts that are missing are those of 1970-01-01."""
    of = reader(pattern, any_case=True)
    if of.has_time:
        raise EvaluationError(f"has the pattern {pattern!r}, but a DATE has no time")
    return _date(of.read(text), whole=False)


def read_whole_date(text: str, pattern: str) -> date:
    """The date of a text (STRINGTODATE), in letters of either case; it has to be whole, a time is left out."""
    return _date(reader(pattern, any_case=True).read(text), whole=True)


def read_time(text: str, pattern: str) -> time:
    """The time of a text (PARSE_TIME), which must have an hour, and nothing of a date."""
    of = reader(pattern)
    if of.has_date:
        raise EvaluationError(f"has the pattern {pattern!r}, but a TIME has no date")
    nanos = _nanos(of.read(text))
    if nanos is None:
        raise EvaluationError(f"was given {text!r}, which tells no hour")
    return _time(nanos % NANOS_OF_DAY)
