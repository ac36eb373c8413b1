"""NUL in texts: Pinot ends a text at NUL (U+0000), so tables keep it as other characters, and readers get it back.

`transformConfigs` of tables (`derived.py`) turn NUL into U+2400 (the symbol for NUL) and "0", and a U+2400 that was in
the text into two of them: no two texts become the same. Nothing else is changed, and nothing at all in the topics.
"""

import re

NUL, SYMBOL = "\0", "\N{SYMBOL FOR NULL}"
NUL_TO_SYMBOL = f"replace(replace({{}}, '{SYMBOL}', '{SYMBOL}{SYMBOL}'), chr(0), '{SYMBOL}0')"
"""What does it to a column, in Pinot's language."""
ESCAPED = re.compile(f"{SYMBOL}([{SYMBOL}0])")


def stored(text: str) -> str:
    """A text as Pinot's tables hold it."""
    return text.replace(SYMBOL, SYMBOL + SYMBOL).replace(NUL, SYMBOL + "0")


def told(text: str) -> str:
    """The text that Pinot's tables hold as this one; a text that was never stored may stay as it is."""
    if SYMBOL not in text:
        return text
    return ESCAPED.sub(lambda found: NUL if found[1] == "0" else SYMBOL, text)
