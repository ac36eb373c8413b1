"""How records of a writer's schema become records of the reader's: the application sees the reader's types only.

Avro's rules of schema resolution hold (missing fields take their default, numbers are widened, strings and bytes are
exchanged), and besides: a record may have another name; a field is also found by the reader's aliases and, where
exactly one fits, without regard to case, as ksqlDB writes them; an enum is read as a string. A logical type that only
the writer has is ignored: the plain value is read. One that only the reader has is applied to the plain value. Where
both have one they must mean the same, or be converted without loss of meaning: decimals of any scale, dates and times
of any unit. Names are free to differ since Avro's binary form does not hold them.

fastavro does the reading. What it would refuse or read as the writer's type is prepared here: both schemas are made
to fit each other, and what is left to do is a function from the record that was read to the reader's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.avro_schemas import LOGICAL, Expansion, UnreadableSchema, logical
from pipeline.avro_values import UNITS, Convert, default_value, each, each_value, on_record, to_time, unless_null

WIDER = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """Two schemas that fastavro can read with, and what is done with each record that it has read.

    `reader` is None where the writer's is read as it is; `convert` is None where nothing is left to do.
    """

    writer: dict[str, Any]
    reader: dict[str, Any] | None
    convert: Convert | None


def resolve(writer: Any, reader: Mapping[str, Any], referenced: Iterable[Any] = ()) -> Resolved:
    """How records of `writer` are read as those of `reader`, both plain JSON.

    `referenced` are schemas that define names which the writer uses. Raises UnreadableSchema.
    """
    try:
        ours = Expansion([]).whole(reader)
        theirs = Expansion(referenced).whole(writer)
    except RecursionError:
        raise UnreadableSchema("it is nested too deeply") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableSchema(f"it is no Avro schema: {type(error).__name__}: {error}") from None
    if not isinstance(theirs, dict) or theirs["type"] not in ("record", "error"):
        raise UnreadableSchema(f"it is {_name(theirs)}, not a record")
    if _plain(theirs) == _plain(ours):
        return Resolved(dict(reader), None, None)
    return Resolved(*_match(theirs, ours, _Names()))


def _plain(schema: Any) -> Any:
    """What of an expanded schema decides how bytes become values: without names of types, aliases, defaults."""
    if isinstance(schema, list):
        return [_plain(branch) for branch in schema]
    if schema["type"] == "record":
        return "record", [(field["name"], _plain(field["type"])) for field in schema["fields"]]
    kept = {k: v for k, v in schema.items() if k not in ("name", "default", "items", "values")}
    return kept, _plain(schema.get("items", schema.get("values", []))) if schema["type"] in ("array", "map") else None


class _Names:
    """Names for pairs of types that are read into each other: fastavro wants them to be the same."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """One that was not given yet."""
        self._count += 1
        return f"pipeline_type_{self._count}"


Matched = tuple[Any, Any, Convert | None]


def _match(writer: Any, reader: Any, names: _Names) -> Matched:
    """Two expanded schemas made to fit each other, and the conversion; raises UnreadableSchema."""
    if isinstance(writer, list) or isinstance(reader, list):
        return _match_unions(writer, reader, names)
    kind, wanted = writer["type"], reader["type"]
    if kind == wanted == "record":
        return _match_records(writer, reader, names)
    if kind == wanted == "array":
        item, into, convert = _match(writer["items"], reader["items"], names)
        return {"type": "array", "items": item}, {"type": "array", "items": into}, each(convert)
    if kind == wanted == "map":
        item, into, convert = _match(writer["values"], reader["values"], names)
        return {"type": "map", "values": item}, {"type": "map", "values": into}, each_value(convert)
    if kind == "enum" and wanted in ("enum", "string") and "logicalType" not in reader:
        named = {**writer, "name": names.next()}
        return named, {**reader, "name": named["name"]} if wanted == "enum" else named, None
    return _match_values(writer, reader, names)


def _match_unions(writer: Any, reader: Any, names: _Names) -> Matched:
    """Each of the writer's branches with the first of the reader's that takes it; the others are bad records."""
    theirs = writer if isinstance(writer, list) else [writer]
    ours = reader if isinstance(reader, list) else [reader]
    written, read, converts, refused = [], [], [], []
    for branch in theirs:
        for wanted in ours:
            try:
                one, into, convert = _match(branch, wanted, names)
            except UnreadableSchema as error:
                refused.append(error)
                continue
            written.append(one)
            read.append(into)
            if branch != {"type": "null"}:
                converts.append(convert)
            break
        else:
            written.append(_renamed(branch, names))
    if not read:
        raise refused[0] if len(refused) == 1 else UnreadableSchema(f"{_name(writer)} is not {_name(reader)}")
    if any(convert is not converts[0] for convert in converts):
        raise UnreadableSchema(f"values of {_name(writer)} cannot be told apart")
    convert = unless_null(converts[0]) if converts else None
    return (written if isinstance(writer, list) else written[0]), read, convert


def _match_records(writer: dict[str, Any], reader: dict[str, Any], names: _Names) -> Matched:
    """Fields by name, alias, or name without regard to case; what the writer lacks takes its default."""
    name = names.next()
    partners = _partners(writer["fields"], reader["fields"])
    written, read, converts = [], {}, {}
    for place, field in enumerate(writer["fields"]):
        ours = partners.get(field["name"])
        if ours is None:
            written.append({"name": f"pipeline_left_out_{place}", "type": _renamed(field["type"], names)})
            continue
        try:
            one, into, convert = _match(field["type"], ours["type"], names)
        except UnreadableSchema as error:
            raise UnreadableSchema(f"field {field['name']}: {error}") from None
        written.append({"name": ours["name"], "type": one})
        read[ours["name"]] = {"name": ours["name"], "type": into}
        if convert is not None:
            converts[ours["name"]] = convert
    missing = [field for field in reader["fields"] if field["name"] not in read]
    for field in missing:
        if "default" not in field:
            raise UnreadableSchema(f"it has no field {field['name']}, which has no default either")
    defaults = {field["name"]: default_value(field["type"], field["default"]) for field in missing}
    fields = [read[field["name"]] for field in reader["fields"] if field["name"] in read]
    return (
        {"type": "record", "name": name, "fields": written},
        {"type": "record", "name": name, "fields": fields},
        on_record(converts, defaults),
    )


def _partners(theirs: Sequence[Mapping[str, Any]], ours: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{the writer's field: the reader's field that takes it}, each at most once."""
    names = [field["name"] for field in theirs]
    found: dict[str, dict[str, Any]] = {}
    left = []
    for field in ours:
        candidates = (field["name"], *field.get("aliases", ()))
        known = next((name for name in candidates if name in names and name not in found), None)
        if known is None:
            left.append(field)
        else:
            found[known] = field
    for field in left:
        folded = field["name"].casefold()
        alike = [name for name in names if name not in found and name.casefold() == folded]
        if len(alike) == 1:
            found[alike[0]] = field
    return found


def _match_values(writer: dict[str, Any], reader: dict[str, Any], names: _Names) -> Matched:
    """Primitive and fixed types, with what their logical types mean."""
    kind, wanted = writer["type"], reader["type"]
    theirs, ours = writer.get("logicalType"), reader.get("logicalType")
    if ours in UNITS and kind in ("int", "long"):
        if theirs == ours and kind == wanted:
            return writer, reader, None
        if theirs is None or theirs in UNITS:
            return {"type": kind}, {"type": kind}, to_time(UNITS[theirs or ours], ours)
    if ours == "decimal" and kind in ("bytes", "fixed") and theirs in ("decimal", None):
        meant = writer if theirs else {**writer, **logical(reader)}
        both = {**meant, "name": names.next()} if kind == "fixed" else meant
        return both, both, None
    if ours is not None and theirs not in (ours, None):
        raise UnreadableSchema(f"{_name(writer)} is not {_name(reader)}")
    bare = {k: v for k, v in writer.items() if k in ("type", "size")}
    if kind == "fixed":
        bare["name"] = names.next()
        if wanted != "fixed" or reader["size"] != writer["size"]:
            raise UnreadableSchema(f"{_name(writer)} is not {_name(reader)}")
        both = {**bare, **logical(reader)}
        return both, both, None
    if kind == wanted:
        both = {**bare, **logical(reader)}
        return both, both, None
    if wanted in WIDER.get(kind, ()) and ours is None:
        return bare, {"type": wanted}, None
    raise UnreadableSchema(f"{_name(writer)} is not {_name(reader)}")


def _renamed(schema: Any, names: _Names) -> Any:
    """A writer's type that nobody reads, under names of which none is given twice."""
    if isinstance(schema, list):
        return [_renamed(branch, names) for branch in schema]
    if schema["type"] == "record":
        fields = [{"name": field["name"], "type": _renamed(field["type"], names)} for field in schema["fields"]]
        return {"type": "record", "name": names.next(), "fields": fields}
    if schema["type"] in ("array", "map"):
        part = "items" if schema["type"] == "array" else "values"
        return {"type": schema["type"], part: _renamed(schema[part], names)}
    bare = {k: v for k, v in schema.items() if k not in LOGICAL}
    return {**bare, "name": names.next()} if "name" in bare else bare


def _name(schema: Any) -> str:
    """A type as a sentence names it."""
    if isinstance(schema, list):
        return f"a union of {', '.join(_name(branch) for branch in schema)}"
    meaning = schema.get("logicalType")
    return f"{schema['type']}{f' ({meaning})' if meaning else ''}"
