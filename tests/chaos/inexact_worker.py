"""A worker whose exactness is switched off: what a worker would be that does not know what it has applied.

Run as a program in the place of `pipeline worker`: it processes at least once, and the folds take every row as a new
one. After a kill, rows whose effects were safe but whose offsets were not committed are counted twice.
"""

import os
from typing import Any

os.environ["PIPELINE_PROCESSING_GUARANTEE"] = "at_least_once"
os.environ["PIPELINE_COMMIT_INTERVAL_S"] = "3"  # so that a kill finds something to replay

from pipeline.tables.fold import PartitionFold
from pipeline.tables.partials import Folded, Rows
from pipeline.tables.time_windows import WindowFold

remembering_init, remembering_open = PartitionFold.__init__, WindowFold._open


def forgetful_init(self: PartitionFold, *args: Any) -> None:
    """Begin as if nothing had been applied."""
    remembering_init(self, *args)
    self.applied = -1
    self.origins = {}


def forgetful_open(self: WindowFold, *args: Any) -> list[Any]:
    """A partial that does not know which rows it holds."""
    entry = remembering_open(self, *args)
    entry[0] = -1
    return entry


def every_row(self: PartitionFold, rows: Rows, split: int, out: Folded) -> Rows:
    """Rows whose origin is known are new ones, too."""
    return rows.between(split, len(rows.offsets))


PartitionFold.__init__ = forgetful_init  # type: ignore[method-assign]
PartitionFold._without_duplicates = every_row  # type: ignore[method-assign]
WindowFold._open = forgetful_open  # type: ignore[method-assign]

if __name__ == "__main__":
    from pipeline.cli import main

    main(["worker"])
