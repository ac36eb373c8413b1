"""What was acknowledged: every record by its place in the log, every sale by its id. Compact: an hour must fit."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

Place = tuple[str, int]
"""(topic, partition)"""


def fingerprint(value: bytes | None) -> int:
    """64 bits of a value's hash; a null value has one of its own."""
    return 0 if value is None else int.from_bytes(blake2b(value, digest_size=8).digest(), "big")


class Ledger:
    """Acknowledged records by place: 16 bytes each."""

    def __init__(self) -> None:
        self._offsets: dict[Place, array[int]] = {}
        self._hashes: dict[Place, array[int]] = {}
        self._rising: dict[Place, bool] = {}

    def note(self, topic: str, partition: int, offset: int, value: bytes | None) -> None:
        """A record was acknowledged at this offset."""
        place = topic, partition
        offsets = self._offsets.get(place)
        if offsets is None:
            offsets = self._offsets[place] = array("q")
            self._hashes[place] = array("Q")
            self._rising[place] = True
        elif offset <= offsets[-1]:
            self._rising[place] = False
        offsets.append(offset)
        self._hashes[place].append(fingerprint(value))

    def __len__(self) -> int:
        return sum(map(len, self._offsets.values()))

    def ends(self) -> dict[Place, int]:
        """One past the last acknowledged offset of each place."""
        return {place: offsets[-1] + 1 for place, offsets in self._offsets.items()}

    def places(self) -> list[Place]:
        """Where something was acknowledged."""
        return sorted(self._offsets)

    def entries(self, place: Place) -> Iterator[tuple[int, int]]:
        """(offset, fingerprint) of one place, by offset."""
        offsets, hashes = self._offsets.get(place, array("q")), self._hashes.get(place, array("Q"))
        if self._rising.get(place, True):
            return zip(offsets, hashes, strict=True)
        return iter(sorted(zip(offsets, hashes, strict=True)))


@dataclass(slots=True)
class SalesLedger:
    """Sales as their writer knows them: committed ids with their cents, and ids that were rolled back.

    An id whose commit was not answered may be either. A server that was killed may give a rolled-back id again.
    """

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    cents: "array[int]" = field(default_factory=lambda: array("q"))
    rolled_back: "array[int]" = field(default_factory=lambda: array("q"))
    unknown: "array[int]" = field(default_factory=lambda: array("q"))

    def commit(self, sales: dict[int, int]) -> None:
        """These were confirmed: {sale id: cents}."""
        self.ids.extend(sales.keys())
        self.cents.extend(sales.values())

    def roll_back(self, sales: dict[int, int]) -> None:
        """These were rolled back, or never got as far as a commit."""
        self.rolled_back.extend(sales)

    def doubt(self, sales: dict[int, int]) -> None:
        """The commit of these was not answered."""
        self.unknown.extend(sales)
