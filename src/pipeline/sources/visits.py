"""Who visits the shop when, and which pages: users come for a while, look at the pages of one group, and pause.

So a page group has quiet times, longer than the gap of a session, and its views make many sessions a day. How many
users visit follows the rhythm of the day; how many views there are does not depend on it. Seeded and pure.
"""

from functools import lru_cache
from random import Random

from pipeline.sources.history import rhythm
from pipeline.sources.seed import GROUPS
from pipeline.timebase import MINUTE_MS

USER_IDS = tuple(f"User_{n}" for n in range(1, 10))
STEP_MS = 2 * MINUTE_MS
VISIT_MS = len(USER_IDS) * STEP_MS
"""18 minutes: how long a user stays or pauses at least. Each begins a step after the one before."""
VISITING = 0.3
"""The share of users that visit, on average of the day."""
LIKED = {"Electronics": 30, "Fashion": 25, "Dry Grocery": 20, "Furniture": 15, "Other": 10}
"""How often a group is chosen, in per cent."""
PAGES = {group: tuple(f"Page_{n}" for n in numbers) for group, (numbers, _) in GROUPS.items()}

Visitor = tuple[str, tuple[str, ...]]


def visitors(seed: int, at_ms: int) -> tuple[Visitor, ...]:
    """(userid, ids of the pages that the user looks at) of everybody who visits at that time; at least one."""
    return _visitors(seed, at_ms // STEP_MS)


@lru_cache(maxsize=64)
def _visitors(seed: int, step: int) -> tuple[Visitor, ...]:
    found = sorted(_choice(seed, number, step) for number in range(len(USER_IDS)))
    share = VISITING * rhythm(step * STEP_MS)
    return tuple(visitor for drawn, visitor in found if drawn < share) or (found[0][1],)


def _choice(seed: int, number: int, step: int) -> tuple[float, Visitor]:
    """How soon a user is drawn to visit, in [0, 1), and for which pages: the same for a whole visit."""
    userid = USER_IDS[number]
    random = Random(f"visits/{seed}/{userid}/{(step + number) // len(USER_IDS)}")
    drawn = random.random()
    (group,) = random.choices(list(LIKED), list(LIKED.values()))
    return drawn, (userid, PAGES[group])
