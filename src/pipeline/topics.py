"""Every topic, declared once: its kind, key, value schema and settings.

Partition counts and replication come from the settings. Where a topic says nothing else, keys are raw UTF-8 strings,
and values are Avro in Confluent's wire format with the subject `<topic>-value`; internal topics (`schema` is None)
are JSON of the application's own. Other formats are in `formats/`, and described in docs/formats.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline.timebase import DAY_MS

Schema = str | Mapping[str, Any]


class Kind(StrEnum):
    """What a topic is for."""

    EVENT = "event"
    REFERENCE = "reference"
    ENRICHED = "enriched"
    OUTPUT = "output"
    INTERNAL = "internal"
    LETTERS = "letters"


class ValueFormat(StrEnum):
    """How a topic's values are written: ksqlDB's VALUE_FORMAT. `KAFKA` is for schemas of one column."""

    AVRO = "avro"
    JSON = "json"
    JSON_SR = "json_sr"
    PROTOBUF = "protobuf"
    DELIMITED = "delimited"
    KAFKA = "kafka"


FRAMED = (ValueFormat.AVRO, ValueFormat.JSON_SR, ValueFormat.PROTOBUF)
"""Formats whose values begin with a zero byte and the number of their schema."""


class KeyFormat(StrEnum):
    """How a topic's keys are written: ksqlDB's KEY_FORMAT. `TEXT` is UTF-8, ksqlDB's KAFKA of a VARCHAR."""

    TEXT = "text"
    KAFKA = "kafka"
    JSON = "json"
    AVRO = "avro"


ANY_TIME = {"message.timestamp.after.max.ms": str((1 << 63) - 1)}
"""Results carry event times, and those may lie ahead: brokers refuse what is more than an hour ahead by default."""


FOREVER = {"retention.ms": "-1"}
"""Rows between partitions carry event times, by which brokers would delete those of long ago before they are read."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention_ms` is None for compacted topics.

    `schema` is the name of a packaged Avro schema or the schema itself; None for internal topics. `event_time` names
    the column that holds the event time (epoch milliseconds in a long, one of Avro's timestamps, or a text in
    `event_time_format`, see event_times.py); None: the record's own.

    `schema` gives the columns whatever `value_format` is. `value_delimiter` is one sign, or SPACE or TAB, and for
    DELIMITED only. `key_type` is the Avro type of the key's value, a scalar; the key of format TEXT is a string.
    `headers` are columns beside those of the schema, {column: name of a header of the record, None for all of them}.
    """

    name: str
    kind: Kind
    key: str
    schema: Schema | None = None
    event_time: str | None = None
    retention_ms: int | None = 7 * DAY_MS
    config: dict[str, str] = field(default_factory=dict)
    event_time_format: str | None = None
    value_format: ValueFormat = ValueFormat.AVRO
    key_format: KeyFormat = KeyFormat.TEXT
    value_delimiter: str = ","
    key_type: Any = "string"
    headers: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The registry's subject of the value schema."""
        return f"{self.name}-value"

    @property
    def key_subject(self) -> str:
        """The registry's subject of the key's schema, for formats that have one."""
        return f"{self.name}-key"

    @property
    def kafka_config(self) -> dict[str, str]:
        """Topic settings as Kafka names them."""
        cleanup = (
            {"cleanup.policy": "compact"}
            if self.retention_ms is None
            else {
                "cleanup.policy": "delete",
                "retention.ms": str(self.retention_ms),
            }
        )
        return {**cleanup, **(ANY_TIME if self.kind is not Kind.EVENT else {}), **self.config}


PAGEVIEW = Topic("PageView", Kind.EVENT, key="userid", schema="pageview")
USERS = Topic("Users_", Kind.EVENT, key="userid", schema="user")
FLASH_SALES = Topic(
    "MysqlSource-flash_sales", Kind.EVENT, key="sale_id", schema="flash_sale", event_time="sale_datetime"
)

# Reference topics are read whole by every worker when it starts. The poller writes the whole table every minute;
# compaction keeps the latest row of each key, so a table that has not changed for a week is still there.
PRODUCT = Topic("MysqlSource-product", Kind.REFERENCE, key="product_id", schema="product", retention_ms=None)
REGION = Topic("MysqlSource-region", Kind.REFERENCE, key="region_id", schema="region", retention_ms=None)
PAGES = Topic("MysqlSource-pages", Kind.REFERENCE, key="page_id", schema="page", retention_ms=None)

EXTENDED_PAGEVIEWS = Topic(
    "EXTENDED_PAGEVIEWS_STREAM", Kind.ENRICHED, key="userid", schema="extended_pageview", event_time="event_time_ms"
)
EXTENDED_FLASHSALES = Topic(
    "EXTENDED_FLASHSALES_STREAM", Kind.ENRICHED, key="sale_id", schema="extended_flash_sale", event_time="event_time_ms"
)

USER_TRANSFORMED = Topic("USER_TRANSFORMED_TABLE", Kind.OUTPUT, key="userid", schema="user_transformed")
PAGEVIEWS_BY_PAGEGROUP = Topic(
    "PAGEVIEWS_BY_PAGEGROUP_TABLE", Kind.OUTPUT, key="page_group", schema="pageviews_by_pagegroup"
)
PAGEVIEWS_BY_REGION = Topic("PAGEVIEWS_BY_REGION_TABLE", Kind.OUTPUT, key="region_name", schema="pageviews_by_region")
PAGEVIEWS_TUMBLING = Topic(
    "TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW",
    Kind.OUTPUT,
    key="page_group",
    schema="total_pageview_window",
)
SALES_BY_PRODUCTGROUP = Topic(
    "TOTAL_SALES_BY_PRODUCTGROUP_TUMBLING_WINDOW",
    Kind.OUTPUT,
    key="product_group",
    schema="total_sales_by_productgroup",
)
SALES_HOPPING = Topic(
    "TOTAL_SALES_BY_PRODUCTGROUP_HOPPING_WINDOW",
    Kind.OUTPUT,
    key="product_group",
    schema="total_sales_by_productgroup",
)
SALES_SESSION = Topic(
    "TOTAL_SALES_BY_PRODUCTGROUP_SESSION_WINDOW",
    Kind.OUTPUT,
    key="product_group",
    schema="total_sales_by_productgroup_session",
)
SALES_BY_REGION = Topic(
    "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW", Kind.OUTPUT, key="region_name", schema="total_sales_by_region"
)
PAGEVIEWS_HOPPING = Topic(
    "TOTAL_PAGEVIEW_BY_PAGEGROUP_HOPPING_WINDOW",
    Kind.OUTPUT,
    key="page_group",
    schema="total_pageview_window",
)
PAGEVIEWS_SESSION = Topic(
    "TOTAL_PAGEVIEW_BY_PAGEGROUP_SESSION_WINDOW",
    Kind.OUTPUT,
    key="page_group",
    schema="total_pageview_session",
)

PAGEVIEW_BY_USER = Topic("pipeline-pageview-by-userid", Kind.INTERNAL, key="userid", config=FOREVER)
PAGEVIEW_PARTIALS = Topic("pipeline-pageview-partials", Kind.INTERNAL, key="group")
FLASHSALE_PARTIALS = Topic("pipeline-flashsale-partials", Kind.INTERNAL, key="group")
POLLER_POSITION = Topic("pipeline-poller-position", Kind.INTERNAL, key="table", retention_ms=None)

DEAD_LETTERS = Topic("pipeline-dead-letters", Kind.LETTERS, key="topic/partition/offset", schema="dead_letter")
LATE_RECORDS = Topic(
    "pipeline-late-records", Kind.LETTERS, key="topic/partition/offset/aggregate/window", schema="late_record"
)

EVENTS = (PAGEVIEW, USERS, FLASH_SALES)
REFERENCES = (PRODUCT, REGION, PAGES)
ENRICHED = (EXTENDED_PAGEVIEWS, EXTENDED_FLASHSALES)
OUTPUTS = (
    USER_TRANSFORMED,
    PAGEVIEWS_BY_PAGEGROUP,
    PAGEVIEWS_BY_REGION,
    PAGEVIEWS_TUMBLING,
    SALES_BY_PRODUCTGROUP,
    SALES_BY_REGION,
    PAGEVIEWS_HOPPING,
    PAGEVIEWS_SESSION,
    SALES_HOPPING,
    SALES_SESSION,
)
INTERNALS = (PAGEVIEW_BY_USER, PAGEVIEW_PARTIALS, FLASHSALE_PARTIALS, POLLER_POSITION)
ALL = (*EVENTS, *REFERENCES, *ENRICHED, *OUTPUTS, *INTERNALS, DEAD_LETTERS, LATE_RECORDS)
BY_NAME = {topic.name: topic for topic in ALL}
