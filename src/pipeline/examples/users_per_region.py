"""ksqlDB's test-runner example: users counted by region.

CREATE TABLE USERS_PER_REGION AS SELECT regionid, COUNT(*) AS USER_COUNT FROM User_ GROUP BY regionid;
"""

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count
from pipeline.tables.windows import Unwindowed
from pipeline.topics import Kind, Topic
from pipeline.topology import Aggregation, Topology


def _nullable(name: str, kind: object) -> dict[str, object]:
    return {"name": name, "type": ["null", kind], "default": None}


USER = {
    "type": "record",
    "name": "users",
    "namespace": "ksql",
    "fields": [
        {"name": "registertime", "type": "long"},
        _nullable("userid", "string"),
        _nullable("regionid", "string"),
        _nullable("gender", "string"),
        _nullable("interests", {"type": "array", "items": "string"}),
        _nullable("contactinfo", {"type": "map", "values": "string"}),
    ],
}
USERS = Topic("User_", Kind.EVENT, key="userid", schema=USER, event_time="registertime")

TOPOLOGY = Topology(
    "users_per_region",
    Aggregation(USERS, Aggregate("per_region", "regionid", Count("USER_COUNT"), "USERS_PER_REGION", Unwindowed())),
)
