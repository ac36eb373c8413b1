"""Expressions over the columns of a row: values that can be printed, typed and compiled, never code.

    c.price * c.quantity        c.name.is_null()        (c.price > 0) & ~c.deleted
    c.product.name              a field of a record; null where the record is
    c.tags[1], c.names["en"]    an element of an array, counted from 1, from the end when negative; a value of a map
    f.ucase(c.name)             any of ksqlDB's scalar functions, see docs/functions.md
    f.transform(c.tags, lambda tag: f.ucase(tag))     a lambda is called once, with names for its arguments
    case((c.price > 100, "dear"), otherwise="cheap")
    cast(c.price, "DECIMAL(9, 2)")

Nulls are ksqlDB's: arithmetic and functions of null are null, a comparison with null is false.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import isfunction, signature
from typing import Any

from pipeline.errors import SettingError

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
ARITHMETIC = ("+", "-", "*", "/", "%")
LOGIC = ("AND", "OR", "NOT")
INFIX = frozenset({*COMPARISONS, *ARITHMETIC, "AND", "OR", "IS DISTINCT FROM", "LIKE"})


class Expression:
    """What all expressions can do. They are compared by `==` into expressions: use `is` to compare them themselves."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> "Expression":
        if name.startswith("__"):
            raise AttributeError(name)
        return Field(self, name)

    def __repr__(self) -> str:
        return str(self)

    def __getitem__(self, key: "str | int | Expression") -> "Expression":
        """A field of a record or a value of a map by its name; an element of an array by its place, from 1."""
        return Element(self, expression(key))

    def __iter__(self) -> Iterator[Any]:
        raise SettingError(f"{self} is an expression, which has no elements until it is run: use explode")

    def __bool__(self) -> bool:
        raise SettingError(f"{self} is an expression, which is neither true nor false: use &, | and ~ for and, or, not")

    def __add__(self, other: Any) -> "Expression":
        return Call("+", (self, expression(other)))

    def __radd__(self, other: Any) -> "Expression":
        return Call("+", (expression(other), self))

    def __sub__(self, other: Any) -> "Expression":
        return Call("-", (self, expression(other)))

    def __rsub__(self, other: Any) -> "Expression":
        return Call("-", (expression(other), self))

    def __mul__(self, other: Any) -> "Expression":
        return Call("*", (self, expression(other)))

    def __rmul__(self, other: Any) -> "Expression":
        return Call("*", (expression(other), self))

    def __truediv__(self, other: Any) -> "Expression":
        return Call("/", (self, expression(other)))

    def __rtruediv__(self, other: Any) -> "Expression":
        return Call("/", (expression(other), self))

    def __mod__(self, other: Any) -> "Expression":
        return Call("%", (self, expression(other)))

    def __neg__(self) -> "Expression":
        return Call("-", (Literal(0), self))

    def __eq__(self, other: object) -> "Expression":  # type: ignore[override]
        return Call("=", (self, expression(other)))

    def __ne__(self, other: object) -> "Expression":  # type: ignore[override]
        return Call("<>", (self, expression(other)))

    def __lt__(self, other: Any) -> "Expression":
        return Call("<", (self, expression(other)))

    def __le__(self, other: Any) -> "Expression":
        return Call("<=", (self, expression(other)))

    def __gt__(self, other: Any) -> "Expression":
        return Call(">", (self, expression(other)))

    def __ge__(self, other: Any) -> "Expression":
        return Call(">=", (self, expression(other)))

    def __and__(self, other: Any) -> "Expression":
        return Call("AND", (self, expression(other)))

    def __or__(self, other: Any) -> "Expression":
        return Call("OR", (self, expression(other)))

    def __invert__(self) -> "Expression":
        return Call("NOT", (self,))

    def is_null(self) -> "Expression":
        """Whether there is no value: IS NULL."""
        return Call("IS NULL", (self,))

    def is_not_null(self) -> "Expression":
        """Whether there is a value: IS NOT NULL."""
        return Call("NOT", (self.is_null(),))

    def is_distinct_from(self, other: Any) -> "Expression":
        """Whether two values differ, null being a value like any other: IS DISTINCT FROM."""
        return Call("IS DISTINCT FROM", (self, expression(other)))

    def is_in(self, *values: Any) -> "Expression":
        """Whether it equals one of these: IN."""
        return Call("IN", (self, *map(expression, values)))

    def between(self, low: Any, high: Any) -> "Expression":
        """Whether it is in [low, high], both ends inclusive: BETWEEN."""
        return Call("AND", (self >= low, self <= high))

    def like(self, pattern: str) -> "Expression":
        """Whether a text matches a pattern, in which % is any text and _ any letter: LIKE."""
        return Call("LIKE", (self, expression(pattern)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Column(Expression):
    """A column of the row."""

    name_: str

    def __str__(self) -> str:
        return self.name_


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Field(Expression):
    """A field of a record, null where the record is null."""

    of_: Expression
    name_: str

    def __str__(self) -> str:
        return f"{self.of_}->{self.name_}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Element(Expression):
    """An element of an array, a value of a map, or a field of a record whose name is no Python name."""

    of_: Expression
    key_: Expression

    def __str__(self) -> str:
        return f"{self.of_}[{self.key_}]"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Literal(Expression):
    """A value: None, a bool, int, float, str, bytes, Decimal, date, time or datetime."""

    value_: Any

    def __str__(self) -> str:
        if self.value_ is None:
            return "NULL"
        if isinstance(self.value_, bool):
            return str(self.value_).upper()
        if isinstance(self.value_, str):
            return "'" + self.value_.replace("'", "''") + "'"
        return str(self.value_)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call(Expression):
    """An operator or a function, under its name in SQL, of these arguments."""

    name_: str
    arguments_: tuple[Expression, ...]

    def __str__(self) -> str:
        texts = [f"({a})" if isinstance(a, Call) and a.name_ in INFIX else str(a) for a in self.arguments_]
        if self.name_ in INFIX:
            return f"{texts[0]} {self.name_} {texts[1]}"
        if self.name_ == "NOT":
            return f"NOT {texts[0]}"
        if self.name_ == "IS NULL":
            return f"{texts[0]} IS NULL"
        if self.name_ == "IN":
            return f"{texts[0]} IN ({', '.join(texts[1:])})"
        return f"{self.name_}({', '.join(map(str, self.arguments_))})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Case(Expression):
    """The result of the first condition that is true; of none, `otherwise_`."""

    whens_: tuple[tuple[Expression, Expression], ...]
    otherwise_: Expression

    def __str__(self) -> str:
        whens = " ".join(f"WHEN {condition} THEN {result}" for condition, result in self.whens_)
        return f"CASE {whens} ELSE {self.otherwise_} END"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cast(Expression):
    """A value as another type, which ksqlDB's name says."""

    of_: Expression
    type_: str

    def __str__(self) -> str:
        return f"CAST({self.of_} AS {self.type_})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Parameter(Expression):
    """An argument of a lambda, within it."""

    name_: str

    def __str__(self) -> str:
        return self.name_


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lambda(Expression):
    """What is done with each element of an array or a map: an expression over arguments of its own."""

    parameters_: tuple[Parameter, ...]
    body_: Expression

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parameters_))}) => {self.body_}"


def expression(value: Any) -> Expression:
    """A value as an expression; what is one already stays."""
    return value if isinstance(value, Expression) else Literal(value)


def argument(value: Any) -> Expression:
    """The same for a function's argument, which may be a lambda of Python's."""
    if isinstance(value, Expression) or not isfunction(value):
        return expression(value)
    parameters = tuple(map(Parameter, signature(value).parameters))
    return Lambda(parameters, expression(value(*parameters)))


def case(*whens: tuple[Any, Any], otherwise: Any = None) -> Expression:
    """CASE WHEN condition THEN result ... ELSE otherwise END, from (condition, result) pairs."""
    if not whens:
        raise SettingError("case has no pair of a condition and a result, but must have at least one")
    return Case(
        tuple((expression(condition), expression(result)) for condition, result in whens), expression(otherwise)
    )


def cast(value: Any, kind: str) -> Expression:
    """A value as one of ksqlDB's types: BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p, s), STRING, DATE, TIMESTAMP, ..."""
    return Cast(expression(value), kind)


class _Columns:
    """`c.name` or `c["name"]` is the column of that name."""

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("__"):
            raise AttributeError(name)
        return Column(name)

    def __getitem__(self, name: str) -> Expression:
        return Column(name)


class _Functions:
    """`f.name(...)` is ksqlDB's scalar function NAME."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: Call(name.upper(), tuple(map(argument, arguments)))


c = _Columns()
f = _Functions()
