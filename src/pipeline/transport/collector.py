"""Python's garbage collector, set for a process that makes thousands of records at once and drops them again.

Records and state have no cycles: counting references frees them. With its default settings the collector walks
through everything alive whenever a few hundred objects more have been made, several times a batch: it took more than
half of a worker's processor time (docs/performance.md).
"""

import gc

THRESHOLDS = (50_000, 20, 20)
"""Objects made and not freed since the last look at the young ones; looks before the next generation's turn."""


def relieve() -> None:
    """Leave what is alive now out of all later collections, and collect the rest more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
