-- What user sessions must have made of its topics: see "Verify by SQL" in docs/applications.md.

-- Macros take names without a dot.
CREATE VIEW users AS FROM "web.users";
CREATE VIEW views AS FROM "web.pageviews";
CREATE VIEW logins AS FROM "web.usersessions";

CREATE VIEW complete_users AS
SELECT * FROM latest(users)
WHERE age IS NOT NULL AND gender IS NOT NULL AND country IS NOT NULL AND subscription IS NOT NULL;

CREATE TABLE expected.CLEANED_USERS AS
SELECT user_id, age, gender, country, subscription, updated_at, _time_ms AS event_time_ms FROM complete_users;

-- While users change, their rows are one of those that they have had.
CREATE TABLE history.CLEANED_USERS AS
SELECT user_id, age, gender, country, subscription, updated_at, _time_ms AS event_time_ms
FROM users WHERE NOT _deleted;

-- Views with the user as of their time --------------------------------------------------------------------------------
CREATE TABLE user_rows AS
SELECT _key, _partition, _offset, _time_ms,
    {'age': age, 'gender': gender, 'country': country, 'subscription': subscription} AS _row
FROM users;

CREATE TABLE joined_views AS
SELECT v.* EXCLUDE (_key, _deleted), v.user_id AS _wanted, e._partition AS _out_partition, e._offset AS _out_offset,
    {'age': e.age, 'gender': e.gender, 'country': e.country, 'subscription': e.subscription} AS _found
FROM views v
LEFT JOIN (
    SELECT * FROM PAGEVIEW_USERS
    QUALIFY row_number() OVER (PARTITION BY origin_partition, origin_offset ORDER BY _partition, _offset) = 1
) e ON e.origin_partition = v._partition AND e.origin_offset = v._offset;

CREATE TABLE views_with_user AS
FROM as_of(
    joined_views,
    user_rows,
    {'age': NULL::INT, 'gender': NULL::VARCHAR, 'country': NULL::VARCHAR, 'subscription': NULL::VARCHAR},
    'web.users'
);

CREATE TABLE noted.views_that_raced_with_their_user AS
SELECT _partition, _offset, _time_ms FROM views_with_user WHERE _why = 'raced';
CREATE TABLE noted.views_whose_user_was_removed AS
SELECT _partition, _offset, _time_ms FROM views_with_user WHERE _why = 'lost';
CREATE TABLE noted.views_whose_user_was_forgotten AS
SELECT _partition, _offset, _time_ms FROM views_with_user WHERE _why = 'forgotten';

CREATE TABLE expected.PAGEVIEW_USERS AS
SELECT session_id, user_id, source, _met.age, _met.gender, _met.country, _met.subscription, _time_ms AS event_time_ms,
    _partition AS origin_partition, _offset AS origin_offset
FROM views_with_user;

-- Countries -----------------------------------------------------------------------------------------------------------
CREATE TABLE per_user AS
SELECT country, user_id, count(*) AS views, arg_max(age, _offset) AS age, max(_time_ms) AS event_time_ms
FROM (
    SELECT * FROM PAGEVIEW_USERS
    QUALIFY row_number() OVER (PARTITION BY origin_partition, origin_offset ORDER BY _partition, _offset) = 1
)
WHERE age IS NOT NULL AND gender IS NOT NULL AND country IS NOT NULL AND subscription IS NOT NULL
GROUP BY country, user_id;

CREATE TABLE expected.PAGEVIEW_COUNTRY_USER AS FROM per_user;

CREATE TABLE expected.PAGEVIEW_COUNTRY AS
SELECT country, sum(views) AS views, count(*) AS users, avg(age) AS average_age FROM per_user GROUP BY country;

-- Sources, in three kinds of windows ----------------------------------------------------------------------------------
CREATE VIEW sourced AS SELECT *, source AS _group FROM views WHERE source IS NOT NULL;

CREATE MACRO of_window(name) AS getvariable('windows')[name];

CREATE TABLE expected.PAGEVIEW_TUMBLING AS
SELECT source, count(*) AS views, count(DISTINCT user_id) AS users, max(_time_ms) AS event_time_ms,
    window_start_ms, window_end_ms
FROM tumbling(sourced, of_window('PAGEVIEW_TUMBLING').size_ms, of_window('PAGEVIEW_TUMBLING').grace_ms)
GROUP BY ALL;

CREATE TABLE expected.PAGEVIEW_HOPPING AS
SELECT source, count(*) AS views, count(DISTINCT user_id) AS users, max(_time_ms) AS event_time_ms,
    window_start_ms, window_end_ms
FROM hopping(sourced, of_window('PAGEVIEW_HOPPING').size_ms, of_window('PAGEVIEW_HOPPING').advance_ms,
    of_window('PAGEVIEW_HOPPING').grace_ms)
GROUP BY ALL;

CREATE TABLE expected.PAGEVIEW_SESSION AS
SELECT source, count(*) AS views, count(DISTINCT user_id) AS users, window_end_ms AS event_time_ms,
    window_start_ms, window_end_ms
FROM sessions(sourced, of_window('PAGEVIEW_SESSION').gap_ms, of_window('PAGEVIEW_SESSION').grace_ms)
GROUP BY ALL;

-- Views with the logins of their session, half an hour before or after ------------------------------------------------
-- A view without one goes out alone when stream time, the largest of both sides, has gone past its window and grace.
CREATE TABLE stream_time AS
SELECT _partition, max(_time_ms) AS now_ms
FROM (SELECT _partition, _time_ms FROM views UNION ALL SELECT _partition, _time_ms FROM logins)
GROUP BY _partition;

CREATE TABLE expected.SESSION_VIEWS AS
SELECT v.session_id, v.source, v.event_timestamp, l.device, concat_ws('/', v._partition, v._offset) AS view,
    greatest(v._time_ms, l._time_ms) AS event_time_ms, v.session_id AS _key
FROM views v
LEFT JOIN logins l
    ON l._key = v._key AND l._time_ms BETWEEN v._time_ms - 1800000 AND v._time_ms + 1800000
JOIN stream_time t ON t._partition = v._partition
WHERE l._offset IS NOT NULL OR v._time_ms + 1800000 + 300000 < t.now_ms;

CREATE TABLE sources_seen AS
SELECT session_id, list(source ORDER BY first_offset) AS sources
FROM (SELECT session_id, source, min(_offset) AS first_offset FROM SESSION_VIEWS GROUP BY ALL)
GROUP BY session_id;

CREATE TABLE expected.SESSION_SUMMARY AS
SELECT session_id, arg_max(device, _offset) FILTER (device IS NOT NULL) AS device,
    min(event_timestamp) AS first_view_ms, max(event_timestamp) AS last_view_ms, count(DISTINCT view) AS views,
    any_value(sources) AS sources, max(_time_ms) AS event_time_ms
FROM SESSION_VIEWS JOIN sources_seen USING (session_id)
GROUP BY session_id;
