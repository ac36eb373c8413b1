-- Page views by the viewer's region with the share of each gender in percent, most viewed first.
-- The region and gender are those known when the view was processed; views of users not yet known are left out.
SELECT region_name,
       COUNT(*) AS views,
       SUM(CASE WHEN gender = 'FEMALE' THEN 100 ELSE 0 END) / COUNT(*) AS female_percent,
       SUM(CASE WHEN gender = 'MALE' THEN 100 ELSE 0 END) / COUNT(*) AS male_percent,
       SUM(CASE WHEN gender = 'OTHER' THEN 100 ELSE 0 END) / COUNT(*) AS other_percent
FROM EXTENDED_PAGEVIEWS_STREAM
WHERE region_name IS NOT NULL
GROUP BY region_name
ORDER BY COUNT(*) DESC
LIMIT 100
