"""`pipeline peek`: any bytes are shown, the records that are wanted are found, and nothing is read without end."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import pytest
from aiokafka import TopicPartition
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.codecs import HEADER, MAGIC
from pipeline.errors import RegistryError, SettingError
from pipeline.formats.proto_wire import lengthened, varint
from pipeline.peek import scan
from pipeline.peek.decode import AnyDecoder, Shown, plain
from pipeline.peek.facts import differences
from pipeline.peek.scan import Budget, Peek, Seen, Wanted, start_time
from pipeline.peek_view import Lines
from pipeline.registry import AVRO, JSON, PROTOBUF, Registered, Version
from pipeline.settings import load

ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
PERSON = {
    "type": "record",
    "name": "Person",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "photo", "type": "bytes"},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}},
        {"name": "home", "type": ["null", "Address"]},
    ],
}
ENDLESS = {"type": "record", "name": "Bomb", "fields": [{"name": "x", "type": {"type": "array", "items": "null"}}]}
PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Order {
  string id = 1; repeated int32 sizes = 2; map<string, int64> stock = 3; Kind kind = 4; Line line = 5;
  google.protobuf.Timestamp at = 6;
  enum Kind { NONE = 0; BIG = 1; }
  message Line { double price = 1; bytes raw = 2; }
}
"""
SCHEMAS = {
    1: Registered(json.dumps(PERSON), AVRO, (json.dumps(ADDRESS),)),
    2: Registered("{}", JSON),
    3: Registered(PROTO, PROTOBUF),
    4: Registered(json.dumps(ENDLESS), AVRO),
    5: Registered('"nonsense"', AVRO),
    6: Registered('"string"', AVRO),
}


class FakeRegistry:
    """A registry with these schemas; it counts the questions."""

    def __init__(self, *, away: bool = False) -> None:
        self.asked: list[int] = []
        self._away = away

    async def by_id(self, number: int) -> Registered | None:
        self.asked.append(number)
        if self._away:
            raise RegistryError("registry at http://here: cannot be reached")
        return SCHEMAS.get(number)


def framed(number: int, payload: bytes) -> bytes:
    return HEADER.pack(MAGIC, number) + payload


async def decoded(value: bytes | None, registry: FakeRegistry | None = None) -> Shown:
    decode = AnyDecoder(registry or FakeRegistry())  # type: ignore[arg-type]
    await decode.prepare([value])
    return decode(value)


async def test_avro_with_references_bytes_and_dates() -> None:
    named: dict[str, Any] = {}
    fastavro.parse_schema(ADDRESS, named_schemas=named)
    out = BytesIO()
    person = {"id": 7, "photo": b"\0\1", "born": 1, "home": {"city": "Ulm"}}
    fastavro.schemaless_writer(out, fastavro.parse_schema(PERSON, named_schemas=named), person)
    shown = await decoded(framed(1, out.getvalue()))
    assert shown == Shown("avro 1", {"id": 7, "photo": "AAE=", "born": "1970-01-02", "home": {"city": "Ulm"}})
    damaged = await decoded(framed(1, out.getvalue() + b"x"))
    assert damaged.form == "bytes"
    assert damaged.note.startswith("it is not of schema id 1: ValueError: 1 bytes are left over")


async def test_json_and_protobuf_by_their_schemas() -> None:
    assert await decoded(framed(2, b'{"a": [1]}')) == Shown("json 2", {"a": [1]})
    line = b"\x09" + b"\0\0\0\0\0\0\x04\x40" + lengthened(2, b"\xff")
    entry = lengthened(1, b"left") + varint(2 << 3) + varint(5)
    order = (
        lengthened(1, b"o-1")
        + lengthened(2, varint(3) + varint(4))
        + lengthened(3, entry)
        + varint(4 << 3)
        + varint(1)
        + lengthened(5, line)
        + lengthened(6, varint(1 << 3) + varint(60))
        + lengthened(99, b"from the future")
    )
    assert await decoded(framed(3, b"\0" + order)) == Shown(
        "protobuf 3",
        {
            "id": "o-1",
            "sizes": [3, 4],
            "stock": {"left": 5},
            "kind": "BIG",
            "line": {"price": 2.5, "raw": "/w=="},
            "at": {"seconds": 60},
        },
    )


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (4, "schema id 4 cannot be used: UnreadableSchema: it has an array of values that take no bytes"),
        (5, "schema id 5 cannot be used: "),
        (77, "the registry has no schema id 77"),
        (1 << 31, "there are no such ids"),
    ],
)
async def test_what_cannot_be_decoded_is_bytes_with_the_reason(number: int, reason: str) -> None:
    shown = await decoded(framed(number, b"\xff" * 5))
    assert (shown.form, shown.note[: len(reason)]) == ("bytes", reason)


async def test_a_registry_that_is_away_is_a_note() -> None:
    shown = await decoded(framed(1, b"\xff" * 5), FakeRegistry(away=True))
    assert (shown.form, shown.note) == ("bytes", "registry at http://here: cannot be reached")


async def test_the_registry_is_asked_once_an_id() -> None:
    registry = FakeRegistry()
    decode = AnyDecoder(registry)  # type: ignore[arg-type]
    for _ in range(3):
        await decode.prepare([framed(6, b"\x02a"), framed(77, b""), b"plain", None])
    assert registry.asked == [6, 77]
    assert decode(framed(6, b"\x02a")) == Shown("avro 6", "a")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, Shown("null", None)),
        (b"", Shown("text", "")),
        (b"User_1", Shown("text", "User_1")),
        ("Zürich\t".encode(), Shown("text", "Zürich\t")),
        (b'{"a": 1}', Shown("json", {"a": 1})),
        (b"[" * 100_000, Shown("text", "[" * 100_000)),
        (b"{no json", Shown("text", "{no json")),
        (b"\0\0\0\5", Shown("int", 5)),
        (b"\xff" * 8, Shown("bigint", -1)),
        (b"\x1b[2J", Shown("int", 458961482)),
        (b"\xff\xfe\0", Shown("bytes", "//4A")),
    ],
)
def test_bytes_without_a_schema(value: bytes | None, shown: Shown) -> None:
    assert plain(value) == shown


@given(st.binary(max_size=40), st.sampled_from([None, *SCHEMAS]))
async def test_no_bytes_are_an_error(payload: bytes, number: int | None) -> None:
    shown = await decoded(payload if number is None else framed(number, payload))
    json.dumps(shown.value, allow_nan=False)
    assert isinstance(shown.text, str)


@dataclass
class Record:
    """As aiokafka gives them."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Log:
    """Partitions of a topic in place of a cluster's; every third offset is the end marker of a transaction."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]) -> None:
        self.bounds = {TopicPartition("t", p): (10, 10 + size) for p, size in enumerate(sizes)}
        self.read = 0
        self.records = {
            tp: [
                Record("t", tp.partition, n, 1_000 * n + tp.partition, f"k{n % 7}".encode(), f"value {n}".encode())
                for n in range(begin, end)
                if n % 3
            ]
            for tp, (begin, end) in self.bounds.items()
        }
        monkeypatch.setattr(scan, "offsets", self._offsets)
        monkeypatch.setattr(scan, "read_between", self._read_between)
        monkeypatch.setattr(scan, "Registry", lambda settings: FakeRegistry())

    async def _offsets(self, *_: Any, **__: Any) -> dict[TopicPartition, tuple[int, int]]:
        return self.bounds

    async def _read_between(
        self, _: Any, part: Mapping[TopicPartition, tuple[int, int]], **__: Any
    ) -> AsyncIterator[list[Record]]:
        for tp, (start, end) in part.items():
            records = [record for record in self.records[tp] if start <= record.offset < end]
            self.read += len(records)
            for first in range(0, len(records), 50):
                yield records[first : first + 50]

    def peek(self, wanted: Wanted | None = None, most: int = 100_000) -> Peek:
        return Peek(load(), "t", wanted or Wanted(), Budget(most))

    def expected(self, wanted: Wanted | None = None) -> list[tuple[int, int]]:
        """(partition, offset) of all records that are wanted, by time."""
        kept = [
            r
            for tp, records in self.records.items()
            for r in records
            if wanted is None
            or (wanted.takes(_seen(r)) and (not wanted.partitions or tp.partition in wanted.partitions))
        ]
        return [(r.partition, r.offset) for r in sorted(kept, key=lambda r: (r.timestamp, r.partition))]


def _seen(record: Record) -> Seen:
    return Seen("t", record.partition, record.offset, record.timestamp, plain(record.key), plain(record.value))


def places(records: list[Seen]) -> list[tuple[int, int]]:
    return [(seen.partition, seen.offset) for seen in records]


async def test_the_newest_are_found_although_markers_lie_between(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, (40_000, 5, 0, 40_000))
    found = await log.peek().newest(log.bounds, 20)
    assert places(found.records) == log.expected()[-20:]
    assert log.read < 200
    only = log.peek(Wanted(partitions={1}))
    everything = await only.newest(await only.bounds(), 20)
    assert places(everything.records) == [(1, 10), (1, 11), (1, 13), (1, 14)]
    assert not everything.is_cut


async def test_a_key_is_looked_for_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    log, wanted = Log(monkeypatch, (3_000, 3_000)), Wanted(key="k3")
    found = await log.peek(wanted).newest(log.bounds, 500)
    assert places(found.records) == log.expected(wanted)[-500:]
    text = Wanted(text="VALUE 12")
    assert places((await log.peek(text).newest(log.bounds, 10)).records) == log.expected(text)[-10:]
    nothing = await log.peek(Wanted(key="none"), most=1_000).newest(log.bounds, 10)
    assert (nothing.records, nothing.is_cut) == ([], True)
    assert nothing.looked_at < 4_000


async def test_bytes_and_seconds_end_a_look_and_no_newer_record_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, (40_000, 40_000))
    for budget in (Budget(bytes=5_000), Budget(bytes=100), Budget(seconds=0.0)):
        found = await Peek(load(), "t", Wanted(text="no such"), budget).newest(log.bounds, 20)
        assert (found.records, found.is_cut) == ([], True)
        assert found.looked_at < 600
    some = await Peek(load(), "t", Wanted(), Budget(bytes=400)).newest(log.bounds, 200)
    assert some.is_cut and 0 < len(some.records) < 100
    assert places(some.records) == log.expected()[-len(some.records) :]
    enough = await Peek(load(), "t", Wanted(), Budget(bytes=1_000_000)).newest(log.bounds, 20)
    assert places(enough.records) == log.expected()[-20:]
    forwards = Peek(load(), "t", Wanted(partitions={0}), Budget(bytes=2_000))
    begin = {tp: first for tp, (first, _) in log.bounds.items() if tp.partition == 0}
    first = await forwards.onwards(await forwards.bounds(), begin, 10_000)
    assert first.is_cut
    expected = [place for place in log.expected() if place[0] == 0]
    assert places(first.records) == expected[: len(first.records)] and len(first.records) > 50


async def test_the_first_from_a_place_on(monkeypatch: pytest.MonkeyPatch) -> None:
    log, tp = Log(monkeypatch, (3_000, 3_000)), TopicPartition("t", 1)
    only = log.peek(Wanted(partitions={1}))
    found = await only.onwards(await only.bounds(), {tp: 2_000}, 5)
    assert places(found.records) == [(1, 2000), (1, 2002), (1, 2003), (1, 2005), (1, 2006)]
    rare = Wanted(text="value 2999")
    assert places((await log.peek(rare).onwards(log.bounds, dict.fromkeys(log.bounds, 10), 3)).records) == [
        (0, 2999),
        (1, 2999),
    ]


async def test_a_partition_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, (5, 5))
    with pytest.raises(SettingError, match="topic t has no partition 2, but 2, from 0"):
        await log.peek(Wanted(partitions={0, 2})).bounds()


def test_times_as_people_write_them() -> None:
    assert start_time("5m", 600_000) == 300_000
    assert start_time("1d", 86_400_000) == 0
    assert start_time("1970-01-02", 0) == 86_400_000
    assert start_time("1970-01-01T02:00:00+01:00", 0) == 3_600_000
    assert start_time("1795844817364", 0) == 1_795_844_817_364
    for wrong in ("yesterday", "5", "m", "-5m", "2026-13-01"):
        with pytest.raises(SettingError, match="but must be like 5m"):
            start_time(wrong, 0)


def test_a_line_acts_on_no_terminal_and_long_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    key, long, header = Shown("text", "a\x1b[2Jb\u202e"), Shown("text", "x" * 5_000), ("h\n", Shown("int", 5))
    seen = Seen("t", 3, 7, 1_500, key, long, (header,))
    Lines(sys.stdout).record(seen)
    line = capsys.readouterr().out
    assert line.startswith("1970-01-01 00:00:01.500  3/7  a\\x1b[2Jb\\u202e  xxx")
    assert line.endswith("x... (5,000 characters)  h\\x0a=5\n")
    Lines(sys.stdout, as_json=True).record(seen)
    assert json.loads(capsys.readouterr().out)["value"] == "x" * 5_000


def test_what_a_version_changed() -> None:
    old, new = ({**ADDRESS, "fields": [{"name": name, "type": "string"}]} for name in ("city", "town"))
    lines = differences(*(Version(n, n, Registered(json.dumps(given), AVRO)) for n, given in ((1, old), (2, new))))
    assert [line.replace(" ", "") for line in lines if line[0] in "+-"] == ['-"name":"city",', '+"name":"town",']


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["t", "--offset", "5"], "--offset needs one --partition"),
        (["t", "--offset", "5", "-p", "1", "-p", "2"], "--offset needs one --partition"),
        (["t", "--offset", "5", "-p", "1", "--from", "5m"], "both say where to begin"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(main, ["peek", *arguments])
    assert (done.exit_code, sentence in done.output) == (1, True), done.output
