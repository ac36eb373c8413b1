"""Clicks per channel and minute."""

from pathlib import Path

from pipeline import Application, Count, Generator, Rows, Stream, Table, Tumbling, c, minutes, one_of

CLICKS = Stream("clicks", Path(__file__).with_name("click.avsc"), key="user", time="at")
SOURCES = Table("sources", {"source": "STRING", "channel": "STRING"}, key="source", everywhere=True)

PER_MINUTE = (
    CLICKS.join("origin", SOURCES, on=c.source)
    .window(Tumbling(minutes(1)))
    .group_by(channel=c.origin.channel)
    .aggregate(clicks=Count())
    .to("CLICKS_PER_MINUTE")
)
APPLICATION = Application(
    "clicks",
    PER_MINUTE,
    data=[
        Rows(SOURCES, [{"source": "search", "channel": "organic"}, {"source": "mail", "channel": "campaign"}]),
        Generator(CLICKS, per_s=50, source=one_of("search", "mail")),
    ],
)
