"""`pipeline peek`; what it runs is imported only then, so that the command line is quick."""

import asyncio
import sys
from contextlib import suppress

import click

from pipeline import settings as configuration
from pipeline.errors import SettingError
from pipeline.peek import MOST_LOOKED_AT


@click.command()
@click.argument("topic", required=False)
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Records to show.")
@click.option("--from", "start", metavar="TIME", help="The first from here on: 5m (ago), 2026-11-28T10:00, beginning.")
@click.option("--offset", type=click.IntRange(0), help="The first from this offset on; needs one --partition.")
@click.option("-p", "--partition", "partitions", type=click.IntRange(0), multiple=True, help="Only these partitions.")
@click.option("-k", "--key", help="Only records of this key, as it is shown.")
@click.option("-g", "--grep", "text", help="Only records with this text in key, value or headers, in any case.")
@click.option("-f", "--follow", is_flag=True, help="Go on with every record that comes, until Ctrl-C.")
@click.option(
    "--scan",
    type=click.IntRange(1),
    default=MOST_LOOKED_AT,
    show_default=True,
    help="Records to look at, at most, for -n.",
)
@click.option("--uncommitted", is_flag=True, help="Also records of transactions that are open or were taken back.")
@click.option("--full", is_flag=True, help="Do not cut long keys and values.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each line, in full.")
@click.option("--schemas", "what", flag_value="schemas", help="Its schemas: all versions, and what each has changed.")
@click.option("--config", "what", flag_value="config", help="Its settings, those of its own first.")
@click.option("--readers", "what", flag_value="readers", help="The consumer groups that read it, with their lag.")
def peek(
    topic: str | None,
    count: int,
    start: str | None,
    offset: int | None,
    partitions: tuple[int, ...],
    key: str | None,
    text: str | None,
    follow: bool,
    scan: int,
    uncommitted: bool,
    full: bool,
    as_json: bool,
    what: str | None,
) -> None:
    """Look into TOPIC: its newest records, decoded, one a line. Without TOPIC, list the topics.

    A line is time (UTC), partition/offset, key, value, and headers if there are any. Values in Avro, JSON and Protobuf
    are decoded by the registry's schemas; other bytes are shown as text, numbers or base64. It only reads, joins no
    group and commits nothing.

    \b
    pipeline peek PageView                               the newest 20
    pipeline peek PageView -g user_7 --from 10m -n 100   the first 100 of the last 10 minutes with this text
    pipeline peek PageView -f --json | jq .value         as they come
    pipeline peek PageView --schemas
    """
    from pipeline import peek_view as view
    from pipeline.kafka import READ_COMMITTED, READ_UNCOMMITTED
    from pipeline.peek.scan import Wanted

    settings = configuration.settings()
    if topic is None:
        view.print_topics(settings, as_json)
    elif what is not None:
        {"schemas": view.print_schemas, "config": view.print_config, "readers": view.print_readers}[what](
            settings, topic, as_json
        )
    else:
        if offset is not None and len(partitions) != 1:
            raise SettingError("--offset needs one --partition: offsets count within a partition")
        if offset is not None and start is not None:
            raise SettingError("--offset and --from both say where to begin: give one")
        level = READ_UNCOMMITTED if uncommitted else READ_COMMITTED
        wanted = Wanted(set(partitions) or None, key, text, level)
        shown = view.Lines(sys.stdout, as_json=as_json, full=full)
        with suppress(KeyboardInterrupt, BrokenPipeError):
            asyncio.run(
                view.print_records(settings, topic, wanted, shown, view.Part(count, start, offset, scan, follow))
            )
