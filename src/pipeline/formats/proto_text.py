"""Protobuf's schema language, as far as it says how messages lie on the wire: proto2, proto3 and editions.

Options, services, extensions and what is reserved are passed over. A group is refused: no writer of today has it.
"""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.avro_schemas import UnreadableSchema

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<word>\.?[A-Za-z_][A-Za-z0-9_.]*)|(?P<number>-?(?:0[xX][0-9A-Fa-f]+|[0-9][0-9.eE+-]*))|(?P<sign>.)""",
    re.DOTALL,
)
MOST_SIGNS = 1_000_000
MOST_NESTED = 50
PASSED_OVER = ("option", "reserved", "extensions", "import")
BLOCKS_PASSED_OVER = ("extend", "service")
LABELS = ("optional", "required", "repeated")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message. `type` is a scalar's name, or a full name. `key` is that of a map, else empty.

    `has_presence`: an absent one is null; without, it is the default.
    """

    name: str
    number: int
    type: str
    scope: str
    repeated: bool = False
    has_presence: bool = False
    key: str = ""


@dataclass(slots=True)
class Message:
    """A message type; `messages` are those declared inside it, in order."""

    name: str
    fields: list[Field] = field(default_factory=list)
    messages: list["Message"] = field(default_factory=list)


@dataclass(slots=True)
class ProtoFile:
    """What a schema declares: its messages in order, and everything by its full name, of what it imports, too."""

    messages: list[Message] = field(default_factory=list)
    types: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, dict[int, str]] = field(default_factory=dict)

    def at(self, path: Iterable[int]) -> Message:
        """The message at a path of indexes; raises IndexError."""
        found, inner = None, self.messages
        for index in path:
            if index < 0:
                raise IndexError(index)
            found = inner[index]
            inner = found.messages
        if found is None:
            raise IndexError
        return found

    def resolve(self, name: str, scope: str, known: Container[str] = ()) -> str:
        """The full name of a type as it is used in a scope: the innermost goes first; raises UnreadableSchema."""
        if name.startswith("."):
            return name[1:]
        while True:
            full = f"{scope}.{name}" if scope else name
            if full in self.types or full in self.enums or full in known:
                return full
            if not scope:
                raise UnreadableSchema(f"its type {name!r} is not defined")
            scope = scope.rpartition(".")[0]


def parse(text: str, referenced: Iterable[str] = ()) -> ProtoFile:
    """The messages of a schema; `referenced` are those that it imports. Raises UnreadableSchema."""
    found = ProtoFile()
    for other in referenced:
        inner = _Parser(other).file()
        found.types |= inner.types
        found.enums |= inner.enums
    own = _Parser(text).file()
    return ProtoFile(own.messages, found.types | own.types, found.enums | own.enums)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._ahead: list[str] = []
        self._file = ProtoFile()
        self._is_proto3 = False
        self._package = ""

    def file(self) -> ProtoFile:
        """Everything that is declared; raises UnreadableSchema."""
        while (word := self._next()) != "":
            if word == "syntax":
                self._expect("=")
                self._is_proto3 = self._next().strip("\"'") == "proto3"
                self._expect(";")
            elif word == "package":
                self._package = self._next()
                self._expect(";")
            elif word == "message":
                self._file.messages.append(self._message(self._package, 0))
            elif word == "enum":
                self._enum(self._package)
            elif word in BLOCKS_PASSED_OVER:
                self._skip_block()
            elif word in PASSED_OVER or word == "edition":
                self._skip_statement()
            elif word != ";":
                raise UnreadableSchema(f"it is no Protobuf schema: it has {word[:40]!r} where a message could be")
        return self._file

    def _message(self, scope: str, depth: int) -> Message:
        if depth > MOST_NESTED:
            raise UnreadableSchema("it is nested too deeply")
        full = self._full(scope)
        message = Message(full)
        self._file.types[full] = message
        self._expect("{")
        while (word := self._inside()) != "}":
            if word == "message" and self._peek(1) == "{":
                message.messages.append(self._message(full, depth + 1))
            elif word == "enum" and self._peek(1) == "{":
                self._enum(full)
            elif word == "oneof" and self._peek(1) == "{":
                self._next()
                self._expect("{")
                while (inner := self._inside()) != "}":
                    if inner == "option":
                        self._skip_statement()
                    elif inner != ";":
                        message.fields.append(self._field(inner, full, has_presence=True))
            elif word in BLOCKS_PASSED_OVER and self._peek(1) == "{":
                self._skip_block()
            elif word in PASSED_OVER:
                self._skip_statement()
            elif word != ";":
                message.fields.append(self._field(word, full))
        return message

    def _field(self, word: str, scope: str, *, has_presence: bool = False) -> Field:
        label, key = "", ""
        if word in LABELS and self._peek(1) != "=":
            label, word = word, self._next()
        if word == "group":
            raise UnreadableSchema("it has a group, which is not read")
        if word == "map" and self._peek(0) == "<":
            self._expect("<")
            key = self._next()
            self._expect(",")
            word = self._next()
            self._expect(">")
        name = self._next()
        self._expect("=")
        number = self._number()
        self._skip_statement()
        presence = has_presence or not self._is_proto3 or label == "optional"
        return Field(name, number, word, scope, label == "repeated" or key != "", presence, key)

    def _enum(self, scope: str) -> None:
        symbols: dict[int, str] = {}
        self._file.enums[self._full(scope)] = symbols
        self._expect("{")
        while (word := self._inside()) != "}":
            if word in ("option", "reserved") and self._peek(0) != "=":
                self._skip_statement()
            elif word != ";":
                self._expect("=")
                symbols.setdefault(self._number(), word)
                self._skip_statement()

    def _full(self, scope: str) -> str:
        name = self._next()
        return f"{scope}.{name}" if scope else name

    def _next(self) -> str:
        return self._ahead.pop(0) if self._ahead else next(self._tokens, "")

    def _inside(self) -> str:
        """The next sign within a block, which must not end here."""
        if (word := self._next()) == "":
            raise UnreadableSchema("it is no Protobuf schema: a block has no end")
        return word

    def _peek(self, place: int) -> str:
        while len(self._ahead) <= place:
            self._ahead.append(next(self._tokens, ""))
        return self._ahead[place]

    def _expect(self, sign: str) -> None:
        if (found := self._next()) != sign:
            raise UnreadableSchema(f"it is no Protobuf schema: it has {found[:40]!r} where {sign!r} must be")

    def _number(self) -> int:
        found = self._next()
        try:
            return int(found, 0)
        except ValueError:
            raise UnreadableSchema(f"it is no Protobuf schema: it has {found[:40]!r} where a number must be") from None

    def _skip_statement(self) -> None:
        depth = 0
        while (word := self._inside()) != ";" or depth:
            depth += (word in "{[") - (word in "}]")

    def _skip_block(self) -> None:
        while self._inside() != "{":
            pass
        depth = 1
        while depth:
            word = self._inside()
            depth += (word == "{") - (word == "}")


def _tokens(text: str) -> Iterator[str]:
    if len(text) > MOST_SIGNS:
        raise UnreadableSchema(f"it is longer than {MOST_SIGNS} signs")
    return (found[0] for found in TOKEN.finditer(text) if found.lastgroup != "skip")
