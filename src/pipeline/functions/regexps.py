"""Functions of regular expressions. Patterns are Java's (pipeline.functions.java_regex)."""

import re

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.java_regex import java_pattern, java_replacement
from pipeline.functions.kinds import STRING, array_of
from pipeline.functions.signatures import function


def _checked(pattern: re.Pattern[str], group: int) -> bool:
    """Whether there is this group."""
    if group < 0:
        raise EvaluationError(f"has the group {group}, which must be 0 or more")
    return group <= pattern.groups


def _extract(pattern: str, text: str, group: int = 0) -> str | None:
    compiled = java_pattern(pattern)
    found = compiled.search(text) if _checked(compiled, group) else None
    return None if found is None else found[group]


def _extract_all(pattern: str, text: str, group: int = 0) -> list[str | None] | None:
    compiled = java_pattern(pattern)
    return [found[group] for found in compiled.finditer(text)] if _checked(compiled, group) else None


def _replace(text: str, pattern: str, replacement: str) -> str:
    compiled = java_pattern(pattern)
    return compiled.sub(java_replacement(replacement, compiled.groups), text)


def _split(text: str, pattern: str) -> list[str]:
    compiled = java_pattern(pattern)
    empty = compiled.fullmatch("") is not None
    parts, begin = [], 0
    for found in compiled.finditer(text):
        if empty and found.end() == 0:
            continue  # Java gives no empty part before an empty match at the beginning
        parts.append(text[begin : found.start()])
        begin = found.end()
    if empty and begin == 0:
        return [text]
    parts.append(text[begin:])
    while empty and parts and not parts[-1]:
        parts.pop()
    return parts


NO_GROUP = "Null without a match, or when there is no such group. A negative group and a bad pattern give null."
PATTERNS = "Patterns are Java's, but for `\\G`, a class in a class and properties of Unicode; these give null."

REGEXPS: tuple[ScalarFunction, ...] = (
    function(
        "REGEXP_EXTRACT",
        {"STRING, STRING": STRING, "STRING, STRING, INT": STRING},
        _extract,
        "What the pattern, given first, matches first in the text; or that match's group.",
        Example(("(.*) (.*)", "hello there", 2), "there"),
        edges=NO_GROUP,
        differs=PATTERNS,
    ),
    function(
        "REGEXP_EXTRACT_ALL",
        {"STRING, STRING": array_of(STRING), "STRING, STRING, INT": array_of(STRING)},
        _extract_all,
        "All that the pattern, given first, matches in the text; or these matches' groups.",
        Example((r"(\w+) (\w+)", "hello there nice day", 2), ["there", "day"]),
        edges="An empty array without a match, null when there is no such group. A group that takes no part in a match "
        "is null.",
        differs=PATTERNS,
    ),
    function(
        "REGEXP_REPLACE",
        {"STRING, STRING, STRING": STRING},
        _replace,
        "The text with every match of the pattern replaced. $1 and ${name} are groups of the match.",
        Example(("2020-05-26", r"(\d+)-(\d+)", "$2/$1"), "05/2020-26"),
        edges="A bad pattern, and a $ without a group, give null.",
        differs=PATTERNS,
    ),
    function(
        "REGEXP_SPLIT_TO_ARRAY",
        {"STRING, STRING": array_of(STRING)},
        _split,
        "The parts of the text between the matches of the pattern.",
        Example(("a1b22c", r"\d+"), ["a", "b", "c"]),
        edges="A match at an end, or one after another, gives an empty part. A pattern that matches the empty text "
        "splits between characters, and leaves out empty parts at the end.",
        differs=PATTERNS,
    ),
)
