-- What every oracle needs. `rows` is the name of a view or table with _partition, _offset and _time_ms.
-- Stream time is the largest event time of a partition so far, over all rows that have a group: leave the others out.

-- ksqlDB's grace where a statement names none. The size of a session is its gap.
CREATE MACRO default_grace(size) AS greatest(86400000 - size, 0);

-- How windows and times are shown.
CREATE MACRO time_text(ms) AS strftime(make_timestamp_ms(ms), '%Y-%m-%d %H:%M:%S');

-- The rows of a table's topic as they are now: the last one of each key, unless it was deleted.
CREATE MACRO latest(rows) AS TABLE
SELECT * FROM (
    SELECT * FROM query_table(rows) QUALIFY row_number() OVER (PARTITION BY _key ORDER BY _offset DESC) = 1
) WHERE NOT _deleted;

-- The versions of a table's rows: of one time and key the one with the larger offset. For
-- stream ASOF LEFT JOIN versions(users) u ON stream.userid = u._key AND stream._time_ms >= u._time_ms
-- where a version that is deleted has no columns.
CREATE MACRO versions(rows) AS TABLE
SELECT * FROM query_table(rows) QUALIFY row_number() OVER (PARTITION BY _key, _time_ms ORDER BY _offset DESC) = 1;

-- Rows of a stream with the version of a table's row that each must have met: the one valid at its time, in `_met`.
--
-- `rows` has, besides, _wanted (the key that it looks for), and of the row that came of it _found (what that has of the
-- table, a struct), _out_partition and _out_offset (null: there is none). `versions` has _key, _partition, _offset,
-- _time_ms and _row (that struct; null: deleted). `nothing` is the struct of a row that met none, and `topic` the table's.
-- A row that met something else is let pass where that was a matter of timing; _met is what it found, and _why says:
-- 'raced', it was joined before a version had reached the broker; 'lost', retention has removed its version;
-- 'forgotten', it came later than versions are kept.
CREATE MACRO as_of(rows, versions, nothing, topic) AS TABLE
WITH
-- A version was written when all records before it in its partition had been, so not before the largest of their times.
version AS MATERIALIZED (
    SELECT _key, _partition, _offset, _time_ms, _row,
        max(_time_ms) OVER (PARTITION BY _partition ORDER BY _offset) AS _written_ms
    FROM query_table(versions)
),
last_version AS (
    SELECT * FROM version QUALIFY row_number() OVER (PARTITION BY _key, _time_ms ORDER BY _offset DESC) = 1
),
due AS MATERIALIZED (
    SELECT r.*, v._row AS _due, max(CASE WHEN r._out_offset IS NOT NULL THEN r._time_ms END)
        OVER (PARTITION BY r._out_partition ORDER BY r._out_offset) AS _joined_ms
    FROM query_table(rows) r
    ASOF LEFT JOIN last_version v ON r._wanted = v._key AND r._time_ms >= v._time_ms
),
other AS MATERIALIZED (
    SELECT _partition, _offset, _time_ms, _wanted, _found,
        _due IS NULL AND list_contains(getvariable('removed'), topic) AS _is_lost,
        _time_ms < greatest(
            _joined_ms, (SELECT coalesce(max(_time_ms), 0) FROM version) - getvariable('join_history_ms')
        ) - getvariable('join_history_ms') AS _is_forgotten
    FROM due WHERE _out_offset IS NOT NULL AND _found IS DISTINCT FROM coalesce(_due, nothing)
),
-- Versions written more than a minute before a row were there; of those that came later, in the order of offsets, it
-- may have met any number.
asked AS MATERIALIZED (
    SELECT o._partition, o._offset, o._time_ms, _wanted, _found, v._offset AS _there_up_to, _newest AS _newest_there
    FROM other o
    ASOF LEFT JOIN (
        SELECT *, max({'time_ms': _time_ms, 'offset': _offset, 'row': _row})
            OVER (PARTITION BY _key ORDER BY _offset) AS _newest
        FROM version SEMI JOIN other ON _key = _wanted
        QUALIFY row_number() OVER (PARTITION BY _key, _written_ms ORDER BY _offset DESC) = 1
    ) v ON _wanted = v._key AND o._time_ms - 60000 > _written_ms
),
raced AS (
    SELECT _partition, _offset FROM asked WHERE _found IS NOT DISTINCT FROM coalesce(_newest_there."row", nothing)
    UNION
    SELECT _partition, _offset
    FROM (
        SELECT a._partition, a._offset, _found, _newest_there,
            max({'time_ms': v._time_ms, 'offset': v._offset, 'row': v._row})
                OVER (PARTITION BY a._partition, a._offset ORDER BY v._offset) AS _newest_since
        FROM asked a
        JOIN version v ON _wanted = v._key AND v._offset > coalesce(_there_up_to, -1) AND v._time_ms <= a._time_ms
    )
    WHERE _found IS NOT DISTINCT FROM coalesce(
        CASE WHEN _newest_there > _newest_since THEN _newest_there ELSE _newest_since END."row", nothing
    )
),
let_pass AS (
    SELECT o._partition, o._offset,
        CASE WHEN _is_lost THEN 'lost' WHEN r._offset IS NOT NULL THEN 'raced' WHEN _is_forgotten THEN 'forgotten' END
            AS _why
    FROM other o LEFT JOIN raced r USING (_partition, _offset)
)
SELECT d.* EXCLUDE (_due, _joined_ms), CASE WHEN _why IS NULL THEN coalesce(_due, nothing) ELSE _found END AS _met, _why
FROM due d LEFT JOIN let_pass USING (_partition, _offset);

-- Each row once for each window [window_start_ms, window_end_ms) that holds it and takes it: not where it is late.
CREATE MACRO hopping(rows, size, advance, grace) AS TABLE
SELECT * EXCLUDE (_now_ms), window_start_ms + size AS window_end_ms
FROM (
    SELECT *, unnest(range(greatest(0, _time_ms - size + advance) // advance * advance, _time_ms + 1, advance))
        AS window_start_ms
    FROM (SELECT *, max(_time_ms) OVER (PARTITION BY _partition ORDER BY _offset) AS _now_ms FROM query_table(rows))
)
WHERE window_start_ms + size + grace > _now_ms;

CREATE MACRO tumbling(rows, size, grace) AS TABLE SELECT * FROM hopping(rows, size, size, grace);

-- Each row with the session [window_start_ms, window_end_ms] that it is in. `rows` need a column _group.
--
-- Without late rows sessions are islands: rows by time, cut where more than a gap lies between two. A row that comes
-- within the grace finds every session open that it can reach. So islands of such rows only are sessions as they are.
-- In the others order matters, since closed sessions take nothing more: these are walked through in the order of
-- offsets, late rows one by one, what lies between them as islands of its own.
CREATE MACRO sessions(rows, gap, grace) AS TABLE
WITH RECURSIVE
came AS MATERIALIZED (
    SELECT *, row_number() OVER (ORDER BY _partition, _offset) AS _id,
        max(_time_ms) OVER (PARTITION BY _partition ORDER BY _offset) AS _now_ms
    FROM query_table(rows)
),
cut AS (
    SELECT _id, _group, _partition, _time_ms, _now_ms - grace - gap AS _limit_ms, _time_ms + grace < _now_ms AS _behind,
        coalesce(_time_ms - lag(_time_ms) OVER (
            PARTITION BY _group, _partition ORDER BY _time_ms, _id
        ) > gap, false) AS _begins
    FROM came
),
island AS (
    SELECT *, count_if(_begins) OVER (PARTITION BY _group, _partition ORDER BY _time_ms, _id) AS _island FROM cut
),
judged AS MATERIALIZED (
    SELECT *, bool_or(_behind) OVER (PARTITION BY _group, _partition, _island) AS _ordered FROM island
),
-- Units of the walk: rows that are behind, and islands of what comes between them.
block AS (
    SELECT *, count_if(_behind) OVER (PARTITION BY _group, _partition, _island ORDER BY _id) AS _block
    FROM judged WHERE _ordered
),
block_cut AS (
    SELECT *, coalesce(_time_ms - lag(_time_ms) OVER (
        PARTITION BY _group, _partition, _island, _block, _behind ORDER BY _time_ms, _id
    ) > gap, false) AS _splits
    FROM block
),
in_unit AS MATERIALIZED (
    SELECT *, dense_rank() OVER (PARTITION BY _group, _partition, _island ORDER BY _block, NOT _behind, _sub) AS _unit
    FROM (
        SELECT *, count_if(_splits) OVER (
            PARTITION BY _group, _partition, _island, _block, _behind ORDER BY _time_ms, _id
        ) AS _sub
        FROM block_cut
    )
),
unit AS MATERIALIZED (
    SELECT _group, _partition, _island, _unit, min(_time_ms) AS _first, max(_time_ms) AS _last,
        max(CASE WHEN _behind THEN _limit_ms ELSE -1 END) AS _limit_ms
    FROM in_unit GROUP BY ALL
),
walk(_group, _partition, _island, _unit, _found) USING KEY (_group, _partition, _island) AS (
    SELECT DISTINCT _group, _partition, _island, 0::BIGINT, []::STRUCT("first" BIGINT, "last" BIGINT, units BIGINT[])[]
    FROM unit
    UNION
    SELECT _group, _partition, _island, _unit, CASE WHEN len(_near) = 0 AND _last < _limit_ms THEN _found
        ELSE list_append(list_filter(_found, lambda s: NOT list_contains(_near, s)), {
            'first': least(_first, list_min(list_transform(_near, lambda s: s."first"))),
            'last': greatest(_last, list_max(list_transform(_near, lambda s: s."last"))),
            'units': list_append(flatten(list_transform(_near, lambda s: s.units)), _unit)
        }) END
    FROM (
        SELECT u.*, w._found, list_filter(w._found, lambda s: s."last" >= u._limit_ms AND s."first" - gap <= u._last
            AND u._first <= s."last" + gap) AS _near
        FROM walk w JOIN unit u ON u._group = w._group AND u._partition = w._partition AND u._island = w._island
            AND u._unit = w._unit + 1
    )
),
walked AS (
    SELECT _group, _partition, _island, s."first" AS _session, unnest(s.units) AS _unit, _place
    FROM (SELECT *, unnest(_found) AS s, generate_subscripts(_found, 1) AS _place FROM walk)
),
-- Which session within its partition each row is in: a place within its island, 0 where nothing is late.
member AS MATERIALIZED (
    SELECT _id, _group, _partition, _time_ms, _island, 0 AS _place FROM judged WHERE NOT _ordered
    UNION ALL
    SELECT r._id, r._group, r._partition, r._time_ms, r._island, w._place
    FROM in_unit r JOIN walked w ON r._group = w._group AND r._partition = w._partition AND r._island = w._island
        AND r._unit = w._unit
),
part AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY _group ORDER BY _first, _last, _partition) AS _part
    FROM (
        SELECT _group, _partition, _island, _place, min(_time_ms) AS _first, max(_time_ms) AS _last
        FROM member GROUP BY ALL
    )
),
-- Sessions of different partitions at most a gap apart are one. Those of one partition were found apart: they are only
-- one by what lies in another. So where two of one partition are near each other, islands do not tell.
hull AS (
    SELECT *, count_if(_begins) OVER (PARTITION BY _group ORDER BY _part) AS _hull
    FROM (
        SELECT *, coalesce(_first - max(_last) OVER (
            PARTITION BY _group ORDER BY _part ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) > gap, false) AS _begins,
        coalesce(_first - max(_last) OVER (
            PARTITION BY _group, _partition ORDER BY _part ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) <= gap, false) AS _beside
        FROM part
    )
),
hulled AS MATERIALIZED (
    SELECT *, bool_or(_beside) OVER (PARTITION BY _group, _hull) AS _ordered,
        row_number() OVER (PARTITION BY _group, _hull ORDER BY _part) AS _step
    FROM hull
),
join_up(_group, _hull, _step, _found) USING KEY (_group, _hull) AS (
    SELECT DISTINCT _group, _hull, 0::BIGINT, []::STRUCT(parts STRUCT("partition" BIGINT, "last" BIGINT, step BIGINT)[])[]
    FROM hulled WHERE _ordered
    UNION
    SELECT _group, _hull, _step, list_append(list_filter(_found, lambda s: NOT list_contains(_near, s)), {
        'parts': list_append(flatten(list_transform(_near, lambda s: s.parts)),
            {'partition': _partition::BIGINT, 'last': _last, 'step': _step})
    })
    FROM (
        SELECT h.*, j._found, list_filter(j._found, lambda s: len(list_filter(s.parts, lambda p: p."partition" <> h._partition
            AND p."last" + gap >= h._first)) > 0) AS _near
        FROM join_up j JOIN hulled h ON h._group = j._group AND h._hull = j._hull AND h._step = j._step + 1
    )
),
joined AS (
    SELECT _group, _hull, _place, unnest(list_transform(s.parts, lambda p: p.step)) AS _step
    FROM (SELECT *, unnest(_found) AS s, generate_subscripts(_found, 1) AS _place FROM join_up)
),
whole AS (
    SELECT h._group, h._partition, h._island, h._place,
        min(h._first) OVER (PARTITION BY h._group, h._hull, coalesce(j._place, 0)) AS window_start_ms,
        max(h._last) OVER (PARTITION BY h._group, h._hull, coalesce(j._place, 0)) AS window_end_ms
    FROM hulled h LEFT JOIN joined j ON h._group = j._group AND h._hull = j._hull AND h._step = j._step
)
SELECT c.* EXCLUDE (_id, _now_ms), w.window_start_ms, w.window_end_ms
FROM came c
JOIN member m ON c._id = m._id
JOIN whole w ON m._group = w._group AND m._partition = w._partition AND m._island = w._island AND m._place = w._place;
