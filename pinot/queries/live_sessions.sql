-- Sessions still open: the newest view of the page group is at most 15 minutes (the default gap) old.
-- Retired rows are sessions that were absorbed by a longer one; they are no results and are left out.
SELECT page_group,
       window_start,
       window_end,
       total_pageview,
       (window_end_ms - window_start_ms) / 1000 AS seconds
FROM TOTAL_PAGEVIEW_BY_PAGEGROUP_SESSION_WINDOW
WHERE retired = false
  AND window_end_ms >= ago('PT15M')
ORDER BY total_pageview DESC
LIMIT 100
