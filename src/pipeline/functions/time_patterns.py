"""Patterns of Java's DateTimeFormatter, to read times with and to write them: the letters, and what each stands for.

What event times in text are declared by (pipeline.event_times) has the same patterns with fewer letters. Names of
months, days and halves of a day are English. Letters that depend on a country's weeks (Y, w, W, e, c), padding (p)
and optional parts ([ ]) are not taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pipeline.event_times import RESERVED, TOKEN
from pipeline.functions.base import EvaluationError

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
HALVES = ("AM", "PM")

Write = Callable[[datetime], str]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a pattern: how it is written, and the regular expression and field that it is read by.

    `field` is None for a piece that tells nothing. `of_day` tells dates from times: True for what a time of a day has,
    False for what a date has, None for zones.
    """

    write: Write
    regex: str
    field: str | None = None
    of_day: bool | None = None
    names: tuple[str, ...] = ()


def _number(field: str, width: int, most: int, of: Callable[[datetime], int], of_day: bool) -> Part:
    regex = f"[0-9]{{{width}}}" if width > 1 else f"[0-9]{{1,{most}}}"
    return Part(lambda moment: str(of(moment)).rjust(width, "0"), regex, field, of_day)


def _named(field: str, names: list[str], length: int, of: Callable[[datetime], int], of_day: bool = False) -> Part:
    shown = tuple(name if length == 4 else name[: 3 if length <= 3 else 1] for name in names)
    # A name that another one begins with comes after it.
    regex = "|".join(sorted(set(shown), key=len, reverse=True))
    return Part(lambda moment: shown[of(moment)], regex, field, of_day, shown)


def _fraction(length: int) -> Part:
    return Part(
        lambda moment: f"{moment.microsecond * 1_000:09}".ljust(length, "0")[:length],
        f"[0-9]{{{length}}}",
        "fraction",
        True,
    )


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


def _signed(shift: timedelta, separator: str, *, minutes: bool = True) -> str:
    total = abs(int(shift.total_seconds()))
    hours, rest = divmod(total // 60, 60)
    tail = f"{separator}{rest:02}" if minutes or rest else ""
    return f"{'-' if shift < timedelta() else '+'}{hours:02}{tail}"


def _of_offset(letter: str, length: int) -> Part | None:
    """X, x and Z: the shift from UTC. X has Z for none."""
    if letter == "Z" and length <= 3:
        letter, length = "x", 2
    if length > 3 or letter == "Z":
        return None
    separator = ":" if length == 3 else ""
    digits = {1: "[0-9]{2}(?:[0-9]{2})?", 2: "[0-9]{4}", 3: "[0-9]{2}:[0-9]{2}"}[length]

    def write(moment: datetime) -> str:
        shift = _offset(moment)
        return "Z" if letter == "X" and not shift else _signed(shift, separator, minutes=length > 1)

    return Part(write, f"[+-]{digits}" if letter == "x" else f"Z|[+-]{digits}", "zone")


def _year(letter: str, length: int) -> Part | None:
    if length == 2:
        return Part(lambda moment: f"{moment.year % 100:02}", "[0-9]{2}", "short_year", False)
    return _number("year", length, 4, lambda moment: moment.year, False) if length in (1, 3, 4) else None


ZONE_ID = "[A-Za-z][A-Za-z0-9~/._+-]+(?::[0-9]{2})?|[+-][0-9]{2}:[0-9]{2}|Z"


def _zone_id(moment: datetime) -> str:
    name = "UTC" if moment.tzinfo is UTC else getattr(moment.tzinfo, "key", None)
    return str(name or ("Z" if not _offset(moment) else _signed(_offset(moment), ":")))


def _short_zone(moment: datetime) -> str:
    return "UTC" if moment.tzinfo is UTC else moment.tzname() or ""


NUMBERS: Mapping[str, tuple[str, int, Callable[[datetime], int], bool]] = {
    "d": ("day", 2, lambda moment: moment.day, False),
    "D": ("day_of_year", 3, lambda moment: moment.timetuple().tm_yday, False),
    "H": ("hour", 2, lambda moment: moment.hour, True),
    "k": ("clock_hour", 2, lambda moment: moment.hour or 24, True),
    "h": ("clock_hour_of_half", 2, lambda moment: moment.hour % 12 or 12, True),
    "K": ("hour_of_half", 2, lambda moment: moment.hour % 12, True),
    "m": ("minute", 2, lambda moment: moment.minute, True),
    "s": ("second", 2, lambda moment: moment.second, True),
}
"""Letter: its field, its most digits, its value, and whether it is of a time."""
LETTERS = "G u y M L d D E a h H k K m s S n N X x Z V z Q q"


def _part(letters: str) -> Part | None:
    """The part of a run of one letter; None when there is none of this letter and length."""
    letter, length = letters[0], len(letters)
    match letter:
        case "u" | "y":
            return _year(letter, length)
        case "M" | "L":
            if length <= 2:
                return _number("month", length, 2, lambda moment: moment.month, False)
            return _named("month_name", MONTHS, length, lambda moment: moment.month - 1) if length <= 5 else None
        case "E":
            if length > 5:
                return None
            return _named("day_name", DAYS, length, lambda moment: moment.weekday())
        case "Q" | "q":
            if length > 2:
                return None
            return Part(
                lambda moment: str((moment.month + 2) // 3).rjust(length, "0"), f"0{{{length - 1}}}[1-4]", None, False
            )
        case "G":
            return Part(lambda _: "AD" if length <= 3 else "Anno Domini", "AD|Anno Domini", None, False)
        case "a":
            return _named("half", list(HALVES), 3, lambda moment: moment.hour // 12, True) if length == 1 else None
        case "S":
            return _fraction(length) if length <= 9 else None
        case "n":
            return _number("nano", length, 9, lambda moment: moment.microsecond * 1_000, True)
        case "N":
            return _number("nano_of_day", length, 14, _nano_of_day, True)
        case "X" | "x" | "Z":
            return _of_offset(letter, length)
        case "V":
            return Part(_zone_id, ZONE_ID, "zone") if length == 2 else None
        case "z":
            return Part(_short_zone, ZONE_ID, "zone") if length <= 3 else None
    found = NUMBERS.get(letter)
    if found is None or length > found[1]:
        return None
    field, most, of, of_day = found
    return _number(field, length, most, of, of_day)


def _nano_of_day(moment: datetime) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000_000 + moment.microsecond * 1_000


@lru_cache(maxsize=256)
def parts(pattern: str) -> tuple[Part | str, ...]:
    """A pattern as its parts, of which texts stand for themselves; EvaluationError when it is none."""
    found: list[Part | str] = []
    place = 0
    while place < len(pattern):
        token = TOKEN.match(pattern, place)
        if token is None:
            raise EvaluationError(f"has the pattern {pattern!r}, in which an apostrophe has no second one")
        place = token.end()
        if token["quoted"] is not None:
            found.append(token["quoted"].replace("''", "'") or "'")
        elif token["sign"] is not None:
            if token["sign"] in RESERVED:
                raise EvaluationError(f"has the pattern {pattern!r}, in which {token['sign']} must be in apostrophes")
            found.append(token["sign"])
        elif (part := _part(token["letters"])) is not None:
            found.append(part)
        else:
            raise EvaluationError(
                f"has the pattern {pattern!r}, in which {token['letters']} is not known; letters are {LETTERS}"
            )
    return tuple(found)


def written(moment: datetime, pattern: str, *, of_day: bool | None = None) -> str:
    """The moment, in its own zone, by the pattern. With `of_day` it has only a time (True), or only a date (False)."""
    texts = []
    for part in parts(pattern):
        if isinstance(part, str):
            texts.append(part)
            continue
        if of_day is not None and part.of_day is not of_day:
            raise EvaluationError(f"has the pattern {pattern!r}, but a {'TIME' if of_day else 'DATE'} has no such part")
        texts.append(part.write(moment))
    return "".join(texts)
