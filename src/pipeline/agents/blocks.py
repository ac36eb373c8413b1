"""Rows on their way through the steps of an agent: columns, each made when it is first asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import compress, groupby
from typing import Any

from pipeline.codecs import Record
from pipeline.declare.compiled import Compiled
from pipeline.declare.steps import ROWOFFSET, ROWPARTITION, ROWTIME
from pipeline.records import RecordBatch

Make = Callable[[], Sequence[Any]]
NOTHING: Mapping[str, Make] = {}
EXPLODED_BITS = 20
"""Of a record, as many as 2**20 rows may be made: a row's place among them is kept below its record's offset."""


class Cell:
    """A column that is made when it is first asked for, once for all blocks that have it."""

    __slots__ = ("_make", "_values")

    def __init__(self, make: Make | None, values: Sequence[Any] = ()) -> None:
        self._make = make
        self._values = values

    def values(self) -> Sequence[Any]:
        """The column."""
        if self._make is not None:
            self._values, self._make = self._make(), None
        return self._values


class Block:
    """Rows of one partition, as columns of equal length.

    `places` are those of the records in the batch that they come from, and never fall; several rows may come from one.
    `origins` says for each which source record it comes from, as (partition, offset). `errors` collects (place,
    reason) of what had no value, for all blocks that are made of this one. `is_exploded` says that several rows may
    come from one record of the batch, `is_numbered` that the offsets of the origins have a number below them.
    """

    __slots__ = (
        "_cells",
        "_keys",
        "_origins",
        "_record_times_ms",
        "_texts",
        "batch",
        "errors",
        "is_exploded",
        "is_numbered",
        "places",
        "times_ms",
    )

    def __init__(
        self,
        batch: RecordBatch,
        places: Sequence[int],
        times_ms: Sequence[int],
        cells: dict[str, Cell],
        errors: dict[tuple[int, str], None],
        origins: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.batch = batch
        self.places = places
        self.times_ms = times_ms
        self.errors = errors
        self.is_exploded = self.is_numbered = False
        self._cells = cells
        self._origins = origins
        self._keys: Sequence[bytes | None] | None = None
        self._record_times_ms: Sequence[int] | None = None
        self._texts: Sequence[str | None] | None = None

    @classmethod
    def of_records(
        cls,
        batch: RecordBatch,
        places: Sequence[int],
        times_ms: Sequence[int],
        records: Sequence[Record],
        names: Sequence[str],
        origins: Sequence[tuple[int, int]] | None = None,
    ) -> "Block":
        """The rows of decoded records."""
        cells = {name: Cell(_field(records, name)) for name in names}
        return cls(batch, places, times_ms, cells, {}, origins)

    @classmethod
    def of_columns(
        cls, batch: RecordBatch, places: Sequence[int], times_ms: Sequence[int], columns: Mapping[str, Sequence[Any]]
    ) -> "Block":
        """The rows of columns that are there."""
        return cls(batch, places, times_ms, {name: Cell(None, values) for name, values in columns.items()}, {})

    def __len__(self) -> int:
        return len(self.places)

    def column(self, name: str) -> Sequence[Any]:
        """One column, or one field of a column that is a record: "column.field"."""
        return self._cell(name).values()

    def _cell(self, name: str) -> Cell:
        cell = self._cells.get(name)
        if cell is None:
            cell = self._cells[name] = Cell(partial(self._made, name))
        return cell

    def _made(self, name: str) -> Sequence[Any]:
        match name:
            case _ if "." in name:
                column, _, field = name.partition(".")
                return [None if record is None else record[field] for record in self.column(column)]
            case "ROWTIME":
                return self.times_ms
            case "ROWPARTITION" if self._origins is None:
                return [self.batch.partition] * len(self)
            case "ROWPARTITION":
                return [partition for partition, _ in self.origins]
            case "ROWOFFSET" if self._origins is None:
                return [self.batch.offsets[place] for place in self.places]
        assert name == ROWOFFSET, f"{name} is no column, and none of {ROWTIME}, {ROWPARTITION}, {ROWOFFSET}"
        bits = EXPLODED_BITS if self.is_numbered else 0
        return [offset >> bits for _, offset in self.origins]

    def value(self, given: Compiled) -> Sequence[Any]:
        """The values of an expression; null where an error leaves none, which is noted."""
        values, errors = given.column(self.column, len(self))
        for row, reason in errors.items():
            self.errors[self.places[row], reason] = None
        return values

    @property
    def origins(self) -> Sequence[tuple[int, int]]:
        """(partition, offset) of each row's source record; offsets rise, too, where one record made several rows."""
        if self._origins is None:
            partition, offsets = self.batch.partition, self.batch.offsets
            self._origins = [(partition, offsets[place]) for place in self.places]
        return self._origins

    @origins.setter
    def origins(self, given: Sequence[tuple[int, int]]) -> None:
        self._origins = given

    @property
    def record_times_ms(self) -> Sequence[int]:
        """The timestamps of the records that the rows come from, whatever the rows' event times are.

        Rows of two streams come from no single record: theirs are the rows' own times.
        """
        if self._record_times_ms is not None:
            return self._record_times_ms
        stamps = self.batch.timestamps
        whole = len(self) == len(self.batch) and not self.is_exploded
        return stamps if whole else [stamps[place] for place in self.places]

    @property
    def offsets(self) -> Sequence[int]:
        """The offsets of the records in their batch; of rows that one record made, they rise all the same."""
        offsets = self.batch.offsets
        if self.is_exploded:
            return distinct([offsets[place] for place in self.places])
        return offsets if len(self) == len(self.batch) else [offsets[place] for place in self.places]

    @property
    def keys(self) -> Sequence[bytes | None]:
        """The keys of the rows, as they stand in the batch unless others were set."""
        if self._keys is not None:
            return self._keys
        keys = self.batch.keys
        return [keys[place] for place in self.places] if self.is_exploded or len(self) < len(self.batch) else keys

    def selected(self, columns: Iterable[tuple[str, Compiled]], keep: Iterable[str] = ()) -> "Block":
        """The same rows with these columns, each made when it is asked for, those to `keep`, and no others."""
        cells = {
            name: self._cell(made.reads[0]) if made.is_taken else Cell(partial(self.value, made))
            for name, made in columns
        }
        cells.update((name, self._cell(name)) for name in keep)
        return self._with_cells(cells)

    def with_columns(self, makes: Mapping[str, Make]) -> "Block":
        """The same rows with more columns."""
        return self._with_cells(dict(self._cells), makes)

    def at(self, rows: Sequence[int], makes: Mapping[str, Make] | None = None) -> "Block":
        """The rows at these places, which may repeat, with more columns."""

        def pick(cell: Cell) -> Cell:
            return Cell(lambda: [column[row] for column in (cell.values(),) for row in rows])

        picked = {name: pick(cell) for name, cell in self._cells.items()}
        columns = (self._origins, self._keys, self._texts, self._record_times_ms)
        chosen = [None if column is None else [column[row] for row in rows] for column in columns]
        places, times_ms = [self.places[row] for row in rows], [self.times_ms[row] for row in rows]
        return self._like(places, times_ms, picked, makes or {}, *chosen)

    def where(self, mask: Sequence[Any]) -> "Block":
        """The rows for which the mask is true."""
        if all(mask):
            return self
        return self.at(list(compress(range(len(self)), mask)))

    @property
    def key_texts(self) -> Sequence[str | None]:
        """The keys as states have them; one that is no text has none of its own there."""
        if self._texts is None:
            self._texts = texts(self.keys)
        return self._texts

    def keyed(self, keys: Sequence[bytes | None], texts: Sequence[str | None] | None = None) -> "Block":
        """The same rows with other keys, and their texts where these are at hand."""
        made = self._with_cells(self._cells)  # equal rows may share what is made of them
        made._keys, made._texts = keys, texts
        return made

    def of_no_record(self) -> "Block":
        """The same rows, which come from no single record: they are of their own times."""
        made = self.with_columns({})
        made._record_times_ms = self.times_ms
        return made

    def exploded(self) -> "Block":
        """The same rows, marked as several of one record: offsets and origins number them.

        Origins that came numbered from another partition stay as they are.
        """
        made = self.with_columns({})
        if self.is_exploded:
            made._origins = _distinct_origins([(part, offset >> EXPLODED_BITS) for part, offset in self.origins])
        elif not self.is_numbered:
            made._origins = _distinct_origins(self.origins)
        made.is_exploded = made.is_numbered = True
        return made

    def _with_cells(self, cells: dict[str, Cell], makes: Mapping[str, Make] = NOTHING) -> "Block":
        """The same rows with these columns."""
        return self._like(
            self.places, self.times_ms, cells, makes, self._origins, self._keys, self._texts, self._record_times_ms
        )

    def _like(
        self,
        places: Sequence[int],
        times_ms: Sequence[int],
        cells: dict[str, Cell],
        makes: Mapping[str, Make],
        origins: Any,
        keys: Any,
        texts: Any,
        record_times_ms: Any,
    ) -> "Block":
        cells.update((name, Cell(make)) for name, make in makes.items())
        made = Block(self.batch, places, times_ms, cells, self.errors, origins)
        made._keys, made._texts, made._record_times_ms = keys, texts, record_times_ms
        made.is_exploded, made.is_numbered = self.is_exploded, self.is_numbered
        return made


def _field(records: Sequence[Record], name: str) -> Make:
    return lambda: [record[name] for record in records]


def texts(keys: Sequence[bytes | None]) -> list[str | None]:
    """Keys as states have them; one that is no text has none of its own there."""
    return [None if key is None else key.decode("utf-8", "surrogateescape") for key in keys]


def raw_keys(texts: Iterable[str | None]) -> list[bytes | None]:
    """Keys from their texts, as `texts` gives them."""
    return [None if text is None else text.encode("utf-8", "surrogateescape") for text in texts]


def distinct(offsets: Sequence[int]) -> list[int]:
    """Offsets that never fall, made to rise: each shifted, and numbered among its equals."""
    return [(offset << EXPLODED_BITS) + number for offset, number in zip(offsets, _numbers(offsets), strict=True)]


def _distinct_origins(origins: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    numbered = zip(origins, _numbers(origins), strict=True)
    return [(partition, (offset << EXPLODED_BITS) + number) for (partition, offset), number in numbered]


def _numbers(values: Sequence[Any]) -> Iterator[int]:
    """For each value how many equal ones stand just before it."""
    for _, equals in groupby(values):
        yield from range(sum(1 for _ in equals))
