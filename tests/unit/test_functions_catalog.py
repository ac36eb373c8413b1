"""The registry: names and the sentences for what is none, no function without cases, the page and its examples."""

import io
import runpy
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
import test_functions_json_urls
import test_functions_nested
import test_functions_numbers
import test_functions_text
import test_functions_times
from scalar_cases import Case, run, types_of

from pipeline.functions import FUNCTIONS, REFUSED, EvaluationError, SignatureError, find, parse_type
from pipeline.functions.kinds import fields_of, item_of, kind, value_of
from pipeline.tables.types import ColumnType

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "functions.md").read_text("utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "document-functions"))
CASES: dict[str, list[Case]] = {
    **test_functions_text.CASES,
    **test_functions_numbers.CASES,
    **test_functions_times.CASES,
    **test_functions_nested.CASES,
    **test_functions_json_urls.CASES,
}
KIND_OF = {
    "STRING": str,
    "INT": int,
    "BIGINT": int,
    "DOUBLE": float,
    "DECIMAL": Decimal,
    "BOOLEAN": bool,
    "BYTES": bytes,
    "DATE": date,
    "TIME": time,
    "TIMESTAMP": datetime,
    "ARRAY": list,
    "MAP": dict,
    "STRUCT": dict,
}


def test_names_in_letters_of_either_case() -> None:
    assert find("substring") is find("SubString") is FUNCTIONS["SUBSTRING"]
    assert all(name == of.name == name.upper() for name, of in FUNCTIONS.items())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SUBSTR", "is no function, but SUBSTRING is"),
        ("XQZ", "is no function"),
        ("UCASES", "is no function, but UCASE and LCASE are"),
    ],
)
def test_an_unknown_name_has_the_nearest_in_its_sentence(name: str, sentence: str) -> None:
    with pytest.raises(SignatureError) as caught:
        find(name)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_functions_say_why(name: str) -> None:
    with pytest.raises(SignatureError, match=r"^is refused: "):
        find(name.lower())
    assert name not in FUNCTIONS


@pytest.mark.parametrize("name", ["UUID", "UNIX_DATE", "UNIX_TIMESTAMP"])
def test_without_argument_they_would_not_be_repeatable(name: str) -> None:
    with pytest.raises(SignatureError, match=r"so a replay would not give the same$"):
        find(name).returns([])
    with pytest.raises(SignatureError, match="but was given"):
        find(name).returns([parse_type("BOOLEAN")])


def test_no_function_is_without_a_plain_case_a_null_and_an_edge() -> None:
    assert CASES.keys() == FUNCTIONS.keys()
    for name, cases in CASES.items():
        assert len(cases) >= 3, name
        assert name in ("PI", "ARRAY", "MAP") or any(None in case[0] for case in cases), name
        assert any(case[1] not in (None, EvaluationError) for case in cases), name


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_example_of_the_page(name: str) -> None:
    example = FUNCTIONS[name].example
    run(name, example.arguments, example.result, example.types)
    assert f"### {name}\n" in PAGE


def test_the_page_is_up_to_date() -> None:
    assert SCRIPT["page"](PAGE) == PAGE, "run scripts/document-functions"
    assert f"{len(FUNCTIONS)} of them" in PAGE


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_result_is_of_the_type_that_was_told_and_avro_can_write_it(name: str) -> None:
    function = FUNCTIONS[name]
    for arguments, result, *names in CASES[name]:
        types = types_of(arguments, names[0] if names else None)
        told = function.returns(types)
        if result is EvaluationError:
            continue
        found = function.evaluator(types)(*arguments)
        assert is_of(found, told), (name, arguments, found)
        schema = fastavro.parse_schema(["null", told.avro])
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, found)
        written.seek(0)
        again = fastavro.schemaless_reader(written, schema, None)
        assert repr(again) == repr(found)


def is_of(value: Any, told: ColumnType) -> bool:
    """Whether a value, or what is in it, is of the Python type of its column type."""
    name = kind(told)
    if value is None:
        return True
    if type(value) is not KIND_OF[name]:
        return False
    match name:
        case "ARRAY":
            return all(is_of(item, item_of(told)) for item in value)
        case "MAP":
            return all(is_of(of, value_of(told)) for of in value.values())
        case "STRUCT":
            fields = fields_of(told)
            return value.keys() == fields.keys() and all(is_of(of, fields[key]) for key, of in value.items())
    return name != "TIMESTAMP" or value.tzinfo is UTC


@pytest.mark.parametrize("name", [name for name, of in FUNCTIONS.items() if not of.takes_nulls])
def test_a_null_among_the_arguments_gives_null_without_a_call(name: str) -> None:
    function = FUNCTIONS[name]
    example = function.example
    types = types_of(example.arguments, example.types)
    for at in range(len(example.arguments)):
        arguments = list(example.arguments)
        arguments[at] = None
        assert function.evaluator(types)(*arguments) is None


@pytest.mark.parametrize("name", [name for name, of in FUNCTIONS.items() if any(of.forms) and "ANY" not in of.forms[0]])
def test_what_a_function_does_not_take_is_refused(name: str) -> None:
    struct = parse_type("STRUCT<A INT>")
    for types in ([struct], [struct] * 9):
        with pytest.raises(SignatureError, match=r"^takes .+, but was given \(STRUCT<A INT>"):
            FUNCTIONS[name].returns(types)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_null_literals_alone_are_never_an_error_of_the_program(name: str) -> None:
    """Types that are not known may be refused, but only in words."""
    for count in range(6):
        try:
            call = FUNCTIONS[name].evaluator([None] * count)
        except SignatureError as error:
            assert str(error).startswith("takes ")
        else:
            try:
                call(*[None] * count)
            except EvaluationError as error:
                assert str(error)
