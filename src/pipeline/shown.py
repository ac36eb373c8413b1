"""Texts of others as they are shown: no terminal obeys them, and none runs backwards.

Records, servers and addresses may hold any character. Control characters move a terminal's cursor or rename its
window; marks of direction (bidirectional overrides, isolates) turn the text around them, so that it reads as another.
Nor may they tell a password: an address is shown without its user, and without what its query keeps secret.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)
USER_OF_URL = re.compile(
    r"""(?<=://)(?:[^/\s@:'"]+|(?!(?:\d+|[^/\s@:'"]*:\d+)(?:[/?#,'"\s]|$))[^/\s@:'"]*:[^\s@]*)@(?:[^/\s@'"]*@)*"""
)
"""user@ and user:password@. A password may hold slashes and quotes, as SQLAlchemy allows; host:port/path@x is none."""
SECRET_OF_QUERY = re.compile(r"""([?&][^=&\s]*(?:pass|pwd|secret|token)[^=&\s]*=)[^&\s'"]+""", re.IGNORECASE)
HIDDEN = r"\1***"


def visible(text: str) -> str:
    """The text with an escape like \\x1b or \\u202e in place of each character that acts instead of being seen."""
    return ACTING.sub(_escape, text)


def sentence(text: str) -> str:
    """A message as a page or a terminal shows it: `visible`, and without user and password in the addresses in it."""
    return visible(without_secrets(text))


def lines(text: str) -> str:
    """A `sentence` of several lines; those after the first are kept, but cannot pass for a message of their own."""
    return "\n  ".join(map(sentence, text.split("\n")))


def without_secrets(text: str) -> str:
    """The text with no user, password or secret of a query in its addresses."""
    return SECRET_OF_QUERY.sub(HIDDEN, USER_OF_URL.sub("", text))


class ShownFormatter(logging.Formatter):
    """Log records as `lines`: what servers and records say goes into the log, too, and so do tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return lines(super().format(record))


@contextmanager
def quiet(level: int, *names: str) -> Iterator[None]:
    """Only records of this level or above of these loggers while the block runs."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.setLevel(was)


def show_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as `lines`; for sys.excepthook."""
    print(lines("".join(traceback.format_exception(kind, error, trace)).rstrip()), file=sys.stderr)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
