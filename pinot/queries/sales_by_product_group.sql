-- Flash sales of late by product group, in cents (exact) and in dollars, best-selling group first.
-- Whole tumbling windows are counted: those that began within the period.
-- :period choice PT1H PT6H PT24H PT168H: How far back (ISO 8601).
SELECT product_group,
       CAST(SUM(total_sales_cents) AS LONG) AS sales_cents,
       SUM(total_sales_cents) / 100 AS sales
FROM TOTAL_SALES_BY_PRODUCTGROUP_TUMBLING_WINDOW
WHERE window_start_ms >= ago('PT24H' /*:period*/)
GROUP BY product_group
ORDER BY SUM(total_sales_cents) DESC
LIMIT 100
