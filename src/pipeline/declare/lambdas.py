"""TRANSFORM, FILTER and REDUCE, which take lambdas: their types, and what runs.

The rules are those of ksqlDB's functions, which are Java's. An array or a map that is null gives null, REDUCE of it the
initial value, and REDUCE from null gives null. A map can hold no null and no key twice when it has been made, and a
condition that is null is none: the whole has no value then.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pipeline import functions
from pipeline.declare.expressions import Call, Expression, Lambda
from pipeline.declare.kinds import ExpressionError, Kind
from pipeline.tables.types import ColumnType, column_type

LAMBDAS = ("TRANSFORM", "FILTER", "REDUCE")
STRING = column_type("string")


class Writes(Protocol):
    """What writes the expressions that these functions are given; see writer.py."""

    def write(self, given: Expression) -> tuple[str, Kind]:
        """An expression's text and type."""

    def function(self, given: Lambda, kinds: Sequence[Kind]) -> tuple[str, Kind]:
        """A lambda's text over arguments of these types, and the type of what it gives."""

    def constant(self, value: Any) -> str:
        """The name of a value."""

    def strict(self, call: str, codes: Sequence[str], null: str = "None") -> str:
        """A call that gives null where an argument is null."""


def lambdas(writer: Writes, given: Call) -> tuple[str, Kind]:
    """The text and the type of one call; raises ExpressionError where it makes no sense."""
    if not given.arguments_:
        raise ExpressionError(f"{given} has no argument, but must have an array or a map")
    of = given.arguments_[0]
    code, kind = writer.write(of)
    if kind is None or kind.family not in ("array", "map"):
        name = "null" if kind is None else kind.name
        raise ExpressionError(f"{given} is of {of}, which is of type {name}, but must be an array or a map")
    element = functions.item_of(kind) if kind.family == "array" else functions.value_of(kind)
    takes = [element] if kind.family == "array" else [STRING, element]
    match given.name_:
        case "TRANSFORM":
            return _transform(writer, given, code, kind, takes)
        case "FILTER":
            return _filter(writer, given, code, kind, takes)
    return _reduce(writer, given, code, takes)


def _transform(
    writer: Writes, given: Call, code: str, kind: ColumnType, takes: Sequence[ColumnType]
) -> tuple[str, Kind]:
    made = [writer.function(one, takes) for one in _lambdas(given, 1, len(takes), len(takes))]
    for one, (_, gives) in zip(given.arguments_[1:], made, strict=True):
        if gives is None:
            raise ExpressionError(f"{given}: {one} gives NULL, which has no type: write cast(None, 'STRING')")
    calls = ", ".join(text for text, _ in made)
    if len(made) == 1:
        assert made[0][1] is not None
        return writer.strict(f"{writer.constant(_transformed)}({{0}}, {calls})", [code]), functions.array_of(made[0][1])
    (_, key), (_, value) = made
    assert key is not None
    assert value is not None
    if key.name != "string":
        raise ExpressionError(f"{given}: {given.arguments_[1]} is of type {key.name}, but keys must be string")
    return writer.strict(f"{writer.constant(_transformed_map)}({{0}}, {calls})", [code]), functions.map_of(value)


def _filter(writer: Writes, given: Call, code: str, kind: ColumnType, takes: Sequence[ColumnType]) -> tuple[str, Kind]:
    (condition,) = _lambdas(given, 1, 1, len(takes))
    call, gives = writer.function(condition, takes)
    if gives is not None and gives.family != "boolean":
        raise ExpressionError(f"{given}: {condition} is of type {gives.name}, but must be boolean")
    run = _filtered if kind.family == "array" else _filtered_map
    return writer.strict(f"{writer.constant(run)}({{0}}, {call})", [code]), kind


def _reduce(writer: Writes, given: Call, code: str, takes: Sequence[ColumnType]) -> tuple[str, Kind]:
    (step,) = _lambdas(given, 2, 1, 1 + len(takes))
    first, state = writer.write(given.arguments_[1])
    if state is None:
        raise ExpressionError(f"{given}: the initial value is NULL, which has no type: write cast(None, 'BIGINT')")
    call, gives = writer.function(step, [state, *takes])
    wider = functions.common([state, gives])
    if wider is None or functions.sql_name(wider) != functions.sql_name(state):
        name = "null" if gives is None else gives.name
        raise ExpressionError(
            f"{given}: {step} is of type {name}, but must be {state.name} as the initial value: cast one of them"
        )
    converts = gives is not None and functions.sql_name(gives) != functions.sql_name(state)
    convert = writer.constant(functions.cast(gives, state)) if gives is not None and converts else "None"
    run = _reduced if len(takes) == 1 else _reduced_map
    return writer.strict(f"{writer.constant(run)}({code}, {{0}}, {call}, {convert})", [first]), state


def _lambdas(given: Call, first: int, count: int, arguments: int) -> list[Lambda]:
    """The lambdas of a call, which stand behind `first` other arguments."""
    found = [one for one in given.arguments_[first:] if isinstance(one, Lambda)]
    right = len(given.arguments_) == first + count and len(found) == count
    if not right or any(len(one.parameters_) != arguments for one in found):
        before = "an initial value and " if first > 1 else ""
        lambdas = "a lambda" if count == 1 else f"{count} lambdas, one for keys and one for values, each"
        of = "argument" if arguments == 1 else "arguments"
        raise ExpressionError(f"{given}: must have {before}{lambdas} of {arguments} {of} behind {given.arguments_[0]}")
    return found


def _transformed(array: Sequence[Any], call: Callable[[Any], Any]) -> list[Any]:
    return [call(item) for item in array]


def _transformed_map(
    values: Mapping[str, Any], key_of: Callable[[str, Any], Any], value_of: Callable[[str, Any], Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in values.items():
        name = key_of(key, value)
        if name is None:
            raise functions.EvaluationError(f"the key that is made of {key!r} is null")
        if name in made:
            raise functions.EvaluationError(f"there are two values of the key {name!r}")
        made[name] = _there(name, value_of(key, value))
    return made


def _filtered(array: Sequence[Any], condition: Callable[[Any], Any]) -> list[Any]:
    return [item for item in array if _is_true(condition(item))]


def _filtered_map(values: Mapping[str, Any], condition: Callable[[str, Any], Any]) -> dict[str, Any]:
    return {key: _there(key, value) for key, value in values.items() if _is_true(condition(key, value))}


def _reduced(array: Sequence[Any] | None, state: Any, call: Callable[[Any, Any], Any], convert: Any) -> Any:
    for item in array or ():
        state = call(state, item)
        state = state if convert is None or state is None else convert(state)
    return state


def _reduced_map(
    values: Mapping[str, Any] | None, state: Any, call: Callable[[Any, str, Any], Any], convert: Any
) -> Any:
    return _reduced(tuple((values or {}).items()), state, lambda before, item: call(before, *item), convert)


def _is_true(value: Any) -> bool:
    if value is None:
        raise functions.EvaluationError("a condition is null")
    return bool(value)


def _there(key: str, value: Any) -> Any:
    if value is None:
        raise functions.EvaluationError(f"the value of the key {key!r} is null")
    return value
