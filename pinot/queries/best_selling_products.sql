-- The products with the highest sales of late, with pieces sold and the average discount in percent.
-- :period choice PT1H PT6H PT24H PT168H: How far back (ISO 8601)
-- :rows integer 1..100: Rows.
SELECT product_name,
       product_group,
       CAST(SUM(sales_amount_cents) AS LONG) AS sales_cents,
       CAST(SUM(quantity) AS LONG) AS pieces,
       AVG(discount) AS average_discount
FROM EXTENDED_FLASHSALES_STREAM
WHERE event_time_ms >= ago('PT1H' /*:period*/)
GROUP BY product_name, product_group
ORDER BY SUM(sales_amount_cents) DESC
LIMIT 10 /*:rows*/
