"""How the values of example data are drawn: distributions, nulls, silences, and values that belong together.

A draw is a function of (random numbers, the present in epoch milliseconds); any function like that is one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

from pipeline.errors import SettingError
from pipeline.timebase import SECOND_MS

Draw = Callable[[Random, int], Any]
"""(random numbers, the present in epoch milliseconds) -> a value."""


def drawn(value: Any) -> Draw:
    """A draw as it is, and of anything else one that always gives it; SettingError where it is no draw of its own."""
    if isinstance(value, By | OfRow):
        raise SettingError("by(...) and of_row(...) are the value of a column, but must not stand within another draw")
    return value if callable(value) else lambda random, now_ms: value


def one_of(
    *values: Any, weights: Sequence[float] | None = None, silent_ms: int = 0, every_ms: int = 3 * 60 * SECOND_MS
) -> Draw:
    """One of these values; `weights` say how often each comes, compared with the others.

    With `silent_ms`, each value in its turn does not come for so long, once in `every_ms`: so sessions end.
    Raises SettingError when there is no value, or would be none at some moment.
    """
    if not values or (weights is not None and len(weights) != len(values)):
        raise SettingError(f"one_of: there are {len(values)} values, but must be at least 1, and as many weights")
    if not silent_ms:
        return lambda random, _: random.choices(values, weights)[0]
    turn_ms = every_ms // len(values)
    if not 0 < silent_ms <= turn_ms or len(values) == 1:
        raise SettingError(
            f"one_of: silent_ms is {silent_ms}, but must be at most every_ms by the number of values, {turn_ms}, and "
            "of at least 2 values"
        )

    def draw(random: Random, now_ms: int) -> Any:
        turn, since_ms = divmod(now_ms % (turn_ms * len(values)), turn_ms)
        if since_ms >= silent_ms:
            return random.choices(values, weights)[0]
        left = [place for place in range(len(values)) if place != turn]
        return values[random.choices(left, None if weights is None else [weights[place] for place in left])[0]]

    return draw


def numbers(low: float, high: float) -> Draw:
    """Whole numbers in [low, high] where both are whole, else doubles in [low, high)."""
    if low > high:
        raise SettingError(f"numbers: low is {low} and high is {high}, but low must not be above high")
    if isinstance(low, int) and isinstance(high, int):
        first, last = low, high
        return lambda random, _: random.randint(first, last)
    return lambda random, _: random.uniform(low, high)


def normal(mean: float, deviation: float, low: float = float("-inf"), high: float = float("inf")) -> Draw:
    """Doubles of the normal distribution; what lies below `low` or above `high` is set to it. For `whole` numbers wrap
    it: `whole(normal(40, 12, 18, 90))`.
    """
    if deviation < 0 or low > high:
        raise SettingError(
            f"normal: deviation is {deviation}, low {low} and high {high}, but the deviation must not be below 0, and "
            "low not above high"
        )
    return lambda random, _: min(max(random.gauss(mean, deviation), low), high)


def lognormal(median: float, sigma: float) -> Draw:
    """Doubles above 0 of the log-normal distribution, half of them below `median`: amounts, sizes, durations."""
    if median <= 0 or sigma < 0:
        raise SettingError(f"lognormal: median is {median} and sigma {sigma}, but must be above 0, and 0 or more")
    return lambda random, _: median * random.lognormvariate(0, sigma)


def whole(draw: Draw) -> Draw:
    """What another draw gives, as the nearest whole number."""
    return lambda random, now_ms: round(draw(random, now_ms))


def texts(pattern: str, different: int, skew: float = 0.0) -> Draw:
    """A text of so many different ones: `pattern` with a number from 1 in place of {}.

    All are equally frequent, or with `skew` above 0 the n-th comes n**-skew times as often as the first (Zipf's law).
    """
    if different < 1 or skew < 0:
        raise SettingError(f"texts: different is {different} and skew {skew}, but must be at least 1, and 0 or more")
    if not skew:
        return lambda random, _: pattern.format(random.randint(1, different))
    sums = list(accumulate(number**-skew for number in range(1, different + 1)))
    return lambda random, _: pattern.format(random.choices(range(1, different + 1), cum_weights=sums)[0])


def now() -> Draw:
    """The present, epoch milliseconds."""
    return lambda _, now_ms: now_ms


def or_null(value: Any, share: float) -> Draw:
    """What another draw gives, or a constant; null for this share of the rows, in [0, 1]."""
    if not 0 <= share <= 1:
        raise SettingError(f"or_null: share is {share}, but must be in 0 .. 1")
    draw = drawn(value)
    return lambda random, now_ms: None if random.random() < share else draw(random, now_ms)


@dataclass(frozen=True, slots=True)
class By:
    """A draw of the value of another column: see `by`."""

    column: str
    draw: Draw

    def value(self, name: str, row: Mapping[str, Any], seed: int, now_ms: int) -> Any:
        """The value of the column `name` in a row."""
        return self.draw(Random(f"{name}/{self.column}/{row[self.column]}/{seed}"), now_ms)


@dataclass(frozen=True, slots=True)
class OfRow:
    """A function of the row: see `of_row`."""

    function: Callable[[Mapping[str, Any]], Any]

    def value(self, name: str, row: Mapping[str, Any], seed: int, now_ms: int) -> Any:
        """The value of the column `name` in a row."""
        return self.function(row)


def by(column: str, value: Any) -> By:
    """A value that belongs to another column's: rows with the same value there have the same one here.

    So it is in all generators of an application, where both columns have the same names:
    `user_id=by("session_id", texts("u{}", 100))` gives a session one user, in the topic of logins and in that of views.
    """
    return By(column, drawn(value))


def of_row(function: Callable[[Mapping[str, Any]], Any]) -> OfRow:
    """What a function makes of the row, of those columns that are drawn before: all but later `by` and `of_row`."""
    return OfRow(function)


@dataclass(frozen=True, slots=True)
class Visits:
    """Things that begin and end: sessions, calls, trips. `per_s` of them begin a second, and each lasts `lasting_ms`.

    `began()` and `going_on()` are draws of the texts of their ids, `pattern` with a number in place of {}. Which are
    going on follows from the time alone, so that generators of two topics know the same ones:

        visits = Visits("s{}", per_s=2, lasting_ms=minutes(3))
        Generator(logins, per_s=2, session_id=visits.began())
        Generator(views, per_s=50, session_id=visits.going_on())
    """

    pattern: str
    per_s: float
    lasting_ms: int

    def __post_init__(self) -> None:
        if self.per_s <= 0 or self.lasting_ms <= 0:
            raise SettingError(
                f"Visits: per_s is {self.per_s} and lasting_ms {self.lasting_ms}, but both must be above 0"
            )

    def began(self) -> Draw:
        """The one that began last: at `per_s` each comes once, more or less."""
        return lambda _, now_ms: self.pattern.format(self._last(now_ms))

    def going_on(self) -> Draw:
        """Any that has begun and not ended."""
        return lambda random, now_ms: self.pattern.format(
            random.randint(min(self._last(now_ms - self.lasting_ms) + 1, self._last(now_ms)), self._last(now_ms))
        )

    def _last(self, now_ms: int) -> int:
        return int(now_ms * self.per_s / SECOND_MS)
