"""MASK and its four relatives: letters and digits of a text replaced by characters that only tell their kind.

A letter is upper or lower case, and a digit decimal, by its category in Unicode (ksqlDB's Masker).
"""

from collections.abc import Callable
from unicodedata import category

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.kinds import STRING
from pipeline.functions.signatures import function

UPPER, LOWER, DIGIT, OTHER = "X", "x", "n", "-"
KINDS = {"Lu": 0, "Ll": 1, "Nd": 2}

Masks = tuple[str | None, ...]
Part = Callable[[str, int], tuple[str, str, str]]
"""A text and a number of characters as (kept, masked, kept)."""


def _masked(text: str, masks: Masks) -> str:
    return "".join(masks[KINDS.get(category(character), 3)] or character for character in text)


def _checked(masks: Masks) -> Masks:
    for mask in masks:
        if mask is not None and len(mask) != 1:
            raise EvaluationError(f"has the mask {mask!r}, which must be one character")
    return masks or (UPPER, LOWER, DIGIT, OTHER)


def _mask(text: str | None, *masks: str | None) -> str | None:
    return None if text is None else _masked(text, _checked(masks))


def _of_part(part: Part) -> Callable[..., str | None]:
    def call(text: str | None, count: int | None, *masks: str | None) -> str | None:
        if text is None or count is None:
            return None
        if count < 0:
            raise EvaluationError(f"has {count} as its number of characters, which must be 0 or more")
        before, masked, after = part(text, count)
        return before + _masked(masked, _checked(masks)) + after

    return call


def _split_right(text: str, count: int) -> int:
    return max(len(text) - count, 0)


PARTS: dict[str, tuple[Part, str, str]] = {
    "MASK_KEEP_LEFT": (
        lambda text, count: (text[:count], text[count:], ""),
        "As MASK, but the first so many characters stay.",
        "My Txxx--nnn",
    ),
    "MASK_KEEP_RIGHT": (
        lambda text, count: ("", text[: _split_right(text, count)], text[_split_right(text, count) :]),
        "As MASK, but the last so many characters stay.",
        "Xx-Xxxx-$123",
    ),
    "MASK_LEFT": (
        lambda text, count: ("", text[:count], text[count:]),
        "As MASK, but only the first so many characters are masked.",
        "Xx-Xest $123",
    ),
    "MASK_RIGHT": (
        lambda text, count: (text[: _split_right(text, count)], text[_split_right(text, count) :], ""),
        "As MASK, but only the last so many characters are masked.",
        "My Test -nnn",
    ),
}
EDGES = "A mask that is null leaves characters of its kind as they are."

MASKS: tuple[ScalarFunction, ...] = (
    function(
        "MASK",
        {"STRING": STRING, "STRING, STRING, STRING, STRING, STRING": STRING},
        _mask,
        "The text with masks for capitals, small letters, digits and all else: X, x, n and - unless given.",
        Example(("My Test $123", "*", None, "1", None), "*y *est $111"),
        edges=EDGES,
        takes_nulls=True,
    ),
    *(
        function(
            name,
            {"STRING, INT": STRING, "STRING, INT, STRING, STRING, STRING, STRING": STRING},
            _of_part(part),
            about,
            Example(("My Test $123", 4), result),
            edges=f"{EDGES} A negative number gives null.",
            takes_nulls=True,
        )
        for name, (part, about, result) in PARTS.items()
    ),
)
