CREATE VIEW channels AS
SELECT clicks.*, channel FROM clicks JOIN latest(sources) s ON clicks.source = s._key WHERE channel IS NOT NULL;

CREATE TABLE expected.CLICKS_PER_MINUTE AS
SELECT channel, count(*) AS clicks, max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM tumbling(channels, 60000, default_grace(60000))
GROUP BY ALL;
