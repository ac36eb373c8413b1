-- What flash sales must have made of its topics: see "Verify by SQL" in docs/applications.md.

CREATE MACRO grace(size) AS coalesce(getvariable('grace_ms'), default_grace(size));

-- Enriched rows, each source record's once: with at_least_once they may repeat. Their partitions and offsets are the
-- order in which aggregates have seen them.
CREATE TABLE views AS
SELECT _partition, _offset, _time_ms, page_group, region_name
FROM EXTENDED_PAGEVIEWS_STREAM
QUALIFY row_number() OVER (PARTITION BY origin_partition, origin_offset ORDER BY _partition, _offset) = 1;

CREATE TABLE sales AS
SELECT _partition, _offset, _time_ms, product_group, region_name, sales_amount_cents
FROM EXTENDED_FLASHSALES_STREAM
QUALIFY row_number() OVER (PARTITION BY origin_partition, origin_offset ORDER BY _partition, _offset) = 1;

CREATE VIEW views_by_page AS SELECT *, page_group AS _group FROM views WHERE page_group IS NOT NULL;
CREATE VIEW sales_by_product AS SELECT *, product_group AS _group FROM sales WHERE product_group IS NOT NULL;
CREATE VIEW sales_by_region AS SELECT * FROM sales WHERE region_name IS NOT NULL;

-- Users -------------------------------------------------------------------------------------------------------------
CREATE VIEW users AS
SELECT * FROM Users_ WHERE _deleted OR (userid = _key AND registertime BETWEEN 0 AND 253402300799999);

CREATE VIEW transformed AS
SELECT _key, _offset, _deleted, userid, time_text(registertime) AS registertime, registertime AS registertime_ms,
    gender, regionid, interests[1] AS interests_1, interests[2] AS interests_2,
    contactinfo['phone'] AS phone, contactinfo['city'] AS city, contactinfo['state'] AS state,
    contactinfo['zipcode'] AS zipcode, _time_ms AS event_time_ms
FROM users;

CREATE TABLE expected.USER_TRANSFORMED_TABLE AS
SELECT * EXCLUDE (_key, _offset, _deleted) FROM latest(transformed);

-- While users change, their rows are one of those that they have had.
CREATE TABLE history.USER_TRANSFORMED_TABLE AS
SELECT * EXCLUDE (_key, _offset, _deleted) FROM transformed WHERE NOT _deleted;

-- Views with the user, the page and the region ------------------------------------------------------------------------
-- Reference tables have no time: a view meets the row that is known when it is processed, so any row of the key that
-- ever was. What was met is taken where it is one of them, else the last one.
CREATE MACRO ever(topic) AS TABLE
SELECT _key, list(DISTINCT _row) AS _rows, arg_max(_row, _offset) AS _last FROM query_table(topic) GROUP BY _key;

CREATE MACRO met(found, rows, last) AS CASE WHEN list_contains(rows, found) THEN found ELSE last END;

CREATE VIEW page_rows AS
SELECT _key, _offset, {'page_group': page_group, 'page_name': page_name} AS _row FROM "MysqlSource-pages";
CREATE VIEW region_rows AS SELECT _key, _offset, {'region_name': region_name} AS _row FROM "MysqlSource-region";
CREATE VIEW product_rows AS
SELECT _key, _offset, {'product_group': product_group, 'product_name': product_name} AS _row FROM "MysqlSource-product";

-- The user's row that was valid at the view's time; a deleted user has no columns.
CREATE TABLE user_rows AS
SELECT _key, _partition, _offset, _time_ms, {'regionid': regionid, 'gender': gender} AS _row FROM users;

CREATE TABLE joined_views AS
SELECT v.* EXCLUDE (_key, _deleted), v.userid AS _wanted, e._partition AS _out_partition, e._offset AS _out_offset,
    {'regionid': e.regionid, 'gender': e.gender} AS _found,
    {'page_group': e.page_group, 'page_name': e.page_name} AS found_page,
    {'region_name': e.region_name} AS found_region
FROM PageView v
LEFT JOIN (
    SELECT * FROM EXTENDED_PAGEVIEWS_STREAM
    QUALIFY row_number() OVER (PARTITION BY origin_partition, origin_offset ORDER BY _partition, _offset) = 1
) e ON e.origin_partition = v._partition AND e.origin_offset = v._offset;

CREATE TABLE views_with_user AS
FROM as_of(joined_views, user_rows, {'regionid': NULL::VARCHAR, 'gender': NULL::VARCHAR}, 'Users_');

CREATE TABLE noted.views_that_raced_with_their_user AS
SELECT _partition, _offset, _time_ms FROM views_with_user WHERE _why = 'raced';
CREATE TABLE noted.views_whose_user_was_removed AS
SELECT _partition, _offset, _time_ms FROM views_with_user WHERE _why = 'lost';
CREATE TABLE noted.views_whose_user_was_forgotten AS
SELECT _partition, _offset, _time_ms FROM views_with_user WHERE _why = 'forgotten';

CREATE TABLE expected.EXTENDED_PAGEVIEWS_STREAM AS
SELECT userid, pageid, viewtime, joined_page.page_group, joined_page.page_name, _met.regionid,
    _met.gender, joined_region.region_name, event_time_ms, origin_partition, origin_offset
FROM (
    SELECT v.*, met(found_page, p._rows, p._last) AS joined_page, met(found_region, r._rows, r._last) AS joined_region,
        v._time_ms AS event_time_ms, v._partition AS origin_partition, v._offset AS origin_offset
    FROM views_with_user v
    LEFT JOIN ever(page_rows) p ON p._key = v.pageid
    LEFT JOIN ever(region_rows) r ON r._key = v._met.regionid
);

-- Sales with the product and the region -------------------------------------------------------------------------------
CREATE VIEW priced_sales AS SELECT *, round(sale_price * quantity, 2) AS amount FROM "MysqlSource-flash_sales";
CREATE VIEW good_sales AS SELECT * FROM priced_sales WHERE amount IS NULL OR abs(amount) <= 10000000000000;

CREATE TABLE expected.EXTENDED_FLASHSALES_STREAM AS
SELECT sale_id, customer_id, province_id, product_id, region_id, discount, original_price, sale_price, quantity,
    _time_ms AS sale_datetime, joined_product.product_group, joined_product.product_name, joined_region.region_name,
    amount AS sales_amount, amount * 100 AS sales_amount_cents, _time_ms AS event_time_ms,
    _partition AS origin_partition, _offset AS origin_offset
FROM (
    SELECT s.*, met({'product_group': e.product_group, 'product_name': e.product_name}, p._rows, p._last)
            AS joined_product,
        met({'region_name': e.region_name}, r._rows, r._last) AS joined_region
    FROM good_sales s
    LEFT JOIN (
        SELECT * FROM EXTENDED_FLASHSALES_STREAM
        QUALIFY row_number() OVER (PARTITION BY origin_partition, origin_offset ORDER BY _partition, _offset) = 1
    ) e ON e.origin_partition = s._partition AND e.origin_offset = s._offset
    LEFT JOIN ever(product_rows) p ON p._key = s.product_id
    LEFT JOIN ever(region_rows) r ON r._key = s.region_id
);

-- Records that can be read, but are no users and no sales ---------------------------------------------------------------
CREATE TABLE expected."pipeline-dead-letters" AS
SELECT 'Users_' AS topic, _partition AS partition, _offset AS "offset"
FROM Users_ ANTI JOIN users USING (_partition, _offset)
UNION ALL
SELECT 'MysqlSource-flash_sales', _partition, _offset
FROM "MysqlSource-flash_sales" ANTI JOIN good_sales USING (_partition, _offset);

-- Counts of views -----------------------------------------------------------------------------------------------------
CREATE TABLE expected.PAGEVIEWS_BY_PAGEGROUP_TABLE AS
SELECT page_group, count(*) AS count_view, max(_time_ms) AS event_time_ms FROM views_by_page GROUP BY page_group;

CREATE TABLE expected.PAGEVIEWS_BY_REGION_TABLE AS
SELECT region_name, count(*) AS count_view, max(_time_ms) AS event_time_ms
FROM views WHERE region_name IS NOT NULL GROUP BY region_name;

CREATE TABLE expected.TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW AS
SELECT page_group, count(*) AS total_pageview, max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM tumbling(views_by_page, getvariable('tumbling_size_ms'), grace(getvariable('tumbling_size_ms')))
GROUP BY ALL;

CREATE TABLE expected.TOTAL_PAGEVIEW_BY_PAGEGROUP_HOPPING_WINDOW AS
SELECT page_group, count(*) AS total_pageview, max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM hopping(views_by_page, getvariable('hopping_size_ms'), getvariable('hopping_advance_ms'),
    grace(getvariable('hopping_size_ms')))
GROUP BY ALL;

CREATE TABLE expected.TOTAL_PAGEVIEW_BY_PAGEGROUP_SESSION_WINDOW AS
SELECT page_group, count(*) AS total_pageview, window_end_ms AS event_time_ms, window_start_ms, window_end_ms
FROM sessions(views_by_page, getvariable('session_gap_ms'), grace(getvariable('session_gap_ms')))
GROUP BY ALL;

-- Sums of sales -------------------------------------------------------------------------------------------------------
CREATE TABLE expected.TOTAL_SALES_BY_PRODUCTGROUP_TUMBLING_WINDOW AS
SELECT product_group, coalesce(sum(sales_amount_cents), 0) AS total_sales_cents, total_sales_cents / 100 AS total_sales,
    max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM tumbling(sales_by_product, getvariable('tumbling_size_ms'), grace(getvariable('tumbling_size_ms')))
GROUP BY ALL;

CREATE TABLE expected.TOTAL_SALES_BY_REGION_TUMBLING_WINDOW AS
SELECT region_name, coalesce(sum(sales_amount_cents), 0) AS total_sales_cents, total_sales_cents / 100 AS total_sales,
    max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM tumbling(sales_by_region, getvariable('tumbling_size_ms'), grace(getvariable('tumbling_size_ms')))
GROUP BY ALL;

CREATE TABLE expected.TOTAL_SALES_BY_PRODUCTGROUP_HOPPING_WINDOW AS
SELECT product_group, coalesce(sum(sales_amount_cents), 0) AS total_sales_cents, total_sales_cents / 100 AS total_sales,
    max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM hopping(sales_by_product, getvariable('hopping_size_ms'), getvariable('hopping_advance_ms'),
    grace(getvariable('hopping_size_ms')))
GROUP BY ALL;

CREATE TABLE expected.TOTAL_SALES_BY_PRODUCTGROUP_SESSION_WINDOW AS
SELECT product_group, coalesce(sum(sales_amount_cents), 0) AS total_sales_cents, total_sales_cents / 100 AS total_sales,
    window_end_ms AS event_time_ms, window_start_ms, window_end_ms
FROM sessions(sales_by_product, getvariable('session_gap_ms'), grace(getvariable('session_gap_ms')))
GROUP BY ALL;
