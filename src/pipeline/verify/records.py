"""Where records lie, and what a source record must be, whatever is in it: a judgement of its own, not the workers'."""

Origin = tuple[int, int]
"""(partition, offset)."""
Cut = dict[int, int]
"""{partition: offset}: what lies below it counts."""

MOST_BYTES = 512 * 1024
"""A larger value of a source is a dead letter."""
LARGE_BYTES = 64 * 1024
"""A key or value of a source larger than this may be one, too: what becomes of it may be too large for a message."""
LAST_MS = 253_370_764_800_000
"""The beginning of 9999, UTC."""


def good_time(time_ms: int) -> bool:
    """From 1970 to 9998, UTC."""
    return 0 <= time_ms < LAST_MS
