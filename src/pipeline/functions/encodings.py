"""Bytes as text and back, codes of characters, UUIDs of bytes, numbers in bytes."""

import binascii
import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.kinds import BYTES, DOUBLE, INT, LONG, STRING
from pipeline.functions.signatures import function

ENCODINGS = ("hex", "utf8", "ascii", "base64")
REPLACED = "�"
ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
ESCAPE = re.compile(r"\\(?:u+([0-9a-fA-F]{4})|(.?))", re.DOTALL)
LAST_SIGN = 0x10FFFF


def _known(encoding: str) -> str:
    if (name := encoding.lower()) not in ENCODINGS:
        raise EvaluationError(f"has the encoding {encoding!r}, which must be {', '.join(ENCODINGS[:-1])} or base64")
    return name


def _of_hex(text: str) -> bytes:
    try:
        return binascii.unhexlify(text.encode("ascii"))
    except ValueError:
        raise EvaluationError(f"was given {text!r}, which is not hexadecimal") from None


def _ascii(raw: bytes) -> str:
    """What Java reads as US-ASCII: a byte of another character is U+FFFD."""
    return "".join(chr(byte) if byte < 128 else REPLACED for byte in raw)


def read(text: str, encoding: str) -> bytes:
    """The bytes that a text of this encoding stands for; EvaluationError when it is not in it."""
    match _known(encoding):
        case "hex":
            return _of_hex(text)
        case "base64":
            try:
                return b64decode(text.encode("ascii").ljust(-(-len(text) // 4) * 4, b"="), validate=True)
            except ValueError:
                raise EvaluationError(f"was given {text!r}, which is not base64") from None
        case "ascii":
            return text.encode("ascii", "replace")
    return text.encode("utf-8", "replace")


def written(raw: bytes, encoding: str) -> str:
    """The bytes as a text of this encoding; what is no character in it becomes U+FFFD."""
    match _known(encoding):
        case "hex":
            return raw.hex().upper()
        case "base64":
            return b64encode(raw).decode("ascii")
        case "ascii":
            return _ascii(raw)
    return raw.decode("utf-8", "replace")


def _encode(text: str, given: str, wanted: str) -> str:
    source, target = _known(given), _known(wanted)
    if source == target:
        raise EvaluationError(f"has the encoding {given!r} twice, but must have two that differ")
    if source == "hex":
        raw = _of_hex(_bare_hex(text))
    elif source == "base64":
        raw = _lenient_base64(text)
    else:
        raw = read(text, source)
    return raw.hex() if target == "hex" else written(raw, target)


def _bare_hex(text: str) -> str:
    """Without the 0x, or x'...', around it; after 0x a digit may be missing."""
    if text.startswith("0x"):
        return ("0" if len(text) % 2 else "") + text[2:]
    if len(text) >= 3 and text[:2] in ("x'", "X'") and text.endswith("'"):
        return text[2:-1]
    return text


def _lenient_base64(text: str) -> bytes:
    """Commons Codec's: what is none of base64's is skipped, both alphabets are read, padding may be missing."""
    figures = re.sub("[^A-Za-z0-9+/]", "", text.partition("=")[0].translate(str.maketrans("-_", "+/")))
    if len(figures) % 4 == 1:
        figures = figures[:-1]
    return b64decode(figures + "=" * (-len(figures) % 4))


def _chr(code: int | str) -> str | None:
    if isinstance(code, int):
        if not 0 <= code <= LAST_SIGN:
            return None
        character = chr(code)
    elif len(code) < 6 or not code.startswith("\\u"):
        return None
    else:
        character = ESCAPE.sub(_unescaped, code).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if any("\ud800" <= part <= "\udfff" for part in character):
        raise EvaluationError(f"was given {code!r}, which is half of a character")
    return character


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is not None:
        return chr(int(found[1], 16))
    if found[2] == "u":
        raise EvaluationError(f"was given {found.string!r}, in which four hexadecimal digits must follow \\u")
    return ESCAPES.get(found[2], found[2])


def _uuid(raw: bytes) -> str | None:
    return str(UUID(bytes=raw)) if len(raw) == 16 else None


def _number(letter: str, size: int) -> Callable[..., Any]:
    def call(raw: bytes, order: str = "BIG_ENDIAN") -> Any:
        if (name := order.upper()) not in ("BIG_ENDIAN", "LITTLE_ENDIAN"):
            raise EvaluationError(f"has the byte order {order!r}, which must be BIG_ENDIAN or LITTLE_ENDIAN")
        if len(raw) != size:
            raise EvaluationError(f"was given {len(raw)} bytes, but must have {size}")
        return struct.unpack(f"{'>' if name == 'BIG_ENDIAN' else '<'}{letter}", raw)[0]

    return call


NAMED = "Encodings are hex, utf8, ascii and base64; another one gives null."

CODES: tuple[ScalarFunction, ...] = (
    function(
        "CHR",
        {"INT": STRING, "STRING": STRING},
        _chr,
        "The character of a code point, or of a text such as \\u004b.",
        Example((75,), "K"),
        edges="Null when there is no such character, and when a text does not begin with \\u or is shorter than six.",
        differs="Half of a surrogate pair gives null, since it is no text.",
    ),
    function(
        "ENCODE",
        {"STRING, STRING, STRING": STRING},
        _encode,
        "A text from one encoding to another.",
        Example(("4578616d706C6521", "hex", "utf8"), "Example!"),
        edges=f"{NAMED} So do two that are equal. Hexadecimal text may be in 0x... or x'...', and is written in small "
        "letters. A character that ASCII has not is ?, a byte that it has not is U+FFFD.",
    ),
    function(
        "FROM_BYTES",
        {"BYTES, STRING": STRING},
        written,
        "Bytes as text of an encoding.",
        Example((b"!", "base64"), "IQ=="),
        edges=f"{NAMED} Hexadecimal text is in capitals.",
    ),
    function(
        "TO_BYTES",
        {"STRING, STRING": BYTES},
        read,
        "The bytes that a text of an encoding stands for.",
        Example(("4A", "hex"), b"J"),
        edges=f"{NAMED} So does a text that is not in its encoding.",
    ),
    function(
        "UUID",
        {"BYTES": STRING},
        _uuid,
        "16 bytes as the text of a UUID.",
        Example((bytes(range(16)),), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        edges="Null unless there are 16 bytes.",
        differs="UUID() without argument is refused: it is random, so a replay would not give the same.",
    ),
    *(
        function(
            name,
            {"BYTES": result, "BYTES, STRING": result},
            _number(letter, size),
            f"{size} bytes as a number; the order is BIG_ENDIAN unless LITTLE_ENDIAN is given.",
            Example((raw,), value),
            edges=f"Null unless there are {size} bytes, and for another order.",
        )
        for name, result, letter, size, raw, value in (
            ("INT_FROM_BYTES", INT, "i", 4, bytes.fromhex("000007e5"), 2021),
            ("BIGINT_FROM_BYTES", LONG, "q", 8, bytes.fromhex("000000012a05f200"), 5_000_000_000),
            ("DOUBLE_FROM_BYTES", DOUBLE, "d", 8, bytes.fromhex("4080a6fd9bc9f582"), 532.8738323),
        )
    ),
)
