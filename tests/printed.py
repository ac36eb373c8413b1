"""A page of documentation as its reader follows it: files to save, commands to give, and what is printed after them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"`([\w.]+)`[^`\n]*:\n\Z")
FILES = {"python": ".py", "json": ".json", "sql": ".sql"}


@dataclass(frozen=True, slots=True)
class File:
    """A file that is to be saved, whole."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands to give, one a line, and what they print: None where the page does not show it."""

    lines: tuple[str, ...]
    output: str | None


def steps(page: Path) -> Iterator[File | Commands]:
    """What the page tells to do, in order. A file's name is in the line before it, which ends with a colon."""
    text = page.read_text("utf-8")
    blocks = list(FENCE.finditer(text))
    for number, block in enumerate(blocks):
        language, body = block.groups()
        if language == "sh":
            after = blocks[number + 1] if number + 1 < len(blocks) else None
            follows = after is not None and not text[block.end() : after.start()].strip() and after[1] == "text"
            yield Commands(tuple(body.splitlines()), after[2] if follows and after is not None else None)
        elif language in FILES:
            named = NAMED.search(text[: block.start()])
            assert named is not None, f"{page.name}: no line says under which name this is saved:\n{body}"
            assert named[1].endswith(FILES[language]), named[1]
            yield File(named[1], body)
        else:
            assert language == "text", f"{page.name}: a block in {language or 'no language'}"
