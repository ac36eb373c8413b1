"""Several functions over groups of several columns, and over all rows: what one SELECT asks for in one row.

CREATE TABLE USER_GROUPS AS SELECT regionid, gender, COUNT(*) AS USERS, COLLECT_LIST(userid) AS USERIDS,
    LATEST_BY_OFFSET(contactinfo) AS CONTACT FROM User_ GROUP BY regionid, gender;
CREATE TABLE ALL_USERS AS SELECT 'all', COUNT(*) AS USERS, COUNT_DISTINCT(regionid) AS REGIONS,
    HISTOGRAM(gender) AS GENDERS FROM User_ GROUP BY 'all';
"""

from pipeline.examples.users_per_region import USERS
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import CollectList, Count, CountDistinct, Histogram, LatestByOffset, Several
from pipeline.tables.windows import Unwindowed
from pipeline.topology import Aggregation, Topology

CONTACT = {"type": "map", "values": "string"}
BY_GROUP = Several(
    (Count("USERS"), CollectList("userid", "USERIDS", "string"), LatestByOffset("contactinfo", "CONTACT", CONTACT))
)
OVERALL = Several((Count("USERS"), CountDistinct("regionid", "REGIONS"), Histogram("gender", "GENDERS")))

TOPOLOGY = Topology(
    "user_groups",
    Aggregation(
        USERS,
        Aggregate("by_group", ("regionid", "gender"), BY_GROUP, "USER_GROUPS", Unwindowed()),
        Aggregate("overall", (), OVERALL, "ALL_USERS", Unwindowed()),
    ),
)
