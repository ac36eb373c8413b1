"""Event times in text, by a pattern of Java's DateTimeFormatter: ksqlDB's TIMESTAMP_FORMAT.

Letters that are taken: `yyyy` or `uuuu`, `MM`, `dd`, `HH`, `mm`, `ss`, `S` to `SSSSSSSSS` (a fraction of so many
digits, of which those beyond milliseconds are cut off), `X`, `XX`, `XXX` (an offset: Z, or +01 and -0530, +0100,
+01:00), `'text'` for letters as they are, `''` for an apostrophe. `M`, `d`, `H`, `m` and `s` take one digit or two.
Other signs stand for themselves. Year, month and day must be there; hours, minutes and the rest are 0 where they are
not. A text without an offset is in UTC (ksqlDB takes its server's time zone).
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from pipeline.errors import BadRecord, SettingError
from pipeline.timebase import to_ms

LETTERS = {
    "yyyy": r"(?P<year>[0-9]{4})",
    "uuuu": r"(?P<year>[0-9]{4})",
    "MM": r"(?P<month>[0-9]{2})",
    "M": r"(?P<month>[0-9]{1,2})",
    "dd": r"(?P<day>[0-9]{2})",
    "d": r"(?P<day>[0-9]{1,2})",
    "HH": r"(?P<hour>[0-9]{2})",
    "H": r"(?P<hour>[0-9]{1,2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "m": r"(?P<minute>[0-9]{1,2})",
    "ss": r"(?P<second>[0-9]{2})",
    "s": r"(?P<second>[0-9]{1,2})",
    **{"S" * digits: rf"(?P<fraction>[0-9]{{{digits}}})" for digits in range(1, 10)},
    "X": r"(?P<offset>Z|[+-][0-9]{2}(?:[0-9]{2})?)",
    "XX": r"(?P<offset>Z|[+-][0-9]{4})",
    "XXX": r"(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})",
}
TOKEN = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<sign>[^A-Za-z'])")
RESERVED = "{}#[]"


class EventTimeFormat:
    """A pattern that event times in text are read by; raises SettingError with a sentence when it is none."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        parts: list[str] = []
        place = 0
        while place < len(pattern):
            token = TOKEN.match(pattern, place)
            if token is None:
                raise SettingError(f"event time format {pattern!r} has an apostrophe, which must have a second one")
            parts.append(self._part(token))
            place = token.end()
        try:
            self._regex = re.compile("".join(parts))
        except re.error:
            raise SettingError(
                f"event time format {pattern!r} has a part of the time twice, but must have each once"
            ) from None
        missing = {"year", "month", "day"} - self._regex.groupindex.keys()
        if missing:
            raise SettingError(
                f"event time format {pattern!r} has no {' and no '.join(sorted(missing))}, but must have them"
            )

    def _part(self, token: re.Match[str]) -> str:
        letters, quoted = token["letters"], token["quoted"]
        if letters is not None:
            if letters not in LETTERS:
                raise SettingError(
                    f"event time format {self.pattern!r} has {letters}, but must be made of {', '.join(LETTERS)}, "
                    "'text' in apostrophes, and signs"
                )
            return LETTERS[letters]
        if quoted is not None:
            return re.escape(quoted.replace("''", "'") or "'")
        if token["sign"] in RESERVED:
            raise SettingError(f"event time format {self.pattern!r} has {token['sign']}, which must be in apostrophes")
        return re.escape(token["sign"])

    def to_ms(self, text: object) -> int:
        """Epoch milliseconds of a text; raises BadRecord when it is not in this format, or no date."""
        found = self._regex.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise BadRecord(f"{text!r} is not in the format {self.pattern!r}")
        parts = found.groupdict()
        numbers = [int(parts.get(name) or least) for name, least in FIELDS]
        try:
            moment = datetime(*numbers, tzinfo=_zone(parts.get("offset")))  # type: ignore[misc,arg-type]
            return to_ms(moment) + int((parts.get("fraction") or "0").ljust(3, "0")[:3])
        except (ValueError, OverflowError) as error:
            raise BadRecord(f"{text!r} is no time: {error}") from None


FIELDS = (("year", 1), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))


def _zone(offset: str | None) -> timezone:
    if offset is None or offset == "Z":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-shift if offset[0] == "-" else shift)


@lru_cache(maxsize=256)
def event_time_format(pattern: str) -> EventTimeFormat:
    """The format of a pattern, made once."""
    return EventTimeFormat(pattern)
