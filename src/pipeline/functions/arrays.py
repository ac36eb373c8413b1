"""Functions of arrays: which types they take and give; pipeline.functions.items has what they do."""

from collections.abc import Callable
from typing import Any

from pipeline.functions.base import Bind, Call, Example, Returns, ScalarFunction, SignatureError, Types
from pipeline.functions.casts import cast, coerce
from pipeline.functions.items import (
    MOST_ITEMS,
    as_text,
    chosen,
    contains,
    distinct,
    in_order,
    intersection,
    joined,
    part,
    removed,
    series,
    without,
)
from pipeline.functions.kinds import (
    BOOLEAN,
    INT,
    LONG,
    STRING,
    array_of,
    common,
    is_null,
    item_of,
    kind,
    sql_name,
    sql_names,
)
from pipeline.functions.signatures import function
from pipeline.tables.types import ColumnType

JOINABLE = ("BOOLEAN", "INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING")
SORTABLE = (*JOINABLE, "DATE", "TIME", "TIMESTAMP")


def _series_of(types: Types) -> Call:
    return series(64 if "BIGINT" in map(kind, types[:2]) else 32)


def _of_arrays(count: int) -> Returns:
    """So many arrays of one type; the result has it, too."""

    def returns(types: Types) -> ColumnType:
        given = [of for of in types if of is not None and not is_null(of)]
        if len(types) != count or not given or {kind(of) for of in given} != {"ARRAY"} or _differ(given):
            wanted = "an array" if count == 1 else "two arrays of one type"
            raise SignatureError(f"takes {wanted}, but was given {sql_names(types)}")
        return given[0]

    return returns


def _differ(types: list[ColumnType]) -> bool:
    return len({sql_name(of) for of in types}) > 1


def _with_item(result: ColumnType | None) -> Returns:
    """An array and one that may be its item. The result is the array's type unless given."""

    def returns(types: Types) -> ColumnType:
        array = types[0] if types else None
        if len(types) == 2 and array is not None and kind(array) == "ARRAY" and _may_be_in(types[1], item_of(array)):
            return array if result is None else result
        raise SignatureError(f"takes an array and what may be its item, but was given {sql_names(types)}")

    return returns


WHOLE = ("INT", "BIGINT")


def _may_be_in(value: ColumnType | None, item: ColumnType) -> bool:
    """Whether such values can equal such items, once they are widened to them."""
    if is_null(value) or (kind(value) in WHOLE and kind(item) in WHOLE):
        return True
    found = common([item, value])
    return found is not None and sql_name(found) == sql_name(item)


def _widened(call: Call) -> Bind:
    """A bind that brings the value to the type of the items."""

    def bind(types: Types) -> Call:
        array, value = types
        if array is None or value is None or (kind(value) in WHOLE and kind(item_of(array)) in WHOLE):
            return call
        convert = cast(value, item_of(array))
        return lambda values, of: call(values, None if of is None else convert(of))

    return bind


def _of_items(kinds: tuple[str, ...], text: int, result: ColumnType | Callable[[ColumnType], ColumnType]) -> Returns:
    """An array of items of these kinds, and up to so many texts."""

    def returns(types: Types) -> ColumnType:
        array = types[0] if types else None
        texts = all(is_null(of) or kind(of) == "STRING" for of in types[1:])
        fits = array is not None and kind(array) == "ARRAY" and kind(item_of(array)) in kinds
        if array is not None and fits and texts and len(types) - 1 <= text:
            return result if isinstance(result, ColumnType) else result(array)
        further = ", and a STRING that may be missing" if text else ""
        raise SignatureError(f"takes an array of {', '.join(kinds)}{further}, but was given {sql_names(types)}")

    return returns


def _made(types: Types) -> ColumnType:
    found = coerce(types)
    if found is None:
        raise SignatureError(f"takes items of one type, not all of them NULL, but was given {sql_names(types)}")
    return array_of(found[0])


def _make(types: Types) -> Call:
    found = coerce(types)
    converts = [] if found is None else found[1]
    return lambda *values: [convert(value) for convert, value in zip(converts, values, strict=True)]


def _of(name: str, returns: Returns, call: Call, about: str, example: Example, forms: str, **more: Any) -> Any:
    return ScalarFunction(
        name,
        returns,
        call,
        more.pop("takes_nulls", False),
        more.pop("bind", None),
        forms=tuple(forms.split("; ")),
        about=about,
        example=example,
        **more,
    )


NULL_OF_BOTH = "Null when one of them is null. Nulls among the items are equal."

ARRAYS: tuple[ScalarFunction, ...] = (
    _of(
        "ARRAY",
        _made,
        lambda *values: list(values),
        "An array of the arguments; ksqlDB writes it ARRAY[...].",
        Example((1, None, 2.5), [1.0, None, 2.5]),
        "ANY...",
        edges="Numbers of several types are widened to one.",
        takes_nulls=True,
        bind=_make,
    ),
    _of(
        "ARRAY_CONCAT",
        _of_arrays(2),
        joined,
        "The items of the first array, then those of the second.",
        Example(([1, 2], [2, None]), [1, 2, 2, None]),
        "ARRAY, ARRAY",
        edges="When one is null, the result is the other.",
        takes_nulls=True,
    ),
    _of(
        "ARRAY_CONTAINS",
        _with_item(BOOLEAN),
        contains,
        "Whether the value is an item of the array.",
        Example(([1, 2, 3], 3), True),
        "ARRAY, ANY",
        edges="False when the array is null. Null is an item like others.",
        takes_nulls=True,
        bind=_widened(contains),
    ),
    _of(
        "ARRAY_DISTINCT",
        _of_arrays(1),
        distinct,
        "The items without repetitions, each where it is first.",
        Example((["apple", "apple", None, "cherry"],), ["apple", None, "cherry"]),
        "ARRAY",
    ),
    _of(
        "ARRAY_EXCEPT",
        _of_arrays(2),
        without,
        "The items of the first array that are not in the second, without repetitions.",
        Example(([1, 2, 3, 1, 2], [2, 3]), [1]),
        "ARRAY, ARRAY",
        edges=NULL_OF_BOTH,
    ),
    _of(
        "ARRAY_INTERSECT",
        _of_arrays(2),
        intersection,
        "The items that are in both arrays, without repetitions, in the first one's order.",
        Example(([1, 2, 3, 1, 2], [2, 1]), [1, 2]),
        "ARRAY, ARRAY",
        edges=NULL_OF_BOTH,
    ),
    _of(
        "ARRAY_UNION",
        _of_arrays(2),
        lambda left, right: distinct([*left, *right]),
        "The items that are in one of the arrays, without repetitions.",
        Example(([1, 2, 3, 1, 2], [4, 1]), [1, 2, 3, 4]),
        "ARRAY, ARRAY",
        edges=NULL_OF_BOTH,
    ),
    _of(
        "ARRAY_JOIN",
        _of_items(JOINABLE, 1, STRING),
        as_text,
        "The items as one text, with commas or another delimiter between them.",
        Example((["a", None, "c"], "-"), "a-null-c"),
        "ARRAY; ARRAY, STRING",
        edges="An item that is null is the text null; a delimiter that is null is empty.",
        takes_nulls=True,
    ),
    function(
        "ARRAY_LENGTH",
        {"ARRAY": INT},
        len,
        "The number of items.",
        Example(([1, None, 3],), 3),
    ),
    _of(
        "ARRAY_MAX",
        _of_items(SORTABLE, 0, item_of),
        chosen(max),
        "The greatest item.",
        Example(([-1, 2, None, 0],), 2),
        "ARRAY",
        edges="Nulls are left out; null when nothing is left. Capitals are before small letters.",
    ),
    _of(
        "ARRAY_MIN",
        _of_items(SORTABLE, 0, item_of),
        chosen(min),
        "The least item.",
        Example((["Foo", "Bar", None, "baz"],), "Bar"),
        "ARRAY",
        edges="Nulls are left out; null when nothing is left. Capitals are before small letters.",
    ),
    _of(
        "ARRAY_REMOVE",
        _with_item(None),
        removed,
        "The array without the items that equal the value.",
        Example(([1, 2, 3, 2, 1], 2), [1, 3, 1]),
        "ARRAY, ANY",
        edges="A value that is null removes nulls.",
        takes_nulls=True,
        bind=_widened(removed),
    ),
    _of(
        "ARRAY_SORT",
        _of_items(SORTABLE, 1, lambda array: array),
        in_order,
        "The items in order: ASC, or DESC.",
        Example(([-1, 2, None, 0], "DESC"), [2, 0, -1, None]),
        "ARRAY; ARRAY, STRING",
        edges="Nulls are at the end. Another word than ASC, ASCENDING, DESC and DESCENDING gives null.",
    ),
    function(
        "SLICE",
        {"ARRAY, INT, INT": lambda types: _of_arrays(1)(types[:1])},
        part,
        "The items from one position to another, both included. The first position is 1.",
        Example((["a", "b", "c", "d"], 2, 3), ["b", "c"]),
        edges="A position that is null is the end on its side. Null when a position is not in the array.",
        takes_nulls=True,
    ),
    function(
        "GENERATE_SERIES",
        {
            "INT, INT": array_of(INT),
            "BIGINT, BIGINT": array_of(LONG),
            "INT, INT, INT": array_of(INT),
            "BIGINT, BIGINT, INT": array_of(LONG),
        },
        series(64),
        "The whole numbers from one to another, both included, by a step: 1 or -1 unless given.",
        Example((1, 6, 2), [1, 3, 5]),
        edges="A step of 0, or one that leads away from the end, gives null.",
        differs=f"More than {MOST_ITEMS:,} items give null.",
        bind=_series_of,
    ),
)
