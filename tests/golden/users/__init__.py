"""Users by region, by region and gender, and all of them: an application of one's own for the test runner.

CREATE TABLE USERS_PER_REGION AS SELECT regionid, COUNT(*) AS USER_COUNT FROM User_ GROUP BY regionid;
CREATE TABLE USER_GROUPS AS SELECT regionid, gender, COUNT(*) AS USERS, COLLECT_LIST(userid) AS USERIDS,
    LATEST_BY_OFFSET(contactinfo) AS CONTACT FROM User_ GROUP BY regionid, gender;
CREATE TABLE ALL_USERS AS SELECT 'all', COUNT(*) AS USERS, COUNT_DISTINCT(regionid) AS REGIONS,
    HISTOGRAM(gender) AS GENDERS FROM User_ GROUP BY 'all';
"""

from pipeline import Application, CollectList, Count, CountDistinct, Histogram, LatestByOffset, Stream, c

COLUMNS = {
    "registertime": "long",
    "userid": "STRING",
    "regionid": "STRING",
    "gender": "STRING",
    "interests": "ARRAY<STRING>",
    "contactinfo": "MAP<STRING, STRING>",
}
USERS = Stream("User_", COLUMNS, key="userid", time="registertime")

PER_REGION = USERS.group_by(c.regionid).aggregate(USER_COUNT=Count()).to("USERS_PER_REGION")
GROUPS = USERS.group_by(c.regionid, c.gender).aggregate(
    USERS=Count(), USERIDS=CollectList(c.userid), CONTACT=LatestByOffset(c.contactinfo)
)
ALL = USERS.group_by().aggregate(USERS=Count(), REGIONS=CountDistinct(c.regionid), GENDERS=Histogram(c.gender))

APPLICATION = Application("users", PER_REGION, GROUPS.to("USER_GROUPS"), ALL.to("ALL_USERS"))
