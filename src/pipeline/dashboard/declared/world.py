"""The ground of maps: countries by code or name, with their outlines on a plane.

`world.json` was made once of Natural Earth's countries at 1:110 million (public domain) in the Equal Earth projection
(Šavrič, Patterson, Jenny 2018), 400 units a radian, whole numbers; without Antarctica. Names and codes are ISO 3166's.
Countries that are too small for an outline at this scale have the place of their chief town, of the time zone
database (public domain).
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

WEST, EAST, SOUTH, NORTH = -1070, 1080, -419, 530
"""What a map shows, in the units of the outlines."""


@dataclass(frozen=True, slots=True)
class Country:
    """A country: its English name; `rings` are outlines (x0, y0, x1, y1, ...), y northwards, or `at` is its place."""

    name: str
    rings: tuple[tuple[int, ...], ...]
    at: tuple[int, int] | None


@lru_cache(maxsize=1)
def countries() -> tuple[Country, ...]:
    """All of them, by name."""
    return tuple(dict.fromkeys(_known().values())) + _nameless()


def country(text: str) -> Country | None:
    """The country of an ISO code or an English name, whatever its letters' case; None for what is none."""
    return _known().get(_plain(text))


@lru_cache(maxsize=1)
def _read() -> list[tuple[Country, list[str]]]:
    text = files("pipeline.dashboard.declared").joinpath("world.json").read_text("utf-8")
    found = []
    for one in json.loads(text):
        place = one.get("at")
        made = Country(
            one["names"][0], tuple(map(tuple, one.get("rings", ()))), None if place is None else (place[0], place[1])
        )
        found.append((made, [*one["codes"], *one["names"]] if one["codes"] else []))
    return found


@lru_cache(maxsize=1)
def _known() -> dict[str, Country]:
    found: dict[str, Country] = {}
    for made, names in _read():
        for name in names:
            found.setdefault(_plain(name), made)
    return found


def _nameless() -> tuple[Country, ...]:
    """Ground that has no code of its own."""
    return tuple(made for made, names in _read() if not names)


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace(".", "").replace(",", " ").split())
