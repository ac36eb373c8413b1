"""One expression as Python's text, with its type: what `compiled.py` runs over the columns of a batch."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from pipeline import functions
from pipeline.declare.expressions import (
    ARITHMETIC,
    COMPARISONS,
    Call,
    Case,
    Cast,
    Column,
    Element,
    Expression,
    Field,
    Lambda,
    Literal,
    Parameter,
)
from pipeline.declare.kinds import NUMBERS, ExpressionError, Kind, Scope, literal_type
from pipeline.declare.lambdas import LAMBDAS, lambdas
from pipeline.tables.types import ColumnType, column_type

OPERATORS = {"=": "==", "<>": "!="}


class Writer:
    """Writes one expression as Python.

    v0, v1, ... are values of the inputs, k0, ... constants, t0, ... temporary, p0, ... arguments of lambdas.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.inputs: list[str] = []
        self.constants: dict[str, Any] = {}
        self._temporary = 0
        self._parameters: dict[int, tuple[str, Kind]] = {}

    def write(self, given: Expression) -> tuple[str, Kind]:
        """Its text and its type."""
        match given:
            case Column():
                return self._column(given.name_)
            case Literal():
                return self.constant(given.value_), literal_type(given.value_)
            case Field():
                return self._field(given, given.of_, given.name_)
            case Element():
                return self._element(given)
            case Case():
                return self._case(given)
            case Cast():
                return self._cast(given)
            case Call():
                return lambdas(self, given) if given.name_ in LAMBDAS else self._call(given)
            case Parameter() if id(given) in self._parameters:
                return self._parameters[id(given)]
            case Parameter():
                raise ExpressionError(f"{given} stands outside of its lambda, but must be within")
            case Lambda():
                raise ExpressionError(f"{given} is a lambda, which only {', '.join(LAMBDAS)} take")
        raise ExpressionError(f"{given} is no expression")

    def function(self, given: Lambda, kinds: Sequence[Kind]) -> tuple[str, Kind]:
        """A lambda over arguments of these types, and the type of what it gives."""
        for parameter, kind in zip(given.parameters_, kinds, strict=True):
            self._parameters[id(parameter)] = (f"p{len(self._parameters)}", kind)
        code, kind = self.write(given.body_)
        names = ", ".join(self._parameters[id(parameter)][0] for parameter in given.parameters_)
        return f"(lambda {names}: {code})", kind

    def _column(self, name: str) -> tuple[str, ColumnType]:
        kind = self._type_of(name)
        return self._input(name), kind

    def _type_of(self, column: str) -> ColumnType:
        if column not in self._scope:
            raise ExpressionError(f"there is no column {column}, only {', '.join(self._scope) or 'none at all'}")
        return self._scope[column]

    def _input(self, name: str) -> str:
        if name not in self.inputs:
            self.inputs.append(name)
        return f"v{self.inputs.index(name)}"

    def constant(self, value: Any) -> str:
        """The name of a value that is not written but known."""
        if value is None or value is True or value is False:
            return str(value)
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def _named(self, code: str) -> tuple[str, str]:
        """(an expression that sets a name to the code's value, that name); the same name twice where it is one."""
        if re.fullmatch(r"[vktp]\d+", code):
            return code, code
        name = f"t{self._temporary}"
        self._temporary += 1
        return f"({name} := {code})", name

    def strict(self, call: str, codes: Sequence[str], null: str = "None") -> str:
        """A call whose value is `null` where one of its arguments is null."""
        names, checks = [], []
        for code in codes:
            first, name = self._named(code)
            names.append(name)
            if code == "None":
                return null
            if not name.startswith("k"):
                checks.append(f"{first} is None")
        made = call.format(*names)
        return f"({null} if {' or '.join(checks)} else {made})" if checks else f"({made})"

    def _field(self, given: Expression, of: Expression, name: str) -> tuple[str, ColumnType]:
        """A field of a column is an input of its own: a join can give it without making the whole record."""
        is_column = isinstance(of, Column)
        code, kind = ("", self._type_of(of.name_)) if isinstance(of, Column) else self.write(of)
        if kind is None or kind.family != "record":
            raise ExpressionError(
                f"{given} asks for a field of {of}, which is of type {_name(kind)}, but must be a record"
            )
        made = self._input(f"{of}.{name}") if is_column else self.strict("{0}[{1}]", [code, self.constant(name)])
        return made, _field_type(str(of), kind, name)

    def _element(self, given: Element) -> tuple[str, ColumnType]:
        code, kind = self.write(given.of_)
        if kind is not None and kind.family == "record" and isinstance(given.key_, Literal):
            return self._field(given, given.of_, str(given.key_.value_))
        key, key_kind = self.write(given.key_)
        if kind is not None and kind.family == "array" and (key_kind is None or key_kind.family in ("int", "long")):
            return self.strict(f"{self.constant(_element)}({{0}}, {{1}})", [code, key]), column_type(kind.avro["items"])
        if kind is not None and kind.family == "map" and (key_kind is None or key_kind.family == "string"):
            return self.strict("{0}.get({1})", [code, key]), column_type(kind.avro["values"])
        raise ExpressionError(
            f"{given} asks {given.of_}, which is of type {_name(kind)}, for {given.key_}, which is of type "
            f"{_name(key_kind)}, but must ask an array for an int, a map for a string, or a record for a name"
        )

    def _case(self, given: Case) -> tuple[str, Kind]:
        made, results = "", [*(result for _, result in given.whens_), given.otherwise_]
        kinds = [self.write(result)[1] for result in results]
        kind = _common(given, results, kinds)
        for condition, result in given.whens_:
            made += f"{self.converted(result, kind)} if {self._condition(condition)} else "
        return f"({made}{self.converted(given.otherwise_, kind)})", kind

    def _condition(self, given: Expression) -> str:
        code, kind = self.write(given)
        if kind is not None and kind.family != "boolean":
            raise ExpressionError(f"{given} is of type {kind.name}, but must be boolean")
        return code

    def converted(self, given: Expression, kind: Kind) -> str:
        """An expression's text, as a value of the type that it has together with others."""
        code, own = self.write(given)
        if own is None or kind is None or own.avro == kind.avro or kind.family not in NUMBERS:
            return code
        return self.strict(f"{self.constant(_cast(given, own, kind))}({{0}})", [code])

    def _cast(self, given: Cast) -> tuple[str, ColumnType]:
        try:
            kind = functions.parse_type(given.type_)
        except functions.SignatureError as error:
            raise ExpressionError(f"{given}: {error}") from None
        code, own = self.write(given.of_)
        if own is None:
            return "None", kind
        return self.strict(f"{self.constant(_cast(given, own, kind))}({{0}})", [code]), kind

    def _call(self, given: Call) -> tuple[str, Kind]:
        name, arguments = given.name_, given.arguments_
        if name in ("AND", "OR"):
            left, right = map(self._condition, arguments)
            return f"({left} {name.lower()} {right})", column_type("boolean")
        if name == "NOT":
            return self.strict("not {0}", [self._condition(arguments[0])]), column_type("boolean")
        codes, kinds = zip(*map(self.write, arguments), strict=True) if arguments else ((), ())
        if name == "IS NULL":
            return f"({codes[0]} is None)", column_type("boolean")
        if name == "IN":
            equal = [self._call(Call("=", (arguments[0], other)))[0] for other in arguments[1:]]
            return f"({' or '.join(equal) or 'False'})", column_type("boolean")
        if name in COMPARISONS or name == "IS DISTINCT FROM":
            return self._comparison(given, codes, kinds), column_type("boolean")
        if name == "LIKE":
            return self._like(given, codes, kinds), column_type("boolean")
        if name in ARITHMETIC:
            return self._arithmetic(given, codes, kinds)
        return self._function(given, codes, kinds)

    def _comparison(self, given: Call, codes: Sequence[str], kinds: Sequence[Kind]) -> str:
        left, right = kinds
        if None in kinds and given.name_ != "IS DISTINCT FROM":
            raise ExpressionError(f"{given} is never true: is_null() or is_not_null() is meant")
        prepared = list(codes)
        if left is not None and right is not None:
            try:
                ordered = given.name_ not in ("=", "<>", "IS DISTINCT FROM")
                converts = functions.comparable(left, right, ordered=ordered)
            except functions.SignatureError as error:
                raise ExpressionError(f"{given} compares {left.name} with {right.name}: {error}") from None
            for place, convert in enumerate(converts):
                if convert is not functions.unchanged:
                    prepared[place] = self.strict(f"{self.constant(convert)}({{0}})", [codes[place]])
        if given.name_ == "IS DISTINCT FROM":
            return f"({prepared[0]} != {prepared[1]})"
        operator = OPERATORS.get(given.name_, given.name_)
        return self.strict(f"{{0}} {operator} {{1}}", prepared, "False")

    def _like(self, given: Call, codes: Sequence[str], kinds: Sequence[Kind]) -> str:
        pattern = given.arguments_[1]
        if kinds[0] is not None and kinds[0].name != "string":
            raise ExpressionError(f"{given} asks for a pattern in type {kinds[0].name}, but must be string")
        if not isinstance(pattern, Literal) or not isinstance(pattern.value_, str):
            raise ExpressionError(f"the pattern of {given} is {pattern}, but must be a text")
        parts = {"%": ".*", "_": "."}
        expression = re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern.value_), re.DOTALL)
        return self.strict(f"{self.constant(expression.fullmatch)}({{0}}) is not None", [codes[0]], "False")

    def _arithmetic(self, given: Call, codes: Sequence[str], kinds: Sequence[Kind]) -> tuple[str, Kind]:
        left, right = kinds
        if left is None or right is None:
            return "None", left or right
        try:
            kind, operate = functions.arithmetic(given.name_, left, right)
        except functions.SignatureError as error:
            raise ExpressionError(f"{given} is of {left.name} and {right.name}: {error}") from None
        return self.strict(f"{self.constant(operate)}({{0}}, {{1}})", codes), kind

    def _function(self, given: Call, codes: Sequence[str], kinds: Sequence[Kind]) -> tuple[str, ColumnType]:
        try:
            function = functions.find(given.name_)
            kind = function.returns(kinds)
            call = function.call if function.bind is None else function.bind(kinds)
        except functions.SignatureError as error:
            raise ExpressionError(f"{given}: {error}") from None
        places = ", ".join(f"{{{number}}}" for number in range(len(codes)))
        made = f"{self.constant(call)}({places})"
        return (f"({made.format(*codes)})" if function.takes_nulls else self.strict(made, codes)), kind


def _field_type(of: str, kind: ColumnType, name: str) -> ColumnType:
    fields = {field["name"]: field["type"] for field in kind.avro["fields"]}
    if name not in fields:
        raise ExpressionError(f"{of} has no field {name}, only {', '.join(fields)}")
    return column_type(fields[name])


def _element(values: Sequence[Any], place: int) -> Any:
    """An element by its place from 1, from the end when negative; null where there is none."""
    index = place - 1 if place > 0 else len(values) + place
    return values[index] if place and 0 <= index < len(values) else None


def _cast(given: Expression, own: ColumnType, kind: ColumnType) -> Callable[[Any], Any]:
    try:
        return functions.cast(own, kind)
    except functions.SignatureError as error:
        raise ExpressionError(f"{given}: {error}") from None


def _common(given: Expression, results: Sequence[Expression], kinds: Sequence[Kind]) -> Kind:
    """The type that all of these have together: that of the widest number, or the one that all share."""
    common: Kind = None
    for result, kind in zip(results, kinds, strict=True):
        if common is None or kind is None or kind.avro == common.avro:
            common = common or kind
        elif kind.family in NUMBERS and common.family in NUMBERS:
            common = (
                functions.arithmetic("+", common, kind)[0]
                if "decimal" in (kind.family, common.family)
                else max(kind, common, key=lambda one: NUMBERS.index(one.family))
            )
        else:
            raise ExpressionError(f"{given}: {result} is of type {kind.name}, but those before it are {common.name}")
    return common


def _name(kind: Kind) -> str:
    return "null" if kind is None else kind.name
