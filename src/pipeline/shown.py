"""Texts of others as they are shown: no terminal obeys them, and none runs backwards.

Records, servers and addresses may hold any character. Control characters move a terminal's cursor or rename its
window; marks of direction (bidirectional overrides, isolates) turn the text around them, so that it reads as another.
"""

import re

ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)
USER_OF_URL = re.compile(r"(?<=://)[^/\s@'\"]+@")


def visible(text: str) -> str:
    """The text with an escape like \\x1b or \\u202e in place of each character that acts instead of being seen."""
    return ACTING.sub(_escape, text)


def sentence(text: str) -> str:
    """A message as a page or a terminal shows it: `visible`, and without user and password in the addresses in it."""
    return visible(USER_OF_URL.sub("", text))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
