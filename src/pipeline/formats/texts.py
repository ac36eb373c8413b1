"""Values of scalar types as texts: in DELIMITED, and in keys.

A text is what JSON would have, without the quotes: a decimal has all the digits of its scale, dates, times and
timestamps are whole numbers of their unit, bytes are base64, and booleans are true and false, in any case when read.
"""

import re
from collections.abc import Callable
from typing import Any

from pipeline.formats.misfit import Misfit
from pipeline.formats.reading import MOST_DIGITS, NUMBER, Convert, reader
from pipeline.formats.shape import Kind
from pipeline.formats.writing import checked_decimal, writer

BOOLEANS = {"true": True, "false": False}
AS_THEY_ARE = ("string", "enum", "uuid", "bytes", "fixed")
INTEGRAL = re.compile(r"[+-]?[0-9]+")


def text_reader(kind: Kind) -> Callable[[str], Any]:
    """The function from a text to Python's value; it raises Misfit. Blanks around what is no text are left out."""
    read = reader(kind)
    if kind.family in AS_THEY_ARE:
        return read

    def convert(text: str) -> Any:
        bare = text.strip()
        if kind.family == "boolean":
            if (found := BOOLEANS.get(bare.lower())) is None:
                raise Misfit(text, kind, "true or false")
            return found
        if len(bare) > MOST_DIGITS or NUMBER.fullmatch(bare) is None:
            raise Misfit(text, kind, "a number")
        if kind.family not in ("float", "double", "decimal") and INTEGRAL.fullmatch(bare) is None:
            raise Misfit(text, kind, "a whole number")
        return read(bare)

    return convert


def text_writer(kind: Kind) -> Convert:
    """The function from Python's value to its text; it raises Misfit."""
    if kind.family == "decimal":
        check = checked_decimal(kind)
        return lambda value: format(check(value), "f")
    write = writer(kind)
    if kind.family == "boolean":
        return lambda value: "true" if write(value) else "false"
    return write if kind.family in AS_THEY_ARE else lambda value: str(write(value))
