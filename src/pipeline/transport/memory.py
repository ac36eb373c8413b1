"""Python's garbage collector and the C library's memory, set for a process that makes thousands of records at once.

Records and state have no cycles: counting references frees them. With its default settings the collector walks
through everything alive whenever a few hundred objects more have been made, several times a batch: it took more than
half of a worker's processor time (docs/performance.md).
"""

import ctypes
import gc

THRESHOLDS = (50_000, 20, 20)
"""Objects made and not freed since the last look at the young ones; looks before the next generation's turn."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in glibc's malloc.h
LARGE_BYTES = 128 * 1024
"""glibc's own default. Left to itself, it raises this with every larger piece that is freed, to 32 MiB."""


def settle() -> None:
    """Leave what is alive now out of all later collections, and collect the rest more rarely; give back what is large.

    Fetched and written batches are large pieces of memory that come and go: each on its own, they go back to the system
    when they are freed. Without glibc that is left to the C library.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)
