"""Whether what was found is what has to be: pure, on data that `inspection.py` reads."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Any

from pipeline.chaos.ledger import Ledger, Place, SalesLedger, fingerprint

Origin = tuple[str, int, int]
"""(topic, partition, offset)"""
SHOWN = 5
NEAR = 10
"""Faulty origins this far apart are one range: poison in between has no row."""
MOST_RANGES = 40


@dataclass(frozen=True, slots=True)
class Check:
    """One check's result; `found` is what was found, in words or numbers, most of all where it is not ok.

    One that could not be made, since there is nothing to check with, is ok and not `made`; `found` says why.
    """

    ok: bool
    found: Any
    made: bool = True


class Presence:
    """Holds the records of a topic's partition, as they are read, against the ledger; each partition in one pass.

    `topics` are those that are looked at; None: all that the ledger knows.
    """

    def __init__(self, ledger: Ledger, topics: Collection[str] | None = None) -> None:
        places = [place for place in ledger.places() if topics is None or place[0] in topics]
        self._entries: dict[Place, Iterator[tuple[int, int]]] = {p: ledger.entries(p) for p in places}
        self._next: dict[Place, tuple[int, int] | None] = {p: next(e, None) for p, e in self._entries.items()}
        self._last: dict[Place, int] = {}
        self.present = 0
        self.extra = 0
        self.missing = 0
        self.wrong: list[str] = []
        self.falling: list[str] = []

    def take(self, place: Place, offset: int, value: bytes | None) -> None:
        """The next record of a place."""
        if offset <= self._last.get(place, -1):
            self.falling.append(f"{place[0]}/{place[1]}: {offset} after {self._last[place]}")
        self._last[place] = offset
        expected = self._next.get(place)
        while expected is not None and expected[0] < offset:
            self._lost(place, expected)
            expected = self._forth(place)
        if expected is None or expected[0] > offset:
            self.extra += 1
        elif expected[1] != fingerprint(value):
            self.wrong.append(f"{place[0]}/{place[1]}/{offset}: another value than the one that was acknowledged")
            self._forth(place)
        else:
            self.present += 1
            self._forth(place)

    def result(self) -> Check:
        """After the last record: whether everything is there."""
        for place in list(self._next):
            while (expected := self._next[place]) is not None:
                self._lost(place, expected)
                self._forth(place)
        found = {"present": self.present, "missing": self.missing, "extra": self.extra, "wrong": self.wrong[:SHOWN]}
        return Check(not self.missing and not self.wrong, found)

    def _lost(self, place: Place, expected: tuple[int, int]) -> None:
        self.missing += 1
        self.wrong.append(f"{place[0]}/{place[1]}/{expected[0]}: acknowledged, and not there")

    def _forth(self, place: Place) -> tuple[int, int] | None:
        self._next[place] = next(self._entries[place], None)
        return self._next[place]


@dataclass(slots=True)
class Marks:
    """A count from 0 to 255 for each offset of each partition: a byte each."""

    partitions: dict[int, bytearray] = field(default_factory=dict)

    def add(self, partition: int, offset: int) -> None:
        """Count one."""
        counts = self.partitions.setdefault(partition, bytearray())
        if offset >= len(counts):
            counts.extend(bytes(max(offset + 1 - len(counts), len(counts))))
        counts[offset] = min(255, counts[offset] + 1)

    def total(self) -> int:
        """Offsets that were counted at least once."""
        return sum(len(counts) - counts.count(0) for counts in self.partitions.values())


@dataclass(frozen=True, slots=True)
class Range:
    """Neighbouring origins with the same fault, offsets `[first, last]`; `moment` tells when the first was written."""

    partition: int
    first: int
    last: int
    what: str
    moment: str = ""

    def __str__(self) -> str:
        return f"{self.partition}/{self.first}-{self.last}: {self.what}{self.moment}"


def compare_origins(good: Marks, rows: Marks) -> Check:
    """Every good source record must have exactly one row of its origin, and no row may have another.

    What is wrong is found as ranges, the first of them in each partition.
    """
    duplicates = missing = invented = 0
    ranges: list[Range] = []
    for partition in sorted(good.partitions.keys() | rows.partitions.keys()):
        wanted, found = good.partitions.get(partition, bytearray()), rows.partitions.get(partition, bytearray())
        size = max(len(wanted), len(found))
        if wanted.ljust(size, b"\0") == found.ljust(size, b"\0"):
            continue
        for offset in range(size):
            want = wanted[offset] if offset < len(wanted) else 0
            have = found[offset] if offset < len(found) else 0
            if want == have:
                continue
            missing += want > have
            invented += want == 0
            duplicates += have - 1 if have > 1 else 0
            what = "no row" if not have else "a row without source" if not want else f"{have} rows"
            before = ranges[-1] if ranges else None
            if before and (before.partition, before.what) == (partition, what) and offset - before.last <= NEAR:
                ranges[-1] = replace(before, last=offset)
            elif len(ranges) < MOST_RANGES:
                ranges.append(Range(partition, offset, offset, what))
    counts = {"rows": rows.total(), "duplicates": duplicates, "missing": missing, "invented": invented}
    return Check(not (duplicates or missing or invented), {**counts, "ranges": ranges})


def check_sales(ledger: SalesLedger, mysql: Mapping[int, int], topic: Counter[int]) -> Check:
    """MySQL and topic against the writer's ledger; `mysql` is {sale id: cents}, `topic` how often an id is there.

    A committed sale must be in both with its cents, exactly once; one that was rolled back in neither.
    """
    committed = dict(zip(ledger.ids, ledger.cents, strict=True))
    rolled_back = set(ledger.rolled_back) - committed.keys() - set(ledger.unknown)
    wrong = [f"sale {i}: committed, and not in MySQL" for i in committed.keys() - mysql.keys()]
    wrong += [f"sale {i}: other cents in MySQL" for i, c in committed.items() if mysql.get(i, c) != c]
    wrong += [f"sale {i}: in MySQL, and not in the topic" for i in mysql.keys() - topic.keys()]
    wrong += [f"sale {i}: in the topic, and not in MySQL" for i in topic.keys() - mysql.keys()]
    wrong += [f"sale {i}: {n} times in the topic" for i, n in topic.items() if n > 1]
    wrong += [f"sale {i}: rolled back, and there" for i in rolled_back if i in topic or i in mysql]
    found = {
        "committed": len(committed),
        "rolled_back": len(rolled_back),
        "unknown": len(ledger.unknown),
        "in_topic": len(topic),
        "wrong": len(wrong),
        "examples": wrong[:SHOWN],
    }
    return Check(not wrong, found)


def check_letters(poisoned: Iterable[Origin], letters: Counter[Origin]) -> Check:
    """Each poisoned record must have exactly one letter, and nothing else may have any."""
    wanted = set(poisoned)
    wrong = [f"{origin}: no letter" for origin in sorted(wanted - letters.keys())]
    wrong += [f"{origin}: a letter without cause" for origin in sorted(letters.keys() - wanted)]
    wrong += [f"{origin}: {count} letters" for origin, count in sorted(letters.items()) if count > 1]
    found = {"poisoned": len(wanted), "letters": letters.total(), "wrong": len(wrong), "examples": wrong[:SHOWN]}
    return Check(not wrong, found)


def check_ends(committed: Mapping[Any, int], uncommitted: Mapping[Any, int]) -> Check:
    """No open transaction: the end for read_committed readers is the end for all, on every partition."""
    hanging = {f"{tp[0]}/{tp[1]}": uncommitted[tp] - end for tp, end in committed.items() if uncommitted[tp] != end}
    return Check(not hanging, {"partitions": len(committed), "hanging": hanging})


def check_none(found: Mapping[str, Any]) -> Check:
    """Fine when nothing is in it."""
    return Check(not found, dict(found))


def medians_of_quarters(samples: Sequence[float]) -> list[float]:
    """The median of each quarter of the samples, in their order; fewer than four where there are fewer samples."""
    cuts = [len(samples) * n // 4 for n in range(5)]
    return [median(samples[low:high]) for low, high in pairwise(cuts) if low < high]
