-- The busiest hour of each page group within the retention: when it began (UTC), and how many views it had.
-- Windows hop by half an hour, so that an hour that straddles two clock hours is found too.
SELECT page_group,
       LASTWITHTIME(window_start, total_pageview, 'STRING') AS busiest_hour,
       MAX(total_pageview) AS views
FROM TOTAL_PAGEVIEW_BY_PAGEGROUP_HOPPING_WINDOW
GROUP BY page_group
ORDER BY MAX(total_pageview) DESC
LIMIT 100
