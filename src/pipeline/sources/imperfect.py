"""What is not as it should be, as real sources bring it: sales that come late, and records that cannot be used.

Seeded and pure. The records themselves are the same as without: what is done to them is drawn apart.
"""

from math import exp, log
from random import Random

from pipeline.timebase import HOUR_MS, MINUTE_MS

LAG_MS = (MINUTE_MS, 6 * HOUR_MS)
"""How long ago a late sale was made, both ends possible, small lags more often; mostly its windows are still open."""
LONG_LAG_MS = (26 * HOUR_MS, 40 * HOUR_MS)
"""The same for one late sale in LONG_EVERY: its windows have closed."""
LONG_EVERY = 20
ZERO_DATE = "0000-00-00 00:00:00"


class Imperfection:
    """Shares in [0, 1]: `late` of the sales come late; `bad` of the values cannot be read, of the sales have no date.

    Draws of values and of sales do not depend on each other.
    """

    def __init__(self, seed: int, late: float = 0.0, bad: float = 0.0) -> None:
        self._late, self._bad = late, bad
        self._views, self._sales = Random(f"imperfect views/{seed}"), Random(f"imperfect sales/{seed}")

    def value(self, value: bytes) -> bytes:
        """A record's value as it is sent: cut off, with bytes left over, or in another format, where it is bad."""
        if not self._bad or self._views.random() >= self._bad:
            return value
        return self._views.choice((value[: len(value) // 2], value + b"\0", b'{"viewtime": "soon"}'))

    def sale_ms(self, at_ms: int) -> int | None:
        """When a sale that is written at this time was made, epoch ms; None for a zero date."""
        if not self._bad and not self._late:
            return at_ms
        drawn = self._sales.random()
        if drawn < self._bad:
            return None
        if drawn >= self._bad + self._late:
            return at_ms
        if self._sales.randrange(LONG_EVERY) == 0:
            return at_ms - self._sales.randint(*LONG_LAG_MS)
        return at_ms - int(exp(self._sales.uniform(log(LAG_MS[0]), log(LAG_MS[1]))))


PERFECT = Imperfection(0)
