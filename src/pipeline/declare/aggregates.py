"""Aggregate functions as they are declared: of expressions, without names and types, which the aggregation gives them.

stream.group_by(c.region).aggregate(views=Count(), revenue=Sum(c.price * c.quantity), last=LatestByOffset(c.page))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.declare.expressions import Expression, expression
from pipeline.errors import SettingError
from pipeline.tables import functions as operators
from pipeline.tables.aggregate import Function
from pipeline.tables.types import ColumnType

Bind = Callable[[Sequence[str], str, Sequence[ColumnType]], Function]
"""(names of the input columns, name of the result, types of the inputs) -> the operator."""


@dataclass(frozen=True, slots=True)
class Aggregated:
    """One aggregate function of expressions; `bind` makes the operator."""

    name: str
    arguments: tuple[Expression, ...]
    bind: Bind

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments)) or '*'})"


def Count(value: Any = None) -> Aggregated:
    """COUNT(*): all rows of the group; COUNT(value): those that have a value."""
    if value is None:
        return Aggregated("COUNT", (), lambda inputs, output, kinds: operators.Count(output))
    return _of_one("COUNT", value, lambda column, output, kind: operators.CountValues(column, output))


def CountDistinct(value: Any, exact_up_to: int = operators.EXACT_UP_TO) -> Aggregated:
    """COUNT_DISTINCT(value): how many different values there are, exact up to a number, beyond it about."""
    return _of_one(
        "COUNT_DISTINCT", value, lambda column, output, kind: operators.CountDistinct(column, output, exact_up_to)
    )


def Sum(value: Any) -> Aggregated:
    """SUM(value): exact for whole numbers and decimals; the double nearest to the true sum for doubles."""

    def bind(column: str, output: str, kind: ColumnType) -> Function:
        if kind.family == "decimal":
            return operators.SumOfDecimals(column, output, kind.scale)
        whole = kind.family in ("int", "long")
        return operators.SumLong(column, output) if whole else operators.SumDouble(column, output)

    return _of_one("SUM", value, bind)


def SumDecimal(value: Any, scale: int = 2) -> Aggregated:
    """SUM(value) of decimals, or of whole numbers in 10**-scale such as cents, in two columns.

    `name` is a double in whole units; the exact long is `name`_cents when the scale is 2, else `name`_unscaled.
    """
    return _of_one("SUM", value, lambda column, output, kind: operators.SumDecimal(column, output, scale))


def Average(value: Any) -> Aggregated:
    """AVG(value): a double; null where there is no value."""
    return _of_one("AVG", value, lambda column, output, kind: operators.Average(column, output))


def Min(value: Any) -> Aggregated:
    """MIN(value): the smallest."""
    return _of_ordered("MIN", value, lambda column, output, kind: operators.Min(column, output, kind.avro))


def Max(value: Any) -> Aggregated:
    """MAX(value): the largest."""
    return _of_ordered("MAX", value, lambda column, output, kind: operators.Max(column, output, kind.avro))


def EarliestByOffset(value: Any, n: int | None = None, *, ignore_nulls: bool = True) -> Aggregated:
    """EARLIEST_BY_OFFSET(value [, n]): the first value that came, or the first n of them, first one first."""
    return _of_one(
        "EARLIEST_BY_OFFSET",
        value,
        lambda column, output, kind: operators.EarliestByOffset(column, output, kind.avro, n, ignore_nulls),
    )


def LatestByOffset(value: Any, n: int | None = None, *, ignore_nulls: bool = True) -> Aggregated:
    """LATEST_BY_OFFSET(value [, n]): the last value that came, or the last n of them, last one last."""
    return _of_one(
        "LATEST_BY_OFFSET",
        value,
        lambda column, output, kind: operators.LatestByOffset(column, output, kind.avro, n, ignore_nulls),
    )


def CollectList(value: Any, limit: int = operators.LIMIT) -> Aggregated:
    """COLLECT_LIST(value): all values, nulls too, up to `limit`."""
    return _of_one(
        "COLLECT_LIST", value, lambda column, output, kind: operators.CollectList(column, output, kind.avro, limit)
    )


def CollectSet(value: Any, limit: int = operators.LIMIT) -> Aggregated:
    """COLLECT_SET(value): the different values, null too, up to `limit`."""
    return _of_one(
        "COLLECT_SET", value, lambda column, output, kind: operators.CollectSet(column, output, kind.avro, limit)
    )


def Histogram(value: Any, limit: int = operators.LIMIT) -> Aggregated:
    """HISTOGRAM(value): {text: how often it came}, of up to `limit` texts."""
    return _of_one("HISTOGRAM", value, lambda column, output, kind: operators.Histogram(column, output, limit))


def SampleVariance(value: Any) -> Aggregated:
    """STDDEV_SAMP(value), which in ksqlDB is the variance of the sample, without a root."""
    return _of_one("STDDEV_SAMP", value, lambda column, output, kind: operators.SampleVariance(column, output))


def StandardDeviation(value: Any) -> Aggregated:
    """STDDEV_SAMPLE(value): the standard deviation of the sample."""
    return _of_one("STDDEV_SAMPLE", value, lambda column, output, kind: operators.StandardDeviation(column, output))


def Correlation(x: Any, y: Any) -> Aggregated:
    """CORRELATION(x, y): Pearson's coefficient of the pairs in which both have a value."""
    return Aggregated(
        "CORRELATION",
        (expression(x), expression(y)),
        lambda inputs, output, kinds: operators.Correlation(inputs[0], inputs[1], output),
    )


def TopK(value: Any, k: int, **further: Any) -> Aggregated:
    """TOPK(value, k): the k largest values, largest first; with further columns, records of them and the value."""
    _require_k("TOPK", k)
    if not further:
        return _of_ordered("TOPK", value, lambda column, output, kind: operators.TopK(column, output, kind.avro, k))

    def bind(inputs: Sequence[str], output: str, kinds: Sequence[ColumnType]) -> Function:
        _require_ordered("TOPK", inputs[0], kinds[0])
        columns = tuple((name, kind.avro) for name, kind in zip(inputs[1:], kinds[1:], strict=True))
        return operators.TopKRows(inputs[0], output, kinds[0].avro, k, columns)

    return Aggregated("TOPK", (expression(value), *map(expression, further.values())), bind)


def TopKDistinct(value: Any, k: int) -> Aggregated:
    """TOPKDISTINCT(value, k): the k largest different values, largest first."""
    _require_k("TOPKDISTINCT", k)
    return _of_ordered(
        "TOPKDISTINCT", value, lambda column, output, kind: operators.TopKDistinct(column, output, kind.avro, k)
    )


def _of_one(name: str, value: Any, make: Callable[[str, str, ColumnType], Function]) -> Aggregated:
    return Aggregated(name, (expression(value),), lambda inputs, output, kinds: make(inputs[0], output, kinds[0]))


def _of_ordered(name: str, value: Any, make: Callable[[str, str, ColumnType], Function]) -> Aggregated:
    """A function that compares values."""

    def bind(column: str, output: str, kind: ColumnType) -> Function:
        _require_ordered(name, column, kind)
        return make(column, output, kind)

    return _of_one(name, value, bind)


def _require_ordered(name: str, column: str, kind: ColumnType) -> None:
    if not kind.is_scalar:
        raise SettingError(
            f"{name} is of column {column}, which is of type {kind.name}, but must be of a scalar: it compares values"
        )


def _require_k(name: str, k: int) -> None:
    if k < 1:
        raise SettingError(f"{name}: k is {k}, but must be at least 1")
