"""Which fault comes when: pure and seeded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault to come: `number` counts from 1, `turn` is how many of its kind came before, from 0.

    `chance`, in [0, 1), is what the fault makes its own choices with.
    """

    number: int
    kind: str
    turn: int
    chance: float


def schedule(weights: Mapping[str, int], seed: int) -> Iterator[Planned]:
    """Endless faults of these kinds; the same kinds, weights and seed give the same.

    The first round has every kind once, each later one every kind as often as its weight says, in random order: so
    every kind appears among the first `len(weights)`.
    """
    if not weights:
        return
    random = Random(f"chaos/{seed}")
    kinds = sorted(weights)
    turns = dict.fromkeys(kinds, 0)
    number, bag = 0, list(kinds)
    while True:
        random.shuffle(bag)
        for kind in bag:
            number += 1
            yield Planned(number, kind, turns[kind], random.random())
            turns[kind] += 1
        bag = [kind for kind in kinds for _ in range(weights[kind])]


def pick(choices: list[str], planned: Planned) -> str:
    """One of these, by the fault's chance."""
    return choices[int(planned.chance * len(choices))]
