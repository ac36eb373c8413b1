"""Java's regular expressions as Python's: what both have under other names, and Java's meaning where it differs.

As in Java, \\d, \\w, \\s and (?i) are those of ASCII, and a dot is no line end of any kind. What Python has not is an
EvaluationError: \\G, classes in classes ([a[b]], &&), and properties other than the POSIX ones and letters.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from pipeline.functions.base import EvaluationError

PROPERTIES = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\\x00-\\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": "!-/:-@\\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": " \\t\\n\\x0b\\f\\r",
}
HORIZONTAL = " \\t\\xa0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000"
VERTICAL = "\\n\\x0b\\f\\r\\x85\\u2028\\u2029"
NO_LINE_END = "[^\\n\\r\\x85\\u2028\\u2029]"
SAME = frozenset("dDwWsSbBAtnrfa0123456789")
NAME = re.compile(r"<([A-Za-z][A-Za-z0-9]*)>")
HEXADECIMAL = re.compile(r"\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2})")


class _Translation:
    """One pattern on its way; `place` is where it is read."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0
        self.dot_is_all = re.search(r"\(\?[a-z]*s", pattern) is not None

    def fail(self, what: str) -> EvaluationError:
        return EvaluationError(f"has the pattern {self.pattern!r}, in which {what}")

    def text(self) -> str:
        parts = []
        while self.place < len(self.pattern):
            parts.append(self.part())
        return "".join(parts)

    def part(self) -> str:
        character = self.pattern[self.place]
        rest = self.pattern[self.place :]
        if character == "\\":
            return self.escape(inside=False)
        if character == "[":
            return self.character_class()
        self.place += 1
        if character == ".":
            return "." if self.dot_is_all else NO_LINE_END
        if rest.startswith("(?<") and (named := NAME.match(rest, 2)) is not None:
            self.place += named.end() - 1
            return f"(?P<{named[1]}>"
        return character

    def escape(self, *, inside: bool) -> str:
        character = self.pattern[self.place + 1 : self.place + 2]
        self.place += 2
        if character == "Q":
            quoted, _, _ = self.pattern[self.place :].partition("\\E")
            self.place += len(quoted) + 2
            return re.escape(quoted)
        if character in ("p", "P"):
            return self.property(negated=character == "P", inside=inside)
        if character == "x" and (found := HEXADECIMAL.match(self.pattern, self.place)) is not None:
            self.place = found.end()
            return re.escape(chr(int(found[1] or found[2], 16)))
        if character == "u" and (found := re.compile("[0-9a-fA-F]{4}").match(self.pattern, self.place)) is not None:
            self.place = found.end()
            return re.escape(chr(int(found[0], 16)))
        if character in ("h", "v"):
            characters = HORIZONTAL if character == "h" else VERTICAL
            return characters if inside else f"[{characters}]"
        if character == "e":
            return "\\x1b"
        if not inside and character in ("z", "Z", "R", "k"):
            return self.anchor(character)
        if character in SAME or not character.isalnum():
            if not character:
                raise self.fail("a backslash is the last character")
            return f"\\{character}"
        raise self.fail(f"\\{character} is not known")

    def anchor(self, character: str) -> str:
        if character == "k":
            if (named := NAME.match(self.pattern, self.place)) is None:
                raise self.fail("a name must follow \\k")
            self.place = named.end()
            return f"(?P={named[1]})"
        return {"z": "\\Z", "Z": "(?=\\r?\\n?\\Z)", "R": f"(?:\\r\\n|[{VERTICAL}])"}[character]

    def property(self, *, negated: bool, inside: bool) -> str:
        found = re.compile(r"\{(\w+)\}|(\w)").match(self.pattern, self.place)
        name = "" if found is None else found[1] or found[2]
        name = name.removeprefix("Is") if name in ("IsAlphabetic", "IsDigit") else name
        if found is None or not (name in PROPERTIES or name in ("L", "Alphabetic")):
            raise self.fail(f"the property {name or 'without name'} is not known")
        self.place = found.end()
        if name in PROPERTIES:
            characters = PROPERTIES[name]
            if inside and negated:
                raise self.fail("\\P must not be in a class")
            return characters if inside else f"[{'^' if negated else ''}{characters}]"
        if inside:
            raise self.fail(f"\\p{{{name}}} must not be in a class")
        return "(?u:[\\W\\d_])" if negated else "[^\\W\\d_]"

    def character_class(self) -> str:
        parts = ["["]
        self.place += 1
        if self.pattern.startswith("^", self.place):
            parts.append("^")
            self.place += 1
        first = True
        while not self.pattern.startswith("]", self.place) or first:
            character = self.pattern[self.place : self.place + 1]
            if not character:
                raise self.fail("a [ has no ]")
            if character == "[" or self.pattern.startswith("&&", self.place):
                raise self.fail("a class must not be in a class")
            if character == "\\":
                parts.append(self.escape(inside=True))
            else:
                # Python warns of characters that may mean sets one day.
                parts.append(f"\\{character}" if character in "]&~|" else character)
                self.place += 1
            first = False
        self.place += 1
        return "".join([*parts, "]"])


@lru_cache(maxsize=256)
def java_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern; EvaluationError when it is none."""
    translated = _Translation(pattern).text()
    try:
        return re.compile(translated, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise EvaluationError(f"has the pattern {pattern!r}, which is none: {error}") from None


@lru_cache(maxsize=256)
def java_replacement(replacement: str, groups: int) -> Callable[[re.Match[str]], str]:
    """What replaces a match: $1 and ${name} are its groups, and a backslash takes the next character as it is."""
    parts: list[str | int] = []
    place = 0
    while place < len(replacement):
        character = replacement[place]
        if character == "\\":
            if place + 1 == len(replacement):
                raise EvaluationError(f"has the replacement {replacement!r}, which must not end with a backslash")
            parts.append(replacement[place + 1])
            place += 2
        elif character == "$":
            group, place = _group(replacement, place + 1, groups)
            parts.append(group)
        else:
            parts.append(character)
            place += 1
    names = {
        at: part[1:] for at, part in enumerate(parts) if isinstance(part, str) and part[0] == "$" and len(part) > 1
    }

    def replaced(found: re.Match[str]) -> str:
        try:
            return "".join(
                (found[names[at]] or "") if at in names else part if isinstance(part, str) else (found[part] or "")
                for at, part in enumerate(parts)
            )
        except IndexError:
            raise EvaluationError(f"has the replacement {replacement!r}, but no such group") from None

    return replaced


def _group(replacement: str, place: int, groups: int) -> tuple[str | int, int]:
    """The group after a $: its number, or its name after another $; and where it ends."""
    named = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}").match(replacement, place)
    if named is not None:
        return f"${named[1]}", named.end()
    digits = re.compile("[0-9]+").match(replacement, place)
    if digits is None:
        raise EvaluationError(f"has the replacement {replacement!r}, in which a number or {{name}} must follow $")
    end = place + 1
    # As many digits as there are groups for: $12 is group 1 and a 2 when there are fewer than 12.
    while end < digits.end() and int(replacement[place : end + 1]) <= groups:
        end += 1
    return int(replacement[place:end]), end
