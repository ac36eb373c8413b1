"""The scalar functions of ksqlDB, its casts and its operators, on Python values: pure, without I/O and without a clock.

`find` gives a function by its name. What ksqlDB does at run time for a bad value, to log it and go on with null, is an
`EvaluationError` here; whoever calls decides. docs/functions.md is made of this package.
"""

from pipeline.functions.base import EvaluationError, Example, ScalarFunction, SignatureError, Types
from pipeline.functions.casts import cast, coerce
from pipeline.functions.catalog import FUNCTIONS, REFUSED, find
from pipeline.functions.kinds import (
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    TIME_MILLIS,
    TIMESTAMP_MILLIS,
    array_of,
    common,
    decimal,
    fields_of,
    item_of,
    kind,
    kind_of_value,
    map_of,
    record_of,
    sql_name,
    value_of,
)
from pipeline.functions.operators import arithmetic, comparable, negation, unchanged
from pipeline.functions.type_names import parse_type

__all__ = [
    "BOOLEAN",
    "BYTES",
    "DATE",
    "DOUBLE",
    "FUNCTIONS",
    "INT",
    "LONG",
    "REFUSED",
    "STRING",
    "TIMESTAMP_MILLIS",
    "TIME_MILLIS",
    "EvaluationError",
    "Example",
    "ScalarFunction",
    "SignatureError",
    "Types",
    "arithmetic",
    "array_of",
    "cast",
    "coerce",
    "common",
    "comparable",
    "decimal",
    "fields_of",
    "find",
    "item_of",
    "kind",
    "kind_of_value",
    "map_of",
    "negation",
    "parse_type",
    "record_of",
    "sql_name",
    "unchanged",
    "value_of",
]
