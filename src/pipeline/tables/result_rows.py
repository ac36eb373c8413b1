"""The row of a result, as topics and whoever asks get it."""

from pipeline.tables.aggregate import Aggregate, Row
from pipeline.tables.groups import group_row
from pipeline.tables.results import Result
from pipeline.tables.windows import Session, Unwindowed
from pipeline.timebase import format_ms


def output_row(aggregate: Aggregate, result: Result) -> Row:
    """The columns of a result, as the output's schema has them."""
    state = aggregate.function.zero() if result.retired else result.state
    row: Row = {**group_row(aggregate, result.group), **aggregate.function.columns(state)}
    if not isinstance(aggregate.window, Unwindowed):
        row |= {
            "window_start": format_ms(result.start_ms),
            "window_end": format_ms(result.end_ms),
            "window_start_ms": result.start_ms,
            "window_end_ms": result.end_ms,
        }
    if isinstance(aggregate.window, Session):
        row["retired"] = result.retired
    return {**row, "event_time_ms": result.time_ms, "version": result.version}
