"""Protobuf's wire format: fields of messages as numbers, eight or four bytes, or bytes behind their length."""

import struct
from collections.abc import Callable, Mapping
from typing import Any

VARINT, I64, LEN, I32 = 0, 1, 2, 5
MOST_VARINT = 10
ALL_BITS = (1 << 64) - 1


class WireError(ValueError):
    """Bytes that are no message."""


def varint(number: int) -> bytes:
    """A number of 64 bits, negative ones as their two's complement; seven bits a byte, the lowest first."""
    rest, out = number & ALL_BITS, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """The number at a place and the place behind it; raises WireError."""
    number = 0
    for count in range(MOST_VARINT):
        if place >= len(data):
            raise WireError("it ends within a number")
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return number & ALL_BITS, place
    raise WireError(f"it has a number of more than {MOST_VARINT} bytes")


def zigzag(number: int) -> int:
    """The signed number that a zigzag one stands for."""
    return (number >> 1) ^ -(number & 1)


def fields(data: bytes) -> list[tuple[int, int, Any]]:
    """(number, wire type, raw value) of each field of a message; raises WireError."""
    place, end, found = 0, len(data), []
    while place < end:
        tag, place = read_varint(data, place)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise WireError(f"it has a field of number {number}")
        raw: Any
        if wire == VARINT:
            raw, place = read_varint(data, place)
        elif wire == LEN:
            size, place = read_varint(data, place)
            raw = data[place : place + size]
            if size > end - place:
                raise WireError(f"field {number} ends after {end - place} of {size} bytes")
            place += size
        elif wire in SIZES:
            size = SIZES[wire]
            raw = data[place : place + size]
            if size > end - place:
                raise WireError(f"field {number} ends after {end - place} of {size} bytes")
            place += size
        else:
            raise WireError(f"field {number} is of wire type {wire}")
        found.append((number, wire, raw))
    return found


SIZES = {I64: 8, I32: 4}


def _signed(bits: int) -> Callable[[int], int]:
    half, mask = 1 << (bits - 1), (1 << bits) - 1
    return lambda number: ((number & mask) ^ half) - half


def _unpacked(form: str) -> Callable[[bytes], Any]:
    unpack = struct.Struct(form).unpack
    return lambda raw: unpack(raw)[0]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"it has a string that is not UTF-8: {error.reason}") from None


SCALARS: Mapping[str, tuple[int, Callable[[Any], Any]]] = {
    "int32": (VARINT, _signed(32)),
    "int64": (VARINT, _signed(64)),
    "uint32": (VARINT, lambda number: number & 0xFFFF_FFFF),
    "uint64": (VARINT, lambda number: number),
    "sint32": (VARINT, lambda number: zigzag(number & 0xFFFF_FFFF)),
    "sint64": (VARINT, zigzag),
    "bool": (VARINT, bool),
    "fixed64": (I64, _unpacked("<Q")),
    "sfixed64": (I64, _unpacked("<q")),
    "double": (I64, _unpacked("<d")),
    "fixed32": (I32, _unpacked("<I")),
    "sfixed32": (I32, _unpacked("<i")),
    "float": (I32, _unpacked("<f")),
    "string": (LEN, _text),
    "bytes": (LEN, bytes),
}
"""How the values of a scalar type lie on the wire, and what they are."""


def packed(raw: bytes, wire: int) -> list[Any]:
    """The raw values of a packed repeated field; raises WireError."""
    if wire == VARINT:
        place, found = 0, []
        while place < len(raw):
            number, place = read_varint(raw, place)
            found.append(number)
        return found
    size = SIZES[wire]
    if len(raw) % size:
        raise WireError(f"a packed field has {len(raw)} bytes, which is no multiple of {size}")
    return [raw[place : place + size] for place in range(0, len(raw), size)]


def lengthened(number: int, raw: bytes) -> bytes:
    """A field of bytes, a text or a message."""
    return varint(number << 3 | LEN) + varint(len(raw)) + raw
